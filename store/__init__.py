"""What remembers: predictions and feedback, runs, the registry, jobs, the audit trail."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.application import log_feedback, log_prediction

__all__ = ["log_feedback", "log_prediction"]

_HOMES = {"log_feedback": "store.application", "log_prediction": "store.application"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'store' has no attribute {name!r}")
