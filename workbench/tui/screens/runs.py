"""Screen 1: experiments, the table of their runs, and the details of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget

from store.runs import Run
from workbench.desk.runs import RunList, list_runs, run_filter
from workbench.tui.frame.screen import WorkbenchScreen
from workbench.tui.screens.edit_actions import EditActions
from workbench.tui.screens.run_columns import run_columns
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.table import Column, TableFilter, TableState, VirtualTable
from workbench.tui.widgets.table.messages import MarksChanged, RowHighlighted, RowSelected, RowsInSight

if TYPE_CHECKING:
    from workbench.desk.sparklines import Spark
    from workbench.tui.screens.run_pane import RunPane

ALL = ""
_PAUSE_S = 0.06
"""How long the cursor rests on a run before its files are looked at."""


_NEXT_PART_S = 0.1
"""While a large store is read for the first time, the next part is asked for after this."""


@dataclass(frozen=True)
class ExperimentRow:
    id: str
    name: str
    count: int


class RunsScreen(EditActions, WorkbenchScreen):
    """A table of every run, live; the details follow the cursor."""

    NAME = "runs"
    DEFAULT_CSS = """
    RunsScreen {
        #experiments-frame { width: 26; display: none; }
        #main { width: 1fr; }
        #details { width: 46; display: none; }
        #experiments-frame, #main, #details { border: round $foreground 20%;
            border-title-color: $text-muted; height: 1fr; }
        #experiments-frame:focus-within, #main:focus-within, #details:focus-within {
            border: round $primary; border-title-color: $foreground; border-title-style: bold; }
        &.-normal.-details #details, &.-wide.-details #details { display: block; }
        &.-wide #details { width: 2fr; max-width: 72; }
        &.-experiments #experiments-frame { display: block; }
        &.-narrow.-reading #details { display: block; width: 1fr; }
        &.-narrow.-reading #main, &.-narrow.-reading #experiments-frame { display: none; }
    }
    """

    AUTO_FOCUS = ""
    _pane: RunPane | None = None
    _found: RunList | None = None
    _beside: tuple[Mapping[str, str] | None, Mapping[str, int] | None] = None, None
    """What the columns show of the runs that isn't theirs: versions made from them, children."""
    _experiment = ALL
    _shows_deleted = False
    _shows_children = False
    _pause: Timer | None = None
    _sight_pause: Timer | None = None

    def __init__(self) -> None:
        super().__init__(classes="-details")
        self._curves: dict[str, Spark] = {}
        self._curves_of: dict[str, Run] = {}

    def compose_body(self) -> Iterable[Widget]:
        table: VirtualTable[Run] = VirtualTable(
            run_columns(()), row_id=lambda run: run.run_id, empty_text="reading the runs …", id="runs"
        )
        main = Vertical(
            table,
            TableFilter(table, placeholder="words, or metrics.rmse < 60", interpret=run_filter),
            id="main",
        )
        main.border_title = "runs"
        details = Vertical(id="details")
        details.border_title = "details"
        yield Horizontal(main, details, id="body")

    async def prepare(self) -> None:
        from workbench.tui.screens.run_pane import RunPane

        experiments: VirtualTable[ExperimentRow] = VirtualTable(
            [
                Column("name", "experiment", flex=1),
                Column("count", "runs", align="right", searchable=False, min_width=4),
            ],
            show_status=False,
            id="experiments",
        )
        left = Vertical(experiments, id="experiments-frame")
        left.border_title = "experiments"
        await self.query_one("#body").mount(left, before=0)
        self._pane = RunPane(id="pane")
        await self.query_one("#details").mount(self._pane)

    @property
    def table(self) -> VirtualTable[Run]:
        return self.query_one("#runs", VirtualTable)

    @property
    def pane(self) -> RunPane:
        assert self._pane is not None
        return self._pane

    def on_mount(self) -> None:
        self.table.focus()

    @property
    def is_settled(self) -> bool:
        return super().is_settled and self._pause is None and self._sight_pause is None

    # What is shown.

    def look(self) -> None:
        if not self.is_asking("runs"):
            self._ask_runs()

    def _ask_runs(self) -> None:
        watched = {self.table.cursor_id or "", *self.table.marks}
        call = partial(
            list_runs, self.desk, self._found, deleted=self._shows_deleted, watched=frozenset(watched)
        )
        self.ask("runs", call, self._show, self._not_read)

    def _not_read(self, error: Exception) -> None:
        if self._found is None:
            self.table.set_empty_text("the runs could not be read; they are asked for again")
        self.refresh_failed(error)

    def recall(self, state: dict[str, Any]) -> None:
        self.table.restore_state(replace(TableState.from_json(state.get("table")), marks=frozenset()))
        self._experiment = str(state.get("experiment") or ALL)
        self._shows_children = bool(state.get("children", False))
        self.set_class(bool(state.get("details", True)), "-details")
        self.set_class(bool(state.get("experiments", False)), "-experiments")
        self.pane.show_tab(str(state.get("tab") or ""))

    def remember(self) -> dict[str, Any]:
        return {
            "table": self.table.save_state().to_json(),
            "experiment": self._experiment,
            "children": self._shows_children,
            "details": self.has_class("-details"),
            "experiments": self.has_class("-experiments"),
            "tab": self.pane.tab,
        }

    def _show(self, found: RunList) -> None:
        self.answered()
        if found is self._found:
            return
        self._found = found
        self._show_experiments()
        self._show_rows()

    def _show_experiments(self) -> None:
        found = self._found
        assert found is not None
        counts = dict.fromkeys(found.experiments, 0)
        shown = self._listed(found)
        for run in shown:
            counts[run.experiment] = counts.get(run.experiment, 0) + 1
        if self._experiment not in counts:
            self._experiment = ALL
        table = self.query_one("#experiments", VirtualTable)
        rows = [
            ExperimentRow(name, name, count) for name, count in counts.items() if count or name != "Default"
        ]
        table.set_rows([ExperimentRow(ALL, "all", len(shown)), *rows])
        table.move_cursor(self._experiment)

    def _show_rows(self) -> None:
        found = self._found
        if found is None:
            return
        runs = [run for run in self._listed(found) if self._experiment in (ALL, run.experiment)]
        columns = run_columns(runs, found.versions, self._curves, found.children)
        are_others = [(c.key, c.hidden) for c in columns] != [(c.key, c.hidden) for c in self.table.columns]
        beside = found.versions, found.children
        if are_others or any(a is not b for a, b in zip(beside, self._beside, strict=True)):
            self._beside = beside
            self.table.set_columns(columns)
        self.table.set_rows(runs)
        if found.reading is None:
            train = "n on screen 6, or workbench train, makes" if self.desk.project else "a script makes"
            no_runs = f"no runs yet: {train} the first"
            self.table.set_empty_text("no deleted runs" if self._shows_deleted else no_runs)
        what = self._experiment or "runs"
        if self._shows_deleted:
            what += " · deleted"
        hidden = sum(found.children.get(run.run_id, 0) for run in runs) if self._hides_children else 0
        if hidden:
            what += f" · {hidden:,} {'child' if hidden == 1 else 'children'} hidden"
        if found.reading is not None:
            what += " · reading {:,} of {:,} runs".format(*found.reading)
            self.set_timer(_NEXT_PART_S, self.look)
        self.query_one("#main").border_title = Content(clean(what))
        self._show_details(self.table.cursor_row)
        self.refresh_bindings()

    @property
    def _hides_children(self) -> bool:
        return not self._shows_children and not self._shows_deleted

    def _listed(self, found: RunList) -> tuple[Run, ...]:
        return found.top if self._hides_children else found.runs

    def look_again(self) -> None:
        """Ask for the runs, whatever is being asked already."""
        self._ask_runs()

    def chosen_runs(self) -> list[Run]:
        """The marked runs, or the one under the cursor."""
        marked = self.table.marked_rows
        row = self.table.cursor_row
        return marked or ([row] if row is not None else [])

    def is_available(self, action: str) -> bool:
        if not self.is_mounted:
            return False
        if action in ("restore", "delete"):
            return bool(self.chosen_runs()) and self._shows_deleted == (action == "restore")
        if action in ("rename", "note", "tag", "promote", "register"):
            return self.table.cursor_row is not None and not self._shows_deleted
        return action != "compare" or bool(self.chosen_runs())

    # The curves of the runs in sight.

    @on(RowsInSight, "#runs")
    def _other_runs_in_sight(self, event: RowsInSight) -> None:
        if self._sight_pause is not None:
            self._sight_pause.stop()
        self._sight_pause = self.set_timer(_PAUSE_S, partial(self._ask_curves, event.rows))

    def _ask_curves(self, runs: tuple[Run, ...]) -> None:
        from workbench.desk.sparklines import read_sparks

        desk, self._sight_pause = self.desk, None
        unread = [run for run in runs if run.stepped and self._curves_of.get(run.run_id) is not run]
        if unread:
            self.ask("curves", partial(read_sparks, desk, unread), partial(self._show_curves, unread))

    def _show_curves(self, runs: list[Run], read: Mapping[str, Spark]) -> None:
        self._curves_of.update((run.run_id, run) for run in runs)
        others = {run_id for run_id, spark in read.items() if spark != self._curves.get(run_id)}
        if others:
            self._curves.update(read)
            self.table.redraw_rows(others)

    # The run under the cursor.

    @on(RowHighlighted, "#runs")
    def _run_highlighted(self, event: RowHighlighted) -> None:
        self._show_details(event.row)
        self.refresh_bindings()

    def _show_details(self, run: Run | None) -> None:
        shown = self.pane.run
        if run is shown and (run is None or self.pane.has_details):
            return
        self.pane.show_run(run)
        title = (run.name or run.run_id[:8]) if run is not None else "details"
        self.query_one("#details").border_title = Content(clean(title))
        self.forget("details")
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        if run is not None:
            self._pause = self.set_timer(_PAUSE_S, partial(self._ask_details, run))

    def _ask_details(self, run: Run) -> None:
        from workbench.desk.run_details import read_details

        desk, self._pause = self.desk, None
        self.ask(
            "details",
            lambda: read_details(desk.runs, desk.registry, run),
            self.pane.show_details,
            self.refresh_failed,
        )

    def on_run_pane_file_wanted(self, event: RunPane.FileWanted) -> None:
        from workbench.desk.run_details import preview

        call = partial(preview, self.desk.runs, event.run.run_id, event.path)
        self.ask("preview", call, self.pane.show_preview)

    def on_run_pane_picture_wanted(self, event: RunPane.PictureWanted) -> None:
        from workbench.desk.curves import picture_names, read_picture

        runs, run = self.desk.runs, event.run
        if event.name is None:
            self.ask("pictures", lambda: tuple(picture_names(runs, run)), self.pane.show_pictures)
        else:
            self.ask("picture", partial(read_picture, runs, run, event.name), self.pane.show_picture)

    # What a person does.

    @on(RowHighlighted, "#experiments")
    def _experiment_highlighted(self, event: RowHighlighted) -> None:
        if event.row_id is not None and event.row_id != self._experiment:
            self._experiment = event.row_id
            self._show_rows()

    @on(RowSelected, "#experiments")
    def _experiment_selected(self) -> None:
        self.table.focus()

    @on(RowSelected, "#runs")
    def _run_selected(self) -> None:
        self.add_class("-details", "-reading")
        self.call_after_refresh(self.pane.main_widget.focus)

    @on(MarksChanged, "#runs")
    def _marks_changed(self) -> None:
        self.workbench.compared = tuple(run.run_id for run in self.table.marked_rows)
        self.refresh_bindings()

    def action_back(self) -> None:
        self.remove_class("-reading")
        self.table.focus()

    def action_details(self) -> None:
        if self.has_class("-narrow"):
            self.set_class(not self.has_class("-reading"), "-reading")
        else:
            self.toggle_class("-details")
        if self.pane.has_focus_within:
            self.table.focus()

    def action_experiments(self) -> None:
        self.toggle_class("-experiments")
        wanted = "#experiments" if self.has_class("-experiments") else "#runs"
        self.call_after_refresh(self.query_one(wanted).focus)

    def action_next_tab(self) -> None:
        self.pane.turn(1)

    def action_previous_tab(self) -> None:
        self.pane.turn(-1)

    def action_open_tab(self, tab: str) -> None:
        self.pane.show_tab(tab)

    def action_deleted(self) -> None:
        self._shows_deleted = not self._shows_deleted
        self._found = None
        self._ask_runs()

    def action_children(self) -> None:
        self._shows_children = not self._shows_children
        if self._found is not None:
            self._show_experiments()
            self._show_rows()

    def action_compare(self) -> None:
        self.workbench.compare([run.run_id for run in self.chosen_runs()])
