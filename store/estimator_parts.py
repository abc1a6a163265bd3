"""Walks through a fitted estimator: the steps, wrapped estimators and trees inside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from store.errors import ModelLoadError


def walk(estimator: Any) -> Iterator[Any]:
    """Yield the estimator and every estimator or tree it is made of, each once."""
    import numpy as np
    from sklearn.base import BaseEstimator

    seen: set[int] = set()
    waiting: list[Any] = [estimator]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (list, tuple)):
            waiting.extend(item for item in part if not isinstance(item, (str, int, float)))
        elif isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, np.ndarray):
            if part.dtype == object:
                waiting.extend(part.ravel().tolist())
        elif id(part) not in seen and (
            isinstance(part, BaseEstimator) or type(part).__module__.startswith("sklearn.")
        ):
            seen.add(id(part))
            yield part
            waiting.extend(getattr(part, "__dict__", {}).values())


def last_step(estimator: Any) -> Any:
    """The estimator that makes the prediction: the end of pipelines, the best of a search."""
    while True:
        if hasattr(estimator, "steps") and estimator.steps:
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def needs_column_names(estimator: Any) -> bool:
    """Whether a part of the estimator looks at column names or at a frame, so that a bare array won't do."""
    import numpy as np

    has_names = hasattr(estimator, "feature_names_in_")
    for part in walk(estimator):
        kind = type(part).__name__
        if kind == "ColumnTransformer" or answers_with_frames(part):
            return True
        if kind == "FunctionTransformer":
            if has_names and part.func is not None and not isinstance(part.func, np.ufunc):
                return True
        elif has_names and not type(part).__module__.startswith("sklearn."):
            return True
    return False


def answers_with_frames(part: Any) -> bool:
    """Whether set_output() has told a transformer to answer with a frame."""
    chosen = getattr(part, "_sklearn_output_config", None) or {}
    return any(kind not in (None, "default") for kind in chosen.values())


def forget_column_names(estimator: Any) -> None:
    """Let the estimator take bare arrays without a warning at each call; its values stay what they are."""
    for part in walk(estimator):
        getattr(part, "__dict__", {}).pop("feature_names_in_", None)


def check_trees(estimator: Any) -> None:
    """Raise ModelLoadError where a tree points outside its own nodes or the features.

    scikit-learn follows these indices without looking, so a broken or crafted file would end the process
    at the first prediction.
    """
    for part in walk(estimator):
        kind = type(part).__name__
        if kind == "Tree":
            count, width = part.node_count, part.n_features
            left, right, feature = part.children_left, part.children_right, part.feature
            inner = left != -1
        elif kind == "TreePredictor":
            nodes = part.nodes
            count, width = len(nodes), None
            left, right, feature = nodes["left"], nodes["right"], nodes["feature_idx"]
            inner = nodes["is_leaf"] == 0
        else:
            continue
        if not inner.any():
            continue
        # A child comes after its parent in every tree scikit-learn grows, which also rules out loops.
        position = inner.nonzero()[0]
        children_ok = all(
            bool(((side[inner] > position) & (side[inner] < count)).all()) for side in (left, right)
        )
        features_ok = bool((feature[inner] >= 0).all()) and (
            width is None or bool((feature[inner] < width).all())
        )
        if not (children_ok and features_ok):
            raise ModelLoadError(
                "a tree of the model points outside its own nodes", "The file is damaged; train again."
            )
