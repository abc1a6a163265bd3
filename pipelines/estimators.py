"""Estimators by short name or dotted path, and what they make of their parameters."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sysconfig
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.columns import TaskName
from pipelines.user_module import as_user_error, missing_module_hint
from store.errors import SettingsError, TrainingError, WorkbenchError

DEFAULT = "hist_gradient_boosting"

_ENSEMBLE, _LINEAR = "sklearn.ensemble", "sklearn.linear_model"
# Short name: (module, class for classes, class for numbers); None where there is no such estimator.
SHORT_NAMES: Mapping[str, tuple[str, str | None, str | None]] = {
    "hist_gradient_boosting": (_ENSEMBLE, "HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
    "gradient_boosting": (_ENSEMBLE, "GradientBoostingClassifier", "GradientBoostingRegressor"),
    "random_forest": (_ENSEMBLE, "RandomForestClassifier", "RandomForestRegressor"),
    "extra_trees": (_ENSEMBLE, "ExtraTreesClassifier", "ExtraTreesRegressor"),
    "ada_boost": (_ENSEMBLE, "AdaBoostClassifier", "AdaBoostRegressor"),
    "bagging": (_ENSEMBLE, "BaggingClassifier", "BaggingRegressor"),
    "decision_tree": ("sklearn.tree", "DecisionTreeClassifier", "DecisionTreeRegressor"),
    "logistic_regression": (_LINEAR, "LogisticRegression", None),
    "linear_regression": (_LINEAR, None, "LinearRegression"),
    "linear": (_LINEAR, "LogisticRegression", "LinearRegression"),
    "ridge": (_LINEAR, "RidgeClassifier", "Ridge"),
    "lasso": (_LINEAR, None, "Lasso"),
    "elastic_net": (_LINEAR, None, "ElasticNet"),
    "bayesian_ridge": (_LINEAR, None, "BayesianRidge"),
    "huber": (_LINEAR, None, "HuberRegressor"),
    "poisson": (_LINEAR, None, "PoissonRegressor"),
    "sgd": (_LINEAR, "SGDClassifier", "SGDRegressor"),
    "svm": ("sklearn.svm", "SVC", "SVR"),
    "linear_svm": ("sklearn.svm", "LinearSVC", "LinearSVR"),
    "knn": ("sklearn.neighbors", "KNeighborsClassifier", "KNeighborsRegressor"),
    "mlp": ("sklearn.neural_network", "MLPClassifier", "MLPRegressor"),
    "naive_bayes": ("sklearn.naive_bayes", "GaussianNB", None),
    "lda": ("sklearn.discriminant_analysis", "LinearDiscriminantAnalysis", None),
    "qda": ("sklearn.discriminant_analysis", "QuadraticDiscriminantAnalysis", None),
    "gaussian_process": (
        "sklearn.gaussian_process", "GaussianProcessClassifier", "GaussianProcessRegressor",
    ),
    "dummy": ("sklearn.dummy", "DummyClassifier", "DummyRegressor"),
}  # fmt: skip

_SCALED_MODULES = (
    "sklearn.linear_model",
    "sklearn.svm",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.discriminant_analysis",
    "sklearn.gaussian_process",
    "sklearn.kernel_ridge",
)


def make_estimator(name: str, task: TaskName, params: Mapping[str, Any], seed: int) -> Any:
    """An unfitted estimator; `random_state` is `seed` unless `params` says otherwise.

    Raises SettingsError for a name that doesn't exist (naming the nearest), an estimator of the other task
    and parameters it doesn't take.
    """
    kind = find_class(name, task)
    known = _parameters(kind)
    settings = dict(params)
    if known is not None:
        settings = {_spelled(key, known): value for key, value in settings.items()}
        unknown = [key for key in settings if key not in known]
        if unknown:
            raise SettingsError(
                f"{name} has no parameter {unknown[0]!r}",
                _nearest(unknown[0], known) or f"It takes: {', '.join(sorted(known))}.",
            )
        if "random_state" in known:
            settings.setdefault("random_state", seed)
    try:
        return kind(**settings)
    except Exception as error:
        raise SettingsError(
            f"{name} rejects its parameters: {error}", "See `params` in the settings."
        ) from error


def find_class(name: str, task: TaskName) -> Any:
    """The class behind a short name, a scikit-learn class name or a dotted path."""
    is_regression = task == "regression"
    short = SHORT_NAMES.get(name.lower().replace("-", "_"))
    if short is not None:
        module, classifier, regressor = short
        chosen = regressor if is_regression else classifier
        if chosen is None:
            raise SettingsError(
                f"{name} is for {'classes' if is_regression else 'numbers'}, and the task is {task}",
                f"Take one of: {', '.join(_of_task(is_regression))}.",
            )
        return getattr(importlib.import_module(module), chosen)
    kind = _by_path(name) if "." in name else _by_class_name(name)
    _check_class(kind, name, is_regression)
    return kind


def needs_scaling(estimator: Any) -> bool:
    """Whether the estimator's result depends on the scale of its inputs."""
    return type(estimator).__module__.startswith(_SCALED_MODULES)


