"""A text to scroll, laid out for the width there is."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from workbench.tui.widgets.cells import clean, width

Cell = tuple[str, str]
"""A text and its style; the text may be anything, the style is Textual's (`$text-muted`)."""
PageMaker = Callable[[int], Content]
_NARROWEST = 12
_INDENT = 2


class Page(VerticalScroll, can_focus=True):
    """Shows what a function makes for its width; drawn again only when the text is another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="page.down"),
        Binding("k", "scroll_up", "Up", show=False, id="page.up"),
        Binding("g", "scroll_home", "Start", show=False, id="page.start"),
        Binding("G", "scroll_end", "End", show=False, id="page.end"),
        Binding("space,ctrl+f", "page_down", "Page down", show=False, id="page.page_down"),
        Binding("ctrl+b", "page_up", "Page up", show=False, id="page.page_up"),
    ]
    DEFAULT_CSS = """
    Page { width: 1fr; height: 1fr; scrollbar-size-vertical: 1; background: $surface;
        scrollbar-gutter: stable; scrollbar-color: $foreground 25%; scrollbar-background: $surface;
        scrollbar-background-hover: $surface; scrollbar-background-active: $surface; }
    Page > Static { width: 1fr; height: auto; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._make: PageMaker = lambda _: Content("")
        self._shown: Content | None = None

    def compose(self) -> ComposeResult:
        yield Static("", markup=False)

    def set_page(self, make: PageMaker, *, from_top: bool = False) -> None:
        """Show another text; `from_top` where it is about something else than the one before."""
        self._make = make
        self._lay_out()
        if from_top:
            self.scroll_home(animate=False)

    def on_resize(self, _event: events.Resize) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        content = self._make(max(_NARROWEST, self.scrollable_content_region.width))
        if self._shown is None or not content.is_same(self._shown):
            self._shown = content
            self.query_one(Static).update(content)


def heading(text: str, note: str = "", note_style: str = "$foreground 60%") -> Content:
    """A section's title with a quieter note beside it."""
    return Content.assemble((clean(text), "bold"), "  " if note else "", (clean(note), note_style))


def paragraph(text: str, cells: int, style: str = "", indent: int = 0) -> Content:
    """A text in lines of at most `cells` cells."""
    lines = textwrap.wrap(clean(text), max(_NARROWEST, cells - indent)) or [""]
    return Content("\n").join([Content.styled(" " * indent + line, style) for line in lines])


def grid(rows: Sequence[Sequence[Cell]], cells: int, *, right: frozenset[int] = frozenset()) -> Content:
    """Rows of cells in columns, those in `right` aligned right.

    The last column wraps in what is left; where that is next to nothing, it goes into lines below its row.
    """
    if not rows:
        return Content("")
    texts = [[clean(text) for text, _ in row] for row in rows]
    last = max(map(len, rows)) - 1
    sizes = [max((width(row[at]) for row in texts if at < len(row)), default=0) for at in range(last)]
    start = sum(sizes) + 2 * len(sizes)
    longest = max((width(row[last]) for row in texts if last < len(row)), default=0)
    is_below = cells - start < min(longest, _NARROWEST)
    if is_below:
        start = _INDENT
    room = max(_NARROWEST, cells - start)
    lines: list[Content] = []
    for row, cleaned in zip(rows, texts, strict=True):
        parts: list[str | tuple[str, str]] = []
        for at, size in enumerate(sizes):
            text, style = (cleaned[at], row[at][1]) if at < len(row) else ("", "")
            pad = " " * (size - width(text))
            parts += [pad, (text, style), "  "] if at in right else [(text, style), pad, "  "]
        wrapped = (textwrap.wrap(cleaned[last], room) or [""]) if last < len(row) else [""]
        style = row[last][1] if last < len(row) else ""
        if is_below:
            lines.append(Content.assemble(*parts).rstrip())
        else:
            lines.append(Content.assemble(*parts, (wrapped.pop(0), style)))
        lines += [Content.assemble(" " * start, (more, style)) for more in wrapped if more]
    return Content("\n").join(lines)
