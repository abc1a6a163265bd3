"""What is read from /metrics, against what prometheus_client writes there and computes from it."""

from __future__ import annotations

import pytest

from serve.telemetry import Telemetry
from workbench.desk.exposition import Counters, Histogram, read_counters


def scrape(telemetry: Telemetry) -> Counters:
    return read_counters(telemetry.exposition().decode())


def test_counters_are_read_by_model_and_version() -> None:
    telemetry = Telemetry()
    for version, rows in (("2", 5), ("3", 7)):
        telemetry.predictions.labels("bikes", version, "champion", "success").inc(rows)
        telemetry.latency.labels("bikes", version).observe(0.003)
    telemetry.predictions.labels("bikes", "3", "champion", "invalid").inc(2)
    telemetry.predictions.labels("bikes", "3", "champion", "error").inc()
    telemetry.refused.labels("concurrency").inc(4)
    found = scrape(telemetry)
    assert {key: (c.requests, c.rows, c.invalid, c.failed) for key, c in found.models.items()} == {
        ("bikes", 2): (1, 5, 0, 0),
        ("bikes", 3): (1, 7, 2, 1),
    }
    assert found.total.rows == 12
    assert found.errors == 7


def test_a_model_with_an_odd_name_is_read_as_it_is_called() -> None:
    telemetry = Telemetry()
    telemetry.predictions.labels('a "b"\\c\nd}', "1", "champion", "success").inc()
    assert list(scrape(telemetry).models) == [('a "b"\\c\nd}', 1)]


def test_the_request_that_asks_is_not_counted_as_in_flight() -> None:
    telemetry = Telemetry()
    telemetry.in_flight.inc(3)
    assert scrape(telemetry).in_flight == 2


def test_text_that_is_no_metrics_gives_nothing() -> None:
    assert read_counters("<html>not found</html>\nworkbench_predictions_total{} x\n") == Counters()


def test_a_quantile_is_linear_within_its_bucket() -> None:
    histogram = Histogram((0.001, 0.01, 0.1, float("inf")), (0, 90, 100, 100))
    assert histogram.quantile(0.5) == pytest.approx(0.001 + 0.009 * 50 / 90)
    assert histogram.quantile(0.95) == pytest.approx(0.01 + 0.09 * 5 / 10)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert Histogram((0.1, float("inf")), (1, 10)).quantile(0.99) == 0.1


def test_nothing_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram((0.1, float("inf")), (0, 0)).quantile(0.5) is None


def test_what_came_since_is_a_histogram_too() -> None:
    before = Histogram((0.001, 0.1, float("inf")), (10, 10, 10))
    after = Histogram((0.001, 0.1, float("inf")), (10, 30, 30))
    since = after - before
    assert since.count == 20
    assert since.quantile(0.5) == pytest.approx(0.001 + 0.099 / 2)
