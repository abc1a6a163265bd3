"""The footer: the keys that work here, as many as there is room for."""

from __future__ import annotations

from textual.content import Content
from textual.screen import Screen

from workbench.tui.frame.clicks import ClickLine, clickable
from workbench.tui.widgets.cells import width

_ALWAYS = (("?", "help", "app.help"), ("^p", "palette", "app.command_palette"))


class KeyLine(ClickLine):
    """One line, made from the bindings that are active; drawn again only when they have changed."""

    DEFAULT_CSS = """
    KeyLine { height: 1; width: 1fr; background: $panel; color: $foreground; }
    """
    _drawn: object = None

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def render(self) -> Content:
        keys = self._keys()
        self._drawn = keys
        end = Content(" ").join(_key(*key) for key in _ALWAYS)
        room = self.size.width - end.cell_length - 2
        shown: list[Content] = []
        used = 0
        for key in keys:
            needed = width(key[0]) + width(key[1]) + 3
            if used + needed > room:
                break
            used += needed
            shown.append(_key(*key))
        start = Content("  ").join(shown)
        gap = max(1, self.size.width - start.cell_length - end.cell_length - 2)
        return Content.assemble(" ", start, " " * gap, end)

    def _bindings_updated(self, _screen: Screen[object]) -> None:
        if self.is_attached and self._keys() != self._drawn:
            self.refresh()

    def _keys(self) -> list[tuple[str, str, str]]:
        """(key, label, action) of what the footer shows: the screen's own, then the focused widget's."""
        found: dict[str, tuple[int, tuple[str, str, str]]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.show or not active.enabled or binding.action in found:
                continue
            namespace = "screen." if active.node is self.screen else ""
            key = self.app.get_key_display(binding)
            rank = 0 if active.node is self.screen else 1
            found[binding.action] = (rank, (key, binding.description.lower(), namespace + binding.action))
        return [key for _, key in sorted(found.values(), key=lambda item: item[0])]


def _key(key: str, label: str, action: str) -> Content:
    content = Content.assemble((key, "bold $text-accent"), (f" {label}", "$foreground 70%"))
    return clickable(content, action) if "." in action else content
