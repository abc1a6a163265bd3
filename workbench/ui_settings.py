"""The `[ui]` section of workbench.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from store.settings_base import Settings


class UiSettings(Settings):
    """The terminal UI."""

    theme: str = "textual-dark"
    """Colours: textual-dark, textual-light, nord, gruvbox, …; the palette (^p) lists them all."""

    keys: dict[str, str] = Field(default_factory=dict)
    """Keys of your own by action, as in {"runs.delete" = "x"}; `?` shows every action's name."""

    refresh: float = Field(1.5, ge=0.5)
    """Seconds between two looks at what has changed."""

    animations: bool = False
    """Smooth scrolling and other movement; off, for each frame travels over the wire."""

    on_quit: Literal["ask", "stop", "leave"] = "ask"
    """What quitting does with a server or watcher started here: `ask`, `stop` it or `leave` it running."""

    watch: bool = True
    """Watch the data from when the UI opens, where nobody does; what becomes of it then, `on_quit` says."""

    read_only: bool = False
    """Look, and change nothing: no deletions, promotions, starts or stops."""
