"""Screen 6: data files and what became of them, trainings and what they say, and the watcher."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from workbench.desk.data import FileReport, FileRow, JobLog, JobRow, Watching
from workbench.tui.frame.screen import WorkbenchScreen
from workbench.tui.screens.data_columns import file_columns, job_columns
from workbench.tui.screens.data_page import file_page, job_page, watching_line
from workbench.tui.screens.data_questions import DataQuestions
from workbench.tui.widgets.page import Page
from workbench.tui.widgets.table import TableFilter, TableState, VirtualTable
from workbench.tui.widgets.table.messages import RowHighlighted, RowSelected

if TYPE_CHECKING:
    from store.jobs import Job

_NO_FILES = "no data files yet: put some where [pipelines.NAME] data says"
_NO_PIPELINES = "no pipeline yet: workbench init --data FILE makes one"
_NO_JOBS = "no trainings yet: n trains now"


class DataScreen(DataQuestions, WorkbenchScreen):
    """Files with the report of the one under the cursor, or trainings with the log of one."""

    NAME = "data"
    DEFAULT_CSS = """
    DataScreen {
        #watching { height: auto; max-height: 2; width: 1fr; text-wrap: nowrap; }
        #body { layout: vertical; }
        #of-body { layout: vertical; height: 1fr; }
        #rows, #details { border: round $foreground 20%; border-title-color: $text-muted; }
        #rows { height: 3fr; min-height: 5; layout: vertical; }
        #rows:focus-within, #details:focus {
            border: round $primary; border-title-color: $foreground; border-title-style: bold; }
        #details { height: 2fr; min-height: 5; padding: 0 1; }
        .-hidden { display: none; }
        &.-wide #of-body { layout: horizontal; }
        &.-wide #rows { width: 5fr; height: 1fr; }
        &.-wide #details { width: 3fr; height: 1fr; }
    }
    """

    _shows_jobs = False
    _follows = True
    _files: tuple[FileRow, ...] | None = None
    _jobs: tuple[JobRow, ...] | None = None
    _report: tuple[str, FileReport] = ("", FileReport())
    _log: JobLog | None = None
    _line: Content | None = None
    _paged = ""

    def compose_body(self) -> Iterable[Widget]:
        files: VirtualTable[FileRow] = VirtualTable(
            file_columns(), empty_text="reading the folders …", id="files"
        )
        jobs: VirtualTable[JobRow] = VirtualTable(
            job_columns(), empty_text="reading the trainings …", id="jobs"
        )
        jobs.add_class("-hidden")
        rows = Container(files, TableFilter(files), jobs, TableFilter(jobs), id="rows")
        details = Page(id="details")
        details.border_title = "report"
        yield Container(
            Static("", id="watching", markup=False), Container(rows, details, id="of-body"), id="body"
        )

    @property
    def files(self) -> VirtualTable[FileRow]:
        return self.query_one("#files", VirtualTable)

    @property
    def jobs(self) -> VirtualTable[JobRow]:
        return self.query_one("#jobs", VirtualTable)

    @property
    def table(self) -> VirtualTable[Any]:
        """The table in sight."""
        return self.jobs if self._shows_jobs else self.files

    @property
    def page(self) -> Page:
        return self.query_one("#details", Page)

    def on_mount(self) -> None:
        self.table.focus()
        self._titles()

    def on_resize(self) -> None:
        self.call_after_refresh(self._write)

    # What is shown.

    def look(self) -> None:
        data = self.desk.data
        if not self.is_asking("watching"):
            self.ask("watching", data.watching, self._show_watching, self.refresh_failed)
        if self._shows_jobs:
            if not self.is_asking("jobs"):
                self.ask("jobs", data.jobs, self._show_jobs, self.refresh_failed)
        elif not self.is_asking("files"):
            self.ask("files", data.files, self._show_files, self.refresh_failed)

    def recall(self, state: dict[str, Any]) -> None:
        self._follows = bool(state.get("follows", True))
        self.files.restore_state(TableState.from_json(state.get("files")))
        self.jobs.restore_state(TableState.from_json(state.get("jobs")))
        if state.get("shows_jobs"):
            self._show_table(jobs=True)

    def remember(self) -> dict[str, Any]:
        return {
            "follows": self._follows,
            "shows_jobs": self._shows_jobs,
            "files": self.files.save_state().to_json(),
            "jobs": self.jobs.save_state().to_json(),
        }

    def is_available(self, action: str) -> bool:
        if not self.is_mounted:
            return True
        file = None if self._shows_jobs else self.files.cursor_row
        job = self.jobs.cursor_row if self._shows_jobs else None
        if action == "release":
            return file is not None and file.state == "quarantined"
        if action == "cancel":
            return job is not None and not job.job.is_finished
        if action == "retry":
            return job is not None and job.job.is_finished
        if action == "watcher":
            return not self.switching
        return self._shows_jobs if action == "follow" else True

    def _show_watching(self, state: Watching) -> None:
        self._watching = state
        self._write()

    def _write(self) -> None:
        if self._watching is None:
            return
        line = watching_line(self._watching, self.size.width, self.switching)
        if self._line is None or not line.is_same(self._line):
            self._line = line
            self.query_one("#watching", Static).update(line)

    def _show_files(self, rows: tuple[FileRow, ...]) -> None:
        self.answered()
        if rows is self._files:
            return
        self._files = rows
        self.files.set_rows(rows)
        if not rows:
            has_pipelines = bool(self.desk.project and self.desk.project.settings.pipelines)
            self.files.set_empty_text(_NO_FILES if has_pipelines else _NO_PIPELINES)
        self._titles()
        self.refresh_bindings()
        if not self._shows_jobs:
            self._ask_report()

    def _show_jobs(self, rows: tuple[JobRow, ...]) -> None:
        self.answered()
        if rows is not self._jobs:
            at_newest = self.jobs.cursor_index in (None, 0)
            self._jobs = rows
            self.jobs.set_rows(rows)
            if not rows:
                self.jobs.set_empty_text(_NO_JOBS)
            if at_newest:
                self.jobs.action_first()
            self._titles()
            self.refresh_bindings()
        if self._shows_jobs:
            self._ask_log()

    @on(RowHighlighted)
    def _highlighted(self, event: RowHighlighted) -> None:
        if event.table is not self.table:
            return
        if self._shows_jobs:
            self._ask_log()
        else:
            self._ask_report()
        self.refresh_bindings()

    def _ask_report(self) -> None:
        row, data = self.files.cursor_row, self.desk.data
        if row is None:
            self._write_page()
            return
        self.ask("report", lambda: data.report(row), partial(self._show_report, row.id), self.refresh_failed)

    def _show_report(self, row_id: str, report: FileReport) -> None:
        self._report = (row_id, report)
        if not self._shows_jobs:
            self._write_page()

    def _ask_log(self) -> None:
        row, data = self.jobs.cursor_row, self.desk.data
        if row is None:
            self._write_page()
            return
        self.ask("log", lambda: data.log(row.id), self._show_log, self.refresh_failed)

    def _show_log(self, log: JobLog) -> None:
        self._log = log
        if self._shows_jobs:
            self._write_page()

    def _write_page(self) -> None:
        """What is under the cursor, in full; a followed log stays at its end."""
        file, job, page = self.files.cursor_row, self.jobs.cursor_row, self.page
        if self._shows_jobs and job is not None:
            # Of one that has ended, how it ended is said above its log.
            shown, is_running = f"{job.id} {job.job.is_finished}", job.state == "running"
            is_another, self._paged = self._paged != shown, shown
            page.set_page(partial(job_page, job, self._log), from_top=is_another)
            if is_running and self._follows and not page.has_focus:
                page.call_after_refresh(page.scroll_end, animate=False)
        elif not self._shows_jobs and file is not None:
            is_another, self._paged = self._paged != file.id, file.id
            report = self._report[1] if self._report[0] == file.id else FileReport()
            page.set_page(partial(file_page, file, report), from_top=is_another)
        else:
            self._paged = ""
            page.set_page(lambda cells: Content(""), from_top=True)

    def _titles(self) -> None:
        rows, page = self.query_one("#rows"), self.page
        if self._shows_jobs:
            rows.border_title = "trainings"
            page.border_title = "log · following" if self._follows else "log"
            return
        bad = sum(row.state == "quarantined" for row in self._files or ())
        rows.border_title = f"data files · {bad} quarantined" if bad else "data files"
        page.border_title = "report"

    # Moving about.

    def action_switch(self) -> None:
        self._show_table(jobs=not self._shows_jobs)
        self.table.focus()
        if self.workbench.desk is not None:
            self._write_page()
            self.look()

    def _show_table(self, *, jobs: bool) -> None:
        self._shows_jobs = jobs
        self.files.set_class(jobs, "-hidden")
        self.jobs.set_class(not jobs, "-hidden")
        self._titles()
        self.refresh_bindings()

    def action_follow(self) -> None:
        self._follows = not self._follows
        self._titles()
        self._write_page()

    @on(RowSelected)
    def _opened(self) -> None:
        self.page.focus()

    def action_back(self) -> None:
        if self.page.has_focus:
            self.table.focus()
        elif self._shows_jobs:
            self.action_switch()

    # What changed.

    def job_asked(self, job: Job, words: str) -> None:
        self.workbench.toast(words)
        if not self._shows_jobs:
            self.action_switch()
        self.jobs.action_first()
        self.look_again()

    def look_again(self) -> None:
        for topic in ("watching", "jobs", "files"):
            self.forget(topic)
        self._write()
        self.refresh_bindings()
        self.workbench.action_refresh()
        data = self.desk.data
        self.ask("watching", data.watching, self._show_watching, self.refresh_failed)
        if self._shows_jobs:
            self.ask("jobs", data.jobs, self._show_jobs, self.refresh_failed)
        else:
            self.ask("files", data.files, self._show_files, self.refresh_failed)

    def chosen_pipeline(self) -> str | None:
        row = self.table.cursor_row
        return None if row is None else row.pipeline

    def chosen_job(self) -> JobRow | None:
        return self.jobs.cursor_row if self._shows_jobs else None

    def chosen_file(self) -> FileRow | None:
        return None if self._shows_jobs else self.files.cursor_row
