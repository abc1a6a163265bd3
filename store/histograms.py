"""Counting logged rows over the bins of a reference, by five minutes: in numpy, many rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from store.profile import FeatureProfile, Profile

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from store.views import Feature

BUCKET_US = 300_000_000
"""Length of a bucket in microseconds: five minutes."""

SeriesKind = Literal["feature", "prediction", "score"]

N_EXTRA = 5
"""Counters after the bins: null, NaN, +inf, -inf, unseen."""
_NULL, _NAN, _POSITIVE, _NEGATIVE, _UNSEEN = range(N_EXTRA)


@dataclass(frozen=True)
class Bins:
    """What is counted of a model version: a feature, the prediction or its score, and over which bins."""

    kind: SeriesKind
    feature: str
    edges: tuple[float, ...] | None
    """None for categories."""
    categories: tuple[str, ...] | None
    center: float

    @property
    def width(self) -> int:
        """Number of bins."""
        return len(self.categories) if self.categories is not None else len(self.edges or ()) + 1

    @classmethod
    def of(cls, kind: SeriesKind, profile: FeatureProfile) -> Bins:
        if profile.is_categorical:
            return cls(kind, profile.name, None, profile.categories, 0.0)
        return cls(kind, profile.name, profile.edges, None, profile.counts.center)


def bins_of(profile: Profile) -> list[Bins]:
    """Everything that is counted of a version with this reference."""
    found = [Bins.of("feature", feature) for feature in profile.features]
    found.append(Bins.of("prediction", profile.prediction))
    if profile.score is not None:
        found.append(Bins.of("score", profile.score))
    return found


@dataclass(frozen=True)
class Tally:
    """Counts of one series of a model version and role, for each of some buckets."""

    model: str
    version: int
    role: str
    bins: Bins
    buckets: NDArray[Any]
    """Starts (n,), microseconds since 1970."""
    counts: NDArray[Any]
    """(n, bins.width + N_EXTRA)."""
    totals: NDArray[Any]
    squares: NDArray[Any]
    """Sums (n,) about the center of the finite numbers, and of their squares; NaN where too large."""


def tally(
    rows: pa.Table,
    bins: Mapping[tuple[str, int], Sequence[Bins]],
    schemas: Mapping[str, Sequence[Feature]],
) -> Iterator[Tally]:
    """Count rows with the columns of the table `predictions` over the bins of their model versions.

    Rows of versions without bins are left out, as are features whose values were not logged.
    """
    import pyarrow.compute as pc

    keys = ["model", "version", "role", "schema_id"]
    groups = rows.select(keys).group_by(keys).aggregate([]).to_pylist()
    for group in groups:
        of_version = bins.get((group["model"], group["version"]))
        if not of_version:
            continue
        selected = rows
        if len(groups) > 1:
            mask = None
            for key in keys:
                same = pc.equal(rows[key], group[key])
                mask = same if mask is None else pc.and_(mask, same)
            selected = rows.filter(mask)
        whose = (group["model"], group["version"], group["role"])
        yield from _tally_group(selected, whose, of_version, schemas.get(group["schema_id"], ()))


def _tally_group(
    rows: pa.Table, whose: tuple[str, int, str], bins: Sequence[Bins], features: Sequence[Feature]
) -> Iterator[Tally]:
    buckets, place = _buckets(rows)
    slots = {name: (kind, slot) for name, kind, slot in features}
    columns = {kind: ListColumn(rows[kind]) for kind in ("numeric", "categorical")}
    for one in bins:
        if one.kind == "feature":
            kind, slot = slots.get(one.feature, ("", 0))
            if kind != ("numeric" if one.categories is None else "categorical"):
                continue
            values, chosen = columns[kind].values(slot), columns[kind].chosen
            if values is None:
                continue
            where = place if chosen is None else place[chosen]
        else:
            values, where = _result(rows, one), place
            if values is None:
                continue
        counted = _count(values, where, len(buckets), one)
        if counted is not None:
            yield Tally(*whose, one, buckets, *counted)


def _buckets(rows: pa.Table) -> tuple[NDArray[Any], NDArray[Any]]:
    """The buckets that the rows lie in, and which of them each row lies in."""
    import numpy as np
    import pyarrow as pa

    times = rows["predicted_at"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    buckets, place = np.unique(times // BUCKET_US, return_inverse=True)
    return buckets * BUCKET_US, place.astype(np.int64)


def _result(rows: pa.Table, one: Bins) -> Any:
    import numpy as np

    if one.kind == "prediction":
        return _plain(rows["label" if one.categories is not None else "prediction"])
    probability = rows["probability"]
    if probability.null_count < len(probability):
        return _plain(probability)
    lists = _plain(rows["probabilities"])
    if lists.null_count == len(lists):
        return None
    width = lists.value_lengths().drop_null()[0].as_py()
    matrix = ListColumn(lists)
    if width == 0 or matrix.chosen is not None:
        return None
    if width == 2:
        return matrix.values(2)
    import pyarrow as pa

    return pa.array(
        np.max([matrix.values(slot).to_numpy(zero_copy_only=False) for slot in range(1, width + 1)], 0)
    )


class ListColumn:
    """The columns within a column of lists: values of one slot of all rows that have any."""

    def __init__(self, column: Any) -> None:
        import numpy as np

        array = _plain(column)
        lengths = array.value_lengths().fill_null(0).to_numpy()
        self._width = int(lengths.max()) if len(lengths) else 0
        self.chosen: NDArray[Any] | None = None
        """Which rows have values; None where all do."""
        if self._width and lengths.min() != self._width:
            self.chosen = lengths == self._width
            array = array.filter(_mask(self.chosen))
        self._flat = array.flatten()
        self._rows = np.arange(len(array)) * self._width
        self._matrix: NDArray[Any] | None = None
        if self._width and self._flat.null_count == 0 and _is_number(self._flat):
            self._matrix = self._flat.to_numpy().reshape(-1, self._width)

    def values(self, slot: int) -> Any:
        """Values (n,) of the slot, from 1; None where no row has it."""
        import numpy as np

        if not 1 <= slot <= self._width:
            return None
        if self._matrix is not None:
            return _mask(np.ascontiguousarray(self._matrix[:, slot - 1]))
        return self._flat.take(_mask(self._rows + (slot - 1)))


def _is_number(values: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_float64(values.type))


def _mask(values: NDArray[Any]) -> Any:
    import pyarrow as pa

    return pa.array(values)


def _plain(column: Any) -> Any:
    """A column as one array, without dictionaries."""
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _count(
    values: Any, place: NDArray[Any], n_buckets: int, bins: Bins
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    import numpy as np

    width = bins.width + N_EXTRA
    totals = squares = np.full(n_buckets, np.nan)
    if bins.categories is None:
        numbers, codes, finite = _number_codes(values, bins)
        with np.errstate(over="ignore", invalid="ignore"):
            about = np.where(finite, numbers - bins.center, 0.0)
            totals = np.bincount(place, about, minlength=n_buckets)
            squares = np.bincount(place, about * about, minlength=n_buckets)
            fits = np.isfinite(totals) & np.isfinite(squares)
            totals, squares = np.where(fits, totals, np.nan), np.where(fits, squares, np.nan)
    else:
        codes = _category_codes(values, bins)
    counts = np.bincount(place * width + codes, minlength=n_buckets * width)
    return counts.reshape(n_buckets, width), totals, squares


def _number_codes(values: Any, bins: Bins) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    import numpy as np

    numbers = values.to_numpy(zero_copy_only=False)
    codes = np.searchsorted(np.asarray(bins.edges, dtype=np.float64), numbers, side="left").astype(np.int64)
    finite = np.isfinite(numbers)
    if not finite.all():
        codes[np.isnan(numbers)] = bins.width + _NAN
        codes[numbers == np.inf] = bins.width + _POSITIVE
        codes[numbers == -np.inf] = bins.width + _NEGATIVE
        if values.null_count:
            codes[values.is_null().to_numpy(zero_copy_only=False)] = bins.width + _NULL
    return numbers, codes, finite


def _category_codes(values: Any, bins: Bins) -> NDArray[Any]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.index_in(values, value_set=pa.array(bins.categories, type=values.type))
    codes: NDArray[Any] = known.fill_null(bins.width + _UNSEEN).to_numpy().astype(np.int64)
    if values.null_count:
        codes[values.is_null().to_numpy(zero_copy_only=False)] = bins.width + _NULL
    return codes