def takes_missing(estimator: Any) -> bool:
    """Whether the estimator can be fitted on NaN."""
    from sklearn.utils import get_tags

    try:
        return bool(get_tags(estimator).input_tags.allow_nan)
    except Exception:  # estimators of third parties may have no tags; imputing is always right
        return False


def algorithm(estimator: Any) -> str:
    """The short name of an estimator, else its class."""
    name = type(estimator).__name__
    for short, (_, classifier, regressor) in SHORT_NAMES.items():
        if name in (classifier, regressor):
            return short
    return name


def _of_task(is_regression: bool) -> list[str]:
    return [short for short, names in SHORT_NAMES.items() if names[2 if is_regression else 1]]


def check_name(name: str) -> None:
    """Raise SettingsError, naming the nearest, for a name that is neither known nor a dotted path.

    Nothing is imported: it is asked whenever settings are read.
    """
    if "." in name or name.lower().replace("-", "_") in SHORT_NAMES or name in _classes():
        return
    hint = _nearest(name, [*SHORT_NAMES, *_classes()])
    raise SettingsError(
        f"no estimator {name!r}", hint or f"Take a dotted path or one of: {', '.join(SHORT_NAMES)}."
    )


def _classes() -> dict[str, str]:
    """Module by class of those that have a short name."""
    return {cls: module for module, *names in SHORT_NAMES.values() for cls in names if cls}


def _by_class_name(name: str) -> Any:
    check_name(name)
    return getattr(importlib.import_module(_classes()[name]), name)


def _by_path(path: str) -> Any:
    module_name, _, attribute = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise _import_failure(path, module_name, error) from error
    if not hasattr(module, attribute):
        public = [name for name in dir(module) if name[:1].isupper()]
        near = _nearest(attribute, public)
        raise SettingsError(f"{module_name} has no {attribute!r}", near or "Check the path.")
    return getattr(module, attribute)


def _import_failure(path: str, module_name: str, error: BaseException) -> WorkbenchError:
    """Says whether the module isn't there, is broken, or is the user's and fails at a line of theirs."""
    package = module_name.partition(".")[0]
    files = _files_in(error)
    if isinstance(error, ModuleNotFoundError) and not files:
        if error.name == package:
            return SettingsError(
                f"no estimator {path!r}: package {package!r} is not installed",
                f"Install it: pip install {package}. A file of yours goes into `module`, with build(params).",
            )
        near = _nearest(path, [f"{module}.{cls}" for cls, module in _classes().items()])
        return SettingsError(f"no estimator {path!r}: {error}", near or "Check the path.")
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    installed = [Path(sysconfig.get_path(kind)).resolve() for kind in kinds]
    own = [file for file in files if not any(file.resolve().is_relative_to(folder) for folder in installed)]
    if own:
        return as_user_error(error, own[-1], f"cannot be loaded for the estimator {path}")
    hint = missing_module_hint(error, Path(files[-1])) if files else None
    return TrainingError(f"{module_name} cannot be imported: {error}", hint or "Check its installation.")


def _files_in(error: BaseException) -> list[Path]:
    """The files that ran, or can't, while a module was imported, outermost first."""
    importers = {__file__, importlib.__file__}
    names = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        names.append(error.filename)
    return [Path(name) for name in names if name not in importers and not name.startswith("<")]


def _check_class(kind: Any, name: str, is_regression: bool) -> None:
    if not inspect.isclass(kind) or not hasattr(kind, "fit") or not hasattr(kind, "predict"):
        raise SettingsError(
            f"{name} is no estimator: it lacks fit and predict", "Take a scikit-learn estimator."
        )
    try:
        example = kind()
    except Exception:  # it has required parameters; whether it fits the task shows when it is made
        return
    check_task(example, name, is_regression)


def check_task(estimator: Any, name: str, is_regression: bool) -> None:
    """SettingsError for a classifier where numbers are predicted, and the other way round."""
    from sklearn.base import is_classifier, is_regressor

    try:
        is_other = is_classifier(estimator) if is_regression else is_regressor(estimator)
    except Exception:  # estimators of third parties may have no tags; whether they fit shows in fitting
        return
    if is_other and is_regression:
        raise SettingsError(
            f"{name} is a classifier, and the task is regression", "Take a regressor, or set task."
        )
    if is_other:
        raise SettingsError(
            f"{name} is a regressor, and the task is classification", "Take a classifier, or set task."
        )


def _parameters(kind: Any) -> set[str] | None:
    """Names of the parameters, or None where any is taken."""
    signature = inspect.signature(kind.__init__)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values()):
        return None
    return {name for name in signature.parameters if name != "self"}


def _spelled(key: str, known: Iterable[str]) -> str:
    """The parameter that a name in lower case stands for: environment variables can't tell `C` from `c`."""
    names = set(known)
    alike = [name for name in names if name.lower() == key]
    return alike[0] if key not in names and len(alike) == 1 else key


def _nearest(word: str, known: Iterable[str]) -> str | None:
    candidates = list(known)
    lowered = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f"Did you mean {lowered[close[0]]!r}?" if close else None
