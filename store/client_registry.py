"""The model registry of a database or a tracking server, through MLflow's client."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from store.client_process import client_process
from store.journaled_registry import JournaledRegistry
from store.layout import Layout
from store.registry import ModelVersion, RegisteredModel
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


class RemoteBackend:
    """The backend in the child process for `uri`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def names(self) -> list[str]:
        return list(self._ask("names"))

    def read(self, name: str) -> RegisteredModel | None:
        found: RegisteredModel | None = self._ask("read", name)
        return found

    def locate(self, run_id: str, source: str | None) -> Mapping[str, Any]:
        return dict(self._ask("locate", run_id, source))

    def create(self, name: str, located: Mapping[str, Any], description: str, tags: Mapping[str, str]) -> int:
        return int(self._ask("create", name, dict(located), description, dict(tags)))

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        self._ask("set_alias", name, alias, version)

    def set_stage(self, name: str, version: int, stage: str) -> None:
        self._ask("set_stage", name, version, stage)

    def fetch(self, version: ModelVersion, cache: Path) -> Path | None:
        found: Path | None = self._ask("fetch", version, cache)
        return found

    def fingerprint(self) -> Hashable:
        found: Hashable = database_fingerprint(self.uri) or self._ask("fingerprint")
        return found

    def _ask(self, method: str, *arguments: Any) -> Any:
        return client_process(self.uri).ask("models", method, *arguments)


def database_fingerprint(uri: str) -> Hashable:
    """What changes with every write to a SQLite file; None for any other URI."""
    if not uri.startswith("sqlite:///"):
        return None
    file = uri.removeprefix("sqlite:///").partition("?")[0]
    return tuple(_stat(Path(f"{file}{suffix}")) for suffix in ("", "-wal"))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
