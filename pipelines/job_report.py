"""Turns the events of a training into progress that other processes can read: share and time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from pipelines.request import SEARCHING, STAGES, TrainEvent
from store.job_progress import JobProgress, expected_seconds, write_progress
from store.layout import Layout

_EVERY_S = 0.5
"""Between two writes within one stage."""
_STARTING = "Starting"
_USUAL_S = {
    _STARTING: 3.0,
    "Loading data": 1.0,
    "Preparing": 1.0,
    SEARCHING: 30.0,
    "Cross-validating": 5.0,
    "Fitting": 2.0,
    "Evaluating": 2.0,
    "Logging": 2.0,
    "Comparing": 1.0,
}
"""Only their proportions matter, for a first training."""
_LEAST_SHARE = 0.05
_MOST_SHARE = 0.99
_LEAST_SECONDS = 2.0


class JobReport:
    """The progress of one job; pass it the events as they come."""

    def __init__(
        self, layout: Layout, job_id: str, pipeline: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._layout, self._job_id, self._clock = layout, job_id, clock
        self._expected = dict(expected_seconds(layout, pipeline))
        self._begun = self._stage_begun = clock()
        self._written = float("-inf")
        self._seconds: dict[str, float] = {}
        self._event = TrainEvent(0, len(STAGES), _STARTING)
        self._write()

    def __call__(self, event: TrainEvent) -> None:
        """Note one event."""
        is_new = event.stage != self._event.stage
        if is_new:
            self._end_stage()
        self._event = event
        if is_new or self._clock() - self._written >= _EVERY_S:
            self._write()

    def finish(self) -> None:
        """The job ran to its end."""
        self._end_stage()
        event = self._event
        self._event = TrainEvent(event.steps, event.steps, event.stage, event.text, 1.0)
        self._write(is_finished=True)

    def _end_stage(self) -> None:
        now = self._clock()
        stage = self._event.stage
        self._seconds[stage] = round(self._seconds.get(stage, 0.0) + now - self._stage_begun, 2)
        self._stage_begun = now

    def _write(self, *, is_finished: bool = False) -> None:
        event, now = self._event, self._clock()
        share, left = (1.0, 0.0) if is_finished else self._estimate(now)
        progress = JobProgress(
            step=event.step,
            steps=event.steps,
            stage=event.stage,
            text=event.text,
            share=round(share, 3),
            stage_share=event.share,
            time_left_s=None if left is None else round(left, 1),
            updated_at=datetime.now(UTC),
            seconds=dict(self._seconds),
        )
        write_progress(self._layout, self._job_id, progress)
        self._written = now

    def _estimate(self, now: float) -> tuple[float, float | None]:
        """Share of the whole and seconds left; the stages count as much as they took last time."""
        event = self._event
        stages = [_STARTING, *STAGES]
        if event.steps > len(STAGES):
            stages.insert(stages.index("Cross-validating"), SEARCHING)
        weights = {stage: max(0.01, self._expected.get(stage, _USUAL_S[stage])) for stage in stages}
        weight = weights.get(event.stage, 1.0)
        spent = now - self._stage_begun
        if event.share is not None:
            inside = event.share
        else:
            inside = min(0.9, spent / weight) if self._expected else 0.0
        done = sum(
            value for stage, value in weights.items() if stage in self._seconds and stage != event.stage
        )
        total = sum(weights.values())
        share = min(_MOST_SHARE, (done + weight * inside) / total)
        elapsed = now - self._begun
        if share >= _LEAST_SHARE and elapsed >= _LEAST_SECONDS:
            # How fast this one is, once it is well under way; before that what the last one took.
            own = elapsed * (1 - share) / share
            if not self._expected:
                return share, own
            return share, share * own + (1 - share) * (total * (1 - share))
        return share, total * (1 - share) if self._expected else None
