"""What the Data screen asks a person before it changes anything, and what it does with the answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from workbench.desk import data_changes
from workbench.desk.change_row import ChangeRow
from workbench.desk.data import FileRow, JobRow, Watching
from workbench.desk.data_changes import TrainForm, TrainWish
from workbench.tui.frame import dialogs
from workbench.tui.frame.switching import Switching
from workbench.tui.screens.train_dialog import TrainDialog

if TYPE_CHECKING:
    from store.jobs import Job
    from store.ledger import DataFile
    from workbench.tui.frame.screen import WorkbenchScreen as _Base
else:
    _Base = object


class DataQuestions(Switching, _Base):
    """Mixed into the screen, which says what is under the cursor and shows what came of it."""

    _watching: Watching | None = None

    def job_asked(self, job: Job, words: str) -> None:
        """A training was queued: show it."""
        raise NotImplementedError

    def look_again(self) -> None:
        """Something was changed: ask for everything, whatever is being asked."""
        raise NotImplementedError

    def chosen_pipeline(self) -> str | None:
        raise NotImplementedError

    def chosen_job(self) -> JobRow | None:
        raise NotImplementedError

    def chosen_file(self) -> FileRow | None:
        raise NotImplementedError

    # Trainings.

    def action_train(self) -> None:
        desk, pipeline = self.desk, self.chosen_pipeline()
        self.ask("form", lambda: data_changes.train_form(desk, pipeline), self._ask_wish)

    def _ask_wish(self, form: TrainForm) -> None:
        if self.is_current:
            check = partial(data_changes.check_training, self.desk)
            self.app.push_screen(TrainDialog(form, check), self._wished)

    def _wished(self, wish: TrainWish | None) -> None:
        if wish is None:
            return
        if self._watching is not None and self._watching.watcher is not None:
            self._train(wish)
            return
        self.app.push_screen(
            dialogs.ConfirmDialog(
                "Start the watcher? It runs the trainings",
                [ChangeRow("watcher", "off", "on"), ChangeRow(wish.pipeline, "—", "queued")],
                details="It also watches the data folders, and trains what is new as the settings say.\n"
                "Quitting asks what becomes of it, unless [ui] on_quit says.",
            ),
            lambda answer: None if answer is None else self._train(wish, starts=True),
        )

    def _train(self, wish: TrainWish, *, starts: bool = False) -> None:
        desk = self.desk

        def train() -> Job:
            job = data_changes.train(desk, wish)
            if starts:
                data_changes.start_watcher(desk)
            return job

        if starts:
            self._set_switching("starting the watcher")
        self.ask("train", train, self._queued, self._not_switched)

    def _queued(self, job: Job) -> None:
        self.switching = ""
        self.job_asked(job, f"a training of {job.pipeline} is queued")

    def action_retry(self) -> None:
        desk, row = self.desk, self.chosen_job()
        if row is not None:
            self.ask("train", lambda: data_changes.retry(desk, row.job), self._retried)

    def _retried(self, job: Job) -> None:
        is_run = self._watching is not None and self._watching.watcher is not None
        waits = "" if is_run else "; nobody runs it before the watcher does (o)"
        self.job_asked(job, f"{job.pipeline} is queued again{waits}")

    def action_cancel(self) -> None:
        row = self.chosen_job()
        if row is None or row.job.is_finished:
            return
        self.app.push_screen(
            dialogs.ConfirmDialog(
                f"Cancel the {row.what} of {row.pipeline}?",
                [ChangeRow(row.id, row.state, "cancelled")],
                details="Its run, where it has one, is marked KILLED. Its files wait for the next training."
                if row.what == "training"
                else "A file that is not done leaves nothing behind, and waits for the next scoring.",
                asks_reason=True,
                is_dangerous=True,
            ),
            partial(self._cancel, row),
        )

    def _cancel(self, row: JobRow, answer: dialogs.Confirmation | None) -> None:
        if answer is not None:
            desk, reason = self.desk, answer.reason
            self.ask("cancel", lambda: data_changes.cancel(desk, row.job, reason), self._cancelled)

    def _cancelled(self, job: Job) -> None:
        words = "has been told to end" if not job.is_finished else f"is {job.state}"
        what = "training" if job.kind == "train" else "scoring"
        self.workbench.toast(f"the {what} of {job.pipeline} {words}")
        self.look_again()

    # Files.

    def action_release(self) -> None:
        row = self.chosen_file()
        if row is None or row.state != "quarantined":
            return
        self.app.push_screen(
            dialogs.PromptDialog(
                f"Release {row.path}: why?",
                placeholder="kept in the audit trail",
                details=f"{row.pipeline}: quarantined → ready. The next training reads it, in spite of: "
                f"{row.reason}",
                check=lambda text: None if text.strip() else "a release needs a reason",
            ),
            partial(self._release, row),
        )

    def _release(self, row: FileRow, reason: str | None) -> None:
        if reason is not None:
            desk = self.desk
            self.ask("release", lambda: data_changes.release(desk, row, reason.strip()), self._released)

    def _released(self, file: DataFile) -> None:
        self.workbench.toast(f"{file.path} is ready for training")
        self.look_again()

    # The watcher.

    def action_pause(self) -> None:
        if self._watching is None:
            return
        desk, pauses = self.desk, not self._watching.paused
        self.ask("pause", lambda: data_changes.set_paused(desk, pauses, None), self._paused)

    def _paused(self, is_paused: bool) -> None:
        words = "new data trains nothing until p" if is_paused else "new data trains again"
        self.workbench.toast(words)
        self.look_again()

    def action_watcher(self) -> None:
        state = self._watching
        if state is None:
            return
        starts = state.watcher is None
        changes = [ChangeRow("watcher", "off" if starts else "on", "on" if starts else "off")]
        changes += [ChangeRow(name, "—" if starts else "watched", "watched" if starts else "—")
                    for name in state.folders]  # fmt: skip
        details = (
            "New data is validated, and trained as [pipelines.NAME.retrain] says.\n"
            "It runs in a session of its own; quitting asks what becomes of it, unless [ui] on_quit says."
            if starts
            else "A training that it runs goes back to the queue, for the next watcher. No file is lost."
        )
        self.app.push_screen(
            dialogs.ConfirmDialog(
                "Start the watcher?" if starts else "Stop the watcher?",
                changes,
                details=details,
                is_dangerous=not starts,
            ),
            lambda answer: None if answer is None else self._switch_watcher(starts),
        )

    def _switch_watcher(self, starts: bool) -> None:
        desk = self.desk
        if starts:
            self.switch(
                "starting the watcher",
                lambda: data_changes.start_watcher(desk),
                lambda watcher: f"watching, pid {watcher.pid}",
            )
        else:
            self.switch(
                "stopping the watcher",
                lambda: data_changes.stop_watcher(desk),
                lambda stopped: "the watcher has ended" if stopped else "no watcher was running any more",
            )

    def switching_changed(self) -> None:
        self.look_again()
