"""Counts kept by five minutes are those of the rows, whatever came in which order and was killed when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest

from store import bucket_tables, recounting
from store.counts import Counts
from store.fold import fold
from store.ids import new_prediction_ids
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog
from store.predictions import PredictionReader
from store.profile import Profile, build_profile, count
from store.references import publish_reference, read_reference
from store.series import SeriesReader

START = datetime(2026, 3, 1, 12, 2, tzinfo=UTC)
END = START + timedelta(days=2)
SCHEMA = FeatureSchema(("age", "plan", "spend"), ("numeric", "categorical", "numeric"))
PLANS = ("free", "pro", "team")


def profile(seed: int = 0, rows: int = 400) -> Profile:
    rng = np.random.default_rng(seed)
    scores = rng.random(rows)
    return build_profile(
        {"age": rng.normal(40, 9, rows), "plan": rng.choice(PLANS, rows), "spend": rng.integers(0, 5, rows)},
        {"age": "numeric", "plan": "categorical", "spend": "numeric"},
        (scores > 0.5).astype(int),
        task="binary",
        classes=(0, 1),
        scores=scores,
    )


def odd_values(rng: np.random.Generator, rows: int) -> tuple[list[list[Any]], list[list[Any]]]:
    """Rows with everything that can be in them."""
    ages = rng.choice([31.5, 40.0, 44.25, 70.0, math.nan, math.inf, -math.inf, None], rows)
    spend = rng.choice([0.0, 3.0, 9.0, None], rows)
    plans = rng.choice(["free", "pro", "gold", None], rows)
    return [[*pair] for pair in zip(ages, spend, strict=True)], [[plan] for plan in plans]


def log_churn(
    log: PredictionLog, at: datetime, rng: np.random.Generator, rows: int, **changes: Any
) -> list[str]:
    ids = new_prediction_ids(rows)
    numeric, categorical = odd_values(rng, rows)
    scores = rng.random(rows)
    values: dict[str, Any] = {
        "model": "churn",
        "version": 1,
        "schema": SCHEMA,
        "prediction_ids": ids,
        "predicted_at": at,
        "predictions": (scores > 0.5).astype(int),
        "probability": scores,
        "probabilities": None,
        "classes": (0, 1),
        "numeric": numeric,
        "categorical": categorical,
        "latency_ms": 1.0,
    }
    assert log.append(**(values | changes)), log.problem
    return ids


def assert_exact(layout: Layout, reference: Profile, *, version: int = 1) -> None:
    """Every series equals a count of the raw rows, in each stretch of time."""
    found = SeriesReader(layout).series(
        "churn", version, start=START, end=END, points=12, kinds=("feature", "prediction", "score")
    )
    assert len(found) == 5
    rows = (
        PredictionReader(layout)
        .query(
            "SELECT predicted_at, age, plan, spend, label, probability FROM churn"
            f" WHERE version = {version} ORDER BY predicted_at"
        )
        .rows
    )
    columns = {"age": 1, "plan": 2, "spend": 3, "prediction": 4, "score": 5}
    profiles = {f.name: f for f in reference.features}
    profiles |= {"prediction": reference.prediction, "score": reference.score}  # type: ignore[dict-item]
    for (_, name), series in found.items():
        step = series.starts[1] - series.starts[0]
        for start, counts in zip(series.starts, series.counts, strict=True):
            begin = start.replace(tzinfo=None)
            inside = [row[columns[name]] for row in rows if begin <= row[0] < begin + step]
            expected = count(profiles[name], np.array(inside, dtype=object))
            assert counts.bins == expected.bins
            for counter in ("null", "nan", "positive_infinite", "negative_infinite", "unseen"):
                assert getattr(counts, counter) == getattr(expected, counter), (name, counter)
            assert (counts.mean is None) == (expected.mean is None)
            if counts.mean is not None:
                assert counts.mean == pytest.approx(expected.mean)
                assert counts.sd == pytest.approx(expected.sd)
    assert found["feature", "age"].total.n == len(rows)


def log_some(log: PredictionLog, rng: np.random.Generator, hours: Sequence[float]) -> None:
    for hour in hours:
        log_churn(log, START + timedelta(hours=hour), rng, int(rng.integers(1, 20)))


def test_counts_are_kept_as_rows_are_folded(layout: Layout, log: PredictionLog) -> None:
    rng = np.random.default_rng(1)
    reference = profile()
    publish_reference(layout, "churn", 1, reference)
    log_some(log, rng, [0, 0.01, 5, 0.02])
    fold(layout)
    fold(layout)
    for hours in ([0.03, 5], [30, 4.9], [30.001, 0.5]):
        log_some(log, rng, hours)
        fold(layout)

    assert_exact(layout, reference)


def test_rows_still_in_the_spool_are_counted(layout: Layout, log: PredictionLog) -> None:
    rng = np.random.default_rng(2)
    publish_reference(layout, "churn", 1, profile())
    log_some(log, rng, [0, 1])
    fold(layout)
    log_some(log, rng, [1, 2])

    assert_exact(layout, profile())


def test_a_reference_that_appears_late_counts_what_was_logged_before(
    layout: Layout, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while new rows come in between the parts of the recount."""
    rng = np.random.default_rng(3)
    monkeypatch.setattr(recounting, "MAX_ROWS", 10)
    monkeypatch.setattr(recounting, "MAX_SECONDS", 0)
    log_some(log, rng, range(0, 40, 3))
    fold(layout)
    reference = profile()
    publish_reference(layout, "churn", 1, reference)
    assert fold(layout).pending
    log_some(log, rng, range(0, 40, 3))
    while fold(layout).pending:
        log_some(log, rng, [20.5])

    assert_exact(layout, reference)


