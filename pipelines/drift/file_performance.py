"""Performance from files that hold predictions and what truly happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.records import class_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipelines.drift.columns import TableFile

MAX_CLASSES = 50


def performance_of(
    reference: TableFile, current: TableFile, predictions: str, target: str
) -> list[dict[str, Any]]:
    """Metrics of both files as `pipelines.performance` has them; empty where the reference lacks a column.

    Numbers with more than 20 different values in the target, or with fractions, are a regression. For two
    classes `predictions` may hold the probability of the second. Where the current file has no target, its
    performance is estimated.
    """
    if predictions not in current.names or not {predictions, target} <= {*reference.names}:
        return []
    from pipelines.performance.report import assess

    task, classes = _task(reference, target)
    held = _reference(task, _rows(reference, predictions, target, classes), classes)
    metrics: list[dict[str, Any]] = assess(_rows(current, predictions, target, classes), held)["metrics"]
    is_labelled = target in current.names
    return [one for one in metrics if one["estimated"] is not is_labelled]


def _task(file: TableFile, target: str) -> tuple[str, tuple[str, ...] | None]:
    import numpy as np

    from pipelines.drift.columns import categories_of, numbers_of

    column = file.read(target)
    if file.kind(target) == "numeric":
        numbers, _ = numbers_of(column)
        numbers = numbers[np.isfinite(numbers)]
        distinct = np.unique(numbers)
        if len(distinct) > 20 or bool((distinct % 1 != 0).any()):
            return "regression", None
    found, _ = categories_of(column)
    names = sorted(found, key=_by_value)[:MAX_CLASSES]
    return ("binary" if len(names) <= 2 else "multiclass"), tuple(names)


def _by_value(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text


def _rows(file: TableFile, predictions: str, target: str, classes: tuple[str, ...] | None) -> Any:
    import numpy as np

    from pipelines.drift.columns import array_of
    from pipelines.performance.rows import Rows

    nothing = np.zeros(file.rows, dtype=bool)
    is_labelled = target in file.names
    if classes is None:
        predicted = _numbers(file, predictions)
        actual = _numbers(file, target) if is_labelled else np.full(file.rows, np.nan)
        return Rows(None, predicted, actual, np.isfinite(predicted) & np.isfinite(actual), None)
    scores = _probabilities(file, predictions, classes)
    predicted = _codes(file, predictions, classes) if scores is None else (scores[:, 1] >= 0.5).astype(int)
    actual = _codes(file, target, classes) if is_labelled else np.full(file.rows, -1)
    known = array_of(file.read(target).is_valid()) if is_labelled else nothing
    return Rows(classes, predicted, actual, known, scores)


def _probabilities(file: TableFile, name: str, classes: tuple[str, ...]) -> NDArray[Any] | None:
    """Probabilities (n, 2), where the column holds numbers from 0 to 1 that aren't all classes."""
    import numpy as np

    if len(classes) != 2 or file.kind(name) != "numeric":
        return None
    positive = _numbers(file, name)
    given = positive[np.isfinite(positive)]
    if not given.size or given.min() < 0 or given.max() > 1 or bool(np.isin(given, (0.0, 1.0)).all()):
        return None
    return np.column_stack([1 - positive, positive])


def _numbers(file: TableFile, name: str) -> NDArray[Any]:
    from pipelines.drift.columns import numbers_in_place

    values: NDArray[Any] = numbers_in_place(file.read(name))
    return values


def _codes(file: TableFile, name: str, classes: tuple[str, ...]) -> NDArray[Any]:
    """Positions in `classes` (n,); -1 for others."""
    import numpy as np

    from pipelines.drift.columns import plain_array

    encoded = file.read(name).combine_chunks().dictionary_encode(null_encoding="encode")
    places = {text: place for place, text in enumerate(classes)}
    known = [-1 if v is None else places.get(class_text(v), -1) for v in encoded.dictionary.to_pylist()]
    codes: NDArray[Any] = np.asarray(known, dtype=np.int64)[plain_array(encoded.indices)]
    return codes


def _reference(task: str, rows: Any, classes: tuple[str, ...] | None) -> Any:
    from pipelines.metrics import Scores
    from pipelines.performance.reference import reference_of

    labelled = rows.with_labels()
    if classes is not None:
        labelled = labelled.select(labelled.actual >= 0)
    if len(labelled) < 2:
        return None
    return reference_of(task, labelled.actual, Scores(labelled.predicted, labelled.scores), classes)
