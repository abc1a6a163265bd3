"""The windows of a served version, cut from its log: by time or by a number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pipelines.drift.bands import Bands
from pipelines.drift.verdicts import Options
from pipelines.monitor_settings import BandSettings, MonitorSettings, duration
from pipelines.settings import ColumnRule
from store.profile import Profile
from store.series import SeriesReader
from store.slices import CountsByName, Key, Slice, SliceReader, just_before

LIVE_ROWS = 500
"""A window with fewer rows reaches back until it has so many."""
BUCKET = timedelta(minutes=5)
SETTLED = timedelta(seconds=15)
"""How long after its end a window is judged: by then its last rows are folded."""
MAX_CATCH_UP = 60
"""Windows judged at once after a pause; older ones are left out."""
REACH = 30
"""Windows back that a window with few rows reaches at most."""


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
        return length_of(self.settings.window)


@dataclass(frozen=True)
class Window:
    """Consecutive predictions, counted."""

    start: datetime
    end: datetime
    rows: int
    counts: CountsByName
    is_extended: bool = False


def length_of(window: str | int) -> timedelta | int:
    """A window as the settings write it: a time, a whole number of five minutes, or a number of rows."""
    if isinstance(window, int):
        return window
    return int(window) if window.isdigit() else BUCKET * -(-duration(window) // BUCKET)


def bands_of(settings: MonitorSettings) -> dict[str, Bands]:
    """Bands by column; of a single number, those that are lower are raised to it."""
    found = {}
    for name, threshold in settings.thresholds.items():
        if isinstance(threshold, BandSettings):
            found[name] = Bands(threshold.watch, threshold.warning, threshold.critical)
        else:
            found[name] = Bands(threshold, max(threshold, 0.10), max(threshold, 0.25))
    return found


class WindowCutter:
    """Cuts windows of one project's log."""

    def __init__(self, series: SeriesReader, slices: SliceReader) -> None:
        self._series = series
        self._slices = slices

    def newest(self, watched: Watched, now: datetime) -> Window | None:
        if isinstance(watched.length, int):
            part = self._slices.newest(watched.key, watched.profile, max(watched.length, LIVE_ROWS))
            if part is None:
                return None
            return replace(window_of(part), is_extended=watched.length < part.rows)
        end = up(now, BUCKET)
        stretches = self.stretches(watched, end - watched.length, end)
        if stretches and stretches[-1].rows < LIVE_ROWS:
            stretches = self.stretches(watched, end - REACH * watched.length, end)
        return extended(stretches)

    def ended(self, watched: Watched, now: datetime, after: datetime | None) -> list[Window]:
        settled = now - SETTLED
        if isinstance(watched.length, int):
            return self.ended_by_count(watched, watched.length, after)
        length = watched.length
        end = down(settled, length)
        start = end - MAX_CATCH_UP * length
        if after is not None:
            start = max(start, up(after, length))
        if start >= end:
            return []
        stretches = self.stretches(watched, start, end)
        if any(0 < stretch.rows < LIVE_ROWS for stretch in stretches):
            stretches = self.stretches(watched, start - REACH * length, end)
        windows = [
            extended(stretches[: place + 1])
            for place, stretch in enumerate(stretches)
            if stretch.start >= start and stretch.rows
        ]
        return [window for window in windows if window is not None]

    def ended_by_count(self, watched: Watched, rows: int, after: datetime | None) -> list[Window]:
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
            found.append(window_of(part))
        return [window for place in range(len(found)) if (window := extended(found[: place + 1]))]

    def stretches(self, watched: Watched, start: datetime, end: datetime) -> list[Window]:
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


def window_of(part: Slice) -> Window:
    return Window(part.start, part.end, part.rows, part.counts)


def extended(stretches: Sequence[Window]) -> Window | None:
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


def down(moment: datetime, step: timedelta) -> datetime:
    since = moment - datetime.fromtimestamp(0, UTC)
    return moment - since % step


def up(moment: datetime, step: timedelta) -> datetime:
    below = down(moment, step)
    return below if below == moment else below + step
