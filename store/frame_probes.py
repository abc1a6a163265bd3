"""Rows of mixed columns to compare a plan with scikit-learn on: usual and missing values, new categories,
numbers near and far, alone and together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from store.frame_parts import Branch, Parts

if TYPE_CHECKING:
    import numpy as np

    from store.model_files import ColumnSpec

_NEW_TEXTS = ("", " ", "none of those", "NaN", "None", "0", "1.0", "Ü" * 40, "\U0001f6b2")
_EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e9, -1e18, 1e37)
_FIRST_DAY = datetime(1969, 12, 30, 22, 15, 59, 123457, tzinfo=UTC)
_USUAL = (1, 2, 33, 100)
_MIXED = (1, 7, 40, 1)
ASKED = 9
"""Of the probes, the first ones: on these the whole model is asked for its answer as well."""
_MOST_SINGLE = 64
"""Columns of which one alone is missing in a probe; of more, only these are looked at so."""

Known = Mapping[int, Sequence[Any]]


def probe_rows(
    columns: Sequence[ColumnSpec], parts: Parts, known: Known, refused: Sequence[int]
) -> Iterator[tuple[list[list[Any]], bool]]:
    """Batches of rows, and whether they are of values that every model of this kind takes."""
    import numpy as np

    random = np.random.default_rng(22)
    scales = [_scale(parts.branches, place) for place in range(len(columns))]

    def rows(number: int, missing: float = 0.0, odd: float = 0.0) -> list[list[Any]]:
        return [
            [
                None
                if place not in refused and random.random() < missing
                else _value(random, column, known.get(place, ()), scales[place], random.random() < odd)
                for place, column in enumerate(columns)
            ]
            for _ in range(number)
        ]

    for number in _USUAL:
        yield rows(number), True
    for number in _MIXED:
        yield rows(number, missing=0.3, odd=0.3), False
    yield rows(8, odd=1.0), False
    yield rows(1, missing=1.0), False
    yield rows(3, missing=1.0), False


def single_missing(
    columns: Sequence[ColumnSpec], parts: Parts, known: Known
) -> Iterator[tuple[int, list[Any]]]:
    """For each column a row that lacks its value alone."""
    import numpy as np

    random = np.random.default_rng(23)
    for place in range(min(len(columns), _MOST_SINGLE)):
        yield (
            place,
            [
                None
                if at == place
                else _value(random, column, known.get(at, ()), _scale(parts.branches, at), is_odd=False)
                for at, column in enumerate(columns)
            ],
        )


def _value(
    random: np.random.Generator,
    column: ColumnSpec,
    known: Sequence[Any],
    scale: tuple[float, float],
    is_odd: bool,
) -> Any:
    """A value as a checked request has it: a whole number is a float too."""
    if column.type == "boolean":
        return bool(random.random() < 0.5)
    if column.type == "datetime":
        spread = timedelta(days=60_000 if is_odd else 20_000)
        return _FIRST_DAY + random.random() * spread
    if known and not is_odd:
        return known[int(random.integers(len(known)))]
    if column.type == "string" or (known and isinstance(known[0], str)):
        return _NEW_TEXTS[int(random.integers(len(_NEW_TEXTS)))]
    number = _EDGES[int(random.integers(len(_EDGES)))] if is_odd else float(random.normal(*scale))
    if column.type in ("long", "integer"):
        return float(round(max(min(number, 2.0**30), -(2.0**30))))
    return number


def _scale(branches: Sequence[Branch], place: int) -> tuple[float, float]:
    """About where a column's numbers are, and how far they are spread, as its transformers have learnt it."""
    import math

    for branch in branches:
        if place not in branch.places:
            continue
        at = branch.places.index(place)
        for step in branch.steps:
            for center, spread in (("mean_", "scale_"), ("center_", "scale_"), ("data_min_", "data_range_")):
                centers, spreads = getattr(step, center, None), getattr(step, spread, None)
                if centers is None or spreads is None or len(centers) != len(branch.places):
                    continue
                middle, width = float(centers[at]), float(spreads[at])
                if math.isfinite(middle) and math.isfinite(width) and 0 < width < 1e30:
                    return middle, width
    return 0.0, 3.0
