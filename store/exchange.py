"""Runs and model versions in one file, from one project's file store into another's, on any machine.

The file is a backup's kind of archive: every content hashed in a manifest, written whole or not at all. What
MLflow spells absolutely (ids of experiments, places of files) is written anew where it is put.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store.backup import ArchiveWriter, BackupReport
from store.beside import flush, folder_within
from store.errors import DataError, NotFoundError, StorageError, UsageError
from store.file_runs import FileRunStore
from store.layout import Layout
from store.locks import locked
from store.mlflow_files import META_FILE, BrokenFileError, read_meta, subfolders, write_meta
from store.moved import local_path, resolve
from store.references import RunReferences
from store.registry import ModelVersion, Registry
from store.restore import extract
from store.run_files import dataset_folders, logged_models, read_experiment

PART = "exchange"
_VERSIONS = "versions.json"
_MODELS, _DATASETS = "models", "datasets"
_WORK = ".import-"
_ID = re.compile(r"(m-)?[0-9a-zA-Z]+")
_KINDS = ("artifacts", "metrics", "params", "tags")
_LOCATIONS = ("artifact_uri", "artifact_location")


@dataclass
class ImportReport:
    """What an import did: ids of runs, (model, version) of versions."""

    runs: list[str] = field(default_factory=list)
    runs_here: list[str] = field(default_factory=list)
    """Those that were here already, and are as they were."""
    versions: list[tuple[str, int]] = field(default_factory=list)
    versions_here: list[tuple[str, int]] = field(default_factory=list)


def export_runs(
    store: Path, run_ids: Sequence[str], versions: Sequence[ModelVersion], target: Path
) -> BackupReport:
    """Write runs with their files and logged models, and versions with their runs, to `target`.

    Raises UsageError for a run that hasn't ended, a version without a run and files on another machine,
    StorageError where `target` can't be written.
    """
    runs = FileRunStore(store)
    described = [_described(version, runs, store) for version in versions]
    wanted = dict.fromkeys([*run_ids, *(str(item["run_id"]) for item in described)])
    report = BackupReport()
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        with folder_within(target.absolute().parent, f".{target.name[:100]}.") as work:
            partial = work / target.name
            with tarfile.open(partial, "w:gz", compresslevel=1) as archive:
                writer = ArchiveWriter(archive, report)
                (work / _VERSIONS).write_text(json.dumps(described))
                writer.add(work / _VERSIONS, f"{PART}/{_VERSIONS}")
                added: set[Path] = set()
                experiments = {_add_run(writer, runs, store, run_id, added) for run_id in wanted}
                for folder in sorted(experiments):
                    writer.add(folder / META_FILE, f"{PART}/{folder.name}/{META_FILE}")
                writer.finish()
            flush(partial)
            partial.replace(target)
            flush(target.absolute().parent)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}", "Free the disk.") from error
    return report


def import_runs(
    file: Path, store: Path, registry: Registry, layout: Layout, *, who: str | None = None
) -> ImportReport:
    """Put the runs and versions of `file` into the file store; nothing becomes champion by that.

    A run that is here already stays as it is, and a version that was made of the same model: after an
    import that was cut off, the same file brings the rest. Every content is checked before anything is put
    in place. Raises NotFoundError, DataError for a file that is no whole export, StorageError.
    """
    report = ImportReport()
    try:
        store.mkdir(parents=True, exist_ok=True)
        beside = _beside(store)
        with locked(layout.run / "import.lock", what="importing runs"), folder_within(beside, _WORK) as work:
            extract(file, work, BackupReport(), parts={PART}, what="export")
            part = work / PART
            described = _read_versions(part, file)
            for name in subfolders(part):
                _place_experiment(part / name, store, report)
            for item in described:
                _register(item, store, registry, report, who)
        RunReferences(layout, store.absolute().as_uri()).publish_new()
    except BrokenFileError as error:
        raise DataError(f"{file} is no whole export: {error}", "Export it again.") from error
    except FileNotFoundError as error:
        if not file.exists():
            raise NotFoundError(f"no file {file}", "Check the path.") from error
        raise StorageError(f"cannot put {file} in place: {error}", "Import it again.") from error
    except OSError as error:
        hint = "Free the disk or mend its permissions, and import it again."
        raise StorageError(f"cannot put {file} in place: {error}", hint) from error
    return report


def _beside(store: Path) -> Path:
    """Where to unpack: on the store's disk, as renames need it, and where no folder is taken for a run's."""
    parent = store.parent
    is_fit = os.access(parent, os.W_OK) and parent.stat().st_dev == store.stat().st_dev
    return parent if is_fit else store


def _described(version: ModelVersion, runs: FileRunStore, store: Path) -> Mapping[str, Any]:
    """A version by what it is on any machine: its run, and which of the run's models it is."""
    label = f"{version.name} version {version.version}"
    folder = runs.run_folder(version.run_id) if version.run_id else None
    if folder is None:
        raise UsageError(f"{label} has no run here", "Only versions that a run of this project made travel.")
    source = version.source
    if not source.startswith("models:/m-"):
        own = resolve(runs.get(folder.name).artifact_uri, store)
        if own is None or version.model_dir is None or not version.model_dir.is_relative_to(own):
            raise UsageError(
                f"the files of {label} are not among those of its run", "Register it from a run."
            )
        source = f"runs:/{folder.name}/{version.model_dir.relative_to(own).as_posix()}"
    return {
        "name": version.name,
        "version": version.version,
        "run_id": folder.name,
        "source": source,
        "description": version.description,
        "tags": dict(version.tags),
    }


