"""The monitor on a real log: windows judged, findings kept, alerts raised and cleared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.drift.own_reference import with_own_reference
from store.alerts import LIVE, list_alerts
from store.findings import read_report, recent
from store.fold import fold
from store.layout import Layout
from store.locks import locked
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.profile import build_profile
from store.references import publish_reference
from store.settings import StoreSettings
from store.slices import Key, Segment
from workbench.monitoring import LOCK, Monitor, Tick

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SCHEMA = FeatureSchema(("temp", "season", "hum"), ("numeric", "categorical", "numeric"))
KEY = Key("bikes", 1)
HOUR = timedelta(hours=1)


class Shop:
    """A project whose model was trained on 5,000 rows and is asked as a test says."""

    def __init__(self, root: Path, monitor: str = "") -> None:
        self.root = root
        (root / "workbench.toml").write_text(
            '[project]\nname = "shop"\n[pipelines.bikes]\ndata = "d.csv"\ntarget = "n"\n'
            f"[pipelines.bikes.monitor]\n{monitor}\n"
        )
        self.layout = Layout.of(root).ensure()
        self.rng = np.random.default_rng(6)
        self.monitor = Monitor(root)

    def publish(self, version: int = 1, *, spring: float = 0.0, segments: Sequence[str] = ()) -> None:
        """Train a version; it is by so many degrees warmer in spring."""
        temp, season, hum = self.rows(5000)
        temp = temp + spring * (season == "spring")
        columns = {"temp": temp, "season": season, "hum": hum}
        profile = build_profile(
            columns,
            {"temp": "numeric", "season": "categorical", "hum": "numeric"},
            temp * 10,
            task="regression",
        )
        profile = with_own_reference(profile, columns, temp * 10, segments=segments)
        publish_reference(self.layout, "bikes", version, profile)

    def rows(self, n: int, shift: float = 0.0) -> tuple[Any, Any, Any]:
        temp = self.rng.normal(20 + shift, 5, n)
        return temp, self.rng.choice(["spring", "fall"], n), self.rng.uniform(0, 1, n)

    def ask(
        self, n: int, at: datetime, *, shift: float = 0.0, version: int = 1, season: str | None = None
    ) -> None:
        temp, seasons, hum = self.rows(n, shift)
        log = PredictionLog(self.layout, StoreSettings())
        assert log.append(
            model="bikes",
            version=version,
            schema=SCHEMA,
            prediction_ids=new_prediction_ids(n),
            predicted_at=at,
            predictions=(temp * 10).tolist(),
            probability=None,
            probabilities=None,
            classes=None,
            numeric=np.column_stack([temp, hum]).tolist(),
            categorical=[[season or one] for one in seasons],
            latency_ms=0.3,
        )
        log.close()

    def look(self, now: datetime) -> Tick:
        """What a host does: fold, then tick."""
        fold(self.layout, StoreSettings())
        return self.monitor.tick(now)

    def hours(self, *shifts: float, n: int = 600, start: datetime = NOON) -> datetime:
        """Ask n rows in each of some hours; returns the end of the last."""
        for place, shift in enumerate(shifts):
            self.ask(n, start + HOUR * place + timedelta(minutes=20), shift=shift)
        return start + HOUR * len(shifts)

    def alerts(self) -> dict[str, str]:
        """Severity of the open alerts by kind and feature."""
        live = list_alerts(self.layout, states=LIVE)
        return {f"{one.kind}:{one.feature or ''}": one.severity for one in live}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.publish()
    return shop


def test_quiet_hours_make_no_alarm(shop: Shop) -> None:
    end = shop.hours(0, 0, 0, 0)
    done = shop.look(end + timedelta(minutes=1))
    assert done.windows == 4
    assert done.problems == ()
    found = recent(shop.layout, "bikes")
    # One window in thirty or so may be worth a look by chance; alone it is no alert.
    assert len(found) == 4
    assert [one.severity for one in found].count("ok") >= 3
    assert shop.alerts() == {}
    assert shop.look(end + timedelta(minutes=2)).windows == 0


def test_drift_is_confirmed_and_cleared(shop: Shop) -> None:
    """Warnings in two of three hours are an alert; three clean hours end it."""
    end = shop.hours(0, 2.5)
    shop.look(end + timedelta(minutes=1))
    assert recent(shop.layout, "bikes", limit=1)[0].features["temp"]["severity"] == "warning"
    assert shop.alerts() == {}
    end = shop.hours(2.5, start=end)
    shop.look(end + timedelta(minutes=1))
    assert shop.alerts() == {"drift:temp": "warning", "prediction_drift:": "critical"}
    end = shop.hours(0, 0, 0, start=end)
    shop.look(end + timedelta(minutes=1))
    assert shop.alerts() == {}


def test_critical_drift_is_told_before_its_window_ends(shop: Shop) -> None:
    shop.ask(600, NOON + timedelta(minutes=20), shift=15)
    done = shop.look(NOON + timedelta(minutes=21))
    assert done.windows == 0
    alerts = shop.alerts()
    assert alerts["drift:temp"] == "critical"
    assert alerts["prediction_drift:"] == "critical"


def test_few_rows_reach_back_and_too_few_say_nothing(shop: Shop) -> None:
    shop.ask(60, NOON + timedelta(minutes=5), shift=15)
    shop.look(NOON + timedelta(minutes=6))
    report = read_report(shop.layout, "bikes")
    assert report is not None
    assert report["severity"] == "insufficient"
    assert report["current_rows"] == 60
    assert shop.alerts() == {}
    end = shop.hours(0, 0, n=200, start=NOON + HOUR)
    shop.look(end + timedelta(minutes=1))
    newest = recent(shop.layout, "bikes", limit=1)[0]
    assert newest.rows == 460
    assert newest.start == NOON


def test_windows_by_count(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "window = 500")
    shop.publish()
    for place in range(7):
        shop.ask(250, NOON + timedelta(minutes=place), shift=0.0 if place < 4 else 15.0)
    assert shop.look(NOON + timedelta(minutes=10)).windows == 3
    found = recent(shop.layout, "bikes")
    assert [(one.rows, one.severity) for one in found] == [(500, "critical"), (500, "ok"), (500, "ok")]
    shop.ask(250, NOON + timedelta(minutes=11))
    assert shop.look(NOON + timedelta(minutes=12)).windows == 1
    assert recent(shop.layout, "bikes", limit=1)[0].end == NOON + timedelta(minutes=11)


def test_segments(tmp_path: Path) -> None:
    """Drift in one season alone, thinned out in the whole."""
    shop = Shop(tmp_path, 'segments = ["season"]')
    shop.publish()
    for hour in range(3):
        at = NOON + HOUR * hour + timedelta(minutes=10)
        shop.ask(3000, at, season="fall")
        shop.ask(150, at, season="spring", shift=15)
    shop.look(NOON + 3 * HOUR + timedelta(minutes=1))
    by_segment = {one.segment: one.features["temp"]["severity"] for one in recent(shop.layout, limit=3)}
    assert by_segment["season=spring"] == "critical"
    assert by_segment["season=fall"] == "ok"
    messages = [one.message for one in list_alerts(shop.layout, states=LIVE)]
    assert any("where season=spring" in message for message in messages)


def test_a_segment_is_compared_with_the_references_rows_of_it(tmp_path: Path) -> None:
    """Spring is always warmer: no drift of spring; spring as cool as fall is."""
    shop = Shop(tmp_path, 'segments = ["season"]')
    shop.publish(spring=15, segments=["season"])
    end = NOON + HOUR
    for minute in (10, 20):
        shop.ask(800, NOON + timedelta(minutes=minute), season="spring", shift=15)
        shop.ask(800, NOON + timedelta(minutes=minute), season="fall")
    shop.look(end + timedelta(minutes=1))
    judged = {one.segment: one for one in recent(shop.layout, limit=3)}
    assert judged["season=spring"].features["temp"]["severity"] == "ok"
    assert judged["season=fall"].prediction is not None
    assert judged["season=fall"].prediction["severity"] == "ok"
    for minute in (10, 20):
        shop.ask(800, end + timedelta(minutes=minute), season="spring")
    now = end + HOUR
    report = shop.monitor.current(KEY, segment=Segment("season", "spring"), now=now)
    assert 2300 < report["reference_rows"] < 2700
    assert report["features"][0]["severity"] == "critical"
    assert report["features"][0]["reference"]["mean"] == pytest.approx(35, abs=1)
    assert report["note"] is None
    assert (
        "keeps no rows where season=winter"
        in (shop.monitor.current(KEY, segment=Segment("season", "winter"), now=now)["note"])
    )


def test_a_reference_without_segments_is_compared_with_as_a_whole_and_says_so(shop: Shop) -> None:
    shop.ask(800, NOON, season="spring")
    shop.look(NOON + timedelta(minutes=1))
    report = shop.monitor.current(KEY, segment=Segment("season", "spring"), now=NOON + HOUR / 2)
    assert report["reference_rows"] == 5000
    assert report["current_rows"] == 800
    assert "keeps no rows by season" in report["note"]
    assert "workbench monitor profile bikes/1" in report["note"]


def test_the_days_before_as_baseline_of_a_segment(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 'baseline = "1d"\nsegments = ["season"]')
    shop.publish()
    for hour in range(4):
        shop.ask(600, NOON + HOUR * hour, season="spring", shift=15)
        shop.ask(600, NOON + HOUR * hour, season="fall")
    shop.look(NOON + HOUR * 4 + timedelta(minutes=1))
    newest = {one.segment: one.features["temp"]["severity"] for one in recent(shop.layout, limit=3)}
    assert newest == {"": "ok", "season=spring": "ok", "season=fall": "ok"}


def test_the_days_before_as_baseline(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 'baseline = "1d"')
    shop.publish()
    end = shop.hours(*[15.0] * 6)
    shop.look(end + timedelta(minutes=1))
    newest = recent(shop.layout, limit=1)[0]
    assert newest.features["temp"]["severity"] == "ok"


def test_thresholds_by_column(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "thresholds = { temp = 0.9, prediction = 0.9 }")
    shop.publish()
    end = shop.hours(3, 3)
    shop.look(end + timedelta(minutes=1))
    assert recent(shop.layout, limit=1)[0].severity == "ok"


def test_values_beyond_a_rule(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "[pipelines.bikes.columns]\nhum = { max = 0.95 }")
    shop.publish()
    end = shop.hours(0, 0)
    shop.look(end + timedelta(minutes=1))
    checks = [check for one in recent(shop.layout) for check in one.checks]
    assert {check["feature"] for check in checks} == {"hum"}
    assert "out_of_range:hum" in shop.alerts()


def test_copies_of_rows(shop: Shop) -> None:
    shop.rng = np.random.default_rng(1)
    for minute in range(4):
        shop.rng = np.random.default_rng(1)
        shop.ask(200, NOON + timedelta(minutes=minute))
    shop.look(NOON + HOUR + timedelta(minutes=1))
    found = recent(shop.layout, limit=1)[0]
    assert [check["kind"] for check in found.checks] == ["duplicates"]
    assert found.checks[0]["share"] == pytest.approx(0.75)


def test_silence(shop: Shop) -> None:
    for place in range(14):
        shop.ask(10, NOON + timedelta(minutes=10 * place))
    last = NOON + timedelta(minutes=130)
    shop.look(last + HOUR)
    assert "staleness:" not in shop.alerts()
    shop.look(last + 4 * HOUR)
    assert shop.alerts() == {"staleness:": "warning"}
    shop.ask(10, last + 5 * HOUR)
    shop.look(last + 5 * HOUR + timedelta(minutes=1))
    assert shop.alerts() == {}


def test_a_model_without_reference(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.hours(0)
    done = shop.look(NOON + 2 * HOUR)
    assert (done.windows, done.watched, done.problems) == (0, (), ())
    report = shop.monitor.current(KEY, now=NOON + HOUR)
    assert report["reference_rows"] is None
    assert report["current_rows"] == 600
    assert report["severity"] == "insufficient"
    assert "monitor profile bikes/1" in report["note"]


def test_a_window_without_reference_is_described_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Means, missing shares and distributions of its rows; no verdict."""
    from workbench import drift_text
    from workbench.report_page import render_page

    shop = Shop(tmp_path)
    shop.ask(300, NOON - 3 * HOUR, shift=100)
    shop.ask(600, NOON - HOUR / 2)
    shop.look(NOON)
    report = shop.monitor.current(KEY, now=NOON)
    temp, season = (drift_text.find_feature(report, name) for name in ("temp", "season"))
    assert temp is not None
    assert season is not None
    assert report["current_rows"] == 600
    assert temp["current"]["mean"] == pytest.approx(20, abs=1)
    assert temp["current"]["missing"] == 0
    assert (temp["severity"], temp["p_value"], temp["reference"]["n"]) == ("insufficient", None, 0)
    assert sum(temp["distribution"]["current"]) == 600
    assert sum(temp["distribution"]["reference"]) == 0
    assert set(season["distribution"]["labels"]) == {"spring", "fall"}
    assert report["prediction"]["current"]["mean"] == pytest.approx(200, abs=10)
    json.dumps(report, allow_nan=False)
    few = shop.monitor.current(KEY, now=NOON - HOUR)
    assert few["current_rows"] == 300
    assert few["window"]["extended"]
    part = shop.monitor.current(KEY, now=NOON, segment=Segment("season", "fall"))
    assert 200 < part["current_rows"] <= 500

    drift_text.print_report(report)
    drift_text.print_case(report, temp)
    shown = capsys.readouterr().out
    assert "bikes version 1: no reference to compare with" in shown
    assert "temp is not judged: no reference to compare with." in shown
    assert "monitor profile bikes/1" in drift_text.markdown(report)
    assert "No reference to compare with" in render_page(report)


