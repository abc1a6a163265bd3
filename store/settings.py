"""The `[tracking]` and `[store]` sections of workbench.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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

    archive_days: int = Field(default=30, ge=0)
    """How long logged rows are kept as Parquet too, to make a damaged DuckDB file again; 0: not at all."""

    retention_days: int = Field(default=0, ge=0)
    """Predictions and labels older than this are deleted; 0 keeps them."""

    log_features: bool = True
    """Keep the features of each prediction, not only its result."""

    redact: tuple[str, ...] = ()
    """Columns whose values are never stored: not in the log, histograms or examples."""

    keep_data: bool = True
    """Keep the content of the data files that trainings learned from, once each, under `data/`."""

    keep_data_mb: int = Field(default=10_000, ge=0)
    """Most megabytes of data files to keep; beyond it the oldest versions lose their content."""

    data_remote: str | None = None
    """Where `workbench data push` and `pull` keep data files: a folder or any fsspec URL, such as s3://…."""
