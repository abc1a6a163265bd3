"""Champion against challenger on the same rows: requests that both answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import metrics, paired
from pipelines.metrics import Scores
from store.predictions import PredictionReader
from store.sql_words import literal

if TYPE_CHECKING:
    from store.layout import Layout

_METRICS = {
    "binary": ("accuracy", "f1", "roc_auc"),
    "multiclass": ("accuracy", "f1"),
    "regression": ("rmse", "mae"),
}
MIN_PAIRS = 30


def compare_roles(
    layout: Layout,
    model: str,
    champion: int,
    challenger: int,
    *,
    start: datetime,
    end: datetime,
    classes: tuple[str, ...] | None,
) -> dict[str, Any]:
    """{"rows", "metrics": [{"metric", "champion", "challenger", "difference", "low", "high", …}]}.

    `difference` is how much better the challenger is. Rows are the same where both versions answered the
    same place of one request (traffic in shadow mode); the label of either counts for both. No metrics
    below 30 labelled pairs.
    """
    first, second = (_columns(side, classes) for side in ("a", "b"))
    with PredictionReader(layout).opened() as connection:
        window = [model, _naive(start), _naive(end)]
        for side, version in (("a", champion), ("b", challenger)):
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE of_{side} AS SELECT p.*, l.label AS actual_label, l.actual,"
                " row_number() OVER (PARTITION BY request_id ORDER BY p.prediction_id) AS place"
                " FROM predictions p LEFT JOIN labels l USING (prediction_id) WHERE model = ?"
                " AND predicted_at >= ? AND predicted_at < ? AND version = ? AND request_id <> ''",
                [*window, version],
            )
        truth = (
            "coalesce(a.actual, b.actual) AS actual"
            if classes is None
            else f"coalesce(list_position({_listed(classes)},"
            " coalesce(a.actual_label, b.actual_label)), 0) - 1 AS actual"
        )
        is_labelled = "actual" if classes is None else "actual_label"
        found = connection.execute(
            f"SELECT {first}, {second}, {truth} FROM of_a a JOIN of_b b USING (request_id, place)"
            f" WHERE coalesce(a.{is_labelled}, b.{is_labelled}) IS NOT NULL"
        ).fetchnumpy()
    arrays = {
        name: np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan) for name, values in found.items()
    }
    known = (
        np.isfinite(arrays["actual"])
        & np.isfinite(arrays["predicted_a"])
        & np.isfinite(arrays["predicted_b"])
    )
    if classes is not None:
        known &= (arrays["actual"] >= 0) & (arrays["predicted_a"] >= 0) & (arrays["predicted_b"] >= 0)
    arrays = {name: values[known] for name, values in arrays.items()}
    result: dict[str, Any] = {"rows": int(known.sum()), "metrics": []}
    if result["rows"] >= MIN_PAIRS:
        result["metrics"] = compared(arrays, classes)
    return result


def compared(arrays: dict[str, Any], classes: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """Paired tests on rows that both answered: `predicted_a` and `probability_a` of the champion, the same
    with `_b` of the challenger, `actual`; of classes positions, nothing unknown among them."""
    task: Any = "regression" if classes is None else "binary" if len(classes) == 2 else "multiclass"
    y = arrays["actual"] if classes is None else arrays["actual"].astype(int)
    champion, challenger = (_scores(arrays, side, task) for side in ("a", "b"))
    found = []
    for name in _METRICS[task]:
        metric = metrics.find(name, task)
        scores = (challenger, champion)
        if name == "roc_auc" and any(one.probabilities is None for one in scores):
            continue
        test = paired.compare(metric, y, *scores)
        if test is None:
            continue
        found.append(
            {
                "metric": name,
                "champion": metric.compute(y, champion, None),
                "challenger": metric.compute(y, challenger, None),
                "method": test.method,
                "difference": test.difference,
                "low": test.low,
                "high": test.high,
                "probability_better": test.probability_better,
            }
        )
    return found


def _scores(arrays: dict[str, Any], side: str, task: str) -> Scores:
    predicted = arrays[f"predicted_{side}"]
    if task == "regression":
        return Scores(predicted)
    scores = Scores(predicted.astype(int))
    positive = arrays[f"probability_{side}"]
    if task == "binary" and not np.isnan(positive).any():
        scores = replace(scores, probabilities=np.column_stack([1 - positive, positive]))
    return scores


def _columns(side: str, classes: tuple[str, ...] | None) -> str:
    if classes is None:
        return f"{side}.prediction AS predicted_{side}"
    position = f"coalesce(list_position({_listed(classes)}, {side}.label), 0) - 1"
    return f"{position} AS predicted_{side}, {side}.probability AS probability_{side}"


def _listed(classes: tuple[str, ...]) -> str:
    return f"[{', '.join(map(literal, classes))}]::VARCHAR[]"


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
