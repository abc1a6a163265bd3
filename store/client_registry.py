"""The model registry of a database or a tracking server, through MLflow's client."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from store.journaled_registry import JournaledRegistry
from store.layout import Layout
from store.registry import ModelVersion
from store.settling import Backend


class FetchingBackend(Backend, Protocol):
    """A backend whose files may be elsewhere."""

    def fetch(self, version: ModelVersion, cache: Path) -> Path | None:
        """The folder of a version's files: the original where it is on this machine, else a copy."""


class ClientRegistry(JournaledRegistry):
    """The Registry behind an MLflow URI. `version` fetches a remote model's files; `model` doesn't."""

    def __init__(self, backend: FetchingBackend, layout: Layout) -> None:
        self._client_backend = backend
        super().__init__(backend, layout)

    def version(self, name: str, which: int | str) -> ModelVersion:
        found = super().version(name, which)
        if found.model_dir is not None:
            return found
        return replace(found, model_dir=self._client_backend.fetch(found, self._layout.state / "models"))
