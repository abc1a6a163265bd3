"""A model in memory: what it takes, what it answers, and how it predicts with as little work as possible."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from store.errors import ModelLoadError
from store.estimator_parts import forget_column_names, last_step, needs_column_names
from store.frame_encoder import EncodedRows, PlainRows
from store.model_files import ColumnSpec, ModelFile

if TYPE_CHECKING:
    import numpy as np

    from store.frame_plans import FramePlan
    from store.plans import Answer, Plan

Task = Literal["binary", "multiclass", "regression"]
ClassLabel = int | float | str | bool

# Classifiers whose predict() is the class of highest predict_proba(), the first one on a tie. For any
# other, predict() is called as well, so that the answer is what scikit-learn and MLflow would give.
_ARGMAX = frozenset(
    {
        "AdaBoostClassifier",
        "BaggingClassifier",
        "BernoulliNB",
        "CalibratedClassifierCV",
        "CategoricalNB",
        "ComplementNB",
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "GaussianNB",
        "HistGradientBoostingClassifier",
        "LinearDiscriminantAnalysis",
        "LogisticRegression",
        "LogisticRegressionCV",
        "MLPClassifier",
        "MultinomialNB",
        "QuadraticDiscriminantAnalysis",
        "RandomForestClassifier",
    }
)


@dataclass(frozen=True)
class Predictions:
    """Answers for n rows. `probability` is that of `classes[1]` for two classes, shape (n,);
    `probabilities` has shape (n, n_classes)."""

    prediction: list[Any]
    probability: np.ndarray | None = None
    probabilities: np.ndarray | None = None


@dataclass
class LoadedModel:
    """An estimator ready to predict, with what its files say about it."""

    file: ModelFile
    estimator: Any
    task: Task
    columns: tuple[ColumnSpec, ...]
    """The features in the order the model takes them; made up (x0, x1…) where nothing names them."""
    classes: tuple[ClassLabel, ...] | None
    threshold: float | None
    """Probability of `classes[1]` from which it is predicted, where the model has one of its own."""
    needs_frame: bool
    """Whether predict() needs named columns; otherwise a float array is enough."""
    one_call: bool = False
    """Whether the class follows from predict_proba alone."""
    dtype: Literal["float64", "float32"] = "float64"
    """Element type of the array a model without frames takes."""
    plan: Plan | None = None
    """A quicker way to the same bits, where `store.plans` has one."""
    frame_plan: FramePlan | None = None
    """The same from the rows of a model that takes a frame, where `store.frame_plans` has one."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def predict(self, X: Any) -> Predictions:
        """Predict an array of shape (n_rows, n_features) in the order of `columns`, a frame that has them,
        rows of their values, or rows that `frame_plan` has encoded.

        Exceptions of the estimator pass through.
        """
        if self.frame_plan is not None and isinstance(X, EncodedRows):
            return self.frame_plan.predict(X)
        X = self._in_shape(X)
        if self.plan is not None:
            answer = self.plan(X)
            if answer is not None:
                return self._planned(answer)
        if self.classes is None:
            return Predictions(self.estimator.predict(X).tolist())
        if not hasattr(self.estimator, "predict_proba"):
            return Predictions(self.estimator.predict(X).tolist())
        probabilities = self.estimator.predict_proba(X)
        if self.threshold is not None:
            chosen = (probabilities[:, 1] >= self.threshold).astype(int).tolist()
        elif self.one_call:
            chosen = probabilities.argmax(axis=1).tolist()
        else:
            labels = self.estimator.predict(X).tolist()
            return Predictions(labels, self._of_positive(probabilities), probabilities)
        labels = [self.classes[position] for position in chosen]
        return Predictions(labels, self._of_positive(probabilities), probabilities)

    def _planned(self, answer: Answer) -> Predictions:
        values = answer.values
        if self.classes is None:
            return Predictions(values.tolist())
        if self.threshold is not None:
            chosen = (values[:, 1] >= self.threshold).astype(int)
        else:
            chosen = values.argmax(axis=1) if answer.chosen is None else answer.chosen
        labels = [self.classes[position] for position in chosen.tolist()]
        return Predictions(labels, self._of_positive(values), values)

    def _of_positive(self, probabilities: np.ndarray) -> np.ndarray | None:
        return probabilities[:, 1] if probabilities.shape[1] == 2 else None

    def _in_shape(self, X: Any) -> Any:
        if isinstance(X, PlainRows):
            from store.frames import build_frame

            values = {c.name: [row[i] for row in X.rows] for i, c in enumerate(self.columns)}
            return build_frame(self.columns, values)
        is_frame = hasattr(X, "columns")
        if self.needs_frame:
            if is_frame:
                return X
            from store.frames import build_frame

            return build_frame(self.columns, {c.name: X[:, i].tolist() for i, c in enumerate(self.columns)})
        if is_frame:
            names = list(self.names)
            return X[names].to_numpy(self.dtype) if set(names) <= set(X.columns) else X.to_numpy(self.dtype)
        return X


