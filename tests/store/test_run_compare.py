from __future__ import annotations

import math

from store.run_compare import compare_runs
from store.runs import Run


def run(name: str, params: dict[str, str], metrics: dict[str, float]) -> Run:
    return Run(name, name, "1", "cancer", params=params, metrics=metrics)


A = run("a", {"depth": "3", "seed": "42"}, {"auc": 0.9, "rmse": 2.0, "nan": math.nan})
B = run("b", {"depth": "5", "seed": "42"}, {"auc": 0.95, "rmse": 2.0, "nan": math.nan})
C = run("c", {"seed": "42"}, {"auc": 0.85})


def test_every_parameter_and_metric_is_a_row_with_deltas_against_the_baseline() -> None:
    rows = {row.key: row for row in compare_runs([A, B, C], baseline=1)}
    assert list(rows) == ["depth", "seed", "auc", "nan", "rmse"]
    assert rows["depth"].values == ("3", "5", None)
    assert rows["depth"].deltas == (None, None, None)
    assert rows["auc"].values == (0.9, 0.95, 0.85)
    deltas = [delta for delta in rows["auc"].deltas if delta is not None]
    assert [round(delta, 6) for delta in deltas] == [-0.05, 0.0, -0.1]
    assert rows["rmse"].deltas == (0.0, 0.0, None)


def test_only_differences_are_shown_on_request() -> None:
    assert [row.key for row in compare_runs([A, B], differences_only=True)] == ["depth", "auc"]
    assert [row.key for row in compare_runs([A, A], differences_only=True)] == []


def test_nothing_to_compare_is_no_row() -> None:
    assert compare_runs([]) == []
