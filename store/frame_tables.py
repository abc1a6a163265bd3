"""Asks a pipeline's own transformers what becomes of every category, and keeps the answers as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from store.frame_encoder import Categories, FrameEncoder, Numbers, Times
from store.frame_parts import Branch, Parts, is_dates
from store.frame_steps import Step, array_step, calling_step
from store.frames import build_frame

if TYPE_CHECKING:
    import numpy as np

    from store.model_files import ColumnSpec

_NUMBERS = ("double", "long", "integer", "boolean", "any")
_TEXTS = ("string", "any")
_MOST_CELLS = 4_000_000
"""Answers that are asked for of one column, in numbers: beyond that loading would take too long."""
_MOST_KEPT = 1_000_000
_CHUNK_CELLS = 1_000_000
NEW_TEXT = "\u2063 none of those \u2063"


def make_encoder(parts: Parts, columns: Sequence[ColumnSpec]) -> FrameEncoder | None:
    """The encoder of a pipeline's first part; None where it does what isn't known. Not yet verified."""
    import numpy as np

    if any(column.type in ("float", "binary") for column in columns):
        return None
    numbers = numbers_of(parts, columns)
    asked = [(branch, place) for branch in parts.branches if branch.is_categorical for place in branch.places]
    if numbers is None or not all(branch.is_by_column for branch, _ in asked):
        return None
    background = np.zeros(parts.width)
    tables = []
    if asked:
        known = {place: known_values(parts, place) for _, place in asked}
        if any(values is None for values in known.values()):
            return None
        base = [_ordinary(column, known.get(place)) for place, column in enumerate(columns)]
        background = transformed(parts, columns, [base])[0]
        for branch, place in asked:
            table = _table(parts, columns, base, branch, place, known[place] or [], background)
            if table is None:
                return None
            tables.append(table)
    return FrameEncoder(
        width=parts.width,
        background=background,
        numbers=numbers,
        outputs=tuple(number.outputs for number in numbers),
        categories=tuple(tables),
    )


def numbers_of(parts: Parts, columns: Sequence[ColumnSpec]) -> tuple[Numbers | Times, ...] | None:
    """What becomes of the columns that aren't categories; None where that isn't known."""
    found = [_numbers(branch, columns) for branch in parts.branches if not branch.is_categorical]
    known = tuple(numbers for numbers in found if numbers is not None)
    return known if len(known) == len(found) else None


def transformed(parts: Parts, columns: Sequence[ColumnSpec], rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """What scikit-learn makes of the rows, as a float64 array; whatever it raises passes through."""
    import numpy as np

    found = handed_on(parts, columns, rows)
    if found.dtype == np.float32 or found.ndim != 2 or found.shape[1] != parts.width:
        raise ValueError(f"an array of {found.dtype} and {found.shape}")
    return found.astype(np.float64)


def handed_on(parts: Parts, columns: Sequence[ColumnSpec], rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """The same, of the type of elements that scikit-learn gives it."""
    import numpy as np
    from scipy.sparse import issparse

    frame = build_frame(columns, {c.name: [row[i] for row in rows] for i, c in enumerate(columns)})
    found: Any = frame if parts.first is None else parts.first.transform(frame)
    return np.asarray(found.toarray() if issparse(found) else found)


def known_values(parts: Parts, place: int) -> list[Any] | None:
    """All values of a column that a transformer up to the encoder knows; None where they are neither all
    texts nor all numbers."""
    values: dict[Any, None] = {}
    for branch in parts.branches:
        if not branch.is_categorical or place not in branch.places:
            continue
        at = branch.places.index(place)
        for step in branch.steps:
            learned = getattr(step, "categories_", getattr(step, "statistics_", None))
            if learned is None or len(learned) != len(branch.places):
                return None
            entry = learned[at]
            entries: list[Any] = entry.tolist() if getattr(entry, "ndim", 0) else [entry]
            values.update(dict.fromkeys([*entries, getattr(step, "missing_values", None)]))
            if hasattr(step, "categories_"):
                break
    present = [value for value in values if value is not None and not _is_nan(value)]
    n_texts = sum(isinstance(value, str) for value in present)
    if n_texts == len(present):
        return present
    try:
        return None if n_texts else list(dict.fromkeys(float(value) for value in present))
    except (TypeError, ValueError):
        return None


def _is_nan(value: Any) -> bool:
    try:
        return bool(value != value)
    except TypeError:  # pandas' own missing value, which is neither equal nor unequal to anything
        return True


def _numbers(branch: Branch, columns: Sequence[ColumnSpec]) -> Numbers | Times | None:
    steps = branch.steps
    if steps and is_dates(steps[0]):
        rest = _steps(steps[1:])
        if rest is None or any(columns[place].type != "datetime" for place in branch.places):
            return None
        return Times(branch.places, tuple(steps[0].has_hours_), rest, branch.outputs)
    if any(columns[place].type not in _NUMBERS for place in branch.places):
        return None
    found = _steps(steps)
    if found is None:
        return None
    loose = tuple(place for place in branch.places if columns[place].type == "any")
    return Numbers(branch.places, found, branch.outputs, loose)


def _steps(transformers: Sequence[Any]) -> tuple[Step, ...] | None:
    found = []
    for transformer in transformers:
        step = array_step(transformer) or calling_step(transformer)
        if step is None:
            return None
        found.append(step)
    return tuple(found)


def _ordinary(column: ColumnSpec, known: list[Any] | None) -> Any:
    if known:
        return known[0]
    if column.type == "datetime":
        return datetime(2024, 2, 29, 13, 30, tzinfo=UTC)
    if column.type == "boolean":
        return True
    return "a" if column.type == "string" else 1.0


def _table(
    parts: Parts,
    columns: Sequence[ColumnSpec],
    base: Sequence[Any],
    branch: Branch,
    place: int,
    known: list[Any],
    background: np.ndarray,
) -> Categories | None:
    """The table of a column; writes what most categories leave into `background`."""
    import numpy as np

    column = columns[place]
    kind: type = str if known and isinstance(known[0], str) else float
    if not known or column.type not in (_TEXTS if kind is str else _NUMBERS):
        return None
    if len(known) * parts.width > _MOST_CELLS:
        return None
    if kind is float:
        known = [value for value in known if _fits(column, value)]
    special = [None, NEW_TEXT if kind is str else _new_number(column, known)]

    def ask(values: Sequence[Any]) -> np.ndarray:
        rows = [[*base[:place], value, *base[place + 1 :]] for value in values]
        return transformed(parts, columns, rows)[:, branch.outputs]

    size = max(1, _CHUNK_CELLS // parts.width)
    answers: list[Any] = []
    codes: dict[Any, int] = {}
    for start in range(0, len(known), size):
        chunk = known[start : start + size]
        answers += list(ask(chunk))
        codes.update(zip(chunk, range(start, start + len(chunk)), strict=True))
    found: list[int | None] = []
    for value in special:
        try:
            answers.append(ask([value])[0])
            found.append(len(answers) - 1)
        except (ValueError, TypeError):
            found.append(None)
    missing, new = found
    if special[1] is None:
        new = None
    table = np.array(answers)
    start = branch.outputs.start or 0
    first = table[0]
    own = np.flatnonzero(((table != first) & ~(np.isnan(table) & np.isnan(first))).any(axis=0))
    usual = np.array([_most_frequent(table[:, position]) for position in own], dtype=np.float64)
    background[start + own] = usual
    positions, values = _packed(table[:, own], start + own, usual)
    if values.size > _MOST_KEPT:
        return None
    return Categories(
        place, codes, missing, new, kind, positions, values, takes_booleans=column.type != "any"
    )


def _packed(table: np.ndarray, own: np.ndarray, usual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the values of each code differ from the usual ones, and these values: one for most encoders."""
    import numpy as np

    differs = (table != usual) & ~(np.isnan(table) & np.isnan(usual))
    depth = int(differs.sum(axis=1).max()) if differs.size else 0
    # Those that differ come first; a code with fewer than others repeats some of the usual values.
    order = np.argsort(~differs, axis=1, kind="stable")[:, :depth]
    return own[order], np.take_along_axis(table, order, axis=1)


def _most_frequent(values: np.ndarray) -> float:
    import numpy as np

    found, counts = np.unique(values, return_counts=True)
    return float(found[counts.argmax()])


def _fits(column: ColumnSpec, value: float) -> bool:
    if column.type in ("long", "integer"):
        return value.is_integer() and abs(value) < 2**31
    return math.isfinite(value) and (column.type != "boolean" or value in (0.0, 1.0))


def _new_number(column: ColumnSpec, known: Sequence[float]) -> Any:
    """A number that is none of the known ones; None where there is none."""
    if column.type == "boolean":
        return next((value for value in (0.0, 1.0) if value not in known), None)
    return max((abs(value) for value in known), default=0.0) + 1.0
