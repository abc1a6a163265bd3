"""Fits pipelines with class weights and a decision threshold, and says in one line why a fit failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.estimators import algorithm
from pipelines.settings import PipelineSettings
from pipelines.user_module import UserModule, as_user_error, line_in
from store.errors import SettingsError, TrainingError, WorkbenchError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class Fitter:
    """Fits a pipeline on rows; holds what every fit of a training shares."""

    def __init__(self, weights: Any, user: UserModule | None) -> None:
        self._weights = weights
        self._user = user

    @property
    def weighs_rows(self) -> bool:
        return self._weights is not None

    def __call__(self, pipeline: Any, X: pd.DataFrame, labels: NDArray[Any]) -> Any:
        """Fit in place and return the pipeline; TrainingError or UserCodeError when that fails."""
        options = self.options(pipeline, labels)
        with explained(pipeline.steps[-1][1], self._user):
            return pipeline.fit(X.copy(deep=False), labels, **options)

    def options(self, pipeline: Any, labels: NDArray[Any]) -> dict[str, Any]:
        """What `pipeline.fit` is given besides rows: their weights, where classes are weighed by row."""
        if self._weights is None:
            return {}
        from sklearn.utils.class_weight import compute_sample_weight

        weights: NDArray[np.float64] = compute_sample_weight(_present(self._weights, labels), labels)
        return {f"{pipeline.steps[-1][0]}__sample_weight": weights}


def _present(weights: Any, labels: NDArray[Any]) -> Any:
    """Without the classes that a fold does not have."""
    if isinstance(weights, str):
        return weights
    present = set(labels.tolist())
    return {label: weight for label, weight in weights.items() if label in present}


def make_fitter(
    settings: PipelineSettings, estimator: Any, classes: Sequence[Any], user: UserModule | None
) -> Fitter:
    """A fitter that weighs classes as the settings say: by the estimator's own parameter, else by row."""
    if settings.class_weight is None:
        return Fitter(None, user)
    if not classes:
        raise SettingsError("class_weight is for classes, and the task is regression", "Remove class_weight.")
    weights = class_weights(settings.class_weight, classes)
    parameters = estimator.get_params(deep=False)
    if "class_weight" in parameters:
        if parameters["class_weight"] is None:
            estimator.set_params(class_weight=weights)
        return Fitter(None, user)
    from sklearn.utils.validation import has_fit_parameter

    if not has_fit_parameter(estimator, "sample_weight"):
        raise TrainingError(
            f"{algorithm(estimator)} can't weigh classes", "Remove class_weight, or take another estimator."
        )
    return Fitter(weights, user)


def class_weights(setting: str | Mapping[str, float], classes: Sequence[Any]) -> Any:
    """`balanced`, or the weight of each class by its label; classes not named weigh 1."""
    if isinstance(setting, str):
        return setting
    by_text = {str(label): label for label in classes}
    for name in setting:
        if name not in by_text:
            raise SettingsError(
                f"class_weight names {name!r}, no class", f"Classes are: {', '.join(by_text)}."
            )
    return {label: float(setting.get(text, 1.0)) for text, label in by_text.items()}


def with_threshold(pipeline: Any, threshold: float) -> Any:
    """The unfitted pipeline with its last step in scikit-learn's FixedThresholdClassifier."""
    from sklearn.model_selection import FixedThresholdClassifier
    from sklearn.pipeline import Pipeline

    name, estimator = pipeline.steps[-1]
    wrapped = FixedThresholdClassifier(estimator, threshold=threshold, response_method="predict_proba")
    return Pipeline([*pipeline.steps[:-1], (name, wrapped)])


def freeze_with_threshold(fitted: Any, threshold: float, X: pd.DataFrame, labels: NDArray[Any]) -> Any:
    """As with_threshold for a pipeline that is fitted already: row weights don't pass through the wrapper."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    name, estimator = fitted.steps[-1]
    inner = Pipeline([*fitted.steps[:-1], (name, FrozenEstimator(estimator))])
    wrapped = with_threshold(inner, threshold)
    return wrapped.fit(X.copy(deep=False), labels)


@contextmanager
def explained(estimator: Any, user: UserModule | None) -> Iterator[None]:
    """Turn what a fit or prediction raises into a TrainingError, or a UserCodeError for the user's lines."""
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        if user is not None and line_in(error, user.path) is not None:
            raise as_user_error(error, user.path, "raised in training") from error
        name = algorithm(estimator)
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        if type(error).__name__ == "InvalidParameterError":
            raise TrainingError(f"{name} rejects a parameter: {text}", "Mend `params`.") from error
        if isinstance(error, MemoryError):
            raise TrainingError(f"{name} ran out of memory", "Take a smaller model or fewer rows.") from error
        raise TrainingError(
            f"{name} failed: {text}", "Mend the data or the parameters, or take another estimator."
        ) from error
