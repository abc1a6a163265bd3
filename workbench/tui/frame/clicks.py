"""Text that does something when it is clicked, without looking like a link."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

_META = "workbench.action"


def clickable(content: Content, action: str) -> Content:
    """The text, which in a `ClickLine` runs an action when it is clicked."""
    return content.stylize_before(Style.from_meta({_META: action}))


class ClickLine(Widget):
    """Runs the action of the text that is clicked."""

    async def on_click(self, event: events.Click) -> None:
        action = event.style.meta.get(_META)
        if isinstance(action, str):
            event.stop()
            await self.app.run_action(action, self.screen)
