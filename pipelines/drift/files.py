"""A drift report from two plain data files: no project, no model, no data frames."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.drift.bands import CLASSIC_BANDS, FEATURE_BANDS, PREDICTION_BANDS
from pipelines.drift.checks import duplicates, outside_text
from pipelines.drift.columns import TableFile, count_column, profile_column, row_codes, shown
from pipelines.drift.evidence import SIGNIFICANT
from pipelines.drift.report import Check, DriftReport
from pipelines.drift.significance import unseen_rate
from pipelines.drift.tails import binomial_above
from pipelines.drift.verdicts import FeatureDrift, Options, Sample, judge
from store.counts import Counts
from store.errors import DataError
from store.profile import FeatureKind, FeatureProfile

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MAX_NAMED = 5
"""New categories that are named."""


def compare_files(
    reference: Path,
    current: Path,
    *,
    predictions: str | None = None,
    target: str | None = None,
    ignore: Collection[str] = (),
    ordered: bool = False,
    options: Options | None = None,
) -> DriftReport:
    """Judge the columns of `current` against those of `reference`.

    The column `predictions` is judged as what a model says, `target` is no feature; where both files have
    both, performance is compared too. `ordered`: the reference's rows come in order of time. Raises DataError
    for a file that can't be read and for a named column that isn't there.
    """
    options = options or Options()
    ref, cur = TableFile(reference), TableFile(current)
    for name in (predictions, target):
        if name is not None and name not in ref.names and name not in cur.names:
            raise DataError(
                f"neither {reference} nor {current} has a column {name!r}",
                f"The reference has {shown(ref.names)}.",
            )
    left_out = {predictions, target, *ignore}
    names = [name for name in ref.names if name not in left_out]
    if not names and predictions is None:
        raise DataError(f"{reference} has no columns to compare", "Give a file with a column a feature.")
    rows = _RowHashes(ref.rows, cur.rows)
    samples, checks = [], list[Check]()
    for name in names:
        sample, found = _sample(ref, cur, name, ordered, rows)
        samples.append(sample)
        checks += found
    new = [name for name in cur.names if name not in ref.names and name not in left_out]
    checks += [Check("new_column", "watch", f"{name} is not in the reference", feature=name) for name in new]
    copies = duplicates(*rows.copies("current"), rows.share("reference")) if names else None
    if copies is not None:
        checks.append(copies)
    features = judge(samples, options, bands=_bands(options, FEATURE_BANDS))
    prediction = None
    if predictions is not None:
        sample, _ = _sample(ref, cur, predictions, ordered, None)
        prediction = _judge_prediction(sample, options)
    performance: list[dict[str, Any]] = []
    if predictions is not None and target is not None:
        from pipelines.drift.file_performance import performance_of

        performance = performance_of(ref, cur, predictions, target)
    return DriftReport(
        reference_rows=ref.rows,
        current_rows=cur.rows,
        features=features,
        prediction=prediction,
        method=options.method,
        checks=checks,
        performance=performance,
        note=f"reference: {reference}; current: {current}",
    )


def _bands(options: Options, usual: Any) -> Any:
    return CLASSIC_BANDS if options.method == "classic" else usual


def _judge_prediction(sample: Sample, options: Options) -> FeatureDrift:
    plain = Options(options.method, options.bands, options.least_rows)
    return judge([sample], plain, bands=_bands(options, PREDICTION_BANDS))[0]


def _sample(
    ref: TableFile, cur: TableFile, name: str, ordered: bool, rows: _RowHashes | None
) -> tuple[Sample, list[Check]]:
    """One column of both files, counted over the reference's bins, and what else is odd about it."""
    if name not in ref.names:
        kind: FeatureKind = cur.kind(name)
        nothing = Counts(bins=(0,) * (0 if kind == "categorical" else 1))
        feature = FeatureProfile(name, kind, nothing)
        return Sample(feature, nothing, problem=f"the reference has no column {name!r}"), []
    kind = ref.kind(name)
    column = ref.read(name)
    feature = profile_column(name, kind, column, ordered=ordered)
    if rows is not None and name in cur.names:
        rows.add("reference", column)
    del column
    if name not in cur.names:
        nothing = Counts(bins=(0,) * len(feature.counts.bins), center=feature.counts.center)
        return Sample(feature, nothing, problem="the column is gone"), []
    column = cur.read(name)
    counts = count_column(feature, column)
    if rows is not None:
        rows.add("current", column)
    checks = []
    kind_now = cur.kind(name)
    is_text = kind_now == "categorical"
    if _sort(kind) != _sort(kind_now) and counts.n > counts.null:
        present = counts.n - counts.null
        if is_text and counts.nan >= 0.5 * present:
            return Sample(feature, counts, problem=f"the column was {kind} and is text"), []
        checks.append(Check("type_changed", "watch", f"{name} was {kind} and is {kind_now}", feature=name))
    if kind == "numeric":
        checks += _outside(feature, counts, column)
    if feature.is_categorical and counts.unseen:
        checks += _new_categories(feature, counts, column)
    return Sample(feature, counts), checks


