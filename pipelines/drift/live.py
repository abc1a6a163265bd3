"""The windows of a served version: cut from its log, judged against its reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.drift.bands import Bands
from pipelines.drift.checks import duplicates, limits_of, out_of_range
from pipelines.drift.report import Check, DriftReport
from pipelines.drift.verdicts import Options, Sample, judge, judge_prediction
from pipelines.monitor_settings import BandSettings, MonitorSettings, duration
from pipelines.settings import ColumnRule
from store.counts import Counts
from store.findings import Finding, recent
from store.layout import Layout
from store.profile import Profile
from store.series import SeriesReader
from store.slices import CountsByName, Key, Segment, Slice, SliceReader, just_before

LIVE_ROWS = 500
"""A window with fewer rows reaches back until it has so many."""
BUCKET = timedelta(minutes=5)
SETTLED = timedelta(seconds=15)
"""How long after its end a window is judged: by then its last rows are folded."""
MAX_CATCH_UP = 60
"""Windows judged at once after a pause; older ones are left out."""
REACH = 30
"""Windows back that a window with few rows reaches at most."""

PerformanceOf = Callable[[Key, datetime, datetime], list[dict[str, Any]]]


@dataclass(frozen=True)
class Watched:
    """A model version whose predictions are watched, and how."""

    key: Key
    profile: Profile
    settings: MonitorSettings = field(default_factory=MonitorSettings)
    rules: Mapping[str, ColumnRule] = field(default_factory=dict)
    importances: Mapping[str, float] = field(default_factory=dict)

    @property
    def options(self) -> Options:
        return Options(
            method=self.settings.method,
            bands=bands_of(self.settings),
            importances=self.importances,
        )

    @property
    def length(self) -> timedelta | int:
        """Of a window: a time, a whole number of five minutes, or a number of rows."""
        window = self.settings.window
        if isinstance(window, int):
            return window
        return BUCKET * -(-duration(window) // BUCKET)


@dataclass(frozen=True)
class Window:
    """Consecutive predictions, counted."""

    start: datetime
    end: datetime
    rows: int
    counts: CountsByName
    is_extended: bool = False


def bands_of(settings: MonitorSettings) -> dict[str, Bands]:
    """Bands by column; of a single number, those that are lower are raised to it."""
    found = {}
    for name, threshold in settings.thresholds.items():
        if isinstance(threshold, BandSettings):
            found[name] = Bands(threshold.watch, threshold.warning, threshold.critical)
        else:
            found[name] = Bands(threshold, max(threshold, 0.10), max(threshold, 0.25))
    return found


class LiveDrift:
    """Judges windows of one project's log. Safe for one thread."""

    def __init__(self, layout: Layout, *, performance: PerformanceOf | None = None) -> None:
        self._layout = layout
        self._series = SeriesReader(layout)
        self._slices = SliceReader(layout)
        self._performance = performance

    def report(self, watched: Watched, now: datetime, *, with_rows: bool = True) -> DriftReport:
        """The newest window, which ends now; `with_rows` looks at single rows for values out of range too."""
        window = self._newest(watched, now)
        if window is None:
            return self._judged(watched, Window(now, now, 0, {}), with_rows=False)
        return self._judged(watched, window, with_rows=with_rows)

    def due(self, watched: Watched, now: datetime, last: Finding | None) -> list[Finding]:
        """Verdicts on the windows that have ended since `last`, oldest first, and on their segments."""
        found = []
        for window in self._ended(watched, now, None if last is None else last.end):
            found.append(finding_of(watched.key, self._judged(watched, window, with_rows=True)))
            found += self._segments(watched, window)
        return found

    def history(self, watched: Watched, now: datetime, windows: int = 48) -> list[Finding]:
        """Verdicts for a chart on the latest windows, oldest first, from the counts alone; nothing is kept.

        The last one ends now, and may not be over; those without rows are left out.
        """
        length = watched.length
        if isinstance(length, int):
            found = self._ended_by_count(watched, length, None)[-windows:]
        else:
            end = _up(now, BUCKET)
            stretches = self._stretches(watched, end - windows * length, end)
            found = [
                window
                for place, stretch in enumerate(stretches)
                if stretch.rows and (window := _extended(stretches[: place + 1])) is not None
            ]
        return [finding_of(watched.key, self._judged(watched, one, with_rows=False)) for one in found]

    def segment_report(self, watched: Watched, segment: Segment, now: datetime) -> DriftReport:
        """The newest window of one segment."""
        window = self._newest(watched, now)
        part = None
        if window is not None:
            part = self._slices.between(watched.key, watched.profile, window.start, window.end, segment)
        if part is None:
            return self._judged(watched, Window(now, now, 0, {}), with_rows=False, segment=str(segment))
        return self._judged(watched, _window(part), with_rows=False, segment=str(segment))

    def _segments(self, watched: Watched, window: Window) -> list[Finding]:
        found: list[Finding] = []
        for column in watched.settings.segments:
            values = self._slices.segment_values(watched.key, column, window.start, window.end)
            for value in values:
                segment = Segment(column, value)
                part = self._slices.between(watched.key, watched.profile, window.start, window.end, segment)
                if part is None:
                    continue
                report = self._judged(watched, _window(part), with_rows=False, segment=str(segment))
                # The segment's window is that of all rows, so that its history has the same steps.
                found.append(replace(finding_of(watched.key, report), start=window.start, end=window.end))
        return found

    def _newest(self, watched: Watched, now: datetime) -> Window | None:
        if isinstance(watched.length, int):
            part = self._slices.newest(watched.key, watched.profile, max(watched.length, LIVE_ROWS))
            if part is None:
                return None
            return replace(_window(part), is_extended=watched.length < part.rows)
        end = _up(now, BUCKET)
        stretches = self._stretches(watched, end - watched.length, end)
        if stretches and stretches[-1].rows < LIVE_ROWS:
            stretches = self._stretches(watched, end - REACH * watched.length, end)
        return _extended(stretches)

    def _ended(self, watched: Watched, now: datetime, after: datetime | None) -> list[Window]:
        settled = now - SETTLED
        if isinstance(watched.length, int):
            return self._ended_by_count(watched, watched.length, after)
        length = watched.length
        end = _down(settled, length)
        start = end - MAX_CATCH_UP * length
        if after is not None:
            start = max(start, _up(after, length))
        if start >= end:
            return []
        stretches = self._stretches(watched, start, end)
        if any(0 < stretch.rows < LIVE_ROWS for stretch in stretches):
            stretches = self._stretches(watched, start - REACH * length, end)
        windows = [
            _extended(stretches[: place + 1])
            for place, stretch in enumerate(stretches)
            if stretch.start >= start and stretch.rows
        ]
        return [window for window in windows if window is not None]

    def _ended_by_count(self, watched: Watched, rows: int, after: datetime | None) -> list[Window]:
        since = after
        if since is None:
            since = datetime.fromtimestamp(0, UTC)
            seen = 0
            for volume in reversed(self._slices.volumes(since)):
                if volume.key == watched.key:
                    seen += volume.predictions
                    if seen >= MAX_CATCH_UP * rows:
                        since = just_before(volume.start)
                        break
        bounds: list[tuple[datetime, datetime]] = []
        start, n = None, 0
        for moment, count in self._slices.moments(watched.key, since):
            start = start or moment
            n += count
            if n >= rows:
                bounds.append((start, moment))
                start, n = None, 0
        found: list[Window] = []
        for start, end in bounds[-MAX_CATCH_UP:]:
            part = self._slices.between(watched.key, watched.profile, start, end)
            if part is None:
                continue
            found.append(_window(part))
        return [window for place in range(len(found)) if (window := _extended(found[: place + 1]))]

    def _stretches(self, watched: Watched, start: datetime, end: datetime) -> list[Window]:
        """Windows by time of the watched length, from the counts by five minutes; empty ones too."""
        length = watched.length
        assert isinstance(length, timedelta)
        points = max(1, round((end - start) / length))
        series = self._series.series(
            watched.key.model,
            watched.key.version,
            start=start,
            end=end,
            points=points,
            kinds=("feature", "prediction", "score"),
            role=watched.key.role,
        )
        if not series:
            return []
        starts = next(iter(series.values())).starts
        found = []
        for place, begin in enumerate(starts):
            counts = {key: one.counts[place] for key, one in series.items()}
            rows = max((counted.n for counted in counts.values()), default=0)
            found.append(Window(begin, min(begin + length, end), rows, counts))
        return found

    def _judged(self, watched: Watched, window: Window, *, with_rows: bool, segment: str = "") -> DriftReport:
        key, profile, options = watched.key, watched.profile, watched.options
        baseline, reference_rows, note = self._baseline(watched, window)
        samples = []
        segmented_by = segment.partition("=")[0]
        for feature in profile.features:
            if feature.name == segmented_by:
                continue  # all of a segment's rows have the same value of it
            counts = window.counts.get(("feature", feature.name))
            samples.append(
                Sample(feature, counts or _nothing(feature.counts), baseline.get(("feature", feature.name)))
            )
        features = judge(samples, options, block_rows=profile.block_rows)
        prediction = judge_prediction(
            profile,
            window.counts.get(("prediction", profile.prediction.name)) or _nothing(profile.prediction.counts),
            window.counts.get(("score", profile.score.name)) if profile.score is not None else None,
            options,
            references={
                kind: counts for (kind, _), counts in baseline.items() if kind in ("prediction", "score")
            },
        )
        checks: list[Check] = []
        if with_rows and window.rows:
            checks = self._row_checks(watched, window)
        performance: list[dict[str, Any]] = []
        if self._performance is not None and not segment and window.rows:
            performance = self._performance(key, window.start, window.end)
        return DriftReport(
            reference_rows=reference_rows,
            current_rows=window.rows,
            features=features,
            prediction=prediction,
            model=key.model,
            version=key.version,
            role=key.role,
            segment=segment,
            method=options.method,
            start=window.start,
            end=window.end,
            is_extended=window.is_extended,
            checks=checks,
            performance=performance,
            note=note or self._series.note or self._slices.note,
        )

    def _row_checks(self, watched: Watched, window: Window) -> list[Check]:
        profile = watched.profile
        faults = self._slices.faults(watched.key, limits_of(profile, watched.rules), window.start, window.end)
        if faults is None:
            return []
        checks = out_of_range(profile, watched.rules, faults)
        copies = duplicates(faults.duplicates, faults.rows, profile.duplicate_share)
        return checks if copies is None else [*checks, copies]

    def _baseline(self, watched: Watched, window: Window) -> tuple[CountsByName, int, str | None]:
        """Counts to compare with in place of the training data, where the settings say so."""
        if watched.settings.baseline == "training" or not window.rows:
            return {}, watched.profile.rows, None
        length = duration(watched.settings.baseline)
        start, end = _down(window.start - length, BUCKET), _down(window.start, BUCKET)
        series = self._series.series(
            watched.key.model,
            watched.key.version,
            start=start,
            end=end,
            points=1,
            kinds=("feature", "prediction", "score"),
            role=watched.key.role,
        )
        counts = {key: one.total for key, one in series.items()}
        rows = max((counted.n for counted in counts.values()), default=0)
        note = None if rows else f"no predictions in the {watched.settings.baseline} before the window"
        return counts, rows, note


