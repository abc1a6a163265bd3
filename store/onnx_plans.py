"""Plans that run in onnxruntime: a model converted to an ONNX graph in memory, checked against scikit-learn.

A graph gives almost scikit-learn's numbers, not its bits: the sums of trees are float32 in it. So it answers
only where it stayed within a tolerance on probe rows, and rows so close to a decision that this might change
the class are left to scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.estimator_parts import last_step
from store.plans import Answer, Plan, probe_batches

if TYPE_CHECKING:
    import numpy as np

    from store.loaded_model import LoadedModel

TOLERANCE = 1e-5
"""How far an answer may be from scikit-learn's: of a probability, or of the largest value on probe rows."""
_NARROWEST = 1e30
"""Values beyond which float32, in which trees compare, is near its end."""
_EXAMPLE_PROBES = 64
_TREES = ("sklearn.tree", "sklearn.ensemble")
_SMOOTH = ("sklearn.linear_model", "sklearn.neural_network", "sklearn.svm", "sklearn.naive_bayes")
"""Models in which a little less precision is a little less in the answer, never another branch."""

Run = Callable[["np.ndarray"], "list[np.ndarray]"]


@dataclass(frozen=True)
class OnnxPlan:
    """What came of a conversion."""

    plan: Plan | None
    note: str
    """How near it is to scikit-learn, or why there is none."""


def make_onnx_plan(model: LoadedModel, example: Any = None) -> OnnxPlan:
    """Convert the model and compare it with scikit-learn on probe rows and around the example's rows.

    Without a plan its note says why; nothing an estimator or a converter does is an error here.
    """
    if model.needs_frame:
        return OnnxPlan(None, "it takes a table of named columns, which is not converted")
    if model.classes is not None and not hasattr(model.estimator, "predict_proba"):
        return OnnxPlan(None, "it gives classes without probabilities")
    try:
        import onnxruntime  # noqa: F401
        import skl2onnx  # noqa: F401
    except ImportError as error:
        return OnnxPlan(None, f"{error.name} is not installed: pip install 'workbench[onnx]'")
    if _has_wide_thresholds(model.estimator):
        return OnnxPlan(None, "its trees compare float64 values, which a graph of trees narrows")
    try:
        probes = _probes(model, example)
        stock = _stock(model)
        expected = [stock(rows) for rows in probes]
    except Exception as error:  # an estimator of a kind nobody thought of
        return OnnxPlan(None, f"no rows to compare it on: {_in_a_line(error)}")
    problem = "no converter takes it"
    for convert in _ways(model):
        try:
            plan, difference = _checked(model, convert(), stock, probes, expected)
        except Exception as error:  # what a converter can't do, and what its graph can't run
            problem = _in_a_line(error)
        else:
            n_rows = sum(map(len, probes))
            return OnnxPlan(plan, f"within {difference:.1g} of scikit-learn on {n_rows} probe rows")
    return OnnxPlan(None, problem)


def _ways(model: LoadedModel) -> Iterator[Callable[[], Run]]:
    """Conversions to try, the nearest to scikit-learn first."""
    estimator, width = _without_threshold(model), len(model.columns)
    kind = type(last_step(estimator)).__module__
    if kind.startswith(_TREES):
        # Trees have graphs in float32 alone, to which scikit-learn narrows what they compare as well; the
        # steps before them must not be narrowed with them.
        yield lambda: _split_graph(estimator, width, model.dtype)
        return
    yield lambda: _graph(estimator, width, model.dtype)
    if kind.startswith(_SMOOTH):
        yield lambda: _narrowed(_graph(estimator, width, "float32"))


def _without_threshold(model: LoadedModel) -> Any:
    """The estimator whose probabilities the model's threshold is applied to."""
    from sklearn.pipeline import Pipeline

    estimator = model.estimator
    if model.threshold is None:
        return estimator
    if type(estimator) is Pipeline:
        *steps, (name, wrapper) = estimator.steps
        return Pipeline([*steps, (name, wrapper.estimator_)])
    return estimator.estimator_


def _has_wide_thresholds(estimator: Any) -> bool:
    parts = [estimator, *estimator.get_params(deep=True).values()]
    return any(type(part).__name__.startswith("HistGradientBoosting") for part in parts)


def _split_graph(estimator: Any, width: int, dtype: str) -> Run:
    import numpy as np
    from sklearn.pipeline import Pipeline

    if type(estimator) is not Pipeline or len(estimator.steps) < 2:
        return _narrowed(_graph(estimator, width, "float32"))
    before = _graph(estimator[:-1], width, dtype)
    between = before(np.zeros((1, width), dtype=dtype))[0].shape[1]
    last = _graph(estimator[-1], between, "float32")
    return lambda X: last(before(X)[0].astype(np.float32))


def _narrowed(run: Run) -> Run:
    import numpy as np

    return lambda X: run(X.astype(np.float32))


def _graph(estimator: Any, width: int, dtype: str) -> Run:
    """The estimator as a session of onnxruntime; raises whatever the converter does."""
    import onnxruntime
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    kind = DoubleTensorType if dtype == "float64" else FloatTensorType
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converters' own dealings with scikit-learn
        graph = to_onnx(estimator, initial_types=[("X", kind([None, width]))], options=options)
    settings = onnxruntime.SessionOptions()
    # A thread of its own would not outlive the fork of workers, and they share the processors already.
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return lambda X: session.run(None, {"X": X})


