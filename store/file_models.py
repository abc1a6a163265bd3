"""Registered models as they lie in an MLflow file store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from store import model_folders
from store.file_runs import FileRunStore
from store.mlflow_files import (
    META_FILE,
    BrokenFileError,
    from_ms,
    read_meta,
    read_metrics,
    subfolders,
)
from store.moved import resolve
from store.registry import ModelVersion, RegisteredModel
from store.run_files import LoggedModel, read_logged_model


@dataclass(frozen=True)
class ModelHead:
    """What a model has beside its versions."""

    description: str
    aliases: Mapping[str, int]
    problem: str | None


@dataclass(frozen=True)
class ReadVersion:
    """A version without its aliases and metrics; None where it is deleted, or has a `problem`."""

    version: ModelVersion | None
    problem: str | None = None


class FileModels:
    """Reads the registered models of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._models = root / "models"
        self._runs = FileRunStore(root)
        self._run_folders: dict[str, Path] = {}

    def names(self) -> list[str]:
        return [name for name in subfolders(self._models) if not model_folders.is_prompt(self._models / name)]

    def folder(self, name: str) -> Path | None:
        """A model's folder; None where there is none, and for a prompt. UsageError for an impossible name."""
        folder = self._models / model_folders.check_model_name(name)
        return folder if folder.is_dir() and not model_folders.is_prompt(folder) else None

    def read(self, name: str) -> RegisteredModel | None:
        folder = self.folder(name)
        head = self.head(folder) if folder is not None else None
        if folder is None or head is None:
            return None
        found = (self.version(folder, number) for number in model_folders.version_numbers(folder))
        model = assembled(name, head, (item for item in found if item is not None))
        versions = (replace(version, metrics=self.metrics(version.run_id)) for version in model.versions)
        return replace(model, versions=tuple(versions))

    def head(self, folder: Path) -> ModelHead | None:
        """What lies beside a model's versions; None when the folder is gone."""
        description, problem = "", None
        aliases: dict[str, int] = {}
        try:
            description = str(read_meta(folder / META_FILE).get("description") or "")
            aliases = model_folders.read_aliases(folder)
        except FileNotFoundError:
            if not folder.exists():
                return None
            problem = "meta.yaml is missing"
        except BrokenFileError as error:
            problem = str(error)
        return ModelHead(description, aliases, problem)

    def version(self, folder: Path, number: int) -> ReadVersion | None:
        """One version of the model in `folder`; None when it is gone."""
        try:
            return ReadVersion(self._parse_version(folder, number))
        except FileNotFoundError:
            if not (folder / f"version-{number}").exists():
                return None
            return ReadVersion(None, f"version-{number} has no meta.yaml")
        except BrokenFileError as error:
            return ReadVersion(None, f"version-{number}: {error}")

    def _parse_version(self, folder: Path, number: int) -> ModelVersion | None:
        version_folder = folder / f"version-{number}"
        meta = read_meta(version_folder / META_FILE)
        stage = str(meta.get("current_stage") or "None")
        if stage == model_folders.DELETED:
            return None
        created_at = from_ms(meta.get("creation_timestamp"))
        if created_at is None:
            raise BrokenFileError("meta.yaml has no creation_timestamp")
        run_id = meta.get("run_id") or None
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
            status=str(meta.get("status") or "read_logged_modelY"),
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
        model = self.logged_model(model_id) if model_id else None
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

    def metrics(self, run_id: str | None) -> Mapping[str, float]:
        """The latest metrics of a run; none where it is gone."""
        if run_id:
            folder = self._run_folders.get(run_id)
            if folder is None or not folder.is_dir():
                folder = self._runs.run_folder(run_id)
            if folder is not None:
                self._run_folders[run_id] = folder
                return read_metrics(folder / "metrics")[0]
        return {}

    def logged_model(self, model_id: str) -> LoggedModel | None:
        """A model that some run logged; None when there is none of that id."""
        if "/" in model_id or model_id in ("", ".", ".."):
            return None
        for experiment in subfolders(self.root):
            folder = self.root / experiment / "models" / model_id
            if experiment != "models" and folder.is_dir():
                return read_logged_model(folder)
        return None


def assembled(name: str, head: ModelHead, found: Iterable[ReadVersion]) -> RegisteredModel:
    """The model of these versions, newest first, each with its aliases."""
    named: dict[int, list[str]] = {}
    for alias, number in sorted(head.aliases.items()):
        named.setdefault(number, []).append(alias)
    versions = []
    problems = [head.problem] if head.problem else []
    for item in found:
        if item.problem:
            problems.append(item.problem)
        if item.version is not None:
            versions.append(replace(item.version, aliases=tuple(named.get(item.version.version, ()))))
    return RegisteredModel(name, tuple(versions), None, None, head.description, "; ".join(problems) or None)
