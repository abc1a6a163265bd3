"""What people tell the watcher: that it, or one pipeline of it, shall pause."""

from __future__ import annotations

from collections.abc import Iterable

from store.journal import append_event
from store.layout import Layout
from store.state import connect
from store.state_notes import notes

ALL = "*"
_PREFIX = "watch.paused:"


def set_paused(
    layout: Layout,
    is_paused: bool,
    *,
    pipeline: str | None = None,
    reason: str | None = None,
    who: str | None = None,
) -> None:
    """Pause or resume the retraining by new data of one pipeline, or of all; journalled.

    Files are still seen and validated meanwhile, and trained with the first training after it.
    """
    key = f"{_PREFIX}{pipeline or ALL}"
    with connect(layout) as connection:
        if is_paused:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, "1"))
        elif pipeline is None:
            connection.execute("DELETE FROM meta WHERE substr(key, 1, ?) = ?", (len(_PREFIX), _PREFIX))
        else:
            connection.execute("DELETE FROM meta WHERE key = ?", (key,))
    append_event(
        layout,
        "watch_paused" if is_paused else "watch_resumed",
        who=who,
        reason=reason,
        details={"pipeline": pipeline} if pipeline else None,
    )


def paused_pipelines(layout: Layout, pipelines: Iterable[str] = ()) -> set[str]:
    """The pipelines that pause; "*" with all of `pipelines` where everything does."""
    paused = {*notes(layout, _PREFIX)}
    return paused | set(pipelines) if ALL in paused else paused
