"""Queues the scorings that are due by the clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from pipelines.schedules import Schedules, occasion
from pipelines.score_files import is_anything_new
from pipelines.settings import PipelineSettings
from store.jobs import Job, add_job, list_jobs
from store.layout import Layout

LIVE = ("queued", "running")


class ScheduledScoring:
    """One scoring of a pipeline at a time, and none where no file is new; what is due meanwhile is done after
    it, once."""

    def __init__(self, layout: Layout, schedules: Schedules) -> None:
        self._layout, self._schedules = layout, schedules

    def step(self, pipelines: Mapping[str, PipelineSettings], now: datetime) -> list[Job]:
        """Queue what is due; the jobs that this made."""
        jobs = []
        for name, pipeline in pipelines.items():
            settings = pipeline.score
            if settings is None:
                continue
            is_done = partial(self._has_job, name, settings.cron)
            due = self._schedules.due(f"score:{name}", settings.cron, settings.timezone, now, is_done)
            if due is None or list_jobs(self._layout, pipeline=name, kind="score", states=LIVE):
                continue
            reason = occasion(settings.cron, due)
            if is_anything_new(self._layout, name, settings):
                jobs.append(add_job(self._layout, name, kind="score", trigger="schedule", reason=reason))
            self._schedules.served(f"score:{name}", settings.cron, settings.timezone, now)
        return jobs

    def _has_job(self, pipeline: str, cron: str, moment: datetime) -> bool:
        jobs = list_jobs(self._layout, pipeline=pipeline, kind="score", limit=50)
        return any(job.reason == occasion(cron, moment) for job in jobs)
