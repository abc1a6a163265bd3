"""The model registry of an MLflow file store, natively: no mlflow import, no half-written file."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from store import model_folders
from store.errors import NotFoundError, UsageError
from store.file_runs import FileRunStore
from store.journaled_registry import JournaledRegistry
from store.layout import Layout
from store.mlflow_files import (
    META_FILE,
    BrokenFileError,
    from_ms,
    read_meta,
    read_metrics,
    subfolders,
    write_value,
)
from store.moved import local_path, resolve
from store.registry import ModelVersion, RegisteredModel
from store.run_files import LoggedModel, logged_models, read_logged_model
from store.run_lookup import nearest_hint

_VERSIONS_TAG = "mlflow.modelVersions"


class FileRegistry(JournaledRegistry):
    """The Registry of the file store at `root`."""

    def __init__(self, root: Path, layout: Layout) -> None:
        super().__init__(FileBackend(root, staging=layout.run), layout)


class FileBackend:
    """`staging` is where a new model is prepared, outside of the store."""

    def __init__(self, root: Path, *, staging: Path) -> None:
        self.root = root
        self._models = root / "models"
        self._staging = staging
        self._runs = FileRunStore(root)
        self._run_folders: dict[str, Path] = {}

    def names(self) -> list[str]:
        return [name for name in subfolders(self._models) if not model_folders.is_prompt(self._models / name)]

    def read(self, name: str) -> RegisteredModel | None:
        folder = self._models / model_folders.check_model_name(name)
        if not folder.is_dir() or model_folders.is_prompt(folder):
            return None
        problems: list[str] = []
        description = ""
        aliases: dict[str, int] = {}
        try:
            description = read_meta(folder / META_FILE).get("description") or ""
            aliases = model_folders.read_aliases(folder)
        except FileNotFoundError:
            if not folder.exists():
                return None
            problems.append("meta.yaml is missing")
        except BrokenFileError as error:
            problems.append(str(error))
        versions = []
        for number in model_folders.version_numbers(folder):
            try:
                version = self._read_version(folder, number)
            except FileNotFoundError:
                if (folder / f"version-{number}").exists():
                    problems.append(f"version-{number} has no meta.yaml")
                continue
            except BrokenFileError as error:
                problems.append(f"version-{number}: {error}")
                continue
            if version is not None:
                own = tuple(sorted(alias for alias, pointed in aliases.items() if pointed == number))
                versions.append(replace(version, aliases=own))
        return RegisteredModel(
            name, tuple(versions), None, None, str(description), "; ".join(problems) or None
        )

    def locate(self, run_id: str, source: str | None) -> Mapping[str, Any]:
        if source is None:
            run = self._runs.get(run_id)
            return self._located_in_run(run.run_id, None)
        if source.startswith("runs:/"):
            asked, _, path = source.removeprefix("runs:/").partition("/")
            return self._located_in_run(self._runs.get(asked).run_id, path.strip("/") or None)
        if source.startswith("models:/m-"):
            model_id = source.removeprefix("models:/").strip("/")
            model = self._logged_model(model_id)
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

    def _read_version(self, folder: Path, number: int) -> ModelVersion | None:
        version_folder = folder / f"version-{number}"
        meta = read_meta(version_folder / META_FILE)
        stage = str(meta.get("current_stage") or "None")
        if stage == model_folders.DELETED:
            return None
        created_at = from_ms(meta.get("creation_timestamp"))
        if created_at is None:
            raise BrokenFileError("meta.yaml has no creation_timestamp")
        run_id = meta.get("run_id") or None
        model_id = meta.get("model_id")
        return ModelVersion(
            name=folder.name,
            version=number,
            aliases=(),
            stage=stage,
            run_id=run_id,
            source=str(meta.get("source") or ""),
            model_dir=self._model_dir(meta),
            created_at=created_at,
            description=str(meta.get("description") or ""),
            tags=model_folders.tags_of(version_folder),
            metrics=self._metrics(run_id, model_id),
            status=str(meta.get("status") or "READY"),
            updated_at=from_ms(meta.get("last_updated_timestamp")),
        )

    def _model_dir(self, meta: Mapping[str, Any]) -> Path | None:
        for uri in (meta.get("storage_location"), meta.get("source")):
            found = resolve(str(uri), self.root) if uri else None
            if found is not None:
                return found
        found = self._in_run(str(meta.get("source") or ""))
        if found is not None:
            return found
        model_id = meta.get("model_id")
        model = self._logged_model(model_id) if model_id else None
        return resolve(model.artifact_location, self.root) if model else None

    def _in_run(self, source: str) -> Path | None:
        """The folder a `runs:/ID/path` means, which some versions name as their source."""
        run_id, slash, path = source.removeprefix("runs:/").partition("/")
        if not source.startswith("runs:/") or not slash or ".." in Path(path).parts:
            return None
        folder = self._runs.run_folder(run_id)
        try:
            uri = read_meta(folder / META_FILE).get("artifact_uri") if folder else None
        except (OSError, BrokenFileError):
            return None
        artifacts = resolve(str(uri), self.root) if uri else None
        found = artifacts / path if artifacts else None
        return found if found is not None and found.exists() else None

    def _metrics(self, run_id: str | None, model_id: str | None) -> Mapping[str, float]:
        if run_id:
            folder = self._run_folders.get(run_id)
            if folder is None or not folder.is_dir():
                folder = self._runs.run_folder(run_id)
            if folder is not None:
                self._run_folders[run_id] = folder
                return read_metrics(folder / "metrics")[0]
        return {}

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

    def _logged_model(self, model_id: str) -> LoggedModel | None:
        if "/" in model_id or model_id in ("", ".", ".."):
            return None
        for experiment in subfolders(self.root):
            folder = self.root / experiment / "models" / model_id
            if experiment != "models" and folder.is_dir():
                return read_logged_model(folder)
        return None

    def _tell_logged_model(self, model_id: str | None, name: str, number: int) -> None:
        """MLflow notes on a logged model which versions were made of it."""
        model = self._logged_model(model_id) if model_id else None
        if model is None:
            return
        try:
            versions = json.loads(model_folders.tags_of(model.folder).get(_VERSIONS_TAG, "[]"))
        except ValueError:
            versions = []
        versions.append({"name": name, "version": number})
        write_value(model.folder, "tags", _VERSIONS_TAG, json.dumps(versions))
