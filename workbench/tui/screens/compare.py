"""Screen 2: the marked runs side by side."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from textual import on
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widget import Widget

from store.run_compare import ComparedRow
from workbench.desk.comparison import (
    Comparison,
    best_position,
    compare,
    distinct_names,
    overlaid,
)
from workbench.desk.curves import Picture
from workbench.desk.scatter import plotted_metrics, plotted_parameters, scatter
from workbench.tui.frame.screen import WorkbenchScreen
from workbench.tui.screens.compare_columns import Row, compare_columns, metric_title
from workbench.tui.screens.run_pane import chart_data
from workbench.tui.screens.scatter_chart import scatter_chart
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.chart import Chart, ChartData
from workbench.tui.widgets.table import TableFilter, TableState, VirtualTable
from workbench.tui.widgets.table.messages import RowHighlighted

_NOTHING = "mark runs on screen 1 with space, then compare them with c"
_PARAM = "params."


class CompareScreen(WorkbenchScreen):
    """Parameters and metrics of several runs, with differences against one, and pictures of them.

    The pictures are the runs' curves overlaid, then a metric against each parameter (`params.NAME`).
    """

    NAME = "compare"
    DEFAULT_CSS = """
    CompareScreen {
        #body { layout: vertical; }
        #table-frame { height: 3fr; min-height: 6; }
        #curves { height: 2fr; min-height: 8; display: none; }
        #table-frame, #curves { border: round $foreground 20%; border-title-color: $text-muted; width: 1fr; }
        #table-frame:focus-within, #curves:focus-within {
            border: round $primary; border-title-color: $foreground; border-title-style: bold; }
        &.-curves.-tall #curves { display: block; }
        &.-low.-curves-alone #table-frame { display: none; }
        &.-low.-curves-alone #curves { display: block; height: 1fr; }
        &.-wide #body { layout: horizontal; }
        &.-wide #table-frame { height: 1fr; width: 3fr; }
        &.-wide #curves { height: 1fr; width: 2fr; }
    }
    """

    _comparison: Comparison | None = None
    _baseline: str | None = None
    _shows_everything = False
    _picture = ""
    _metric = ""

    def compose_body(self) -> Iterable[Widget]:
        table: VirtualTable[Row] = VirtualTable(compare_columns((), 0), empty_text=_NOTHING, id="compared")
        frame = Vertical(table, TableFilter(table), id="table-frame")
        frame.border_title = "differences"
        curves = Vertical(Chart(id="overlay"), id="curves")
        curves.border_title = "curves"
        yield Container(frame, curves, id="body")

    @property
    def table(self) -> VirtualTable[Row]:
        return self.query_one("#compared", VirtualTable)

    def on_mount(self) -> None:
        self.add_class("-curves")
        self.table.focus()

    # What is shown.

    def look(self) -> None:
        if not self.is_asking("comparison"):
            self._ask()

    def _ask(self) -> None:
        call = partial(compare, self.desk, self.workbench.compared, self._baseline, self._comparison)
        self.ask("comparison", call, self._show, self.refresh_failed)

    def recall(self, state: dict[str, Any]) -> None:
        self._shows_everything = bool(state.get("everything", False))
        self.set_class(bool(state.get("curves", True)), "-curves")
        self._picture = str(state.get("picture") or "")
        self._metric = str(state.get("metric") or "")
        sorts = TableState.from_json(state.get("table")).sorts
        self.table.restore_state(TableState(sorts=tuple(sort for sort in sorts if sort.key == "key")))

    def remember(self) -> dict[str, Any]:
        return {
            "everything": self._shows_everything,
            "curves": self.has_class("-curves"),
            "picture": self._picture,
            "metric": self._metric,
            "table": TableState(sorts=self.table.sorts).to_json(),
        }

    def is_available(self, action: str) -> bool:
        count = len(self._comparison.runs) if self._comparison is not None else 0
        if action in ("baseline", "remove"):
            return count > 1
        if action in ("next_picture", "previous_picture"):
            return len(self._pictures) > 1
        if action == "plot":
            return self._picture.startswith(_PARAM) or self._plotted() is not None
        if action == "next_metric":
            return self._picture.startswith(_PARAM)
        return action not in ("everything", "curves") or count > 0

    def _show(self, comparison: Comparison) -> None:
        self.answered()
        if comparison is self._comparison:
            return
        self._comparison = comparison
        self.table.set_columns(compare_columns(distinct_names(comparison.runs), comparison.baseline))
        self._show_rows()
        pictures = self._pictures
        if self._picture not in pictures:
            self._picture = pictures[0] if pictures else ""
        self._ask_picture()
        self.refresh_bindings()

    def _show_rows(self) -> None:
        found = self._comparison
        if found is None:
            return
        is_alone = len(found.runs) < 2
        rows = [
            Row(row, best_position(row), found.baseline)
            for row in found.rows
            if row.differs or self._shows_everything or is_alone
        ]
        self.table.set_rows(rows)
        self.table.set_empty_text("these runs are alike; a shows everything" if found.runs else _NOTHING)
        what = "everything" if self._shows_everything or is_alone else "differences"
        what = what if found.runs else "compare"
        against = f" · against {found.runs[found.baseline].name}" if not is_alone else ""
        gone = f" · {len(found.missing)} gone" if found.missing else ""
        self.query_one("#table-frame").border_title = Content(clean(f"{what}{against}{gone}"))

    @property
    def _pictures(self) -> tuple[str, ...]:
        """Everything that can be drawn of these runs."""
        found = self._comparison
        if found is None:
            return ()
        plotted = plotted_parameters(found) if plotted_metrics(found) else ()
        return (*found.pictures, *(_PARAM + parameter for parameter in plotted))

    def _ask_picture(self) -> None:
        found = self._comparison
        if found is None or not self._picture:
            self._show_picture([])
        elif self._picture.startswith(_PARAM):
            self.forget("picture")
            self._show_scatter(found)
        else:
            self.ask("picture", partial(overlaid, self.desk, found, self._picture), self._show_picture)

    def _show_scatter(self, found: Comparison) -> None:
        metrics = plotted_metrics(found)
        if self._metric not in metrics:
            self._metric = metrics[0]
        runs = scatter(found, self._picture.removeprefix(_PARAM), self._metric)
        row = next(row for row in found.rows if row.kind == "metric" and row.key == self._metric)
        chart = self.query_one("#overlay", Chart)
        chart.set_data(scatter_chart(runs, distinct_names(found.runs), found.baseline, best_position(row)))
        without = f" · {runs.missing} without" if runs.missing else ""
        self._title_picture(f"{metric_title(row)} against {runs.parameter}{without}")

    def _show_picture(self, pictures: list[tuple[int, Picture]]) -> None:
        found = self._comparison
        names = distinct_names(found.runs) if found is not None else []
        chart = self.query_one("#overlay", Chart)
        places = [(names[place], picture) for place, picture in pictures if place < len(names)]
        chart.set_data(chart_data(places) if places else ChartData())
        self._title_picture(self._picture.removeprefix("metrics.").replace("_", " ") if places else "")

    def _title_picture(self, title: str) -> None:
        pictures = self._pictures
        of = f" · {pictures.index(self._picture) + 1} of {len(pictures)}" if title else ""
        self.query_one("#curves").border_title = Content(clean(f"{title}{of}" if title else "no curves"))

    @on(RowHighlighted, "#compared")
    def _other_row(self) -> None:
        self.refresh_bindings()

    # What a person does.

    def action_baseline(self) -> None:
        found = self._comparison
        if found is not None and found.runs:
            place = self._current()
            if place is None or place == found.baseline:
                place = (found.baseline + 1) % len(found.runs)
            self._baseline = found.runs[place].run_id
            self._ask()

    def action_everything(self) -> None:
        self._shows_everything = not self._shows_everything
        self._show_rows()

    def action_remove(self) -> None:
        found = self._comparison
        if found is None or not found.runs:
            return
        place = self._current()
        gone = found.runs[len(found.runs) - 1 if place is None else place].run_id
        self.workbench.compared = tuple(run_id for run_id in self.workbench.compared if run_id != gone)
        self._ask()

    def action_curves(self) -> None:
        self.toggle_class("-curves-alone" if self.has_class("-low") else "-curves")
        is_alone = self.has_class("-low", "-curves-alone")
        self.call_after_refresh(self.query_one("#overlay" if is_alone else "#compared").focus)

    def action_plot(self) -> None:
        row, found = self._plotted(), self._comparison
        before = self._picture, self._metric
        if found is None:
            return
        if row is not None and row.kind == "param":
            self._picture = _PARAM + row.key
        elif row is not None:
            self._metric = row.key
            if not self._picture.startswith(_PARAM):
                self._picture = _PARAM + plotted_parameters(found)[0]
        if before == (self._picture, self._metric) or row is None:
            self._picture = found.pictures[0] if found.pictures else self._picture
        self._show_plot()

    def action_next_metric(self) -> None:
        metrics = plotted_metrics(self._comparison) if self._comparison is not None else ()
        if metrics:
            place = metrics.index(self._metric) if self._metric in metrics else -1
            self._metric = metrics[(place + 1) % len(metrics)]
            self._ask_picture()

    def _plotted(self) -> ComparedRow | None:
        """The row under the cursor, if it can be plotted."""
        row, found = self.table.cursor_row, self._comparison
        if row is None or found is None:
            return None
        able = plotted_parameters(found), plotted_metrics(found)
        return row.compared if all(able) and row.compared.key in able[row.compared.kind == "metric"] else None

    def _show_plot(self) -> None:
        if self.has_class("-low"):
            self.add_class("-curves-alone")
            self.call_after_refresh(self.query_one("#overlay").focus)
        else:
            self.add_class("-curves")
        self._ask_picture()
        self.refresh_bindings()

    def action_next_picture(self) -> None:
        self._turn(1)

    def action_previous_picture(self) -> None:
        self._turn(-1)

    def action_back(self) -> None:
        if self.query_one("#curves").has_focus_within:
            self.remove_class("-curves-alone")
            self.call_after_refresh(self.table.focus)
        else:
            self.workbench.action_open_screen("runs")

    def _turn(self, by: int) -> None:
        pictures = self._pictures
        if pictures:
            place = pictures.index(self._picture) if self._picture in pictures else 0
            self._picture = pictures[(place + by) % len(pictures)]
            self._ask_picture()
            self.refresh_bindings()

    def _current(self) -> int | None:
        """The position of the run whose column the cursor is on."""
        column = self.table.current_column or ""
        return int(column[3:]) if column.startswith("run") else None
