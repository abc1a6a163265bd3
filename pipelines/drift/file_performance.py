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
    """Metrics of both files as `pipelines.performance` has them; empty where one lacks a column.

    Numbers with more than 20 different values in the target, or with fractions, are a regression.
    """
    if any(name not in file.names for file in (reference, current) for name in (predictions, target)):
        return []
    from pipelines.performance.report import assess

    task, classes = _task(reference, target)
    before = _rows(reference, predictions, target, classes)
    held = _reference(task, before, classes)
    details = assess(_rows(current, predictions, target, classes), held)
    return [one for one in details["metrics"] if not one["estimated"]]


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

    from pipelines.performance.rows import Rows

    if classes is None:
        predicted, actual = (_numbers(file, name) for name in (predictions, target))
        return Rows(None, predicted, actual, np.isfinite(predicted) & np.isfinite(actual), None)
    predicted, actual = (_codes(file, name, classes) for name in (predictions, target))
    known = np.asarray(file.read(target).is_valid().to_numpy())
    return Rows(classes, predicted, actual, known, None)


def _numbers(file: TableFile, name: str) -> NDArray[Any]:
    from pipelines.drift.columns import numbers_in_place

    values: NDArray[Any] = numbers_in_place(file.read(name))
    return values


def _codes(file: TableFile, name: str, classes: tuple[str, ...]) -> NDArray[Any]:
    """Positions in `classes` (n,); -1 for others."""
    import numpy as np

    encoded = file.read(name).combine_chunks().dictionary_encode(null_encoding="encode")
    places = {text: place for place, text in enumerate(classes)}
    known = [-1 if v is None else places.get(class_text(v), -1) for v in encoded.dictionary.to_pylist()]
    codes: NDArray[Any] = np.asarray(known, dtype=np.int64)[encoded.indices.to_numpy()]
    return codes


def _reference(task: str, rows: Any, classes: tuple[str, ...] | None) -> Any:
    from pipelines.performance.reference import PerformanceReference
    from pipelines.performance.report import _figures

    figures = {figure.metric: figure for figure in _figures(rows.with_labels())}
    return PerformanceReference(figures) if figures else None
