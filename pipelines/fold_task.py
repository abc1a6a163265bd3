"""One fit of one fold, as it also runs on a worker of a cluster.

A leaf: it imports no other module of this product, which the workers need not have installed.
"""

from __future__ import annotations

from typing import Any


def raw_answers(estimator: Any, X: Any) -> dict[str, Any]:
    """What a fitted classifier says of rows: `probabilities` (n_rows, n_classes) with `classes`, or
    `predicted` and, of two classes, `decision`. Of a regressor: `predicted`."""
    import numpy as np

    X = X.copy(deep=False)  # a user's features() may add columns to what it is given
    if hasattr(estimator, "predict_proba"):
        return {
            "probabilities": np.asarray(estimator.predict_proba(X), dtype="float64"),
            "classes": np.asarray(estimator.classes_),
        }
    answers = {"predicted": np.asarray(estimator.predict(X))}
    if hasattr(estimator, "decision_function") and len(getattr(estimator, "classes_", ())) == 2:
        answers["decision"] = np.asarray(estimator.decision_function(X), dtype="float64").ravel()
    return answers


def fit_fold(
    pipeline: Any,
    params: dict[str, Any],
    X: Any,
    labels: Any,
    train: Any,
    test: Any,
    fit_options: dict[str, Any],
) -> dict[str, Any]:
    """Fit a clone with `params` on the rows `train` and answer for the rows `test`.

    Never raises for what the fit raises: the answer then has `error`. `seconds` is the time it took.
    """
    import time
    import warnings

    from sklearn.base import clone

    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = clone(pipeline).set_params(**params)
            model.fit(X.iloc[train].copy(deep=False), labels[train], **fit_options)
            answers = raw_answers(model, X.iloc[test])
    except Exception as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        answers = {"error": f"{type(error).__name__}: {text}"}
    answers["seconds"] = time.perf_counter() - started
    return answers


def versions_here() -> dict[str, str]:
    """Versions of Python and of the packages that a fit's result depends on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("scikit-learn", "numpy", "pandas"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
