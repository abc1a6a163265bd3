"""The windows of a served version, judged against its reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipelines.drift.baseline import Baselines
from pipelines.drift.checks import duplicates, limits_of, out_of_range
from pipelines.drift.report import Check, DriftReport
from pipelines.drift.verdicts import Sample, judge, judge_prediction
from pipelines.drift.windows import BUCKET, Watched, Window, WindowCutter, extended, up, window_of
from store.counts import Counts
from store.findings import Finding, recent
from store.layout import Layout
from store.predictions import PredictionReader
from store.row_faults import row_faults
from store.series import SeriesReader
from store.shared_reading import shared_reading
from store.slices import Key, Segment, SliceReader

PerformanceOf = Callable[[Key, datetime, datetime], list[dict[str, Any]]]


class LiveDrift:
    """Judges windows of one project's log. Safe for one thread."""

    def __init__(self, layout: Layout, *, performance: PerformanceOf | None = None) -> None:
        self._layout = layout
        self._series = SeriesReader(layout)
        self._slices = SliceReader(layout)
        self._rows = PredictionReader(layout)
        self._windows = WindowCutter(self._series, self._slices)
        self._baselines = Baselines(self._series, self._slices)
        self._performance = performance

    def report(self, watched: Watched, now: datetime, *, with_rows: bool = True) -> DriftReport:
        """The newest window, which ends now; `with_rows` looks at single rows for values out of range too."""
        with shared_reading(self._layout):
            window = self._windows.newest(watched, now)
            if window is None:
                return self._judged(watched, Window(now, now, 0, {}), with_rows=False)
            return self._judged(watched, window, with_rows=with_rows)

    def due(self, watched: Watched, now: datetime, last: Finding | None) -> list[Finding]:
        """Verdicts on the windows that have ended since `last`, oldest first, and on their segments."""
        found = []
        for window in self._windows.ended(watched, now, None if last is None else last.end):
            found.append(finding_of(watched.key, self._judged(watched, window, with_rows=True)))
            found += self._segments(watched, window)
        return found

    def history(self, watched: Watched, now: datetime, windows: int = 48) -> list[Finding]:
        """Verdicts for a chart on the latest windows, oldest first, from the counts alone; nothing is kept.

        The last one ends now, and may not be over; those without rows are left out.
        """
        length = watched.length
        if isinstance(length, int):
            found = self._windows.ended_by_count(watched, length, None)[-windows:]
        else:
            end = up(now, BUCKET)
            stretches = self._windows.stretches(watched, end - windows * length, end)
            found = [
                window
                for place, stretch in enumerate(stretches)
                if stretch.rows and (window := extended(stretches[: place + 1])) is not None
            ]
        return [finding_of(watched.key, self._judged(watched, one, with_rows=False)) for one in found]

    def segment_report(self, watched: Watched, segment: Segment, now: datetime) -> DriftReport:
        """The newest window of one segment."""
        window = self._windows.newest(watched, now)
        part = None
        if window is not None:
            part = self._slices.between(watched.key, watched.profile, window.start, window.end, segment)
        if part is None:
            return self._judged(watched, Window(now, now, 0, {}), with_rows=False, segment=segment)
        return self._judged(watched, window_of(part), with_rows=False, segment=segment)

    def _segments(self, watched: Watched, window: Window) -> list[Finding]:
        found: list[Finding] = []
        for column in watched.settings.segments:
            values = self._slices.segment_values(watched.key, column, window.start, window.end)
            for value in values:
                segment = Segment(column, value)
                part = self._slices.between(watched.key, watched.profile, window.start, window.end, segment)
                if part is None:
                    continue
                report = self._judged(watched, window_of(part), with_rows=False, segment=segment)
                # The segment's window is that of all rows, so that its history has the same steps.
                found.append(replace(finding_of(watched.key, report), start=window.start, end=window.end))
        return found

    def _judged(
        self, watched: Watched, window: Window, *, with_rows: bool, segment: Segment | None = None
    ) -> DriftReport:
        key, profile, options = watched.key, watched.profile, watched.options
        baseline = self._baselines.of(watched, window, segment)
        samples = []
        for feature in profile.features:
            if segment is not None and feature.name == segment.column:
                continue  # all of a segment's rows have the same value of it
            counts = window.counts.get(("feature", feature.name))
            against = baseline.counts.get(("feature", feature.name))
            samples.append(Sample(feature, counts or _nothing(feature.counts), against))
        features = judge(samples, options, block_rows=profile.block_rows)
        prediction = judge_prediction(
            profile,
            window.counts.get(("prediction", profile.prediction.name)) or _nothing(profile.prediction.counts),
            window.counts.get(("score", profile.score.name)) if profile.score is not None else None,
            options,
            references=baseline.of_answers(),
        )
        checks: list[Check] = []
        if with_rows and window.rows:
            checks = self._row_checks(watched, window)
        performance: list[dict[str, Any]] = []
        if self._performance is not None and segment is None and window.rows:
            performance = self._performance(key, window.start, window.end)
        return DriftReport(
            reference_rows=baseline.rows,
            current_rows=window.rows,
            features=features,
            prediction=prediction,
            model=key.model,
            version=key.version,
            role=key.role,
            segment="" if segment is None else str(segment),
            method=options.method,
            start=window.start,
            end=window.end,
            is_extended=window.is_extended,
            checks=checks,
            performance=performance,
            note=baseline.note or self._series.note or self._slices.note,
        )

    def _row_checks(self, watched: Watched, window: Window) -> list[Check]:
        profile = watched.profile
        limits = limits_of(profile, watched.rules)
        faults = row_faults(self._rows, watched.key, limits, window.start, window.end)
        if faults is None:
            return []
        checks = out_of_range(profile, watched.rules, faults)
        copies = duplicates(faults.duplicates, faults.rows, profile.duplicate_share)
        return checks if copies is None else [*checks, copies]


def finding_of(key: Key, report: DriftReport) -> Finding:
    """The verdict on a window as it is kept."""
    assert report.start is not None
    assert report.end is not None

    def short(one: Any) -> dict[str, Any]:
        return {
            "severity": one.severity,
            "effect": one.effect,
            "p_value": None if report.method == "classic" else one.p_value,
            "p_adjusted": one.p_adjusted,
            "n": one.current.n,
            "reference": {"n": one.reference.n},
            "flagged": one.flagged,
            "of": one.effect_of,
            "floor": one.floor,
            "mean": one.current.mean,
            "missing": one.current.missing,
            "reason": one.reason if one.flagged else None,
        }

    return Finding(
        model=key.model,
        version=key.version,
        role=key.role,
        segment=report.segment,
        start=report.start,
        end=report.end,
        rows=report.current_rows,
        severity=report.severity,
        features={one.name: short(one) for one in report.features},
        prediction=None if report.prediction is None else short(report.prediction),
        checks=[check.as_json() for check in report.checks],
        performance=list(report.performance),
    )


def last_finding(layout: Layout, key: Key) -> Finding | None:
    """The latest verdict on a window of all rows."""
    found = recent(layout, key.model, version=key.version, role=key.role, segment="", limit=1)
    return found[0] if found else None


def _nothing(like: Counts) -> Counts:
    return Counts(bins=(0,) * len(like.bins), center=like.center)