def test_a_clock_that_moved_back(shop: Shop) -> None:
    end = shop.hours(0, 0, 0)
    shop.look(end + timedelta(minutes=1))
    for back in (30, 90, 6000):
        assert shop.look(end - timedelta(minutes=back)).problems == ()
    assert len(recent(shop.layout)) == 3
    shop.ask(600, end + timedelta(minutes=10))
    assert shop.look(end + HOUR + timedelta(minutes=1)).windows == 1


def test_a_version_out_of_service_has_no_alerts(shop: Shop) -> None:
    shop.ask(600, NOON, shift=15)
    shop.look(NOON + timedelta(minutes=1))
    assert shop.alerts()
    shop.publish(version=2)
    for hour in range(1, 4):
        shop.ask(600, NOON + HOUR * hour, version=2)
    shop.look(NOON + 3 * HOUR + timedelta(minutes=10))
    assert shop.alerts() == {}


def test_one_monitor_at_a_time(shop: Shop) -> None:
    with locked(shop.layout.run / LOCK, what="test", timeout_s=0):
        done = shop.look(NOON)
    assert done.skipped is not None
    assert shop.look(NOON).skipped is None


def test_settings_are_read_again(shop: Shop) -> None:
    shop.look(NOON)
    text = (shop.root / "workbench.toml").read_text()
    (shop.root / "workbench.toml").write_text(text + 'method = "classic"\n')
    shop.ask(600, NOON)
    shop.look(NOON + timedelta(minutes=1))
    report = read_report(shop.layout, "bikes")
    assert report is not None
    assert report["method"] == "classic"


