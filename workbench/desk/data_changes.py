"""What is changed from the Data screen: trainings asked for, files let in, the watcher on and off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.errors import UsageError

if TYPE_CHECKING:
    from pipelines.request import TrainRequest
    from store.jobs import Job
    from store.ledger import DataFile
    from workbench.desk.data import FileRow
    from workbench.desk.desk import Desk
    from workbench.watching import WatcherInfo


@dataclass(frozen=True)
class TrainWish:
    """A training as it was typed: `lines` are KEY=VALUE, those that differ from the settings."""

    pipeline: str
    lines: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class TrainForm:
    """What a training is asked for with: each pipeline's parameters as KEY=VALUE lines."""

    pipelines: Mapping[str, tuple[str, ...]]
    chosen: str


def train_form(desk: Desk, pipeline: str | None = None) -> TrainForm:
    """The form, with `pipeline` chosen where there is one of that name. Raises UsageError without any."""
    pipelines = desk.require_project("training").settings.pipelines
    if not pipelines:
        raise UsageError(
            "there is no pipeline to train", "Add one with: workbench init --data FILE --target …"
        )
    forms = {
        name: tuple(
            f"params.{key}={_as_typed(value)}" for key, value in settings.params.items() if value is not None
        )
        for name, settings in pipelines.items()
    }
    return TrainForm(forms, pipeline if pipeline in forms else next(iter(forms)))


def wanted_lines(form: TrainForm, pipeline: str, text: str) -> tuple[str, ...]:
    """The lines of `text` that say something else than the settings do."""
    known = form.pipelines.get(pipeline, ())
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and line not in known)


def check_training(desk: Desk, wish: TrainWish) -> TrainWish:
    """The wish, where its settings are right. Raises NotFoundError, UsageError or SettingsError."""
    _request(desk, wish)
    return wish


def train(desk: Desk, wish: TrainWish) -> Job:
    """Queue a training; raises BusyError while another one of the pipeline waits."""
    from pipelines.retrain import queue_training

    return queue_training(_request(desk, wish))


def retry(desk: Desk, job: Job) -> Job:
    """Queue a training that has ended once more."""
    from pipelines.retrain import retry_job

    return retry_job(desk.layout, job.id)


def cancel(desk: Desk, job: Job, reason: str | None) -> Job:
    """End a queued training at once, a running one within seconds."""
    from store.job_progress import request_cancel

    return request_cancel(desk.layout, job.id, reason=reason)


def release(desk: Desk, row: FileRow, reason: str | None) -> DataFile:
    """Let a quarantined file into training in spite of its report. Raises UsageError without a reason."""
    from pipelines.admission import tell
    from store.ledger import get_file
    from store.ledger import release as release_file

    if not reason:
        raise UsageError("a release needs a reason", "Say why: r in the question.")
    released = release_file(desk.layout, get_file(desk.layout, row.path, pipeline=row.pipeline), reason)
    tell(desk.layout, released.pipeline)
    return released


def set_paused(desk: Desk, is_paused: bool, reason: str | None) -> bool:
    """Let new data of every pipeline wait, or train again."""
    from store.watch_state import set_paused as keep

    keep(desk.layout, is_paused, reason=reason)
    return is_paused


def start_watcher(desk: Desk) -> WatcherInfo:
    """Start the project's watcher in a session of its own; the one that runs already, where one does."""
    from workbench.watching import running_watcher, start_background

    def end_with_desk(waited_s: float) -> None:
        if desk.is_closed:
            raise UsageError("the UI was left before the watcher was ready")

    present = running_watcher(desk.layout)
    if present is not None:
        return present
    watcher = start_background(desk.require_project("watching").root, on_wait=end_with_desk)
    desk.owns_watcher = True
    return watcher


def keep_watch(desk: Desk) -> WatcherInfo | None:
    """Start a watcher where there is data to watch and nobody does; None where there is nothing to start.

    [ui] watch and read_only say whether.
    """
    from pipelines.data_files import watch_base
    from workbench.watching import watcher_process

    if desk.project is None or not desk.ui.watch or desk.ui.read_only:
        return None
    pipelines = desk.project.settings.pipelines.values()
    has_folder = any(watch_base(one.data, desk.layout.root)[0].is_dir() for one in pipelines)
    if not has_folder or watcher_process(desk.layout).is_running:
        return None
    return start_watcher(desk)


def stop_watcher(desk: Desk) -> bool:
    """End the watcher, whoever started it; a training that it runs goes back to the queue."""
    from workbench.watching import stop_watcher as stop

    stopped = stop(desk.layout)
    desk.owns_watcher = False
    return stopped


def _request(desk: Desk, wish: TrainWish) -> TrainRequest:
    from workbench.settings import load_project
    from workbench.training import pipeline_overrides, training_request

    name, _ = desk.require_project("training").pipeline(wish.pipeline)
    project = load_project(desk.layout.root, pipeline_overrides([name], wish.lines, what=""))
    return training_request(project, name, reason=wish.reason.strip() or None)


def _as_typed(value: Any) -> str:
    """A value as `parse_value` reads it back."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
