"""Trains a run again from its own recipe, aside from the project, and compares the two to the last bit."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.launch import train
from pipelines.provenance import installed_packages
from pipelines.recipe import Recipe, RecipeFile, package_differences, place_files, write_module
from pipelines.request import TrainEvent, TrainRequest
from store.errors import StorageError, WorkbenchError
from store.journal import append_event
from store.layout import Layout
from store.settings import StoreSettings
from store.tracking import open_runs, resolve_uri

if TYPE_CHECKING:
    from store.runs import Run, RunStore

_MEASURES_OF_TIME = ("seconds_", "latency_ms")
_OTHER_EACH_TIME = frozenset(
    {"timing.json", "gate.json", "settings.json", "dataset.json", "environment.json", "learnt_rows.npz"}
)
"""Artifacts that tell of the circumstances, not of the model."""
_FOLLOWS_PLACE = frozenset({"dataset"})


@dataclass(frozen=True)
class Difference:
    """One value that did not come out as it was."""

    name: str
    before: float | str | None
    after: float | str | None


@dataclass(frozen=True)
class Reproduction:
    """A run beside its repetition."""

    run_id: str
    is_identical: bool
    compared: int
    """Metrics that were compared, bit for bit."""
    metrics: tuple[Difference, ...]
    params: tuple[Difference, ...]
    artifacts: tuple[str, ...]
    """Files that describe the model and came out otherwise: importances, curves, the reference profile."""
    packages: Mapping[str, tuple[str | None, str | None]]
    """Packages whose version (then, now) differs; they may be why."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """As `workbench runs reproduce --json` prints it."""
        return {
            "run_id": self.run_id,
            "identical": self.is_identical,
            "compared": self.compared,
            "metrics": {d.name: {"before": d.before, "after": d.after} for d in self.metrics},
            "params": {d.name: {"before": d.before, "after": d.after} for d in self.params},
            "artifacts": list(self.artifacts),
            "packages": {name: {"then": then, "now": now} for name, (then, now) in self.packages.items()},
            "seconds": self.seconds,
        }


def reproduce(
    recipe: Recipe,
    runs: RunStore,
    layout: Layout,
    *,
    store: StoreSettings,
    trusted_types: tuple[str, ...] = (),
    restore: Callable[[RecipeFile], Path | None],
    who: str | None = None,
    on_event: Callable[[TrainEvent], None] | None = None,
) -> Reproduction:
    """Train again with the same data, settings, module and seed; nothing is registered, no run is added.

    Everything but times is compared: metrics and parameters, importances, curves, the reference profile.
    Raises NotFoundError where the data is gone, and whatever ends the training.
    """
    layout.ensure()
    try:
        scratch = Path(tempfile.mkdtemp(prefix="reproduce-", dir=layout.state))
    except OSError as error:
        raise StorageError(f"cannot write in {layout.state}: {error.strerror}", "Free the disk.") from error
    try:
        data = scratch / "data"
        place_files(recipe, layout.root, data, restore)
        settings = recipe.settings
        module = write_module(recipe, scratch / "code", Path(settings.module or "module").stem)
        if module is not None:
            settings = settings.model_copy(update={"module": str(module)})
        aside = Layout.of(scratch, ".workbench")
        request = TrainRequest(
            pipeline=recipe.pipeline,
            settings=settings,
            tracking_uri="mlruns",
            layout=aside,
            store=store.model_copy(update={"keep_data": False}),
            promote="never",
            trusted_types=trusted_types,
            data=str(data),
            is_repeated=True,
            trigger="reproduce",
        )
        result = train(request, on_event=on_event)
        again = open_runs(resolve_uri("mlruns", scratch))
        outcome = _compare(recipe, runs, again, again.get(result.run_id), result.seconds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    append_event(
        layout,
        "reproduced",
        who=who,
        model=recipe.settings.model or recipe.pipeline,
        reason="identical" if outcome.is_identical else "differs",
        details={key: value for key, value in outcome.as_json().items() if key != "seconds"},
    )
    return outcome


def _compare(recipe: Recipe, runs: RunStore, again: RunStore, repeated: Run, seconds: float) -> Reproduction:
    original = recipe.run
    names = [name for name in original.metrics if not name.startswith(_MEASURES_OF_TIME)]
    extra = [
        name
        for name in repeated.metrics
        # A learning curve may be new with this version of workbench; it is no other result.
        if not name.startswith(_MEASURES_OF_TIME) and name not in {*original.metrics, *repeated.stepped}
    ]
    metrics = tuple(
        Difference(name, original.metrics.get(name), repeated.metrics.get(name))
        for name in [*names, *extra]
        if not _same(original.metrics.get(name), repeated.metrics.get(name))
    )
    params = tuple(
        Difference(name, original.params.get(name), repeated.params.get(name))
        for name in dict.fromkeys([*original.params, *repeated.params])
        if name not in _FOLLOWS_PLACE and original.params.get(name) != repeated.params.get(name)
    )
    artifacts = tuple(
        name
        for name in sorted(set(runs.artifacts(original.run_id)) & set(again.artifacts(repeated.run_id)))
        if name.endswith(".json")
        and "/" not in name.removeprefix("curves/").removeprefix("metrics/")
        and name not in _OTHER_EACH_TIME
        and _document(runs, original, name) != _document(again, repeated, name)
    )
    return Reproduction(
        run_id=original.run_id,
        is_identical=not metrics and not params and not artifacts,
        compared=len(names),
        metrics=metrics,
        params=params,
        artifacts=artifacts,
        packages=package_differences(recipe, installed_packages()),
        seconds=seconds,
    )


def _same(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is after
    return before == after or (math.isnan(before) and math.isnan(after))


def _document(runs: RunStore, run: Run, name: str) -> Any:
    """A document as text, in which NaN equals itself, without its times; None where unreadable."""
    try:
        content = json.loads(runs.artifact_path(run.run_id, name).read_bytes())
    except (WorkbenchError, OSError, ValueError):
        return None
    return json.dumps(_timeless(content), sort_keys=True)


def _timeless(content: Any) -> Any:
    if isinstance(content, dict):
        return {
            key: _timeless(value) for key, value in content.items() if key not in ("created_at", "seconds")
        }
    return [_timeless(each) for each in content] if isinstance(content, list) else content