def test_a_reference_that_changes_counts_everything_again(layout: Layout, log: PredictionLog) -> None:
    rng = np.random.default_rng(4)
    publish_reference(layout, "churn", 1, profile())
    log_some(log, rng, [0, 1, 2])
    fold(layout)
    other = profile(seed=9, rows=150)
    publish_reference(layout, "churn", 1, other)
    fold(layout)

    assert_exact(layout, other)
    assert read_reference(layout, "churn", 1) == other


def test_each_version_and_role_has_its_own_counts(layout: Layout, log: PredictionLog) -> None:
    rng = np.random.default_rng(5)
    publish_reference(layout, "churn", 1, profile())
    publish_reference(layout, "churn", 2, profile(seed=7))
    fold(layout)
    log_churn(log, START, rng, 30)
    log_churn(log, START, rng, 20, role="challenger", version=2)
    log_churn(log, START, rng, 10, version=2)
    log_churn(log, START, rng, 10, version=3)
    fold(layout)

    assert_exact(layout, profile())
    assert_exact(layout, profile(seed=7), version=2)
    reader = SeriesReader(layout)
    challenger = reader.series("churn", 2, start=START, end=END, features=["age"], role="challenger")
    assert challenger["feature", "age"].total.n == 20
    assert reader.series("churn", 3, start=START, end=END) == {}


def test_rows_logged_without_features_count_their_results(layout: Layout, log: PredictionLog) -> None:
    publish_reference(layout, "churn", 1, profile())
    log_churn(log, START, np.random.default_rng(6), 5, numeric=[[]] * 5, categorical=[[]] * 5,
              schema=FeatureSchema((), ()))  # fmt: skip
    fold(layout)

    found = SeriesReader(layout).series(
        "churn", 1, start=START, end=END, kinds=("feature", "prediction", "score")
    )
    totals = {name: series.total.n for (_, name), series in found.items()}
    assert totals == {"age": 0, "plan": 0, "spend": 0, "prediction": 5, "score": 5}


def test_a_late_label_is_counted_where_its_prediction_is_and_the_last_one_stands(
    layout: Layout, log: PredictionLog
) -> None:
    rng = np.random.default_rng(8)
    early = log_churn(log, START, rng, 2, predictions=[0, 1])
    late = log_churn(log, START + timedelta(hours=30), rng, 1, predictions=[1])
    fold(layout)
    log.append_feedback([(late[0], 1, None), (early[0], 1, None)])
    fold(layout)
    log.append_feedback([(early[0], 0, None), (early[1], 1, None)])
    log.append_feedback([("never-logged", 0, None)])
    fold(layout)

    points = SeriesReader(layout).performance("churn", 1, start=START, end=END, points=2)
    assert [point.confusion for point in points] == [{("0", "0"): 1, ("1", "1"): 1}, {("1", "1"): 1}]
    assert [(point.predictions, point.labelled) for point in points] == [(2, 2), (1, 1)]
    assert points[0].coverage == 1.0


