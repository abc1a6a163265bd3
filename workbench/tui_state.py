"""What the terminal UI remembers of its layout between two sessions."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import StorageError
from store.files import write_atomically

if TYPE_CHECKING:
    from store.layout import Layout

State = dict[str, Any]
"""By screen; JSON's own types."""


def state_path(layout: Layout) -> Path:
    return layout.state / "ui.json"


def read_state(layout: Layout) -> State:
    """What was remembered last; empty where that is nothing, or can't be read."""
    try:
        state = json.loads(state_path(layout).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(layout: Layout, state: State) -> None:
    """Remember a layout; a disk that refuses is not worth an error on the way out."""
    path = state_path(layout)
    with contextlib.suppress(OSError, StorageError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(state, indent=1, ensure_ascii=False))
