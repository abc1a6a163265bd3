"""What the palette finds: every action that applies, by name, and the themes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider

from workbench.tui.actions import APP_ACTIONS, SCREENS, screen_actions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from workbench.tui.action import Action
    from workbench.tui.app import WorkbenchApp


class ActionProvider(Provider):
    """The registry's actions, as far as they apply on the screen the palette was called from."""

    async def discover(self) -> Hits:
        for title, text, run in self._entries():
            if not title.startswith("theme "):
                yield DiscoveryHit(title, run, help=text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, text, run in self._entries():
            score = max(matcher.match(title), matcher.match(text) * 0.5)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=text)

    def _entries(self) -> Iterator[tuple[str, str, Callable[[], Awaitable[object] | None]]]:
        screen = self.screen
        app: WorkbenchApp = screen.app  # type: ignore[assignment]
        for action in screen_actions(getattr(screen, "NAME", "")):
            if screen.check_action(action.verb, ()):
                yield action.label, action.help, partial(app.run_action, action.verb, screen)
        for action in APP_ACTIONS:
            if action.id not in ("app.palette", "app.interrupt") and _applies(app, action):
                yield action.label, action.help, partial(app.run_action, action.verb, app)
        for theme in sorted(app.available_themes):
            yield f"theme {theme}", "Colours, for this session.", partial(app.use_theme, theme)


def _applies(app: WorkbenchApp, action: Action) -> bool:
    return (
        not action.id.startswith("app.")
        or action.id.removeprefix("app.") not in SCREENS
        or any(entry.name == action.id.removeprefix("app.") for entry in app.screens_here)
    )