def test_errors_of_a_regression_add_up(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    at = START + timedelta(minutes=1)
    ids = log_bikes(log, rows=3, predicted_at=at)
    log.append_feedback([(ids[0], 40.5, None), (ids[1], 100.0, None), (ids[2], "unknown", None)])
    fold(layout)
    log.append_feedback([(ids[1], 43.5, None)])
    fold(layout)

    (point, *_) = SeriesReader(layout).performance("bikes", 3, start=START, end=END)
    assert (point.predictions, point.labelled) == (3, 2)
    assert (point.error, point.absolute_error, point.squared_error) == (-1.0, 3.0, 5.0)
    assert (point.actual_total, point.actual_squares) == (84.0, 40.5**2 + 43.5**2)


def test_a_label_that_came_before_its_prediction_counts(layout: Layout, log: PredictionLog) -> None:
    ids = new_prediction_ids(1)
    log.append_feedback([(ids[0], 1, None)])
    fold(layout)
    log_churn(log, START, np.random.default_rng(0), 1, prediction_ids=ids, predictions=[1])
    fold(layout)

    (point, *_) = SeriesReader(layout).performance("churn", 1, start=START, end=END)
    assert point.confusion == {("1", "1"): 1}


def test_a_file_of_an_older_version_is_brought_up_to_date_and_kept_as_it_was(
    layout: Layout, log: PredictionLog
) -> None:
    rng = np.random.default_rng(10)
    ids = log_churn(log, START, rng, 4, predictions=[0, 1, 1, 0])
    log.append_feedback([(ids[0], 0, None), (ids[1], 0, None)])
    fold(layout)
    with duckdb.connect(str(layout.predictions)) as connection:
        for table in bucket_tables.TABLES:
            connection.execute(f"DROP TABLE {table}")
        connection.execute("UPDATE meta SET value = '1'")
    assert PredictionReader(layout).recent().rows
    assert SeriesReader(layout).series("churn", 1, start=START, end=END) == {}

    publish_reference(layout, "churn", 1, profile())
    log_some(log, rng, [0, 3])
    fold(layout)
    assert_exact(layout, profile())
    (point, *_) = SeriesReader(layout).performance("churn", 1, start=START, end=END)
    assert point.confusion == {("0", "0"): 1, ("1", "0"): 1}
    backup = layout.state / "predictions.version-1.duckdb"
    with duckdb.connect(str(backup), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM predictions").fetchall() == [(4,)]


def test_values_on_edges_and_no_numbers_are_counted_as_duckdb_counts_them(
    layout: Layout, log: PredictionLog
) -> None:
    """[.5, 1, 1.5, 2, 2.5, 9, NaN, NULL, inf, -inf] on the edges [1, 2], against DuckDB's own histogram."""
    values = [0.5, 1.0, 1.5, 2.0, 2.5, 9.0, math.nan, None, math.inf, -math.inf]
    base = profile()
    edged = replace(
        base.feature("age"), edges=(1.0, 2.0), coarse=(0, 1), counts=Counts(bins=(0, 0, 0), center=1.5)
    )
    reference = replace(base, features=(edged, *base.features[1:]))
    publish_reference(layout, "churn", 1, reference)
    log_churn(log, START, np.random.default_rng(0), 10, numeric=[[value, 1.0] for value in values])
    fold(layout)
    found = SeriesReader(layout).series("churn", 1, start=START, end=END, points=1, kinds=("feature",))
    counts = found["feature", "age"].total
    # DuckDB counts infinities among the others; here they have counters of their own.
    low, middle, high = counts.bins
    low, high = low + counts.negative_infinite, high + counts.positive_infinite
    assert (low, middle, high, counts.null, counts.nan) == (3, 2, 3, 1, 1)
    with duckdb.connect() as connection:
        connection.execute("SET enable_external_access = false")
        row = connection.execute(
            "SELECT histogram(v, [1.0, 2.0]::DOUBLE[]) FROM (SELECT unnest(?::DOUBLE[]) AS v)"
            " WHERE v IS NOT NULL AND NOT isnan(v)",
            [values],
        ).fetchone()
    assert row == ({1.0: low, 2.0: middle, math.inf: high},)
