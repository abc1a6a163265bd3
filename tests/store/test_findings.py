from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store import findings
from store.errors import StorageError
from store.findings import Finding, add_findings, forget, read_report, read_reports, recent, save_report
from store.layout import Layout

START = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path)


def finding(hour: int, *, version: int = 1, segment: str = "", severity: str = "ok") -> Finding:
    start = START + timedelta(hours=hour)
    verdict = {"severity": severity, "effect": 0.1, "flagged": severity != "ok"}
    return Finding(
        "bikes",
        version,
        "champion",
        segment,
        start,
        start + timedelta(hours=1),
        500,
        severity,
        {"temp": verdict},
    )


def test_nothing_found_yet(layout: Layout) -> None:
    assert recent(layout) == []
    assert read_report(layout, "bikes") is None
    assert read_reports(layout) == []
    assert not (layout.state / findings.FILE).exists()


def test_verdicts_come_back_newest_first(layout: Layout) -> None:
    add_findings(layout, [finding(0), finding(2, severity="warning"), finding(1)])
    found = recent(layout, "bikes", version=1, role="champion", segment="")
    assert [one.start.hour for one in found] == [2, 1, 0]
    assert found[0].as_json() == {
        **finding(2, severity="warning").as_json(),
        "evaluated_at": found[0].as_json()["evaluated_at"],
    }
    assert found[0].features["temp"]["effect"] == 0.1
    assert recent(layout, since=START + timedelta(hours=2)) == found[:1]
    assert len(recent(layout, limit=2)) == 2


def test_a_window_judged_again_is_the_same_window(layout: Layout) -> None:
    add_findings(layout, [finding(0)])
    add_findings(layout, [finding(0, severity="critical")])
    found = recent(layout)
    assert [one.severity for one in found] == ["critical"]
    assert found[0].id == finding(0).id


def test_segments_and_versions_are_apart(layout: Layout) -> None:
    add_findings(layout, [finding(0), finding(0, segment="season=1"), finding(0, version=2)])
    assert len(recent(layout)) == 3
    assert [one.segment for one in recent(layout, version=1, segment="season=1")] == ["season=1"]
    assert len(recent(layout, segment="")) == 2


def test_the_history_is_bounded(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "KEPT_WINDOWS", 5)
    add_findings(layout, [finding(hour) for hour in range(12)])
    add_findings(layout, [finding(0, version=2)])
    assert [one.start.hour for one in recent(layout, version=1)] == [11, 10, 9, 8, 7]
    assert len(recent(layout, version=2)) == 1


def test_the_newest_report_of_each(layout: Layout) -> None:
    for version, rows in ((1, 10), (2, 20), (2, 30)):
        save_report(layout, {"model": "bikes", "version": version, "role": "champion", "current_rows": rows})
    newest = read_report(layout, "bikes")
    assert newest is not None
    assert newest["current_rows"] == 30
    assert [one["current_rows"] for one in read_reports(layout, "bikes")] == [10, 30]
    assert read_report(layout, "bikes", 1, role="challenger") is None
    forget(layout, "bikes", 2)
    assert [one["version"] for one in read_reports(layout)] == [1]


def test_a_damaged_file_is_made_anew(layout: Layout) -> None:
    layout.ensure()
    (layout.state / findings.FILE).write_bytes(b"no database at all, " * 100)
    with pytest.raises(StorageError, match="Delete it"):
        recent(layout)
    add_findings(layout, [finding(0)])
    assert len(recent(layout)) == 1
