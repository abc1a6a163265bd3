"""Screen 5: the server: on and off, its traffic, what it predicts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from workbench.desk import try_one
from workbench.desk.change_row import ChangeRow
from workbench.desk.meter import RateSeries
from workbench.desk.recent import PredictionRow, Recent
from workbench.desk.serving import ServedRow, ServingState
from workbench.tui.frame import dialogs
from workbench.tui.frame.report import ReportScreen
from workbench.tui.frame.screen import SMALLEST, WorkbenchScreen
from workbench.tui.frame.switching import Switching
from workbench.tui.screens.serve_columns import prediction_columns, served_columns
from workbench.tui.screens.serve_text import numbers_column, numbers_line, problem_line, state_line
from workbench.tui.screens.try_dialog import TryDialog
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.chart import Chart, ChartData, Series
from workbench.tui.widgets.table import TableFilter, TableState, VirtualTable

LOOK_EVERY_S = 1.0
_ERROR_COLOR = 3
_MOST_SERVED_ROWS = 6
_FIRST_SPAN_S = 60.0


class ServeScreen(Switching, WorkbenchScreen):
    """The project's server, wherever it was started."""

    NAME = "serve"
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - as Textual declares it
        (0, "-flat"),
        (SMALLEST[1], "-low"),
        (22, "-middle"),
        (30, "-tall"),
    ]
    DEFAULT_CSS = """
    ServeScreen {
        #state { height: 1; width: 1fr; }
        #problems { height: auto; max-height: 2; width: 1fr; display: none; }
        #problems.-told { display: block; }
        #traffic { layout: vertical; height: 9; }
        #numbers { height: 2; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
        #rate { height: 1fr; }
        #served { height: 4; }
        #logged { height: 1fr; min-height: 5; }
        #rate, #served, #logged { border-top: solid $foreground 20%; border-title-color: $foreground 60%; }
        #rate:focus, #served:focus, #logged:focus-within {
            border-top: solid $primary; border-title-color: $foreground; border-title-style: bold; }
        &.-low #rate { display: none; }
        &.-low #traffic { height: 2; }
        &.-tall #traffic { height: 2fr; min-height: 10; }
        &.-tall #logged { height: 3fr; }
        &.-off #traffic, &.-off #served { display: none; }
        &.-wide #traffic { layout: horizontal; }
        &.-wide #numbers { width: 50; height: 1fr; padding: 1 2; }
        &.-wide #rate { width: 1fr; }
    }
    """

    _state = ServingState()
    _series: RateSeries | None = None
    _recent = Recent()
    _texts: tuple[Content, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._typed: dict[str, dict[str, str]] = {}

    def compose_body(self) -> Iterable[Widget]:
        served: VirtualTable[ServedRow] = VirtualTable(
            served_columns(), empty_text="nothing is served", show_status=False, id="served"
        )
        served.border_title = "models served"
        recent: VirtualTable[PredictionRow] = VirtualTable(
            prediction_columns(), empty_text="no predictions are logged yet", id="recent"
        )
        logged = Container(recent, TableFilter(recent), id="logged")
        logged.border_title = "recent predictions"
        chart = Chart(id="rate")
        chart.border_title = "requests per second"
        yield Container(
            Static("", id="state", markup=False),
            Static("", id="problems", markup=False),
            Container(Static("", id="numbers", markup=False), chart, id="traffic"),
            served,
            logged,
            id="body",
        )

    @property
    def served(self) -> VirtualTable[ServedRow]:
        return self.query_one("#served", VirtualTable)

    @property
    def recent(self) -> VirtualTable[PredictionRow]:
        return self.query_one("#recent", VirtualTable)

    def on_mount(self) -> None:
        self.add_class("-off")
        self.recent.focus()
        self.set_interval(LOOK_EVERY_S, self._tick)

    def on_resize(self) -> None:
        self.call_after_refresh(self._write)

    # What is shown.

    def _tick(self) -> None:
        if self.is_current and self.has_looked:
            self.look()

    def look(self) -> None:
        desk = self.desk
        if not self.is_asking("serving"):
            self.ask("serving", lambda: desk.serving.look(), self._show, self.refresh_failed)
        if not self.is_asking("recent"):
            self.ask("recent", lambda: desk.predictions.read(), self._show_recent, self.refresh_failed)

    def recall(self, state: dict[str, Any]) -> None:
        self.recent.restore_state(TableState.from_json(state.get("recent")))

    def remember(self) -> dict[str, Any]:
        return {"recent": self.recent.save_state().to_json()}

    def is_available(self, action: str) -> bool:
        state = self._state
        if action == "switch":
            return not self.switching and (state.server is not None or state.can_start)
        if action == "try_one":
            return state.server is not None and bool(state.models)
        if action == "detach":
            return state.server is not None and state.is_ours
        return True

    def _show(self, state: ServingState) -> None:
        self.answered()
        before, self._state = self._state, state
        if state.models != before.models:
            self.served.set_rows(state.models)
            self.served.styles.height = 2 + min(max(1, len(state.models)), _MOST_SERVED_ROWS)
        if state.series != self._series:
            self._series = state.series
            self.query_one("#rate", Chart).set_data(_chart(state.series))
        self._write()
        if self.has_class("-off") != (state.server is None):
            self.set_class(state.server is None, "-off")
            (self.recent if state.server is None else self.served).focus()
        if (state.server, state.is_ours, bool(state.models)) != (
            before.server,
            before.is_ours,
            bool(before.models),
        ):
            self.refresh_bindings()

    def _show_recent(self, recent: Recent) -> None:
        if recent is self._recent:
            return
        self._recent = recent
        note = f" · {clean(recent.note)}" if recent.note else ""
        self.query_one("#logged").border_title = Content(f"recent predictions{note}")
        table = self.recent
        follows = table.cursor_index in (None, 0)
        table.set_rows(recent.rows)
        if follows:  # who is at the newest one stays with the newest
            table.action_first()

    def _write(self) -> None:
        """Say in words how it is; only what has changed is drawn again."""
        cells = self.size.width
        numbers = self.query_one("#numbers", Static)
        problems = problem_line(self._state)
        texts = (
            state_line(self._state, cells, switching=self.switching),
            problems,
            numbers_column(self._state, 46) if self.has_class("-wide") else numbers_line(self._state),
        )
        if len(self._texts) == len(texts) and all(
            new.is_same(old) for new, old in zip(texts, self._texts, strict=True)
        ):
            return
        self._texts = texts
        self.query_one("#state", Static).update(texts[0])
        self.query_one("#problems", Static).update(problems)
        self.query_one("#problems").set_class(bool(problems.plain), "-told")
        numbers.update(texts[2])

    # On and off.

    def action_switch(self) -> None:
        desk, on = self.desk, self._state.server is None
        self.ask("plan", lambda: desk.serving.switching(on=on), partial(self._confirm, on))

    def _confirm(self, on: bool, rows: tuple[tuple[str, str, str], ...]) -> None:
        if not rows or not self.is_current:
            return
        details = (
            "It runs in a session of its own: a lost connection doesn't end it."
            if on
            else "Requests in progress are answered; the log of predictions stays."
        )
        self.app.push_screen(
            dialogs.ConfirmDialog(
                "Start the server?" if on else "Stop the server?",
                [ChangeRow(*row) for row in rows],
                details=details,
                is_dangerous=not on,
            ),
            partial(self._confirmed, on),
        )

    def _confirmed(self, on: bool, answer: dialogs.Confirmation | None) -> None:
        if answer is None:
            return
        serving = self.desk.serving
        if on:
            self.switch("starting", serving.start, lambda server: f"serving on {server.url}; t tries one")
        else:
            self.switch(
                "stopping",
                serving.stop,
                lambda stopped: "the server has ended" if stopped else "no server was running any more",
            )

    def switching_changed(self) -> None:
        self._write()
        self.refresh_bindings()
        if not self.switching:
            self._look_anew()
            self.workbench.action_refresh()

    def _look_anew(self) -> None:
        """Ask again also where a question is on its way: its answer may be of before what was just done."""
        desk = self.desk
        self.forget("serving")
        self.ask("serving", lambda: desk.serving.look(), self._show, self.refresh_failed)

    def action_detach(self) -> None:
        desk = self.desk
        self.ask("detach", lambda: desk.serving.detach(), self._detached)

    def _detached(self, _nothing: None) -> None:
        self.workbench.toast("the server goes on when you leave; o stops it")
        self._look_anew()

    # Looking closer.

    def action_try_one(self) -> None:
        row, server = self.served.cursor_row, self._state.server
        if row is None or server is None:
            return
        desk, url, model = self.desk, server.url, row.name
        self.ask("form", lambda: try_one.form_for(url, model, desk.serving.key()), partial(self._try, url))

    def _try(self, url: str, form: try_one.TryForm) -> None:
        if not self.is_current:
            return
        self.app.push_screen(
            TryDialog(form, partial(try_one.predict, url, form), self._typed.get(form.model, {})),
            partial(self._tried, form.model),
        )

    def _tried(self, model: str, typed: dict[str, str] | None) -> None:
        self._typed[model] = typed or {}
        self.look()

    def action_log(self) -> None:
        desk = self.desk
        self.ask("log", lambda: desk.serving.log(), self._show_log)

    def _show_log(self, lines: tuple[str, ...]) -> None:
        if not self.is_current:
            return
        if not lines:
            self.workbench.toast("no log: a server started by hand writes to its own terminal")
            return
        report = ReportScreen("server.log", Content("\n".join(map(clean, lines))))
        self.app.push_screen(report)
        report.call_after_refresh(report.action_edge, 1)

    def action_back(self) -> None:
        (self.recent if self.has_class("-off") else self.served).focus()


def _chart(series: RateSeries) -> ChartData:
    """Both lines; the first minute has its room from the start, so that the axis stands still meanwhile."""
    if not series.times:
        return ChartData(x_kind="time", y_range=(0, None))
    times, later = series.times, series.times[0] + _FIRST_SPAN_S
    rest: tuple[None, ...] = ()
    if times[-1] < later:
        times, rest = (*times, later), (None,)
    lines = [Series("requests", times, (*series.requests, *rest))]
    if any(series.errors):
        lines.append(Series("errors", times, (*series.errors, *rest), color=_ERROR_COLOR))
    return ChartData(lines, x_kind="time", y_range=(0, None))