def _add_run(writer: ArchiveWriter, runs: FileRunStore, store: Path, run_id: str, added: set[Path]) -> Path:
    """Add a run with its logged models and what it says of its data; returns the folder of its experiment."""
    run = runs.get(run_id)
    folder = runs.run_folder(run.run_id)
    if folder is None or run.problem or run.lifecycle_stage != "active":
        raise UsageError(f"run {run_id[:12]} is deleted or broken", "Restore it, or see: workbench doctor.")
    if run.status == "RUNNING":
        raise UsageError(f"run {run.name} has not ended", "Export it when it has.")
    home = f"{PART}/{folder.parent.name}"
    for dataset in dataset_folders(folder):
        if dataset not in added:
            added.add(dataset)
            writer.add_folder(dataset, f"{home}/{_DATASETS}/{dataset.name}")
    models = logged_models(folder)
    owners = [(folder, run.artifact_uri), *((model.folder, model.artifact_location) for model in models)]
    for owner, uri in owners:
        name = f"{home}/{owner.relative_to(folder.parent).as_posix()}"
        writer.add_folder(owner, name)
        files = resolve(uri, store)
        if local_path(uri) is None:
            raise UsageError(
                f"the files of run {run.name} are in {uri}", "Only files on this machine travel."
            )
        if files is not None and files.resolve() != (owner / "artifacts").resolve():
            writer.add_folder(files, f"{name}/artifacts")
    return folder.parent


def _read_versions(part: Path, file: Path) -> list[dict[str, Any]]:
    try:
        described = json.loads((part / _VERSIONS).read_bytes())
        return [{**item, "name": str(item["name"]), "run_id": str(item["run_id"])} for item in described]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no whole export: {error}", "Export it again.") from error


def _place_experiment(folder: Path, store: Path, report: ImportReport) -> None:
    """Move what an experiment brings into that of the same name, which is made where there is none."""
    home = _experiment_named(read_experiment(folder).experiment.name, folder, store)
    for kind in (_DATASETS, _MODELS):  # before the runs that name them: it may be cut off between
        for name in subfolders(folder / kind):
            if not (home / kind / name).exists():
                (home / kind).mkdir(exist_ok=True)
                _move(folder / kind / name, home / kind / name, home)
    runs = FileRunStore(store)
    for name in subfolders(folder):
        if name in (_MODELS, _DATASETS):
            continue
        if runs.run_folder(name) is not None:
            report.runs_here.append(name)
            continue
        _move(folder / name, home / name, home)
        report.runs.append(name)


def _experiment_named(name: str, brought: Path, store: Path) -> Path:
    known = FileRunStore(store).experiment_folders()
    for item in known:
        if item.experiment.name == name and item.problem is None:
            if item.experiment.lifecycle_stage != "active":
                raise UsageError(f"experiment {name!r} is deleted here", "Restore it, then import again.")
            return item.folder
    if not brought.name.isdecimal():
        raise DataError(f"the export holds {brought.name!r}, which is no experiment", "Export it again.")
    taken = {item.folder.name for item in known}
    number = brought.name
    while number in taken or (store / number).exists():
        number = str(int(number) + 1)
    home = store / number
    prepared = brought.with_name(f"{brought.name}.new")
    prepared.mkdir()
    meta = read_meta(brought / META_FILE)
    write_meta(prepared / META_FILE, {**meta, "artifact_location": home.as_uri(), "experiment_id": number})
    prepared.rename(home)
    return home


def _move(brought: Path, place: Path, home: Path) -> None:
    """Put the folder of a run, a model or a dataset in place, whole at once, with what is true there."""
    if not _ID.fullmatch(place.name):
        raise DataError(f"the export holds {place.name!r}, which is no run", "Export it again.")
    if place.parent.name != _DATASETS:
        meta = read_meta(brought / META_FILE)
        meta["experiment_id"] = home.name
        for key in _LOCATIONS:
            if key in meta:
                meta[key] = (place / "artifacts").as_uri()
        write_meta(brought / META_FILE, meta)
        for name in _KINDS:  # an archive has no empty folders, and MLflow expects them
            (brought / name).mkdir(exist_ok=True)
    brought.rename(place)


def _register(
    item: Mapping[str, Any], store: Path, registry: Registry, report: ImportReport, who: str | None
) -> None:
    name, run_id, source = item["name"], item["run_id"], str(item["source"])
    present = next((model for model in registry.models() if model.name == name), None)
    for version in present.versions if present is not None else ():
        if version.run_id == run_id and _same_source(version, source, store):
            report.versions_here.append((name, version.version))
            return
    version = registry.register(
        name,
        run_id=run_id,
        source=source,
        description=str(item.get("description") or ""),
        tags={str(key): str(value) for key, value in dict(item.get("tags") or {}).items()},
        who=who,
        reason=f"imported, where it was version {item.get('version')}",
    )
    report.versions.append((name, version.version))


def _same_source(version: ModelVersion, source: str, store: Path) -> bool:
    if version.source == source or version.model_dir is None:
        return version.source == source
    runs = FileRunStore(store)
    folder = runs.run_folder(version.run_id) if version.run_id else None
    if folder is None or not source.startswith("runs:/"):
        return False
    return version.model_dir == folder / "artifacts" / source.split("/", 2)[2]
