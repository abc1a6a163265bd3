"""Which way a metric is better."""

from __future__ import annotations

import re

_LOWER = re.compile(
    r"(^|_)(rmse|mae|mse|msle|rmsle|mape|smape|loss|error|err|brier|ece|deviance|perplexity|pinball|"
    r"latency|ms|seconds|duration|time|size|mb|bytes|std|fpr|fnr|wer|cer)(_|$)"
)
_NO_DIRECTION = re.compile(r"(^|_)(samples|rows|n_features|epoch|step|threshold|seed|features)(_|$)")


def is_lower_better(metric: str) -> bool:
    """Whether less is better, judged by the metric's name: errors, losses, times and sizes."""
    name = metric.lower()
    return bool(_LOWER.search(name)) and not name.startswith(("neg_", "negative_"))


def has_direction(metric: str) -> bool:
    """Whether one value of the metric can be better than another; counts and thresholds just are."""
    return not _NO_DIRECTION.search(metric.lower())
