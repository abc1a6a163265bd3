"""The title line: where a person is, what runs, and the screens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from workbench.tui.frame.clicks import ClickLine, clickable
from workbench.tui.widgets.cells import clean, clip, width

if TYPE_CHECKING:
    from workbench.desk.live import Live
    from workbench.tui.app import WorkbenchApp


class TitleLine(ClickLine):
    """Two lines, drawn again only when what they say has changed."""

    DEFAULT_CSS = """
    TitleLine { height: 2; width: 1fr; background: $panel; color: $foreground; }
    """
    _drawn: tuple[object, ...] = ()

    def sync(self) -> None:
        """Show the state as it is by now."""
        if self._facts() != self._drawn:
            self.refresh()

    def render(self) -> Content:
        self._drawn = self._facts()
        app = self._app
        cells = self.size.width
        left = f" workbench · {clean(app.place_name)}"
        live, watching, alerts = state_words(app.live), watch_words(app.live), alert_words(app.live)
        beside = sum(width(words) + 3 for words in (watching, alerts) if words)
        room = cells - min(width(left), max(20, cells // 3)) - 3 - beside
        right = clip(live, max(0, room))
        left = clip(left, max(0, cells - width(right) - beside - 2))
        gap = " " * max(1, cells - width(left) - width(right) - beside - 1)
        tone = "$text-success" if app.live.server else "$foreground 60%"
        first = Content.assemble((left, "bold"), gap, (right, tone))
        if watching:
            paused = "$text-warning" if app.live.paused else "$text-success"
            first = Content.assemble(first, "   ", (watching, paused))
        if alerts:
            first = Content.assemble(first, "   ", (alerts, "bold $text-warning"))
        entries = app.screens_here
        needed = 1 + sum(len(entry.key) + len(entry.title) + 3 for entry in entries)
        end = " " if needed <= cells else ""
        tabs = [self._tab(entry.name, f" {entry.key} {entry.title}{end}") for entry in entries]
        return Content.assemble(first, "\n ", *tabs)

    def _tab(self, name: str, text: str) -> Content:
        style = "bold $primary reverse" if name == getattr(self.screen, "NAME", "") else "$foreground"
        tab = Content.assemble((text, style))
        return clickable(tab, f"app.open_screen('{name}')")

    def _facts(self) -> tuple[object, ...]:
        live = self._app.live
        return self._app.place_name, state_words(live), watch_words(live), alert_words(live), self.size.width

    @property
    def _app(self) -> WorkbenchApp:
        from workbench.tui.app import WorkbenchApp

        assert isinstance(self.app, WorkbenchApp)
        return self.app


def state_words(live: Live) -> str:
    """What runs and what is in production, most important first."""
    champions = " · ".join(f"{clean(name)} v{version}" for name, version in live.champions)
    if live.server is not None:
        return f"● serving {live.server.place} {champions}".rstrip()
    return f"○ not serving · {champions}" if champions else "○ not serving"


def watch_words(live: Live) -> str:
    """How many pipelines' data is watched, and whether they pause; nothing where nobody watches."""
    if live.watched is None:
        return ""
    if live.paused and live.paused >= live.watched:
        return "◎ paused"
    return f"◉ watching {live.watched}" + (f", {live.paused} paused" if live.paused else "")


def alert_words(live: Live) -> str:
    """How many alerts are open; nothing where none is."""
    return f"▲ {live.alerts} alert{'s' if live.alerts != 1 else ''}" if live.alerts else ""
