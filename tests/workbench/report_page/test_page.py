"""The page of a drift report: complete in itself, readable, and safe whatever columns are called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from store.alerts import Alert
from store.findings import Finding
from workbench.report_page import render_page
from workbench.report_page.charts import Mark, number, over_time
from workbench.report_page.words import verdict

AT = datetime(2026, 7, 3, 12, tzinfo=UTC)
EVIL = '<script>alert("1")</script>'


def a_feature(name: str = "temp", severity: str = "critical", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "numeric",
        "n": 2400,
        "p_value": 1e-30,
        "p_adjusted": 1e-29,
        "effect": 0.67,
        "effect_of": "shape",
        "severity": severity,
        "flagged": severity in ("watch", "warning", "critical"),
        "reason": f"effect 0.670 {EVIL}",
        "statistics": {},
        "thresholds": {"watch": 0.02, "warning": 0.1, "critical": 0.25},
        "importance": 0.4,
        "reference": {"n": 20000, "missing": 0.0, "mean": 0.5, "sd": 0.2},
        "current": {"n": 2400, "missing": 0.01, "mean": 0.66, "sd": 0.2},
        "distribution": {"labels": ["≤ 1", EVIL, "> 2"], "reference": [5, 5, 5], "current": [1, 2, 9]},
    } | changes


def a_report(*features: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "model": "bikes",
        "version": 3,
        "role": "champion",
        "window": {"start": "2026-07-02T12:00:00.000Z", "end": "2026-07-03T12:00:00.000Z"},
        "reference_rows": 20000,
        "current_rows": 2400,
        "drifted": True,
        "severity": "critical",
        "features": list(features or (a_feature(), a_feature("hum", "ok"))),
        "prediction": None,
        "checks": [],
        "performance": [],
    } | changes


def a_metric(**changes: Any) -> dict[str, Any]:
    return {
        "metric": "accuracy", "value": 0.61, "low": 0.58, "high": 0.63, "reference": 0.745,
        "estimated": False, "dropped": True, "below": True, "n": 1700, "p_value": 1e-9,
    } | changes  # fmt: skip


class Elements(HTMLParser):
    """Tags that are open, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in ("meta", "br", "circle", "line", "rect", "path", "polygon"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def full_page() -> str:
    windows = [
        Finding(
            "bikes", 3, "champion", "", AT - timedelta(hours=hour + 1), AT - timedelta(hours=hour), 100, "ok",
            {"temp": {"severity": "warning", "effect": 0.3 - hour / 50}},
            {"severity": "ok", "effect": None if hour == 3 else 0.01}, (), [a_metric(value=0.6 + hour / 100)],
        )
        for hour in range(9)
    ]  # fmt: skip
    alert = Alert("3fa9", "k", "drift", "bikes", 3, EVIL, "critical", "open", EVIL, AT, AT, worst="critical")
    details = {
        "coverage": {
            "predictions": 2400, "labelled": 1700, "coverage": 0.708,
            "lag_p50_s": 5400.0, "lag_p90_s": 90000.0, "maturity": 0.8,
        },
        "calibration": {
            "of": EVIL, "rows": 1700, "ece": 0.1, "brier": 0.2,
            "bins": [{"rows": 10, "predicted": 0.1, "observed": 0.2, "low": 0.1, "high": 0.4}],
        },
        "classes": [
            {"class": EVIL, "actual": 5, "predicted": 4, "precision": a_metric(), "recall": None, "f1": None},
            {"class": "no", "actual": 5, "predicted": 6, "precision": None, "recall": None, "f1": None},
        ],
        "residuals": None,
        "segments": [
            {"feature": "season", "value": EVIL, "predictions": 9, "labelled": 8, "metric": "accuracy",
             "mean": 0.5, "low": 0.2, "high": 0.8},
        ],
    }  # fmt: skip
    report = a_report(
        a_feature(),
        a_feature(EVIL, "warning"),
        a_feature("hum", "ok", effect=None, p_adjusted=None),
        prediction=a_feature("score"),
        performance=[a_metric(), a_metric(estimated=True, dropped=False, below=False, p_value=None)],
        checks=[{"kind": "out_of_range", "severity": "warning", "message": EVIL}],
    )
    report["against"] = {
        "version": 2,
        "rows": 900,
        "metrics": [
            {"metric": "accuracy", "champion": 0.8, "challenger": 0.9, "difference": 0.1, "low": 0.05,
             "high": 0.15, "probability_better": 0.99},
        ],
    }  # fmt: skip
    return render_page(
        report, project=EVIL, windows=windows, alerts=[alert], marks=[Mark(AT - timedelta(hours=4), "v3")],
        details=details,
    )  # fmt: skip


def test_the_page_is_whole_loads_nothing_and_runs_nothing() -> None:
    page = full_page()
    elements = Elements(page)
    assert elements.open == []
    assert elements.addresses == []
    assert "script" not in elements.seen
    assert EVIL not in page
    assert EVIL in elements.text  # it is there, as text
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert len(page) < 100_000


def test_everything_has_its_part() -> None:
    text = Elements(full_page()).text
    for title in (
        "bikes version 3", "The model has become worse", "Features, those that matter most first",
        "Reference against the window", "Predictions", "Effect over time", "Performance",
        "Accuracy by window", "Can the probabilities be believed?", "By class", "By segment", "Other checks",
        "Against version 2", "Alerts", "How to read this page",
    ):  # fmt: skip
        assert title in text
    assert "1,700 of 2,400 predictions have a true outcome" in text


@pytest.mark.parametrize(
    ("report", "headline", "sentence"),
    [
        (a_report(), "The data has drifted", "1 of 2 features has drifted, critical: temp."),
        (
            a_report(a_feature("a", "ok"), a_feature("b", "ok"), severity="ok"),
            "No drift",
            "None of 2 features has moved by more than chance and the limits allow.",
        ),
        (
            a_report(a_feature("a", "insufficient"), severity="insufficient", current_rows=37),
            "Too few rows for a verdict",
            "37 rows are in the window; a verdict takes 100. What is drawn below is what there is.",
        ),
        (
            a_report(performance=[a_metric()]),
            "The model has become worse",
            "Accuracy is 0.610 [0.580, 0.630], was 0.745.",
        ),
        (
            a_report(performance=[a_metric(estimated=True, dropped=False)]),
            "The data has drifted",
            "No true outcomes have arrived yet: performance is an estimate.",
        ),
    ],
)
def test_the_verdict_is_said_in_words(report: dict[str, Any], headline: str, sentence: str) -> None:
    found, sentences = verdict(report)
    assert found == headline
    assert sentence in sentences


def test_plain_files_and_nothing_at_all_make_a_page_too() -> None:
    files = a_report(model=None, version=None, role=None, window={"start": None, "end": None, "rows": 5})
    assert "Current data against reference" in Elements(render_page(files)).text
    empty = {"model": None, "features": [], "reference_rows": None, "current_rows": 0}
    assert "Too few rows" in Elements(render_page(empty)).text


def test_hundreds_of_features_and_categories_stay_readable() -> None:
    labels = [f"category {place}" for place in range(40)]
    wide = {"labels": labels, "reference": list(range(40)), "current": [1] * 40}
    page = render_page(a_report(*(a_feature(f"f{n}", distribution=wide) for n in range(300))))
    assert "240 more features" in page
    assert "27 more" in page
    assert len(page) < 3_000_000


def test_a_boolean_has_two_bars_and_empty_ends_are_left_out() -> None:
    shape = {
        "labels": ["≤ -5e-324", "-5e-324 … 0", "0 … 1", "> 1"],
        "edges": [-5e-324, 0.0, 1.0],
        "reference": [0, 90, 10, 0],
        "current": [0, 9, 1, 0],
    }
    page = render_page(a_report(a_feature("holiday", kind="boolean", distribution=shape)))
    assert "false: was 90%, now 90%" in page
    assert "true: was 10%, now 10%" in page
    assert "e-324" not in page


def test_charts_over_time_leave_gaps_and_bear_odd_values() -> None:
    moments = [AT + timedelta(hours=hour) for hour in range(5)]
    chart = over_time(moments, [0.1, None, 0.3, 0.4, float("nan")], limits=(("warning", 0.1),))
    assert chart.count('class="line"') == 1
    assert over_time(moments[:1], [0.2]).startswith("<svg")
    assert "No windows yet" in over_time(moments, [None] * 5)
    assert over_time(moments, [0.0] * 5).count("<circle") == 5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"), (float("nan"), "—"), (0.0, "0.000"), (0.12345, "0.123"), (41.23, "41.2"),
        (1234.5, "1,234"), (2_500_000.0, "2,500,000"), (3e-9, "3.00e-09"), (-0.5, "-0.500"), (250.0, "250"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float | None, shown: str) -> None:
    assert number(value) == shown
