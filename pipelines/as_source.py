"""Writes an unfitted scikit-learn estimator, however nested, as the Python source that makes it."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np

from store.errors import TrainingError

_INDENT = "    "
_WIDTH = 100


@dataclass
class Source:
    """Collects the imports that the written expressions need."""

    modules: Mapping[str, str] = field(default_factory=dict)
    """Modules that go by another name in the written source: as imported here, as imported there."""
    imports: dict[str, set[str]] = field(default_factory=dict)

    def import_lines(self) -> list[str]:
        """One import statement for each module, sorted."""
        lines = []
        for module in sorted(self.imports):
            names = sorted(self.imports[module])
            lines.append(f"from {module} import {', '.join(names)}" if names else f"import {module}")
        return lines

    def expression(self, value: Any, depth: int = 0) -> str:
        """A Python expression that makes an equal value; parameters at their defaults are left out.

        Raises TrainingError for a value that has no such form, such as a lambda or an open connection.
        """
        if hasattr(value, "get_params") and not isinstance(value, type):
            return self._estimator(value, depth)
        if isinstance(value, np.generic):
            return self.expression(value.item(), depth)
        if isinstance(value, float) and not math.isfinite(value):
            return f'float("{value}")'
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return repr(value)
        if isinstance(value, np.ndarray):
            self.imports.setdefault("numpy", set())
            return f"numpy.array({self.expression(value.tolist(), depth)}, dtype={value.dtype.str!r})"
        if isinstance(value, dict):
            parts = [
                f"{self.expression(k, depth)}: {self.expression(v, depth + 1)}" for k, v in value.items()
            ]
            return self._lay_out("{", parts, "}", depth)
        if isinstance(value, list):
            return self._lay_out("[", [self.expression(each, depth + 1) for each in value], "]", depth)
        if isinstance(value, tuple):
            parts = [self.expression(each, depth + 1) for each in value]
            return self._lay_out("(", [*parts, ""] if len(parts) == 1 else parts, ")", depth)
        if isinstance(value, (type, FunctionType, np.ufunc)):
            return self._named(value)
        raise TrainingError(
            f"a parameter of type {type(value).__name__} can't be written as source",
            "Make the estimator in build() of a module of your own.",
        )

    def _estimator(self, estimator: Any, depth: int) -> str:
        defaults = inspect.signature(type(estimator).__init__).parameters
        parts = []
        for name, value in estimator.get_params(deep=False).items():
            parameter = defaults.get(name)
            if parameter is not None and _equal(value, parameter.default):
                continue
            parts.append(f"{name}={self.expression(value, depth + 1)}")
        return self._lay_out(f"{self._named(type(estimator))}(", parts, ")", depth)

    def _named(self, thing: Any) -> str:
        name = thing.__name__
        if isinstance(thing, np.ufunc):
            self.imports.setdefault("numpy", set())
            return f"numpy.{name}"
        module = thing.__module__
        if module == "builtins":
            return str(name)
        if "<" in thing.__qualname__:
            raise TrainingError(
                f"{thing.__qualname__} can't be written as source", "Give the function a name."
            )
        module = self.modules.get(module) or _public(module, name, thing)
        self.imports.setdefault(module, set()).add(name)
        return str(name)

    def _lay_out(self, opening: str, parts: list[str], closing: str, depth: int) -> str:
        line = opening + ", ".join(parts) + closing
        if "\n" not in line and len(line) + len(_INDENT) * depth <= _WIDTH:
            return line.replace(", )", ",)")
        inner = _INDENT * (depth + 1)
        rows = "".join(f"{inner}{part},\n" for part in parts if part)
        return f"{opening}\n{rows}{_INDENT * depth}{closing}"


def _public(module: str, name: str, thing: Any) -> str:
    """The shortest package that offers the same thing, as `sklearn.linear_model` does."""
    parts = module.split(".")
    for length in range(1, len(parts)):
        if parts[length].startswith("_"):
            candidate = ".".join(parts[:length])
            if getattr(importlib.import_module(candidate), name, None) is thing:
                return candidate
    return module


def _equal(value: Any, default: Any) -> bool:
    if value is default:
        return True
    if type(value) is not type(default):
        return False
    if isinstance(value, float) and math.isnan(value) and math.isnan(default):
        return True
    try:
        return bool(value == default)
    except (ValueError, TypeError):  # arrays, and things that can't be compared
        return False
