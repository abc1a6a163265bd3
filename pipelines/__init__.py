"""What computes: data, training, evaluation, the gate."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.launch import TrainEvent, TrainRequest, TrainResult, train
    from pipelines.settings import PipelineSettings
    from pipelines.verdict import Verdict

_HOMES = {
    "TrainEvent": "pipelines.request",
    "TrainRequest": "pipelines.request",
    "TrainResult": "pipelines.request",
    "train": "pipelines.launch",
    "PipelineSettings": "pipelines.settings",
    "Verdict": "pipelines.verdict",
}

__all__ = ["PipelineSettings", "TrainEvent", "TrainRequest", "TrainResult", "Verdict", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
