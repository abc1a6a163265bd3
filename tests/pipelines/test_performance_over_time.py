"""How well a version did in each window of a history, by the counts of five minutes and by rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.performance import performance_by_window
from pipelines.performance.figures import wilson
from store.fold import fold
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.settings import StoreSettings
from store.slices import Key

START = datetime(2026, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = Key("churn", 1)
CLASSES = ("no", "yes")


@pytest.fixture
def log(layout: Layout) -> Iterator[PredictionLog]:
    log = PredictionLog(layout, StoreSettings())
    yield log
    log.close()


def send(log: PredictionLog, at: datetime, rows: int, right: int, *, labelled: int | None = None) -> None:
    """Rows that are all predicted to be `yes`, of which the first `right` are."""
    ids = new_prediction_ids(rows)
    assert log.append(
        model="churn",
        version=1,
        schema=FeatureSchema(("age",), ("numeric",)),
        prediction_ids=ids,
        predicted_at=at,
        predictions=["yes"] * rows,
        probability=[0.9] * rows,
        probabilities=None,
        classes=list(CLASSES),
        numeric=[[30.0]] * rows,
        categorical=[[]] * rows,
        latency_ms=1.0,
    )
    truth = [(one, "yes" if place < right else "no", None) for place, one in enumerate(ids)]
    assert log.append_feedback(truth[: rows if labelled is None else labelled])


def test_windows_by_time_have_each_label_once_though_they_reach_back(
    layout: Layout, log: PredictionLog
) -> None:
    for hour, right in enumerate((90, 60, 30)):
        send(log, START + hour * HOUR + timedelta(minutes=20), 100, right)
    send(log, START + 3 * HOUR, 100, 3, labelled=3)
    fold(layout)
    windows = [(START, START + (hour + 1) * HOUR) for hour in range(4)]
    found = performance_by_window(layout, KEY, windows, HOUR, CLASSES)
    assert [one.labelled for one in found] == [100, 100, 100, 3]
    assert [(one.start, one.end) for one in found[1:3]] == [
        (START + HOUR, START + 2 * HOUR),
        (START + 2 * HOUR, START + 3 * HOUR),
    ]
    assert [one.figures["accuracy"].value for one in found[:3]] == [0.9, 0.6, 0.3]
    assert (found[0].figures["accuracy"].low, found[0].figures["accuracy"].high) == wilson(90, 100)
    assert found[0].figures["recall"].value == 1.0
    assert not found[3].figures


def test_windows_of_weeks_are_counted_in_weeks(layout: Layout, log: PredictionLog) -> None:
    week = timedelta(days=7)
    for place, right in enumerate((90, 60)):
        send(log, START + place * week * 3, 100, right)
    fold(layout)
    windows = [(START + place * week, START + (place + 1) * week) for place in (0, 3)]
    found = performance_by_window(layout, KEY, windows, week, CLASSES)
    assert [one.figures["accuracy"].value for one in found] == [0.9, 0.6]


@pytest.mark.parametrize("by_rows", [True, False])
def test_windows_by_rows_within_five_minutes_are_told_apart_unless_there_are_very_many(
    layout: Layout, log: PredictionLog, monkeypatch: pytest.MonkeyPatch, by_rows: bool
) -> None:
    moments = [START + timedelta(seconds=20 * place) for place in range(4)]
    for moment, right in zip(moments, (90, 80, 20, 10), strict=True):
        send(log, moment, 100, right)
    fold(layout)
    if not by_rows:
        monkeypatch.setattr("pipelines.performance.over_time.MANY_ROWS", 100)
    found = performance_by_window(
        layout, KEY, [(moments[0], moments[1]), (moments[2], moments[3])], 200, CLASSES
    )
    values = [one.figures["accuracy"].value if one.figures else None for one in found]
    assert values == ([0.85, 0.15] if by_rows else [None, 0.5])
    assert ("brier" in found[1].figures) == by_rows


def test_without_windows_nothing_is_asked(layout: Layout) -> None:
    assert performance_by_window(layout, KEY, [], HOUR, CLASSES) == ()
