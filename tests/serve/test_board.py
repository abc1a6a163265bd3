"""Counters that workers share."""

from __future__ import annotations

import os

from serve.board import Board
from serve.telemetry import Telemetry


def lines(telemetry: Telemetry, start: str) -> list[str]:
    return [line for line in telemetry.exposition().decode().splitlines() if line.startswith(start)]


def test_any_worker_shows_what_all_have_counted() -> None:
    board = Board(2)
    first, second = Telemetry(board, 0), Telemetry(board, 1)
    for telemetry, rows in ((first, 3), (second, 4)):
        telemetry.predictions.labels("m", "1", "champion", "success").inc(rows)
        telemetry.latency.labels("m", "1").observe(0.003, times=rows)
    expected = 'workbench_predictions_total{model="m",role="champion",status="success",version="1"} 7.0'
    assert lines(first, "workbench_predictions_total{") == [expected]
    assert lines(first, "workbench_prediction") == lines(second, "workbench_prediction")
    assert 'workbench_prediction_latency_seconds_count{model="m",version="1"} 7.0' in lines(
        second, "workbench_prediction_latency_seconds_count"
    )


def test_a_successor_counts_on_where_the_dead_worker_was_and_has_nothing_in_hand() -> None:
    board = Board(1)
    dead = Telemetry(board, 0)
    dead.refused.labels("rate").inc(5)
    dead.in_flight.inc(3)
    board.bury(0, 1.5)
    assert board.occupants()[0].pid == 0
    successor = Telemetry(board, 0)
    successor.refused.labels("rate").inc()
    successor.refused.labels("host").inc()
    assert lines(successor, "workbench_requests_refused_total") == [
        'workbench_requests_refused_total{reason="rate"} 6.0',
        'workbench_requests_refused_total{reason="host"} 1.0',
    ]
    assert lines(successor, "workbench_requests_in_flight") == ["workbench_requests_in_flight 0.0"]
    occupant = board.occupants()[0]
    assert (occupant.pid, occupant.earlier_cpu_s) == (os.getpid(), 1.5)


def test_what_a_forked_worker_counts_is_seen_by_its_parent() -> None:
    board = Board(2)
    parent = Telemetry(board, 0)
    child = os.fork()
    if child == 0:
        Telemetry(board, 1).feedback.labels("accepted").inc(2)
        os._exit(0)
    os.waitpid(child, 0)
    assert lines(parent, "workbench_feedback_total") == ['workbench_feedback_total{status="accepted"} 2.0']


def test_a_board_that_is_full_goes_on_counting_what_it_has() -> None:
    telemetry = Telemetry()
    for version in range(9_000):
        telemetry.latency.labels("m", str(version)).observe(0.1)
    telemetry.input_errors.inc()
    assert lines(telemetry, "input_errors_total") == ["input_errors_total 1.0"]
    shown = lines(telemetry, "workbench_prediction_latency_seconds_count")
    assert 8_000 < len(shown) < 9_000
