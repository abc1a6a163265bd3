"""What the Drift screen asks: the ranking, its history, performance, segments, alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from store.alerts import get_alert, list_alerts
from store.findings import Finding
from store.slices import Key, Segment
from workbench.desk.desk import Desk, open_desk
from workbench.desk.drift import Deployment, DriftView, Wanted, WatchedVersion, _chosen
from workbench.desk.drift_picture import distribution, over_time, pictured, segments_of
from workbench.desk.drift_rows import DriftRow, rows_of
from workbench.desk.drift_words import spelled
from workbench.desk.place import find_place
from workbench.monitoring import Monitor
from workbench.performance_text import segment_name
from workbench.report_page import project_page
from workbench.settings import load_project

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def desk_of(drifting: Any) -> Desk:
    return open_desk(find_place(drifting.root))


def by_name(view: DriftView) -> dict[str, DriftRow]:
    return {row.name: row for row in view.rows}


def judged(name: str, effect: float, severity: str, **other: Any) -> dict[str, Any]:
    """A feature as a report has it."""
    return {
        "name": name,
        "effect": effect,
        "severity": severity,
        "flagged": severity in ("watch", "warning", "critical"),
        "reason": "37 of 100 rows in the window",
        "effect_of": "shape",
        "thresholds": {"watch": 0.02, "warning": 0.1, "critical": 0.25},
        "reference": {"n": 500, "mean": 20.0, "missing": 0.0},
        "current": {"n": 500, "mean": 26.0, "missing": 0.0},
        "distribution": {"labels": ["a", "b", "new"], "reference": [3, 2, 0], "current": [1, 1, 1500]},
        **other,
    }


def report(*features: dict[str, Any], **other: Any) -> dict[str, Any]:
    known = {"version": 1, "role": "champion", "prediction": None, "performance": [], "checks": []}
    return {**known, "features": features, **other}


def window(hour: int, effect: float, severity: str) -> Finding:
    verdict = {"effect": effect, "severity": severity, "flagged": severity != "ok"}
    start = NOON + HOUR * hour
    return Finding("bikes", 1, "champion", "", start, start + HOUR, 600, severity, {"temp": verdict})


def test_what_drifted_most_comes_first_with_its_history_and_since_when(drifting: Any) -> None:
    drifting.hours(0, 0, 0, 6, 6, 6)
    desk = desk_of(drifting)
    view = desk.drift.view(Wanted())
    assert view.shown == WatchedVersion("bikes", 1, "champion", "critical")
    assert [row.kind for row in view.rows][:4] == ["feature", "feature", "feature", "prediction"]
    temp = by_name(view)["temp"]
    assert view.rows[0].severity == "critical"
    assert temp.severity == "critical"
    assert temp.since == NOON - 3 * HOUR
    assert len(temp.trend) == len(view.history) == 7
    assert temp.trend[0] is not None
    assert temp.trend[0] < 0.1
    assert temp.trend[-1] == temp.value
    assert temp.alert is not None
    assert by_name(view)["hum"].severity == "ok"
    assert by_name(view)["season"].note.endswith("new values")
    assert {row.name for row in view.rows if row.kind == "segment"} >= {"season=fall", "season=spring"}
    picture = over_time(view, temp)
    assert [line.label for line in picture.lines] == ["critical", "warning"]
    assert picture.title == "temp · effect (PSI), 1 h windows"
    shape = distribution(temp)
    assert shape is not None
    assert shape.edges is not None
    assert len(shape.edges) == len(shape.current) + 1


def test_an_alert_is_of_one_role_and_says_which(drifting: Any) -> None:
    for role in ("champion", "batch"):
        drifting.ask(600, NOON - HOUR / 2, shift=6, role=role)
    drifting.look()
    messages = {
        one.details["role"]: one.message for one in list_alerts(drifting.layout) if one.feature == "temp"
    }
    assert messages["champion"].startswith("bikes version 1: temp drifted")
    assert messages["batch"].startswith("bikes version 1 (batch): temp drifted")
    for role in ("champion", "batch"):
        row = by_name(desk_of(drifting).drift.view(Wanted("bikes", 1, role)))["temp"]
        assert row.alert is not None
        assert row.alert.details["role"] == role


def test_nothing_is_made_again_while_nothing_changes_and_a_seen_alert_is(drifting: Any) -> None:
    drifting.hours(6, 6, 6)
    desk = desk_of(drifting)
    view = desk.drift.view(Wanted())
    assert desk.drift.view(Wanted()) is view
    (alert, *_) = view.alerts
    desk.drift.acknowledge(alert)
    seen = desk.drift.view(Wanted())
    assert [one.state for one in seen.alerts if one.id == alert.id] == ["acknowledged"]
    assert seen.alerts[-1].id == alert.id
    assert seen is not view
    desk.drift.silence(alert, HOUR)
    assert get_alert(drifting.layout, alert.id).state == "silenced"


def test_what_all_came_at_once_is_drawn_by_rows(drifting: Any) -> None:
    for minute, shift in enumerate((0, 0, 6, 6)):
        drifting.ask(600, NOON - timedelta(minutes=4 - minute), shift=shift)
    drifting.look()
    view = desk_of(drifting).drift.view(Wanted())
    assert view.windows == "windows of 500 rows"
    trend = by_name(view)["temp"].trend
    assert len(trend) == len(view.history) == 4
    assert trend[0] is not None
    assert trend[-1] is not None
    assert trend[0] < 0.1 < trend[-1]
    report = Monitor(drifting.root).current(Key("bikes", 1), now=NOON + timedelta(minutes=1))
    assert "4 windows from 2026-05-02 11:56" in project_page(load_project(drifting.root), report)


def test_another_window_and_a_segment_are_judged_when_asked_for(drifting: Any) -> None:
    drifting.hours(0, 0, 6)
    desk = desk_of(drifting)
    rows = desk.drift.view(Wanted(window="500"))
    assert rows.report is not None
    assert rows.report["current_rows"] == 500
    assert rows.title.startswith("bikes v1 · 500 rows · 500 predictions")
    assert len(rows.history) == 3
    part = desk.drift.view(Wanted(segment="season=fall"))
    assert part.title.startswith("bikes v1 · season=fall")
    assert not [row for row in part.rows if row.kind == "segment"]
    assert {one.segment for one in part.history} == {"season=fall"}
    whole = desk.drift.view(Wanted())
    assert by_name(whole)["temp"].alert is not None
    assert "segment" not in {key for key, value in by_name(whole)["temp"].alert.details.items() if value}
    alert = by_name(whole)["season=fall"].alert
    assert alert is None or alert.details["segment"] == "season=fall"


def test_labels_bring_performance_with_a_confidence_band(drifting: Any) -> None:
    drifting.hours(0, 0, 0, labelled=True)
    view = desk_of(drifting).drift.view(Wanted())
    assert "100% labelled" in view.title
    mae = by_name(view)["mae"]
    assert mae.kind == "performance"
    assert mae.value is not None
    assert abs(mae.value - 2) < 0.01
    picture = over_time(view, mae)
    drawn = [(low, y, high) for low, y, high in zip(picture.low, picture.y, picture.high, strict=True) if y]
    assert len(drawn) == 3
    for low, y, high in drawn:
        assert low is not None
        assert high is not None
        assert low < y < high


def test_performance_follows_the_windows_that_are_looked_at(drifting: Any) -> None:
    for minute in range(4):
        drifting.ask(500, NOON - timedelta(minutes=4 - minute), labelled=True)
    drifting.look()
    view = desk_of(drifting).drift.view(Wanted(window="500"))
    mae = by_name(view)["mae"]
    assert len(mae.trend) == len(view.history) == 4
    assert mae.trend == pytest.approx([2.0] * 4, abs=0.01)
    assert "windows of 500 rows" in over_time(view, mae).title
    project = load_project(drifting.root)
    watch = Monitor(drifting.root)
    report = watch.current(Key("bikes", 1), window="500", now=NOON + timedelta(minutes=1))
    assert "RMSE by window" in project_page(project, report, window="500")


def test_performance_is_told_by_segment_and_of_a_segment_alone(drifting: Any) -> None:
    drifting.hours(0, 0, 0, labelled=True)
    desk = desk_of(drifting)
    view = desk.drift.view(Wanted())
    rows = by_name(view)
    found = {segment_name(one): one for one in segments_of(view, rows["mae"])}
    assert set(found) == {"season=spring", "season=fall"}
    assert sum(one["labelled"] for one in found.values()) == 1800
    assert not segments_of(view, rows["temp"])
    assert f"mae {found['season=fall']['mean']:.3g}" in rows["season=fall"].note

    watch = Monitor(drifting.root)
    now = NOON + timedelta(minutes=1)
    report = watch.current(Key("bikes", 1), segment=Segment("season", "fall"), now=now)
    whole = watch.current(Key("bikes", 1), now=now)
    (mae,) = (one for one in report["performance"] if one["metric"] == "mae")
    (same,) = (one for one in whole["performance_details"]["segments"] if one["value"] == "fall")
    assert (mae["value"], mae["n"]) == (pytest.approx(same["mean"]), same["labelled"])
    assert report["performance_details"]["coverage"]["predictions"] == report["current_rows"]


def test_it_says_what_to_do_where_there_is_nothing(drifting: Any) -> None:
    desk = desk_of(drifting)
    assert "workbench train" in desk.drift.view(Wanted()).nothing
    drifting.ask(37, NOON - HOUR)
    drifting.look()
    few = desk.drift.view(Wanted())
    assert {row.note for row in few.rows if row.kind == "feature"} == {"37 of 100 rows"}
    assert all(row.severity == "insufficient" for row in few.rows if row.kind == "feature")
    assert by_name(few)["temp"].source["current"]["n"] == 37
    (drifting.layout.references / "bikes" / "1.json").unlink()
    nothing = desk.drift.view(Wanted(window="24h"))
    assert "workbench monitor profile bikes/1 --data FILE" in nothing.nothing
    assert nothing.rows == ()


def test_without_reference_it_shows_what_is_there(drifting: Any) -> None:
    drifting.ask(37, NOON - HOUR)
    drifting.look()
    (drifting.layout.references / "bikes" / "1.json").unlink()
    drifting.ask(300, datetime.now(UTC) - timedelta(minutes=7))
    drifting.look()
    view = desk_of(drifting).drift.view(Wanted("bikes", 1, "champion"))
    assert view.title.endswith("300 predictions · no reference to compare with")
    temp = by_name(view)["temp"]
    assert temp.severity == "insufficient"
    assert temp.note == f"mean {temp.source['current']['mean']:.3g}, missing 0.0%"
    assert temp.source["current"]["mean"] == pytest.approx(20, abs=1)
    assert distribution(temp) is not None
    assert over_time(view, temp).x == ()


def shape(kind: str, labels: list[str], edges: list[float]) -> dict[str, Any]:
    counts = [0, *range(5, 4 + len(labels))]
    return {
        "kind": kind,
        "distribution": {"labels": labels, "edges": edges, "reference": counts, "current": counts},
    }


@pytest.mark.parametrize(
    ("source", "labels", "ends"),
    [
        (shape("numeric", ["< 0", "0", "1", "> 1"], [-5e-324, 0.0, 1.0]), ("0", "1", "> 1"), None),
        (shape("boolean", ["< 0", "0", "1", "> 1"], [-5e-324, 0.0, 1.0]), ("false", "true", "other"), None),
        (shape("numeric", ["≤ 1", "1 … 2", "> 2"], [1.0, 2.0]), None, None),
        (
            shape("datetime", ["a", "b … c", "d"], [864000.0, 1728000.0]),
            None,
            ("1970-01-01", "1970-01-16", "1970-01-31"),
        ),
    ],
)
def test_few_values_have_a_bar_each_and_times_are_days(
    source: dict[str, Any], labels: tuple[str, ...] | None, ends: tuple[str, ...] | None
) -> None:
    found = distribution(DriftRow("feature", "x", "ok", source=source))
    assert found is not None
    assert (found.edges is None) == (labels is not None)
    assert labels is None or found.labels == labels
    assert found.ends == ends


@pytest.mark.parametrize(
    ("name", "edges", "closed"),
    [
        ("x", [10.0, 12.0], (8.0, 10.0, 12.0, 14.0)),
        ("x", [0.1, 0.5], (0.0, 0.1, 0.5, 0.9)),
        ("score", [0.2, 0.9], (0.0, 0.2, 0.9, 1.0)),
        ("x", [-1.0, 1.0], (-3.0, -1.0, 1.0, 3.0)),
    ],
)
def test_open_ends_are_drawn_no_further_than_values_can_be(
    name: str, edges: list[float], closed: tuple[float, ...]
) -> None:
    source = {**shape("numeric", ["a", "b … c", "d"], edges), "name": name}
    found = distribution(DriftRow("feature", name, "ok", source=source))
    assert found is not None
    assert found.edges == closed


def test_a_check_shows_its_column_and_a_segment_its_own_windows() -> None:
    history = (window(0, 0.1, "ok"), window(1, 0.2, "warning"))
    check = {"kind": "out_of_range", "feature": "temp", "severity": "watch", "message": "…", "share": 0.05}
    segment = [replace(one, segment="season=fall") for one in history[:1]]
    found = tuple(rows_of(report(judged("temp", 0.2, "warning"), checks=[check]), history, (), [segment]))
    view = replace(DriftView(), rows=found, history=history, windows="1 h windows")
    of_check, of_segment = (next(row for row in found if row.kind == kind) for kind in ("check", "segment"))
    assert over_time(view, of_check).title.startswith("temp · ")
    assert distribution(pictured(view, of_check)) is not None
    assert over_time(view, of_segment).x[1:] == (history[0].end.timestamp(),)
    lonely = replace(view, rows=(of_check,))
    assert over_time(lonely, of_check).x == ()


def test_a_version_is_shown_in_the_role_that_is_judged_unless_another_is_asked_for() -> None:
    served, batch = WatchedVersion("bikes", 2, "champion"), WatchedVersion("bikes", 2, "batch", "critical")
    other, old = (
        WatchedVersion("shop", 1, "champion", "ok"),
        WatchedVersion("bikes", 1, "champion", "critical"),
    )
    assert _chosen((served, other, batch), Wanted()) == batch
    assert _chosen((served, other, batch), Wanted("bikes")) == batch
    assert _chosen((served, other, batch), Wanted("bikes", 2, "champion")) == served
    assert _chosen((served, old), Wanted("bikes")) == served


def test_since_is_the_start_of_the_unbroken_run() -> None:
    history = [window(0, 0.3, "critical"), window(1, 0.0, "ok"), window(2, 0.2, "warning")]
    (row,) = rows_of(report(judged("temp", 0.2, "warning")), history, ())
    assert row.since == NOON + 2 * HOUR
    assert row.note == "1,500 new values, mean 26, was 20"
    (calm,) = rows_of(report(judged("temp", 0.0, "ok")), history, ())
    assert calm.since is None


def test_many_features_at_rest_hide_neither_predictions_nor_performance() -> None:
    quiet = [judged(f"f{place}", 0.0, "ok") for place in range(40)]
    known = {
        "prediction": judged("prediction", 0.3, "critical"),
        "performance": [{"metric": "rmse", "value": 1.0, "dropped": True}],
    }
    rows = list(rows_of(report(*quiet, judged("temp", 0.3, "critical"), **known), [], ()))
    assert [row.name for row in rows[:4]] == ["temp", "prediction", "rmse", "f0"]
    few = list(rows_of(report(*quiet[:3], **known), [], ()))
    assert [row.name for row in few] == ["f0", "f1", "f2", "prediction", "rmse"]


def test_a_drop_and_an_estimate_are_told_apart() -> None:
    performance = [
        {"metric": "rmse", "value": 58.1, "low": 54.0, "high": 63.0, "reference": 41.2, "dropped": True},
        {"metric": "rmse", "value": 40.0, "low": None, "high": None, "reference": 41.2, "estimated": True},
    ]
    dropped, estimated = rows_of(report(performance=performance), [], ())
    assert (dropped.severity, dropped.note) == ("critical", "was 41.2 [54, 63]")
    assert (estimated.severity, estimated.name) == ("", "rmse (est.)")
    assert dropped.id != estimated.id


def test_deployments_within_the_history_are_marked() -> None:
    history = (window(0, 0.0, "ok"), window(1, 0.0, "ok"))
    early = Deployment(NOON - 5 * HOUR, "v1 deployed")
    late = Deployment(NOON + 90 * timedelta(minutes=1), "v2 deployed")
    (row,) = rows_of(report(judged("temp", 0.0, "ok")), history, ())
    view = replace(DriftView(), history=history, deployments=(early, late), windows="1 h windows")
    assert over_time(view, row).marks == ((late.at.timestamp(), "v2 deployed"),)
    assert [spelled(text) for text in ("500", "5m", "24h", "30min")] == [
        "500 rows",
        "5 min",
        "24 h",
        "30 min",
    ]
