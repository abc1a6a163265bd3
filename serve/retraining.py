"""A training asked for by HTTP: a row in the queue, which the project's watcher takes up."""

from __future__ import annotations

import tomllib
from collections.abc import Collection

from store.errors import BusyError, NotFoundError, StorageError
from store.jobs import Job, add_job, list_jobs
from store.layout import SETTINGS_FILE, Layout
from store.ledger import queue_files


def queue_training(layout: Layout, pipeline: str, *, reason: str | None, who: str) -> Job:
    """Queue a training with the settings as they will be then.

    Raises NotFoundError for a pipeline that the project has not, BusyError while one is queued or running.
    """
    names = _pipelines(layout)
    if pipeline not in names:
        raise NotFoundError(
            f"no pipeline {pipeline[:100]!r}", f"There are: {', '.join(sorted(names)) or 'none'}."
        )
    live = list_jobs(layout, pipeline=pipeline, states=("queued", "running"), kind="train", limit=1)
    if live:
        raise BusyError(f"job {live[0].id} of {pipeline} is {live[0].state}", "Wait for its end.")
    job = add_job(
        layout, pipeline, state="queued", trigger="http", reason=reason or f"asked for by {who}", who=who
    )
    queue_files(layout, pipeline, job.id)
    return job


def _pipelines(layout: Layout) -> Collection[str]:
    path = layout.root / SETTINGS_FILE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return ()  # a folder that is served without being a project
    except (OSError, ValueError) as error:
        raise StorageError(f"{SETTINGS_FILE} can't be read at the moment: {type(error).__name__}") from error
    pipelines = document.get("pipelines")
    return pipelines if isinstance(pipelines, dict) else ()
