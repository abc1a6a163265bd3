"""Lets plain MLflow scripts save tree models: found by MLflow through its entry point for run contexts.

MLflow saves scikit-learn models as skops, and skops refuses whatever holds a fitted tree unless its types
are named. With WORKBENCH_MLFLOW_PLUGIN=1 (see `workbench env`), a script that names none gets those of
workbench's allow-list that its model contains.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType
from typing import Any

SWITCH = "WORKBENCH_MLFLOW_PLUGIN"
_TARGET = "mlflow.sklearn"


class WorkbenchRunContext:
    """A run context provider in MLflow's sense. It adds no tags: being made is all it is for."""

    def __init__(self) -> None:
        if os.environ.get(SWITCH) == "1":
            _when_imported()

    def in_context(self) -> bool:
        return False

    def tags(self) -> dict[str, str]:
        return {}


def _when_imported() -> None:
    module = sys.modules.get(_TARGET)
    if module is not None and hasattr(module, "save_model"):
        trust_reviewed_types(module)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def trust_reviewed_types(module: ModuleType) -> None:
    """Wrap `save_model` of the module `mlflow.sklearn`; a second call changes nothing."""
    original: Callable[..., Any] = module.__dict__["save_model"]
    if getattr(original, "__workbench__", False):
        return

    @functools.wraps(original)
    def save_model(sk_model: Any, *args: Any, **options: Any) -> Any:
        if not options.get("skops_trusted_types") and options.get("serialization_format") in (None, "skops"):
            options["skops_trusted_types"] = _reviewed_types_in(sk_model) or None
        return original(sk_model, *args, **options)

    setattr(save_model, "__workbench__", True)  # noqa: B010
    module.__dict__["save_model"] = save_model


def _reviewed_types_in(model: Any) -> list[str]:
    """Types of the allow-list that the model needs; types off the list stay for MLflow to refuse."""
    import skops.io

    from store.skops_types import SKOPS_TYPES

    try:
        untrusted = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    except Exception:  # what skops can't write is reported by MLflow, which is about to try the same
        return []
    return sorted(SKOPS_TYPES.intersection(untrusted))


class _Finder(MetaPathFinder):
    """Waits for the import of mlflow.sklearn, which takes seconds that other scripts shouldn't pay."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _TARGET:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader)
        return spec


class _PatchingLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        trust_reviewed_types(module)
