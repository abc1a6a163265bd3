"""What a window is compared with: the training data, its rows of the same segment, or the days before."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.drift.windows import BUCKET, Watched, Window, down
from pipelines.monitor_settings import duration
from store.counts import Counts
from store.profile import SegmentProfile
from store.series import SeriesReader
from store.slices import CountsByName, Segment, SliceReader, just_before


@dataclass(frozen=True)
class Baseline:
    """The other side of a comparison."""

    rows: int
    counts: CountsByName = field(default_factory=dict)
    """In place of the profile's own; empty where those are meant."""
    note: str | None = None
    """What is not as one would expect."""

    def of_answers(self) -> dict[str, Counts]:
        """Counts of the prediction and the score, by kind."""
        return {kind: counts for (kind, _), counts in self.counts.items() if kind != "feature"}


class Baselines:
    """Finds what windows of one project's log are compared with."""

    def __init__(self, series: SeriesReader, slices: SliceReader) -> None:
        self._series = series
        self._slices = slices

    def of(self, watched: Watched, window: Window, segment: Segment | None) -> Baseline:
        """What the settings say; of a segment the same part of it, where that is known."""
        if watched.settings.baseline != "training" and window.rows:
            return self._before(watched, window, segment)
        whole = watched.profile
        if segment is None:
            return Baseline(whole.rows)
        parts = whole.segments.get(segment.column)
        if parts is None:
            key = watched.key
            note = (
                f"compared with the whole reference, which keeps no rows by {segment.column}: name it in"
                " [pipelines.NAME.monitor] segments and train again, or make the reference anew:"
                f" workbench monitor profile {key.model}/{key.version} --data FILE"
            )
            return Baseline(whole.rows, note=note)
        part = parts.get(segment.value)
        if part is None:
            return Baseline(
                whole.rows, note=f"compared with the whole reference: it keeps no rows where {segment}"
            )
        return Baseline(part.rows, _counts(watched, part))

    def _before(self, watched: Watched, window: Window, segment: Segment | None) -> Baseline:
        key, setting = watched.key, watched.settings.baseline
        end = down(window.start, BUCKET)
        start = down(window.start - duration(setting), BUCKET)
        if segment is not None:
            found = self._slices.between(key, watched.profile, start, just_before(end), segment)
            rows, counts = (0, CountsByName()) if found is None else (found.rows, found.counts)
        else:
            series = self._series.series(
                key.model,
                key.version,
                start=start,
                end=end,
                points=1,
                kinds=("feature", "prediction", "score"),
                role=key.role,
            )
            counts = {name: one.total for name, one in series.items()}
            rows = max((counted.n for counted in counts.values()), default=0)
        return Baseline(rows, counts, None if rows else f"no predictions in the {setting} before the window")


def _counts(watched: Watched, part: SegmentProfile) -> CountsByName:
    profile = watched.profile
    counts: CountsByName = {("feature", name): counted for name, counted in part.features.items()}
    counts["prediction", profile.prediction.name] = part.prediction
    if profile.score is not None and part.score is not None:
        counts["score", profile.score.name] = part.score
    return counts
