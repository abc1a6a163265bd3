"""Counts over a feature's bins: of the reference, of a window, of five minutes. They merge exactly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from store.records import class_text, number

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """Values by bin, or by category in the reference's order; whatever is in no bin has its own counter."""

    bins: tuple[int, ...]
    null: int = 0
    """Not given."""
    nan: int = 0
    """Given, but not a number."""
    positive_infinite: int = 0
    negative_infinite: int = 0
    unseen: int = 0
    """Categories that the reference doesn't have."""
    center: float = 0.0
    """What `total` and `total_squares` are sums about: the reference's mean, so that nothing cancels."""
    total: float | None = None
    total_squares: float | None = None
    """None for categories, and for numbers too large to square."""

    @property
    def missing(self) -> int:
        return self.null + self.nan

    @cached_property
    def in_bins(self) -> int:
        return sum(self.bins)

    @cached_property
    def n(self) -> int:
        """All values, missing ones included."""
        return self.in_bins + self.missing + self.positive_infinite + self.negative_infinite + self.unseen

    @property
    def mean(self) -> float | None:
        """Mean of the finite numbers; None for categories and where there is none."""
        if self.total is None or not self.in_bins:
            return None
        return self.center + self.total / self.in_bins

    @property
    def sd(self) -> float | None:
        """Standard deviation (n - 1) of the finite numbers; None below two of them."""
        n = self.in_bins
        if self.total is None or self.total_squares is None or n < 2:
            return None
        return math.sqrt(max(0.0, (self.total_squares - self.total * self.total / n) / (n - 1)))

    def merge(self, other: Counts) -> Counts:
        """Counts of both together; raises ValueError where they are over different bins."""
        if len(self.bins) != len(other.bins) or self.center != other.center:
            raise ValueError("counts over different bins don't merge")
        return Counts(
            bins=tuple(a + b for a, b in zip(self.bins, other.bins, strict=True)),
            null=self.null + other.null,
            nan=self.nan + other.nan,
            positive_infinite=self.positive_infinite + other.positive_infinite,
            negative_infinite=self.negative_infinite + other.negative_infinite,
            unseen=self.unseen + other.unseen,
            center=self.center,
            total=_sum(self.total, other.total),
            total_squares=_sum(self.total_squares, other.total_squares),
        )

    __add__ = merge

    def as_json(self) -> dict[str, Any]:
        """Only what isn't zero, and the bins."""
        values: dict[str, Any] = {"bins": list(self.bins)}
        for name in ("null", "nan", "positive_infinite", "negative_infinite", "unseen"):
            if getattr(self, name):
                values[name] = getattr(self, name)
        if self.total is not None:
            values |= {"center": self.center, "total": self.total, "total_squares": self.total_squares}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Counts:
        return cls(**{**values, "bins": tuple(values["bins"])})


def count_numbers(values: NDArray[Any], null: int, edges: Sequence[float], center: float) -> Counts:
    """Counts of numbers (n,) over the bins of `edges`; `null` more were not given."""
    import numpy as np

    from store.binning import bin_counts

    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        about_center = finite - center
        total, total_squares = float(about_center.sum()), float(np.square(about_center).sum())
    representable = math.isfinite(total) and math.isfinite(total_squares)
    return Counts(
        bins=tuple(bin_counts(finite, np.asarray(edges, dtype=np.float64)).tolist()),
        null=null,
        nan=int(np.isnan(values).sum()),
        positive_infinite=int((values == np.inf).sum()),
        negative_infinite=int((values == -np.inf).sum()),
        center=center,
        total=total if representable else None,
        total_squares=total_squares if representable else None,
    )


def count_categories(texts: Sequence[str | None], categories: Sequence[str]) -> Counts:
    """Counts of texts in the order of `categories`."""
    found = Counter(texts)
    null = found.pop(None, 0)
    bins = tuple(found.pop(category, 0) for category in categories)
    return Counts(bins=bins, null=null, unseen=found.total())


def center_of(finite: NDArray[Any]) -> float:
    """The mean of finite numbers (n,), or 0 where there is none or it isn't finite."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(finite.mean()) if finite.size else 0.0
    return mean if math.isfinite(mean) else 0.0


def as_numbers(values: Any) -> tuple[NDArray[Any], int]:
    """Numbers (n,) of any column, NaN and infinities kept, and how many more were not given.

    Booleans are 0 and 1, dates epoch seconds (a time without zone is UTC), text is read as a number or is
    NaN.
    """
    import numpy as np

    array = values.to_numpy() if hasattr(values, "to_numpy") else values
    if not isinstance(array, np.ndarray):
        array = _object_array(array)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64), 0
    if array.dtype.kind == "M":
        given = array[~np.isnat(array)]
        return given.astype("datetime64[us]").astype(np.int64) / 1e6, int(len(array) - len(given))
    given = [value for value in array.tolist() if not _is_null(value)]
    return np.array([_as_number(value) for value in given], dtype=np.float64), len(array) - len(given)


def as_texts(values: Any) -> list[str | None]:
    """Texts of any column; None where a value is missing in whichever way."""
    import numpy as np

    array = values.to_numpy() if hasattr(values, "to_numpy") else values
    if isinstance(array, np.ndarray):
        array = array.tolist()
    return [None if _is_missing(value) else class_text(value) for value in array]


def numbers_in_place(values: Any) -> NDArray[Any]:
    """Numbers (n,) of any column as `as_numbers` has them, each at its row; NaN where there is none."""
    import numpy as np

    numbers, null = as_numbers(values)
    if not null:
        return numbers
    array = values.to_numpy() if hasattr(values, "to_numpy") else values
    if isinstance(array, np.ndarray) and array.dtype.kind == "M":
        given = ~np.isnat(array)
    else:
        given = np.array([not _is_null(value) for value in array], dtype=bool)
    placed = np.full(len(given), np.nan)
    placed[given] = numbers
    return placed


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def _object_array(values: Sequence[Any]) -> NDArray[Any]:
    import numpy as np

    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def _is_null(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _is_missing(value: Any) -> bool:
    return _is_null(value) or (isinstance(value, float) and math.isnan(value))


def _as_number(value: Any) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    if isinstance(value, float):
        return value
    if isinstance(value, str) and value.strip().lower() in ("inf", "-inf", "infinity", "-infinity"):
        return float(value)
    found = number(value)
    return math.nan if found is None else found
