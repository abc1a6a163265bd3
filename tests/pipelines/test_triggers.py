"""What besides new data asks for a training: the clock, alarms, metrics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.schedules import Schedules, next_time, read_schedules
from pipelines.settings import PipelineSettings
from pipelines.triggers import Triggers
from store.alerts import clear_alert, raise_alert
from store.findings import save_report
from store.jobs import list_jobs, update_job
from store.layout import Layout

NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)


def settings(**retrain: Any) -> dict[str, PipelineSettings]:
    return {"p": PipelineSettings.model_validate({"data": "d", "target": "y", "retrain": retrain})}


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[arg-type,misc]


def test_a_schedule_comes_once_for_all_that_was_missed(layout: Layout) -> None:
    daily = settings(schedule="0 3 * * *")
    assert Triggers(layout).step(daily, set(), NOON) == []
    # The machine was off for a week; another process looks.
    (job,) = Triggers(layout).step(daily, set(), NOON + timedelta(days=7))
    assert (job.trigger, job.reason) == ("schedule", "schedule 0 3 * * *, due 2026-03-03 03:00 UTC")
    update_job(layout, job.id, state="done")
    triggers = Triggers(layout)
    assert triggers.step(daily, set(), NOON + timedelta(days=7, seconds=10)) == []
    assert read_schedules(layout)["retrain:p"] == ("0 3 * * * UTC", at(2026, 3, 10, 3))
    assert triggers.step(daily, set(), NOON + timedelta(days=8)) != []


def test_a_schedule_waits_for_pauses_cooldown_and_other_trainings(layout: Layout) -> None:
    hourly = settings(schedule="0 * * * *", cooldown=600, max_per_day=2)
    triggers = Triggers(layout)
    now = datetime.now(UTC)
    triggers.step(hourly, set(), now)
    later = now + timedelta(hours=1, minutes=1)
    assert triggers.step(hourly, {"p"}, later) == []
    assert triggers.step(hourly, {"*"}, later) == []
    (job,) = triggers.step(hourly, set(), later)
    assert triggers.step(hourly, set(), later + timedelta(hours=1)) == []
    update_job(layout, job.id, state="running")
    update_job(layout, job.id, state="done")
    assert triggers.step(hourly, set(), now + timedelta(minutes=5)) == []
    assert len(triggers.step(hourly, set(), later + timedelta(hours=1))) == 1


@pytest.mark.parametrize(
    ("after", "due"),
    [
        # Clocks go forward: 02:30 does not exist on 29 March 2026, and comes at 03:00 summer time.
        (at(2026, 3, 28, 12), at(2026, 3, 29, 1, 0)),
        # Clocks go back: 02:30 comes twice on 25 October 2026, and counts once.
        (at(2026, 10, 24, 12), at(2026, 10, 25, 0, 30)),
        (at(2026, 10, 25, 0, 31), at(2026, 10, 26, 1, 30)),
    ],
)
def test_a_schedule_lives_through_the_change_of_clocks(after: datetime, due: datetime) -> None:
    assert next_time("30 2 * * *", "Europe/Berlin", after) == due


def test_a_clock_that_was_ahead_does_not_put_a_schedule_off(layout: Layout) -> None:
    schedules = Schedules(layout)
    assert schedules.due("x", "0 3 * * *", "UTC", NOON + timedelta(days=365)) is None
    assert schedules.due("x", "0 3 * * *", "UTC", NOON) is None
    assert schedules.due("x", "0 3 * * *", "UTC", NOON + timedelta(days=1)) == at(2026, 3, 3, 3)


@pytest.mark.parametrize(
    ("retrain", "message"),
    [
        ({"schedule": "every day"}, "five fields"),
        ({"schedule": "61 * * * *"}, "no cron expression"),
        ({"schedule": "0 0 31 2 *"}, "cron expression|never comes"),
        ({"schedule": "0 3 * * *", "timezone": "Mars/Base"}, "no time zone 'Mars/Base'"),
    ],
)
def test_a_wrong_schedule_is_an_error_of_the_settings(retrain: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**retrain)


def drift(layout: Layout, feature: str | None, severity: Any, role: str = "champion") -> str:
    kind = "drift" if feature else "prediction_drift"
    return raise_alert(
        layout,
        f"{kind}/{feature}/{role}",
        kind=kind,
        severity=severity,
        message=f"{feature} drifted",
        model="p",
        version=1,
        feature=feature,
        details={"role": role},
    ).id


def asked(layout: Layout, wanted: dict[str, PipelineSettings]) -> list[tuple[str, str | None]]:
    jobs = Triggers(layout).step(wanted, set())
    for job in jobs:
        update_job(layout, job.id, state="done")
    return [(job.trigger, job.reason) for job in jobs]


def test_an_alarm_about_chosen_columns_asks_once_for_as_long_as_it_lasts(layout: Layout) -> None:
    wanted = settings(on_drift={"columns": ["temp", "hum"], "severity": "critical"})
    drift(layout, "wind", "critical")
    drift(layout, "temp", "critical", role="challenger")
    drift(layout, "temp", "warning")
    assert asked(layout, wanted) == []
    alert = drift(layout, "temp", "critical")
    assert asked(layout, wanted) == [("drift", f"critical alert {alert}: temp drifted")]
    assert asked(layout, wanted) == []
    clear_alert(layout, "drift/temp/champion")
    assert asked(layout, wanted) == []
    drift(layout, "temp", "critical")
    assert len(asked(layout, wanted)) == 1


def test_true_is_enough_for_any_drift_and_that_of_predictions(layout: Layout) -> None:
    drift(layout, "temp", "warning")
    drift(layout, None, "warning")
    ((trigger, reason),) = asked(layout, settings(on_drift=True, on_prediction_drift=True))
    assert trigger in ("drift", "prediction_drift")
    assert "temp drifted" in str(reason)
    assert "None drifted" in str(reason)


def report(layout: Layout, version: int = 1, **values: tuple[float, float, bool]) -> None:
    rows = [
        {
            "metric": metric,
            "value": value,
            "reference": reference,
            "smaller_is_better": is_error,
            "estimated": False,
            "n": 500,
        }
        for metric, (value, reference, is_error) in values.items()
    ]
    rows.append({**rows[0], "value": 0.0, "estimated": True})
    save_report(layout, {"model": "p", "version": version, "role": "champion", "performance": rows})


def test_a_metric_below_its_bound_asks_once_until_it_has_recovered(layout: Layout) -> None:
    wanted = settings(on_metric_below={"roc_auc": 0.8, "rmse": 50})
    assert asked(layout, wanted) == []
    report(layout, roc_auc=(0.82, 0.9, False))
    assert asked(layout, wanted) == []
    report(layout, roc_auc=(0.79, 0.9, False))
    assert asked(layout, wanted) == [("metric", "roc_auc of version 1 is 0.79, below 0.8")]
    assert asked(layout, wanted) == []
    report(layout, roc_auc=(0.83, 0.9, False))
    assert asked(layout, wanted) == []
    report(layout, roc_auc=(0.7, 0.9, False), rmse=(61.0, 40.0, True))
    ((_, reason),) = asked(layout, wanted)
    assert reason == "roc_auc of version 1 is 0.7, below 0.8; rmse of version 1 is 61, above 50"
    report(layout, version=2, roc_auc=(0.6, 0.9, False))
    assert len(asked(layout, wanted)) == 1


def test_a_metric_that_dropped_since_the_training_asks(layout: Layout) -> None:
    wanted = settings(on_metric_drop={"accuracy": 0.05, "mae": 2})
    report(layout, accuracy=(0.86, 0.9, False), mae=(7.0, 4.0, True))
    assert asked(layout, wanted) == [("metric", "mae of version 1 is 7, was 4")]
    assert [job.trigger for job in list_jobs(layout)] == ["metric"]