def _checked(
    model: LoadedModel,
    run: Run,
    stock: Callable[[np.ndarray], Answer],
    probes: Sequence[np.ndarray],
    expected: Sequence[Answer],
) -> tuple[Plan, float]:
    """The plan of a graph, and the largest difference; raises ValueError where it is too large."""
    import numpy as np

    read = _reader(model, run)
    unit = 1.0
    if model.classes is None:
        unit = max(float(np.abs(answer.values).max()) for answer in expected) or 1.0
    difference = 0.0
    for rows, right in zip(probes, expected, strict=True):
        answer = read(rows)
        if answer.values.shape != right.values.shape:
            raise ValueError(f"its graph answers {answer.values.shape}, not {right.values.shape}")
        difference = max(difference, float(np.abs(answer.values - right.values).max()) / unit)
        if not difference <= TOLERANCE:
            raise ValueError(
                f"its graph is {difference:.2g} from scikit-learn on probe rows, {TOLERANCE:g} is allowed"
            )
        _check_classes(model, answer, right)
    return _careful(model, read, stock), difference


def _check_classes(model: LoadedModel, answer: Answer, right: Answer) -> None:
    if right.chosen is None or answer.chosen is None:
        return
    is_clear = ~_is_close(model, right.values)
    if (answer.chosen != right.chosen)[is_clear].any():
        raise ValueError("its graph chooses other classes than scikit-learn on probe rows")


def _careful(model: LoadedModel, read: Callable[[np.ndarray], Answer], stock: Any) -> Plan:
    """A plan that asks scikit-learn about the rows that are close to a decision."""
    import numpy as np

    def plan(X: np.ndarray) -> Answer | None:
        if not (np.abs(X) < _NARROWEST).all():  # missing values and infinities too
            return None
        answer = read(X)
        if model.classes is None:
            return answer
        close = np.flatnonzero(_is_close(model, answer.values))
        if not len(close):
            return answer
        right = stock(X[close])
        answer.values[close] = right.values
        if answer.chosen is not None:
            answer.chosen[close] = right.chosen
        return answer

    return plan


def _is_close(model: LoadedModel, probabilities: np.ndarray) -> np.ndarray:
    """Which rows might be of another class if their probabilities were off by the tolerance."""
    import numpy as np

    if model.threshold is not None:
        return np.asarray(np.abs(probabilities[:, 1] - model.threshold) <= 2 * TOLERANCE)
    if probabilities.shape[1] == 2:
        return np.asarray(np.abs(probabilities[:, 1] - probabilities[:, 0]) <= 2 * TOLERANCE)
    highest = np.partition(probabilities, -2, axis=1)
    return np.asarray(highest[:, -1] - highest[:, -2] <= 2 * TOLERANCE)


def _reader(model: LoadedModel, run: Run) -> Callable[[np.ndarray], Answer]:
    """What a graph gives, as an answer in float64."""
    import numpy as np

    if model.classes is None:
        return lambda X: Answer(run(X)[0].reshape(len(X)).astype(np.float64))
    if _follows(model):
        return lambda X: Answer(run(X)[1].astype(np.float64))
    place = {label: position for position, label in enumerate(model.classes)}

    def read(X: np.ndarray) -> Answer:
        labels, probabilities = run(X)
        return Answer(
            probabilities.astype(np.float64), np.array([place[label] for label in labels.tolist()], dtype=int)
        )

    return read


def _stock(model: LoadedModel) -> Callable[[np.ndarray], Answer]:
    """The answers of scikit-learn, or of the plan that has its bits."""
    import numpy as np

    native, estimator = model.plan, model.estimator
    place = {label: position for position, label in enumerate(model.classes or ())}

    def answer(X: np.ndarray) -> Answer:
        found = native(X) if native is not None else None
        if found is not None:
            return found
        if model.classes is None:
            values = np.asarray(estimator.predict(X), dtype=np.float64)
            if values.ndim != 1:
                raise ValueError("it answers several values")
            return Answer(values)
        probabilities = np.asarray(estimator.predict_proba(X), dtype=np.float64)
        if _follows(model):
            return Answer(probabilities)
        labels = estimator.predict(X).tolist()
        return Answer(probabilities, np.array([place[label] for label in labels], dtype=int))

    return answer


def _follows(model: LoadedModel) -> bool:
    """Whether the class follows from the probabilities."""
    return model.one_call or model.threshold is not None


def _probes(model: LoadedModel, example: Any) -> list[np.ndarray]:
    import numpy as np

    probes = probe_batches(model.estimator, len(model.columns))
    if isinstance(example, np.ndarray) and len(example):
        rows = example[:_EXAMPLE_PROBES].astype(np.float64)
        rows = rows[np.isfinite(rows).all(axis=1)]
        if len(rows):
            factors = np.random.default_rng(21).normal(1, 0.2, size=(_EXAMPLE_PROBES, rows.shape[1]))
            around = rows[np.arange(_EXAMPLE_PROBES) % len(rows)] * factors
            probes += [rows, around]
    return [rows.astype(model.dtype) for rows in probes]


def _in_a_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:150]
    return (
        text
        if isinstance(error, ValueError) and text.startswith("its ")
        else f"{type(error).__name__}: {text}"
    )
