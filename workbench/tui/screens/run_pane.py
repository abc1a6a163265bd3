"""The details of a run: tabs for facts, files with a preview, and curves."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from store.runs import Run
from workbench.desk.curves import Picture
from workbench.desk.run_details import Preview, RunDetails
from workbench.tui.frame.clicks import ClickLine, clickable
from workbench.tui.screens.run_page import about_page, metrics_page, pairs_page, tags_page
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.chart import Chart, ChartData, Series
from workbench.tui.widgets.page import Page, PageMaker
from workbench.tui.widgets.table import Column, VirtualTable
from workbench.tui.widgets.table.messages import RowHighlighted

if TYPE_CHECKING:
    from textual.widget import Widget

TABS = ("about", "params", "metrics", "tags", "files", "curves")


class RunPane(Vertical):
    """Shows one run. What a tab needs beyond the run itself it asks of the screen, by messages."""

    DEFAULT_CSS = """
    RunPane {
        & > #tabs { height: 1; width: 1fr; color: $text-muted; }
        & > #facts { padding: 1 1 0 1; }
        & > #files-tab { height: 1fr; & > #files { height: 2fr; min-height: 4; }
            & > #preview-title { height: 1; color: $text-muted; padding: 0 1; background: $panel; }
            & > #preview { height: 3fr; padding: 0 1; } }
        & > #curves-tab { height: 1fr; & > #pictures { height: auto; max-height: 6; }
            & > Chart { height: 1fr; } }
    }
    """

    class FileWanted(Message):
        """The cursor is on another file."""

        def __init__(self, run: Run, path: str) -> None:
            super().__init__()
            self.run = run
            self.path = path

    class PictureWanted(Message):
        """A picture is in sight; `name` is None where the run's names are not known yet."""

        def __init__(self, run: Run, name: str | None) -> None:
            super().__init__()
            self.run = run
            self.name = name

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self.tab = "about"
        self._run: Run | None = None
        self._details: RunDetails | None = None
        self._pictures: tuple[str, ...] | None = None

    def compose(self) -> ComposeResult:
        yield TabLine(id="tabs")
        yield Page(id="facts")
        with Vertical(id="files-tab"):
            yield VirtualTable(
                [Column("path", "file", value=str, flex=1, max_width=200)],
                row_id=str,
                empty_text="no files",
                show_status=False,
                id="files",
            )
            yield Static("", id="preview-title", markup=False)
            yield Page(id="preview")
        with Vertical(id="curves-tab"):
            yield VirtualTable(
                [Column("name", "picture", value=str, flex=1)],
                row_id=str,
                empty_text="no curves: no metric has several steps",
                show_status=False,
                id="pictures",
            )
            yield Chart(id="curve")

    @property
    def run(self) -> Run | None:
        """The run that is shown."""
        return self._run

    @property
    def has_details(self) -> bool:
        """Whether more is shown of it than the table knew."""
        return self._details is not None

    def on_mount(self) -> None:
        self.show_tab(self.tab)

    # What the screen tells it.

    def show_run(self, run: Run | None) -> None:
        """Show a run as far as it is known by itself; `show_details` follows."""
        is_another = run is None or self._run is None or run.run_id != self._run.run_id
        self._run = run
        if is_another:
            self._details, self._pictures = None, None
            self._table("files").set_rows(())
            self._table("pictures").set_rows(())
            self.query_one("#curve", Chart).set_data(ChartData())
            self._show_preview_lines("", ())
        self._lay_out(from_top=is_another)

    def show_details(self, details: RunDetails) -> None:
        if self._run is None or details.run.run_id != self._run.run_id:
            return
        self._details = details
        self._table("files").set_rows(details.artifacts)
        self._lay_out()

    def show_preview(self, preview: Preview) -> None:
        title = f"{preview.path}  {preview.note}"
        self._show_preview_lines(title, preview.lines)

    def show_pictures(self, names: tuple[str, ...]) -> None:
        self._pictures = names
        table = self._table("pictures")
        table.set_rows(names)
        if not names:
            self.query_one("#curve", Chart).set_data(ChartData())

    def show_picture(self, picture: Picture) -> None:
        self.query_one("#curve", Chart).set_data(chart_data([("", picture)]))

    def show_tab(self, tab: str) -> None:
        self.tab = tab if tab in TABS else TABS[0]
        self.query_one("#tabs", TabLine).show(self.tab)
        self.query_one("#facts").display = self.tab not in ("files", "curves")
        self.query_one("#files-tab").display = self.tab == "files"
        self.query_one("#curves-tab").display = self.tab == "curves"
        self._lay_out(from_top=True)

    def turn(self, by: int) -> None:
        """To the next or the previous tab; the focus stays within, if it was."""
        had_focus = self.has_focus_within
        self.show_tab(TABS[(TABS.index(self.tab) + by) % len(TABS)])
        if had_focus:
            self.main_widget.focus()

    @property
    def main_widget(self) -> Widget:
        """What has the focus when the pane is entered."""
        names = {"files": "#files", "curves": "#pictures"}
        return self.query_one(names.get(self.tab, "#facts"))

    # How it shows it.

    def _lay_out(self, *, from_top: bool = False) -> None:
        run = self._run
        if run is None:
            self.query_one("#facts", Page).set_page(lambda _: Content(""))
            return
        if self.tab == "curves":
            self._want_pictures()
            return
        pages: dict[str, PageMaker] = {
            "about": partial(about_page, run, self._details),
            "params": lambda cells: pairs_page(run.params, cells, "no params"),
            "metrics": partial(metrics_page, run),
            "tags": partial(tags_page, run),
        }
        if self.tab in pages:
            self.query_one("#facts", Page).set_page(pages[self.tab], from_top=from_top)

    def _want_pictures(self) -> None:
        if self._run is not None and self._pictures is None:
            self.post_message(self.PictureWanted(self._run, None))

    def _show_preview_lines(self, title: str, lines: tuple[str, ...]) -> None:
        self.query_one("#preview-title", Static).update(clean(title))
        text = "\n".join(map(clean, lines))
        self.query_one("#preview", Page).set_page(lambda _: Content(text), from_top=True)

    @on(RowHighlighted, "#files")
    def _file_highlighted(self, event: RowHighlighted) -> None:
        event.stop()
        if event.row_id is not None and self._run is not None:
            self.post_message(self.FileWanted(self._run, event.row_id))

    @on(RowHighlighted, "#pictures")
    def _picture_highlighted(self, event: RowHighlighted) -> None:
        event.stop()
        if event.row_id is not None and self._run is not None:
            self.post_message(self.PictureWanted(self._run, event.row_id))

    def _table(self, name: str) -> VirtualTable[str]:
        return self.query_one(f"#{name}", VirtualTable)


def chart_data(pictures: list[tuple[str, Picture]]) -> ChartData:
    """Pictures of the same kind on one pair of axes, each named after its run where there are several."""
    series = [
        Series(
            " ".join(part for part in (label, curve.name) if part),
            curve.x,
            curve.y,
            color=place,
            is_scatter=picture.is_scatter,
        )
        for place, (label, picture) in enumerate(pictures)
        for curve in picture.curves
    ]
    return ChartData(series, x_title=pictures[0][1].x_title if pictures else "")


class TabLine(ClickLine):
    """The names of the tabs, the open one marked."""

    _tab = TABS[0]

    def show(self, tab: str) -> None:
        self._tab = tab
        self.refresh()

    def render(self) -> Content:
        return _tab_line(self._tab)


def _tab_line(current: str) -> Content:
    tabs = [
        clickable(
            Content.assemble((f" {tab} ", "bold $primary reverse" if tab == current else "")),
            f"screen.open_tab('{tab}')",
        )
        for tab in TABS
    ]
    return Content.assemble(*tabs)
