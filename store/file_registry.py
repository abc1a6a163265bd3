"""The model registry of an MLflow file store, natively: no mlflow import, no half-written file."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store import model_folders
from store.errors import NotFoundError, UsageError
from store.file_models import FileModels
from store.file_runs import FileRunStore
from store.index_models import IndexedModels
from store.journaled_registry import JournaledRegistry
from store.layout import Layout
from store.mlflow_files import subfolders, write_value
from store.moved import local_path, resolve
from store.registry import RegisteredModel
from store.run_files import LoggedModel, logged_models
from store.run_lookup import nearest_hint

if TYPE_CHECKING:
    from store.run_index import RunIndex

_VERSIONS_TAG = "mlflow.modelVersions"


class FileRegistry(JournaledRegistry):
    """The Registry of the file store at `root`; with the store's index, models are read from there."""

    def __init__(self, root: Path, layout: Layout, index: RunIndex | None = None) -> None:
        super().__init__(FileBackend(root, staging=layout.run, index=index), layout)


class FileBackend:
    """`staging` is where a new model is prepared, outside of the store."""

    def __init__(self, root: Path, *, staging: Path, index: RunIndex | None = None) -> None:
        self.root = root
        self._models = root / "models"
        self._staging = staging
        self._runs = FileRunStore(root)
        self._files = FileModels(root)
        self._indexed = IndexedModels(self._files, index) if index is not None else None

    def names(self) -> list[str]:
        return self._files.names()

    def read(self, name: str) -> RegisteredModel | None:
        return (self._indexed or self._files).read(name)

    def locate(self, run_id: str, source: str | None) -> Mapping[str, Any]:
        if source is None:
            run = self._runs.get(run_id)
            return self._located_in_run(run.run_id, None)
        if source.startswith("runs:/"):
            asked, _, path = source.removeprefix("runs:/").partition("/")
            return self._located_in_run(self._runs.get(asked).run_id, path.strip("/") or None)
        if source.startswith("models:/m-"):
            model_id = source.removeprefix("models:/").strip("/")
            model = self._files.logged_model(model_id)
            if model is None:
                raise NotFoundError(f"no logged model {model_id!r}", "Give a run's id instead.")
            return self._located(model, run_id)
        folder = local_path(source)
        if folder is None or not (folder / "MLmodel").is_file():
            raise UsageError(
                f"{source!r} is no model", "Use runs:/ID/path, models:/m-… or a folder with an MLmodel file."
            )
        uri = folder.resolve().as_uri()
        return {"run_id": self._runs.get(run_id).run_id, "source": uri, "storage_location": uri}

    def create(self, name: str, located: Mapping[str, Any], description: str, tags: Mapping[str, str]) -> int:
        folder = self._models / model_folders.check_model_name(name)
        if model_folders.is_prompt(folder):
            raise UsageError(f"{name!r} is a prompt", "Choose another name for the model.")
        model_folders.create_model(folder, self._staging)
        number = model_folders.create_version(folder, located, description, tags)
        self._tell_logged_model(located.get("model_id"), name, number)
        return number

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        model_folders.set_alias(self._models / name, alias, version)

    def set_stage(self, name: str, version: int, stage: str) -> None:
        model_folders.set_stage(self._models / name, version, stage)

    def fingerprint(self) -> Hashable:
        return model_folders.fingerprint(self._models)

    def _located_in_run(self, run_id: str, path: str | None) -> Mapping[str, Any]:
        run = self._runs.get(run_id)
        folder = self._runs.run_folder(run_id)
        own = resolve(run.artifact_uri, self.root)
        inside = [path] if path else ["model"]
        models = [model for model in logged_models(folder) if model.is_ready] if folder else []
        if path is None and models:
            return self._located(models[0], run_id)
        if own is not None:
            if path is None:
                inside += [name for name in subfolders(own) if name != "model"]
            for name in inside:
                if (own / name / "MLmodel").is_file():
                    alive = (local_path(run.artifact_uri) or own).exists()
                    base = run.artifact_uri if alive else own.as_uri()
                    uri = f"{base.rstrip('/')}/{name}"
                    return {"run_id": run_id, "source": uri, "storage_location": uri}
        for model in models:
            if model.name == path:
                return self._located(model, run_id)
        hint = nearest_hint(path or "model", {model.name for model in models})
        asked = f"model {path!r}" if path else "model"
        raise NotFoundError(f"run {run_id[:12]} ({run.name}) has no {asked}", hint)

    def _located(self, model: LoggedModel, run_id: str | None) -> Mapping[str, Any]:
        location = model.artifact_location
        path = local_path(location)
        if path is not None and not path.exists():
            living = resolve(location, self.root)
            location = living.as_uri() if living else location
        return {
            "run_id": model.run_id or run_id,
            "source": f"models:/{model.model_id}",
            "storage_location": location,
            "model_id": model.model_id,
        }

    def _tell_logged_model(self, model_id: str | None, name: str, number: int) -> None:
        """MLflow notes on a logged model which versions were made of it."""
        model = self._files.logged_model(model_id) if model_id else None
        if model is None:
            return
        try:
            versions = json.loads(model_folders.tags_of(model.folder).get(_VERSIONS_TAG, "[]"))
        except ValueError:
            versions = []
        versions.append({"name": name, "version": number})
        write_value(model.folder, "tags", _VERSIONS_TAG, json.dumps(versions))
