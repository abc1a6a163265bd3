"""The `[tracking]` and `[store]` sections of workbench.toml."""

from __future__ import annotations

from typing import Literal

from store.settings_base import Settings


class TrackingSettings(Settings):
    """Where runs and registered models are."""

    uri: str = "mlruns"
    """A folder (an MLflow file store), `sqlite:///FILE` or `http(s)://HOST`."""


class StoreSettings(Settings):
    """Where and how predictions, labels and the audit trail are kept."""

    path: str = ".workbench"
    """Folder of the prediction log, journal, jobs and locks, relative to the project."""

    durability: Literal["process", "fsync"] = "process"
    """`process`: an acknowledged prediction survives any crash of a process; `fsync`: a power cut too."""

    log_features: bool = True
    """Keep the features of each prediction, not only its result."""

    redact: tuple[str, ...] = ()
    """Columns whose values are never stored: not in the log, histograms or examples."""
