"""The curves of runs: metrics logged over steps, and the pictures of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.errors import WorkbenchError

if TYPE_CHECKING:
    from store.runs import Run, RunStore

_FOLDER = "curves/"
_AXES = {
    "roc": ("fpr", "tpr", "false positive rate"),
    "precision_recall": ("recall", "precision", "recall"),
    "calibration": ("predicted", "observed", "predicted probability"),
    "residuals": ("actual", "predicted", "actual"),
}
_SCATTERED = frozenset(("residuals",))


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of a picture; `name` is the class it belongs to where there are several."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """Curves that belong on the same axes."""

    name: str
    x_title: str
    curves: tuple[Curve, ...]
    is_scatter: bool = False


def picture_names(runs: RunStore, run: Run) -> list[str]:
    """What can be drawn of a run: pictures of its evaluation, then metrics with more than one step."""
    kept = {
        path[len(_FOLDER) :].removesuffix(".json")
        for path in runs.artifacts(run.run_id)
        if path.startswith(_FOLDER) and path.endswith(".json")
    }
    pictures = [name for name in _AXES if name in kept]
    return [*pictures, *(f"metrics.{name}" for name in run.stepped)]


def read_picture(runs: RunStore, run: Run, name: str) -> Picture:
    """One picture of a run. Raises NotFoundError, or WorkbenchError where its file can't be read."""
    if name.startswith("metrics."):
        metric = name.removeprefix("metrics.")
        points = runs.history(run.run_id, metric)
        curve = Curve(
            metric, tuple(float(step) for _, step, _ in points), tuple(value for _, _, value in points)
        )
        return Picture(name, "step", (curve,))
    x_key, y_key, title = _AXES[name]
    path = runs.artifact_path(run.run_id, f"{_FOLDER}{name}.json")
    try:
        content = json.loads(path.read_text("utf-8"))
        groups: Mapping[str, Any] = {"": content} if x_key in content else content
        curves = tuple(
            Curve(label, tuple(map(float, group[x_key])), tuple(map(float, group[y_key])))
            for label, group in groups.items()
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WorkbenchError(f"{path} can't be read as a curve: {error}", "Look at the file.") from error
    return Picture(name, title, curves, name in _SCATTERED)


def overlay(runs: RunStore, compared: Sequence[Run], name: str) -> list[tuple[Run, Picture]]:
    """The same picture of several runs, of those that have it."""
    found = []
    for run in compared:
        if name in picture_names(runs, run):
            found.append((run, read_picture(runs, run, name)))
    return found
