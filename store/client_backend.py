"""Registered models of a database or a tracking server, through MLflow's client in this process."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from store.client import PAGE, all_pages, explained
from store.client_runs import ClientRunStore, logged_models
from store.errors import NotFoundError, UsageError
from store.mlflow_files import from_ms
from store.moved import local_path
from store.profile import PROFILE_FILE
from store.registry import ModelVersion, RegisteredModel
from store.run_lookup import nearest_hint

_VERSIONS_TAG = "mlflow.modelVersions"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ClientBackend:
    """The Backend of a registry at an MLflow URI; `runs` is the store with the same client."""

    def __init__(self, uri: str, runs: ClientRunStore) -> None:
        self.uri = uri
        self._is_remote = uri.startswith(("http:", "https:"))
        self._runs = runs

    @cached_property
    def client(self) -> Any:
        return self._runs.client

    def names(self) -> list[str]:
        return sorted(model.name for model in self._registered())

    def read(self, name: str) -> RegisteredModel | None:
        client = self.client
        try:
            with explained(self.uri):
                model = client.get_registered_model(name)
        except (NotFoundError, UsageError):
            return None
        with explained(self.uri):
            text = f"name = {_quoted(name)}"
            found = all_pages(
                lambda token: client.search_model_versions(text, max_results=PAGE, page_token=token)
            )
        aliases = {alias: int(version) for alias, version in (model.aliases or {}).items()}
        metrics = self._metrics({item.run_id for item in found if item.run_id})
        versions = [self._version(item, aliases, metrics) for item in found]
        versions.sort(key=lambda version: version.version, reverse=True)
        return RegisteredModel(name, tuple(versions), None, None, model.description or "")

    def locate(self, run_id: str, source: str | None) -> Mapping[str, Any]:
        client = self.client
        path: str | None = None
        if source is not None and source.startswith("models:/m-"):
            with explained(self.uri):
                model = client.get_logged_model(source.removeprefix("models:/").strip("/"))
            return {"run_id": model.source_run_id or run_id, "source": source, "model_id": model.model_id}
        if source is not None:
            if not source.startswith("runs:/"):
                raise UsageError(f"{source!r} is no model", "Use runs:/ID/path or models:/m-….")
            run_id, _, path = source.removeprefix("runs:/").partition("/")
        run = self._runs.get(run_id)
        with explained(self.uri):
            models = logged_models(client, run.run_id)
            folders = (
                [path] if path else [item.path for item in client.list_artifacts(run.run_id) if item.is_dir]
            )
            chosen = next((model for model in models if path in (None, model.name)), None)
            if chosen is None:
                for folder in folders:
                    inside = {item.path for item in client.list_artifacts(run.run_id, folder)}
                    if f"{folder}/MLmodel" in inside:
                        return {"run_id": run.run_id, "source": f"{run.artifact_uri.rstrip('/')}/{folder}"}
        if chosen is None:
            hint = nearest_hint(path or "model", {model.name for model in models})
            raise NotFoundError(f"run {run.run_id[:12]} ({run.name}) has no model", hint)
        return {"run_id": run.run_id, "source": f"models:/{chosen.model_id}", "model_id": chosen.model_id}

    def create(self, name: str, located: Mapping[str, Any], description: str, tags: Mapping[str, str]) -> int:
        from mlflow.exceptions import MlflowException

        client = self.client
        with explained(self.uri):
            try:
                client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                    raise
            version = client.create_model_version(
                name,
                located["source"],
                run_id=located["run_id"],
                tags=dict(tags),
                description=description or None,
                model_id=located.get("model_id"),
            )
            number = int(version.version)
            if located.get("model_id"):
                self._tell_logged_model(located["model_id"], name, number)
        return number

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        with explained(self.uri):
            if version is None:
                self.client.delete_registered_model_alias(name, alias)
            else:
                self.client.set_registered_model_alias(name, alias, str(version))

    def set_stage(self, name: str, version: int, stage: str) -> None:
        with explained(self.uri), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.client.transition_model_version_stage(name, str(version), stage)

    def fingerprint(self) -> Hashable:
        with explained(self.uri):
            return tuple(
                (
                    model.name,
                    model.last_updated_timestamp,
                    tuple(sorted((alias, str(version)) for alias, version in (model.aliases or {}).items())),
                    tuple(sorted((item.current_stage, str(item.version)) for item in model.latest_versions)),
                )
                for model in self._registered()
            )

    def fetch(self, version: ModelVersion, cache: Path) -> Path | None:
        """The folder of a version's files: the original where it is on this machine, else a copy."""
        kept = cache / version.name / f"version-{version.version}-{int(version.created_at.timestamp())}"
        if kept.is_dir():
            return kept
        with explained(self.uri):
            uri = self.client.get_model_version_download_uri(version.name, str(version.version))
        path = local_path(uri)
        if path is not None:
            return path if path.is_dir() else None
        from mlflow.artifacts import download_artifacts

        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder, explained(self.uri):
            source = f"models:/{version.name}/{version.version}"
            got = Path(download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=self.uri))
            if not kept.exists():
                shutil.move(got, kept)
        return kept

    def reference(self, version: ModelVersion) -> bytes | None:
        """The reference profile that training left with the version's run; None where there is none."""
        if version.run_id is None:
            return None
        try:
            return self._runs.artifact_path(version.run_id, PROFILE_FILE).read_bytes()
        except NotFoundError:
            return None

    def _registered(self) -> list[Any]:
        client = self.client
        with explained(self.uri):
            return all_pages(
                lambda token: client.search_registered_models(max_results=PAGE, page_token=token)
            )

    def _version(
        self, item: Any, aliases: Mapping[str, int], metrics: Mapping[str, Mapping[str, float]]
    ) -> ModelVersion:
        number = int(item.version)
        model_dir: Path | None = None
        if not self._is_remote:
            with explained(self.uri):
                uri = self.client.get_model_version_download_uri(item.name, str(item.version))
            model_dir = local_path(uri)
        return ModelVersion(
            name=item.name,
            version=number,
            aliases=tuple(sorted(alias for alias, pointed in aliases.items() if pointed == number)),
            stage=item.current_stage or "None",
            run_id=item.run_id or None,
            source=item.source or "",
            model_dir=model_dir if model_dir is not None and model_dir.is_dir() else None,
            created_at=from_ms(item.creation_timestamp) or _EPOCH,
            description=item.description or "",
            tags=dict(item.tags),
            metrics=metrics.get(item.run_id, {}),
            status=str(item.status),
            updated_at=from_ms(item.last_updated_timestamp),
        )

    def _metrics(self, run_ids: set[str]) -> dict[str, Mapping[str, float]]:
        """Of each run in one search: a request a run would be slow."""
        known = sorted(run_ids)
        found: dict[str, Mapping[str, float]] = {}
        for start in range(0, len(known), 100):
            some = ", ".join(f"'{run_id}'" for run_id in known[start : start + 100])
            for run in self._runs.list(filter=f"attributes.run_id IN ({some})"):
                found[run.run_id] = run.metrics
        return found

    def _tell_logged_model(self, model_id: str, name: str, number: int) -> None:
        tags = self.client.get_logged_model(model_id).tags
        versions = json.loads(tags.get(_VERSIONS_TAG) or "[]")
        versions.append({"name": name, "version": number})
        self.client.set_logged_model_tags(model_id, {_VERSIONS_TAG: json.dumps(versions)})


def _quoted(name: str) -> str:
    return f'"{name}"' if "'" in name else f"'{name}'"
