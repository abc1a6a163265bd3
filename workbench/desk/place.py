"""Where a person is: in a project, at a bare store of runs, or nowhere yet, without reading the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from store.layout import SETTINGS_FILE, Layout

USUAL_STORE = "mlruns"


@dataclass(frozen=True)
class Place:
    """A project's folder, or a folder of runs without one (`store`); neither is a place to start from."""

    root: Path
    is_project: bool = False
    store: Path | None = None
    theme: str | None = None
    """As the settings file names it, so that the first picture has it."""

    @property
    def is_empty(self) -> bool:
        return not self.is_project and self.store is None


def find_root(start: Path) -> Path | None:
    """The nearest folder at or above `start` that holds a workbench.toml."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file():
            return folder
    return None


def how_to_begin(start: Path) -> str:
    """What to do where a command needs a project and there is none."""
    if is_store(start / USUAL_STORE):
        return "workbench opens its runs; a project around them begins with: workbench init"
    return "Start one with: workbench init (or see a living one: workbench demo)."


def find_place(start: Path) -> Place:
    """What to open at `start`: a store of runs if it is one, else the project there, else runs beneath it."""
    start = start.resolve()
    if is_store(start):
        project = start.parent if (start.parent / SETTINGS_FILE).is_file() else None
        if project is None or start.name != USUAL_STORE:
            return Place(start.parent, store=start)
        start = project
    root = find_root(start)
    if root is not None:
        return Place(root, is_project=True, theme=_theme(root))
    if is_store(start / USUAL_STORE):
        return Place(start, store=start / USUAL_STORE)
    return Place(start)


def is_store(folder: Path) -> bool:
    """Whether a folder holds MLflow experiments: subfolders with a meta.yaml that names one."""
    try:
        with os.scandir(folder) as entries:
            return any(_is_experiment(entry) for entry in entries)
    except OSError:
        return False


def bare_layout(store: Path) -> Layout:
    """Where workbench keeps its own things about a store that belongs to no project: in the user's state."""
    import hashlib

    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    key = hashlib.blake2b(os.fsencode(store), digest_size=6).hexdigest()
    return Layout(root=store.parent, state=Path(base) / "workbench" / f"{store.name}-{key}")


def _is_experiment(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name == "models" or not entry.is_dir():
        return False
    try:
        head = Path(entry.path, "meta.yaml").read_text("utf-8")[:4096]
    except (OSError, ValueError):
        return False
    return "experiment_id:" in head


def _theme(root: Path) -> str | None:
    if os.environ.get("WORKBENCH_UI__THEME"):
        return os.environ["WORKBENCH_UI__THEME"]
    try:
        text = (root / SETTINGS_FILE).read_text("utf-8-sig")
        if "theme" not in text:
            return None
        import tomllib

        ui = tomllib.loads(text).get("ui")
    except (OSError, ValueError):
        return None  # what is wrong is told when the settings are read
    theme = ui.get("theme") if isinstance(ui, dict) else None
    return theme if isinstance(theme, str) else None
