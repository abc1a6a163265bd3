from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.drift.persistence import TOGETHER, Decision, decide
from store.findings import Finding

START = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)


def windows(*severities: str, rows: int = 400, hours: int = 1) -> list[Finding]:
    """Windows of one feature, the newest first as they are read; `hours` is how far each reaches back."""
    found = []
    for place, severity in enumerate(severities):
        end = START + HOUR * (place + 1)
        found.append(
            Finding(
                "m", 1, "champion", "", end - HOUR * hours, end, rows, severity, {"x": {"severity": severity}}
            )
        )
    return found[::-1]


def decision(found: list[Finding], patience: int = 2) -> Decision:
    return decide(found, lambda window: window.features.get("x"), patience=patience)


def test_one_window_is_not_enough() -> None:
    assert decision(windows("ok", "ok", "warning")).action == "keep"


def test_two_of_three_are() -> None:
    assert decision(windows("warning", "ok", "critical")) == Decision("raise", "warning")
    assert decision(windows("ok", "watch", "watch")) == Decision("raise", "watch")
    assert decision(windows("critical", "critical")) == Decision("raise", "critical")


def test_critical_over_500_rows_needs_no_second_window() -> None:
    assert decision(windows("ok", "critical", rows=500)) == Decision("raise", "critical")
    assert decision(windows("ok", "critical", rows=499)).action == "keep"


def test_three_clean_windows_clear() -> None:
    assert decision(windows("critical", "ok", "ok")).action == "keep"
    assert decision(windows("critical", "ok", "ok", "ok")).action == "clear"
    assert decision(windows("ok", "ok")).action == "keep"


def test_windows_without_enough_rows_say_nothing() -> None:
    assert decision(windows("warning", "insufficient", "insufficient", "warning")).action == "raise"
    assert decision(windows("insufficient")).action == "keep"
    assert decision([]).action == "keep"


@pytest.mark.parametrize(("patience", "action"), [(1, "raise"), (2, "keep"), (3, "keep")])
def test_patience(patience: int, action: str) -> None:
    assert decision(windows("ok", "ok", "warning"), patience).action == action
    assert decision(windows("warning", "warning", "warning"), patience).action == "raise"


def test_windows_that_share_rows_count_once() -> None:
    """A window that reaches back for enough rows is not a second witness of the same rows."""
    assert decision(windows("warning", "warning", "warning", hours=4)).action == "keep"
    assert decision(windows(*["warning"] * 6, hours=4)).action == "raise"


def told(*p_values: float, n: int = 500, rows: int = 1_000) -> list[Finding]:
    """Flagged windows with these p values, compared with a reference of so many rows."""
    found = windows(*("warning" for _ in p_values))
    for window, p in zip(found, p_values, strict=True):
        window.features["x"].update(p_value=p, n=n, reference={"n": rows})
    return found


def together(found: list[Finding], features: int) -> str:
    return decide(found, lambda window: window.features.get("x"), features=features).action


def test_windows_that_a_small_reference_makes_look_alike_are_no_second_witness() -> None:
    weak, strong = (1e-3, 1e-3), (1e-5, 1e-5)

    assert together(told(*weak), 30) == "keep"
    assert together(told(*strong), 30) == "raise"
    assert together(told(2e-4, 2e-4, rows=1_000), 30) == "keep"
    assert together(told(2e-4, 2e-4, rows=1_000_000), 30) == "raise"


def test_three_weak_windows_tell_what_two_do_not() -> None:
    assert together(told(1e-3, 1e-3, rows=50_000), 30) == "keep"
    assert together(told(1e-3, 1e-3, 1e-3, rows=50_000), 30) == "raise"


def test_fewer_features_need_less_and_one_by_itself_only_two_windows() -> None:
    assert together(told(3e-4, 3e-4), 30) == "keep"
    assert together(told(3e-4, 3e-4), 3) == "raise"
    assert together(told(0.04, 0.04), 0) == "raise"


def test_two_windows_correlate_as_their_reference_has_it() -> None:
    # Normal scores of 4 each, a third of whose variance is the reference's: 8 / sqrt(2 + 2/3) = 4.9.
    p = math.erfc(4 / math.sqrt(2))
    joint = math.erfc(8 / math.sqrt(2 + 2 / 3) / math.sqrt(2))
    most = int(TOGETHER / joint)

    assert together(told(p, p), most) == "raise"
    assert together(told(p, p), most + 1) == "keep"


def test_verdicts_without_numbers_and_no_chance_at_all_are_taken_at_their_word() -> None:
    assert together(windows("warning", "warning"), 30) == "raise"
    assert together(told(0.0, 0.0), 30) == "raise"


def test_patience_of_one_asks_for_no_second_window() -> None:
    found = told(1e-3)
    assert decide(found, lambda w: w.features.get("x"), patience=1, features=30).action == "raise"
