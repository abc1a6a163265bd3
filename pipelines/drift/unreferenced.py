"""What the predictions of a version without reference look like: means, missing shares and distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pipelines.drift.report import DriftReport
from pipelines.drift.verdicts import FeatureDrift, Options, Sample, judge
from store.counts import Counts
from store.layout import Layout
from store.profile import profile_feature
from store.slices import Key, Segment
from store.window_rows import WindowRows, window_rows

MAX_ROWS = 20_000
"""Rows of the window that are looked at, the newest."""
FEW_ROWS = 500
"""A window with fewer reaches back until it has so many."""
_REASON = "no reference to compare with"


def describe_window(
    layout: Layout,
    key: Key,
    length: timedelta | int,
    now: datetime,
    reach: timedelta,
    *,
    segment: Segment | None = None,
    note: str,
) -> DriftReport:
    """The newest window of a version that nothing is known to compare with: figures without verdicts.

    `length` is a time or a number of rows; `reach` is how far back a window with few rows goes.
    """
    rows, is_extended = None, False
    if isinstance(length, timedelta):
        rows = window_rows(layout, key, now - length, now, MAX_ROWS, segment=segment)
    if rows is None or rows.rows < FEW_ROWS:
        wanted = FEW_ROWS if isinstance(length, timedelta) else min(max(length, FEW_ROWS), MAX_ROWS)
        already = rows.rows if rows is not None else 0
        rows = window_rows(layout, key, now - reach, now, wanted, segment=segment)
        is_extended = rows is not None and isinstance(length, timedelta) and rows.rows > already
    found = DriftReport(
        reference_rows=None,
        current_rows=0,
        features=(),
        prediction=None,
        model=key.model,
        version=key.version,
        role=key.role,
        segment="" if segment is None else str(segment),
        start=now,
        end=now,
        note=note,
    )
    if rows is None:
        return found
    return replace(
        found,
        current_rows=rows.rows,
        features=[_described(name, one.kind, one.values) for name, one in rows.columns.items()],
        prediction=_prediction(rows),
        start=rows.start,
        end=rows.end,
        is_extended=is_extended,
    )


def _prediction(rows: WindowRows) -> FeatureDrift:
    if any(label is not None for label in rows.labels):
        return _described("prediction", "categorical", rows.labels)
    return _described("prediction", "numeric", rows.predictions)


def _described(name: str, kind: Literal["numeric", "categorical"], values: Sequence[Any]) -> FeatureDrift:
    feature = profile_feature(name, kind, values)
    nothing = Counts(bins=(0,) * len(feature.counts.bins), center=feature.counts.center)
    (found,) = judge([Sample(feature, feature.counts, nothing)], Options())
    return replace(found, reason=_REASON)
