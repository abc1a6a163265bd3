"""The model registry of a database or a tracking server, through MLflow's client."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from store.errors import WorkbenchError
from store.journaled_registry import JournaledRegistry
from store.layout import Layout
from store.references import publish_reference, reference_path
from store.registry import ModelVersion
from store.settling import Backend


class FetchingBackend(Backend, Protocol):
    """A backend whose files may be elsewhere."""

    uri: str

    def fetch(self, version: ModelVersion, cache: Path) -> Path | None:
        """The folder of a version's files: the original where it is on this machine, else a copy."""

    def reference(self, version: ModelVersion) -> bytes | None:
        """The reference profile that training left with the version's run; None where there is none."""


class ClientRegistry(JournaledRegistry):
    """The Registry behind an MLflow URI. `version` fetches a remote model's files, and its reference where a
    version was trained elsewhere; `model` doesn't."""

    def __init__(self, backend: FetchingBackend, layout: Layout) -> None:
        self._client_backend = backend
        self.fetches_files = backend.uri.startswith(("http:", "https:"))
        super().__init__(backend, layout)

    def version(self, name: str, which: int | str) -> ModelVersion:
        found = super().version(name, which)
        self._publish_reference(found)
        if found.model_dir is not None:
            return found
        return replace(found, model_dir=self._client_backend.fetch(found, self._layout.state / "models"))

    def _publish_reference(self, version: ModelVersion) -> None:
        """What hinders it hinders nothing else: predictions are then described, not judged."""
        if reference_path(self._layout, version.name, version.version).exists() or version.run_id is None:
            return
        from store.profile import Profile

        with suppress(WorkbenchError, OSError):
            content = self._client_backend.reference(version)
            if content is not None:
                publish_reference(self._layout, version.name, version.version, Profile.from_json(content))
