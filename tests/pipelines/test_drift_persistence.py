from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.drift.persistence import Decision, decide
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
