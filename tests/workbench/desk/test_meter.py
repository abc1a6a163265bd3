"""Rates from samples of counters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.desk.exposition import Counters, Histogram, ModelCounters
from workbench.desk.meter import KEPT_S, Meter


def sample(requests: int, invalid: int = 0, refused: int = 0) -> Counters:
    latency = Histogram((0.001, float("inf")), (requests, requests))
    model = ModelCounters(requests, requests, invalid, 0, latency)
    return Counters({("bikes", 1): model}, refused=refused)


def test_one_sample_tells_no_rate() -> None:
    meter = Meter()
    meter.add(100.0, sample(50))
    assert meter.recent().requests_per_s is None
    assert meter.series().times == ()


def test_the_rate_is_over_the_last_minute() -> None:
    meter = Meter()
    for second in range(0, 121, 10):
        meter.add(second, sample(second * 2 if second <= 60 else 120 + (second - 60) * 5))
    assert meter.recent().requests_per_s == 5.0


def test_a_rate_over_less_than_a_minute_counts_only_what_was_watched() -> None:
    meter = Meter()
    meter.add(0.0, sample(1000))
    meter.add(10.0, sample(1030))
    assert meter.recent().requests_per_s == 3.0


def test_errors_are_requests_too_and_counted_apart() -> None:
    meter = Meter()
    meter.add(0.0, sample(10))
    meter.add(10.0, sample(20, invalid=6, refused=4))
    assert meter.recent().requests_per_s == 2.0
    assert meter.recent().errors == 10
    assert (meter.series().requests, meter.series().errors) == ((2.0,), (1.0,))


def test_the_series_stands_still_while_nothing_happens() -> None:
    meter = Meter()
    meter.add(0.0, sample(0))
    meter.add(1.0, sample(9))
    meter.add(2.0, sample(9))
    before = meter.series()
    assert before.requests == (9.0, 0.0)
    for second in range(3, 50):
        meter.add(float(second), sample(9))
        assert meter.series() == before
    assert meter.last_request_at == 1.0


def test_a_pause_is_a_line_of_zeros_up_to_the_next_request() -> None:
    meter = Meter()
    meter.add(0.0, sample(0))
    meter.add(1.0, sample(5))
    for second in range(2, 30):
        meter.add(float(second), sample(5))
    meter.add(30.0, sample(8))
    series = meter.series()
    assert series.times == (1.0, 2.0, 29.0, 30.0)
    assert series.requests == (5.0, 0.0, 0.0, 3.0)


def test_counters_that_start_anew_begin_a_new_history() -> None:
    meter = Meter()
    meter.add(0.0, sample(100))
    meter.add(1.0, sample(110))
    meter.add(2.0, sample(1))
    assert meter.recent().requests_per_s is None


def test_a_clock_set_back_adds_nothing() -> None:
    meter = Meter()
    meter.add(10.0, sample(1))
    meter.add(5.0, sample(2))
    assert meter.series().times == ()


def test_old_samples_are_forgotten() -> None:
    meter = Meter()
    for minute in range(200):
        meter.add(minute * 60.0, sample(minute))
    assert meter.series().times[0] >= 199 * 60 - KEPT_S


@given(st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 50)), min_size=1, max_size=40))
def test_no_request_is_lost_between_the_points_of_the_series(steps: list[tuple[float, int]]) -> None:
    meter, at, count = Meter(), 0.0, 0
    meter.add(at, sample(0))
    for seconds, more in steps:
        at, count = at + seconds, count + more
        if at < KEPT_S:
            meter.add(at, sample(count))
            seen = count
    series = meter.series()
    ends = (0.0, *series.times)
    drawn = sum(
        rate * (end - start)
        for start, end, rate in zip(ends, series.times, series.requests, strict=False)
        if rate is not None
    )
    assert round(drawn) == seen
