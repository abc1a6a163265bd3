"""The project's watcher as others see it: found, started in the background, stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from store.background import Background
from store.layout import Layout


@dataclass(frozen=True)
class WatcherInfo:
    """A running watcher, as it last described itself."""

    pid: int
    started_at: datetime
    heartbeat: datetime
    folders: tuple[Mapping[str, Any], ...] = ()
    """{"path", "events", "why_not"} of each folder: whether changes come as events, and why not."""
    pipelines: tuple[Mapping[str, Any], ...] = ()
    """{"name", "folder", "paused", "waits_for", "next_training", "next_scoring"} of each pipeline: what its
    trainings wait for, and when its schedules come next."""
    problems: Mapping[str, str] | None = None
    """What fails at the moment, by the name of the task."""

    @property
    def is_paused(self) -> bool:
        return bool(self.pipelines) and all(row.get("paused") for row in self.pipelines)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> WatcherInfo:
        return cls(
            pid=values["pid"],
            started_at=datetime.fromisoformat(values["started_at"]),
            heartbeat=datetime.fromisoformat(values["heartbeat"]),
            folders=tuple(values["folders"]),
            pipelines=tuple(values["pipelines"]),
            problems=values["problems"],
        )

    def notes(self, local_time: Callable[[datetime], str]) -> list[str]:
        """What its pipelines wait for, and when their schedules come next, in sentences without an end."""
        notes = [f"{row['name']} waits for {row['waits_for']}" for row in self.pipelines if row["waits_for"]]
        for key, words in (("next_training", "trains next"), ("next_scoring", "scores its files next")):
            for row in self.pipelines:
                due = row.get(key)
                if due is not None and datetime.fromisoformat(due) > self.heartbeat:
                    notes.append(f"{row['name']} {words} at {local_time(datetime.fromisoformat(due))}")
        notes += [f"{name} fails: {text}" for name, text in (self.problems or {}).items()]
        return [note.rstrip(".") for note in notes]

    def as_json(self) -> dict[str, Any]:
        """The watcher in `status --json`."""
        return {
            "pid": self.pid,
            "started_at": self.started_at.isoformat(),
            "heartbeat": self.heartbeat.isoformat(),
            "paused": self.is_paused,
            "folders": [dict(row) for row in self.folders],
            "pipelines": [dict(row) for row in self.pipelines],
            "problems": dict(self.problems or {}),
        }


def watcher_process(layout: Layout) -> Background:
    """The process that watches the project, if there is one."""
    return Background(layout, "watch", "watcher")


def running_watcher(layout: Layout) -> WatcherInfo | None:
    """The project's watcher; None when no living process holds its lock. Pauses are those of this moment."""
    raw = watcher_process(layout).description()
    if raw is None:
        return None
    try:
        info = WatcherInfo.from_json(raw)
    except (ValueError, KeyError, TypeError):
        return None
    from store.watch_state import paused_pipelines

    paused = paused_pipelines(layout, [row["name"] for row in info.pipelines])
    rows = tuple({**row, "paused": row["name"] in paused} for row in info.pipelines)
    return replace(info, pipelines=rows)


def start_background(
    root: Path,
    *,
    options: Sequence[str] = (),
    timeout_s: float = 30.0,
    on_wait: Callable[[float], None] | None = None,
) -> WatcherInfo:
    """Start `workbench watch` for the project at `root` in a session of its own, and wait until it watches.

    It survives the end of this process. Returns the watcher that runs already, where there is one. Raises
    WorkbenchError with the last line of its log when it ends early or isn't ready in time.
    """
    from workbench.settings import load_project

    layout = load_project(root).layout.ensure()

    def ready(pid: int) -> WatcherInfo | None:
        info = running_watcher(layout)
        return info if info is not None and info.pid == pid else None

    present = running_watcher(layout)
    if present is not None:
        return present
    process = watcher_process(layout)
    return process.start(root, ["watch", *options], ready, timeout_s=timeout_s, on_wait=on_wait)


def stop_watcher(layout: Layout, timeout_s: float = 30.0) -> bool:
    """End the project's watcher; a job that it runs goes back to the queue. False when none runs.

    Raises WorkbenchError when it belongs to another user or is still there after `timeout_s`.
    """
    return watcher_process(layout).stop(timeout_s=timeout_s, if_slow="End it with: kill -9.")
