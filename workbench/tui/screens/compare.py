"""Screen 2: the marked runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual.containers import Container, Vertical
from textual.widget import Widget

from store.run_compare import ComparedRow
from workbench.desk.comparison import (
    Comparison,
    best_position,
    compare,
    distinct_names,
    is_improvement,
    overlaid,
)
from workbench.desk.curves import Picture
from workbench.directions import has_direction, is_lower_better
from workbench.tui.frame.screen import WorkbenchScreen
from workbench.tui.screens.run_pane import chart_data
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.chart import Chart, ChartData
from workbench.tui.widgets.formats import number
from workbench.tui.widgets.table import Column, TableFilter, TableState, VirtualTable

_NOTHING = "mark runs on screen 1 with space, then compare them with c"


@dataclass(frozen=True)
class Row:
    """A compared row with whichever of its values is best."""

    compared: ComparedRow
    best: int | None
    baseline: int

    @property
    def id(self) -> str:
        return f"{self.compared.kind}s.{self.compared.key}"


class CompareScreen(WorkbenchScreen):
    """Parameters and metrics of several runs, with differences against one, and their curves overlaid."""

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

    def compose_body(self) -> Iterable[Widget]:
        table: VirtualTable[Row] = VirtualTable(_columns((), 0), empty_text=_NOTHING, id="compared")
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
        sorts = TableState.from_json(state.get("table")).sorts
        self.table.restore_state(TableState(sorts=tuple(sort for sort in sorts if sort.key == "key")))

    def remember(self) -> dict[str, Any]:
        return {
            "everything": self._shows_everything,
            "curves": self.has_class("-curves"),
            "picture": self._picture,
            "table": TableState(sorts=self.table.sorts).to_json(),
        }

    def is_available(self, action: str) -> bool:
        count = len(self._comparison.runs) if self._comparison is not None else 0
        if action in ("baseline", "remove"):
            return count > 1
        if action in ("next_picture", "previous_picture"):
            return self._comparison is not None and len(self._comparison.pictures) > 1
        return action not in ("everything", "curves") or count > 0

    def _show(self, comparison: Comparison) -> None:
        self.answered()
        if comparison is self._comparison:
            return
        self._comparison = comparison
        self.table.set_columns(_columns(distinct_names(comparison.runs), comparison.baseline))
        self._show_rows()
        if self._picture not in comparison.pictures:
            self._picture = comparison.pictures[0] if comparison.pictures else ""
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
        against = f" · against {found.runs[found.baseline].name}" if not is_alone else ""
        gone = f" · {len(found.missing)} gone" if found.missing else ""
        self.query_one("#table-frame").border_title = f"{what}{against}{gone}"

    def _ask_picture(self) -> None:
        found = self._comparison
        if found is None or not self._picture:
            self._show_picture([])
            return
        self.ask("picture", partial(overlaid, self.desk, found, self._picture), self._show_picture)

    def _show_picture(self, pictures: list[tuple[int, Picture]]) -> None:
        found = self._comparison
        names = distinct_names(found.runs) if found is not None else []
        chart = self.query_one("#overlay", Chart)
        places = [(names[place], picture) for place, picture in pictures if place < len(names)]
        chart.set_data(chart_data(places) if places else ChartData())
        title = self._picture.removeprefix("metrics.").replace("_", " ") or "curves"
        of = (
            f" · {found.pictures.index(self._picture) + 1} of {len(found.pictures)}"
            if found and places
            else ""
        )
        self.query_one("#curves").border_title = f"{title}{of}" if places else "no curves"

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
        found = self._comparison
        if found is not None and found.pictures:
            place = found.pictures.index(self._picture) if self._picture in found.pictures else 0
            self._picture = found.pictures[(place + by) % len(found.pictures)]
            self._ask_picture()

    def _current(self) -> int | None:
        """The position of the run whose column the cursor is on."""
        column = self.table.current_column or ""
        return int(column[3:]) if column.startswith("run") else None


def _columns(names: Sequence[str], baseline: int) -> list[Column[Row]]:
    return [
        Column("key", "", value=_key, flex=1, min_width=16, max_width=26, style=_key_tone),
        *(_run_column(place, name, is_baseline=place == baseline) for place, name in enumerate(names)),
    ]


def _run_column(place: int, name: str, *, is_baseline: bool) -> Column[Row]:
    return Column(
        f"run{place}",
        f"{'◆ ' if is_baseline else ''}{clean(name)}",
        value=lambda row: _text(row, place),
        style=lambda row, _: _tone(row, place),
        align="right",
        flex=1,
        min_width=12,
        max_width=30,
        sortable=False,
        searchable=True,
    )


def _key(row: Row) -> str:
    key = row.compared.key
    if row.compared.kind != "metric" or not has_direction(key):
        return key
    return f"{key} {'↓' if is_lower_better(key) else '↑'}"


def _key_tone(row: Row, _value: Any) -> str | None:
    return "muted" if row.compared.kind == "param" else None


def _text(row: Row, place: int) -> str | None:
    compared = row.compared
    if place >= len(compared.values):
        return None
    value = compared.values[place]
    if value is None or isinstance(value, str):
        return value
    delta = compared.deltas[place]
    star = "★ " if row.best == place else ""
    if place == row.baseline or delta is None or delta != delta or delta == 0:
        return f"{star}{number(value)}"
    return f"{star}{number(value)} ({'+' if delta > 0 else '−'}{number(abs(delta))})"


def _tone(row: Row, place: int) -> str | None:
    compared = row.compared
    if compared.kind != "metric" or place >= len(compared.deltas):
        return None
    better = is_improvement(compared.key, compared.deltas[place])
    return None if better is None else "success" if better else "error"