def prepare(file: ModelFile, estimator: Any) -> LoadedModel:
    """Find out what an estimator takes and answers; raises ModelLoadError for what can't be served."""
    from sklearn.base import is_classifier
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if not hasattr(estimator, "predict"):
        raise ModelLoadError(
            f"{file.path}: {type(estimator).__name__} has no predict", "Log the whole model."
        )
    # An estimator that learns nothing can't be told from one that isn't fitted.
    with contextlib.suppress(TypeError, AttributeError):
        try:
            check_is_fitted(last_step(estimator))
        except NotFittedError as error:
            raise ModelLoadError(
                f"{file.path}: the model is not fitted", "Fit it before logging it."
            ) from error
    columns = _columns(file, estimator)
    needs_frame = any(c.type in ("string", "datetime", "binary", "any") for c in columns) or (
        needs_column_names(estimator)
    )
    final = last_step(estimator)
    # Asked about a whole pipeline, scikit-learn imports pandas to look at an imputer in it.
    classes = _classes(file, estimator) if is_classifier(final) else None
    if classes is None:
        task: Task = "regression"
    else:
        task = "binary" if len(classes) == 2 else "multiclass"
    threshold, positive = _threshold(final, classes)
    if not needs_frame:
        forget_column_names(estimator)
    floats = file.input_dtype == "float32" or (bool(columns) and all(c.type == "float" for c in columns))
    return LoadedModel(
        file=file,
        estimator=estimator,
        task=task,
        columns=columns,
        classes=classes,
        threshold=threshold if positive else None,
        needs_frame=needs_frame,
        one_call=type(final).__name__ in _ARGMAX and type(final).__module__.startswith("sklearn."),
        dtype="float32" if floats else "float64",
    )


def _columns(file: ModelFile, estimator: Any) -> tuple[ColumnSpec, ...]:
    learned: Sequence[str] | None = None
    if hasattr(estimator, "feature_names_in_"):
        learned = [str(name) for name in estimator.feature_names_in_]
    if file.inputs is not None:
        by_name = {column.name: column for column in file.inputs}
        if learned is not None and set(learned) == set(by_name):
            return tuple(by_name[name] for name in learned)
        return file.inputs
    width = (
        len(learned) if learned is not None else (file.n_inputs or getattr(estimator, "n_features_in_", None))
    )
    if width is None:
        raise ModelLoadError(
            f"{file.path}: neither the signature nor the model tells its number of features",
            "Log the model with a signature or an input example.",
        )
    kind = "any" if learned is not None and needs_column_names(estimator) else "double"
    names = learned if learned is not None else [f"x{position}" for position in range(width)]
    return tuple(ColumnSpec(name, kind, required=True) for name in names)


def _classes(file: ModelFile, estimator: Any) -> tuple[ClassLabel, ...]:
    values = getattr(estimator, "classes_", None)
    if values is None or isinstance(values, list) or getattr(values, "ndim", 1) != 1:
        raise ModelLoadError(
            f"{file.path}: a classifier with several outputs can't be served",
            "Train a model for each output.",
        )
    return tuple(values.tolist())


def _threshold(final: Any, classes: tuple[ClassLabel, ...] | None) -> tuple[float | None, bool]:
    """The decision threshold of scikit-learn's threshold classifiers, and whether it is on classes[1]'s
    probability; anything else they can do is left to their own predict()."""
    if classes is None or len(classes) != 2:
        return None, False
    kind = type(final).__name__
    if kind == "FixedThresholdClassifier":
        threshold = 0.5 if final.threshold == "auto" else float(final.threshold)
    elif kind == "TunedThresholdClassifierCV":
        threshold = float(final.best_threshold_)
    else:
        return None, False
    uses_probability = final.response_method == "predict_proba" or (
        final.response_method == "auto" and hasattr(final.estimator_, "predict_proba")
    )
    return threshold, uses_probability and getattr(final, "pos_label", None) in (None, classes[1])