def _sort(kind: FeatureKind) -> str:
    """What tells types apart: a truth is a number too."""
    return "numeric" if kind == "boolean" else kind


def _outside(feature: FeatureProfile, counts: Counts, column: pa.ChunkedArray) -> list[Check]:
    import numpy as np

    from pipelines.drift.columns import numbers_of

    if feature.minimum is None or feature.maximum is None or not counts.in_bins:
        return []
    numbers, _ = numbers_of(column)
    if numbers.min() >= feature.minimum and numbers.max() <= feature.maximum:
        return []
    numbers = numbers[np.isfinite(numbers)]
    outside = int(((numbers < feature.minimum) | (numbers > feature.maximum)).sum())
    present = len(numbers)
    share = outside / present
    severity = FEATURE_BANDS.severity(share)
    if severity == "ok" or present < 100:
        return []
    if binomial_above(outside - 1, present, unseen_rate(feature.counts.in_bins)) >= SIGNIFICANT:
        return []
    message = outside_text(
        feature.name, outside, present, "all of the reference", feature.minimum, feature.maximum
    )
    return [Check("out_of_range", severity, message, feature=feature.name, share=share, count=outside)]


def _new_categories(feature: FeatureProfile, counts: Counts, column: pa.ChunkedArray) -> list[Check]:
    """The new values by name, for information: how bad they are is the feature's own verdict."""
    from pipelines.drift.columns import categories_of

    found, _ = categories_of(column)
    new = {text: n for text, n in found.items() if text not in set(feature.categories)}
    ordered = sorted(new, key=lambda text: (-new[text], text))
    named = ", ".join(f"{text!r} ({new[text]})" for text in ordered[:MAX_NAMED])
    more = f" and {len(ordered) - MAX_NAMED} more" if len(ordered) > MAX_NAMED else ""
    return [
        Check(
            "new_categories",
            "ok",
            f"{feature.name} has values that the reference doesn't have: {named}{more}",
            feature=feature.name,
            share=counts.unseen / counts.n,
            count=counts.unseen,
        )
    ]


class _RowHashes:
    """Copies of rows among at most 20,000 of each side, found column by column."""

    def __init__(self, reference_rows: int, current_rows: int) -> None:
        import numpy as np

        from store.profile import DUPLICATE_ROWS

        self._places: dict[str, NDArray[Any]] = {}
        self._mixed: dict[str, NDArray[Any]] = {}
        for side, rows in (("reference", reference_rows), ("current", current_rows)):
            chosen = np.linspace(0, max(0, rows - 1), min(rows, DUPLICATE_ROWS)).astype(np.int64)
            self._places[side] = chosen
            self._mixed[side] = np.zeros(len(chosen), dtype=np.uint64)

    def add(self, side: str, column: pa.ChunkedArray) -> None:
        import numpy as np

        codes = row_codes(column, self._places[side]).astype(np.int64).view(np.uint64)
        mixed = self._mixed[side] * np.uint64(0x9E3779B97F4A7C15) + codes
        self._mixed[side] = mixed ^ (mixed >> np.uint64(29))

    def copies(self, side: str) -> tuple[int, int]:
        """How many rows equal an earlier one, of how many."""
        import numpy as np

        mixed = self._mixed[side]
        return len(mixed) - len(np.unique(mixed)), len(mixed)

    def share(self, side: str) -> float | None:
        copies, rows = self.copies(side)
        return copies / rows if rows else None