def finding_of(key: Key, report: DriftReport) -> Finding:
    """The verdict on a window as it is kept."""
    assert report.start is not None
    assert report.end is not None

    def short(one: Any) -> dict[str, Any]:
        return {
            "severity": one.severity,
            "effect": one.effect,
            "p_adjusted": one.p_adjusted,
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


def _window(part: Slice) -> Window:
    return Window(part.start, part.end, part.rows, part.counts)


def _extended(stretches: Sequence[Window]) -> Window | None:
    """The last stretch, with earlier ones where it has too few rows; None where there are none at all."""
    if not stretches:
        return None
    chosen = [stretches[-1], *_reversed_until(stretches[:-1], LIVE_ROWS - stretches[-1].rows)][::-1]
    while len(chosen) > 1 and not chosen[0].rows:
        chosen.pop(0)
    return _merged(chosen) if any(window.rows for window in chosen) else None


def _merged(windows: Sequence[Window]) -> Window:
    counts: CountsByName = dict(windows[0].counts)
    for window in windows[1:]:
        for key, counted in window.counts.items():
            counts[key] = counts[key] + counted if key in counts else counted
    return Window(
        windows[0].start,
        windows[-1].end,
        sum(window.rows for window in windows),
        counts,
        is_extended=len(windows) > 1,
    )


def _reversed_until(windows: Sequence[Window], rows: int) -> list[Window]:
    """The last windows, newest first, until they have together so many rows."""
    chosen: list[Window] = []
    for window in reversed(windows):
        if rows <= 0:
            break
        chosen.append(window)
        rows -= window.rows
    return chosen


def _nothing(like: Counts) -> Counts:
    return Counts(bins=(0,) * len(like.bins), center=like.center)


def _down(moment: datetime, step: timedelta) -> datetime:
    since = moment - datetime.fromtimestamp(0, UTC)
    return moment - since % step


def _up(moment: datetime, step: timedelta) -> datetime:
    down = _down(moment, step)
    return down if down == moment else down + step