def test_an_unreadable_reference_is_a_problem_of_its_version_alone(shop: Shop) -> None:
    from store.references import reference_path

    shop.publish(version=2)
    shop.ask(600, NOON)
    shop.ask(600, NOON, version=2)
    reference_path(shop.layout, "bikes", 2).write_text("{")
    done = shop.look(NOON + timedelta(minutes=1))
    assert [key.version for key in done.watched] == [1]
    assert len(done.problems) == 1
    assert "version 2" in done.problems[0]


def test_the_report_is_json_and_names_everything(shop: Shop) -> None:
    shop.ask(600, NOON, shift=15)
    shop.look(NOON + timedelta(minutes=1))
    report = shop.monitor.current(KEY, now=NOON + timedelta(minutes=1), window="24h")
    json.dumps(report, allow_nan=False)
    assert report["features"][0]["name"] == "temp"
    assert set(_wanted()) <= set(report["features"][0])
    assert report["drifted"] is True
    assert report["prediction"]["severity"] == "critical"


def test_the_case_of_a_column_in_words(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, statistics, thresholds and the reason: every number can be explained."""
    from workbench import drift_text

    shop.ask(600, NOON, shift=15)
    shop.look(NOON + timedelta(minutes=1))
    report = shop.monitor.current(KEY, now=NOON + timedelta(minutes=1))
    for name in drift_text.names(report):
        one = drift_text.find_feature(report, name)
        assert one is not None
        drift_text.print_case(report, one)
    shown = capsys.readouterr().out
    assert "temp is critical. By Kolmogorov–Smirnov and χ²" in shown
    assert "critical begins at 0.25" in shown
    assert "which is not under 0.05: no more than chance." in shown
    assert "watch 0.02, warning 0.1, critical 0.25" in shown
    drift_text.print_report(report)
    assert "bikes version 1: critical" in capsys.readouterr().out


def _wanted() -> Sequence[str]:
    text = "name kind n p_value p_adjusted effect severity flagged statistics"
    return text.split()
