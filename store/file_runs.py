"""The runs of an MLflow file store, read and edited directly.

The layout is frozen, so this needs no mlflow; and where MLflow's search gives up on a whole experiment
over one broken file, a broken run here is a row that says what is wrong with it.
"""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from store.errors import NotFoundError, StorageError, UsageError
from store.filters import filter_runs, parse_filter, parse_order, sort_runs
from store.mlflow_files import (
    META_FILE,
    BrokenFileError,
    now_ms,
    read_meta,
    read_points,
    subfolders,
    walk_keys,
    write_meta,
    write_value,
)
from store.moved import dead_paths, local_path, resolve, rewrite_dead_paths
from store.run_files import (
    STATUS_NAMES,
    ExperimentFolder,
    is_searchable,
    is_stray,
    logged_models,
    model_files,
    read_datasets,
    read_experiment,
    read_run,
    run_folders,
)
from store.run_lookup import choose_run, nearest_hint
from store.runs import (
    NOTE_TAG,
    RUN_NAME_TAG,
    Experiment,
    Run,
    RunQuery,
    RunStore,
    check_key,
    count_children,
    without_nested,
)

TRASH = ".trash"
_NO_EXPERIMENTS = frozenset(("models", TRASH))


class FileRunStore(RunStore):
    """A RunStore on the folder `root`; a folder that doesn't exist yet is a store without runs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def experiments(self, *, deleted: bool = False) -> builtins.list[Experiment]:
        folders = [item for item in self.experiment_folders() if item.problem is None]
        stage = "deleted" if deleted else "active"
        found = [item.experiment for item in folders if item.experiment.lifecycle_stage == stage]
        return sorted(found, key=lambda experiment: experiment.name)

    def select(self, query: RunQuery) -> builtins.list[Run]:
        clauses = parse_filter(query.filter)
        orders = [parse_order(order) for order in query.order_by]
        chosen = self._chosen(query.experiment, deleted=query.deleted)
        folders = {item.experiment.experiment_id: item.folder for item in chosen}
        stage = "deleted" if query.deleted else "active"
        runs = [
            run
            for item in chosen
            for name in run_folders(item.folder)
            if not is_stray(item.folder / name)
            for run in [read_run(item.folder / name, item.experiment)]
            if run.lifecycle_stage == stage
        ]
        if not query.nested:
            runs = without_nested(runs)
        good = filter_runs(
            (run for run in runs if is_searchable(run)),
            clauses,
            lambda run: read_datasets(folders[run.experiment_id] / run.run_id),
        )
        rows = sort_runs(good, orders)
        if not clauses:
            rows += sorted((run for run in runs if not is_searchable(run)), key=lambda run: run.run_id)
        return rows if query.limit is None else rows[: query.limit]

    def children(self) -> Mapping[str, int]:
        return count_children(FileRunStore.select(self, RunQuery()))

    def get(self, run: str) -> Run:
        folder, experiment = self._find(run)
        return read_run(folder, experiment)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        folder = self._active(run_id)
        write_value(folder, "tags", check_key(key, "tag"), value)
        if key == RUN_NAME_TAG:
            self._edit_meta(folder, run_name=value)

    def set_note(self, run_id: str, text: str) -> None:
        self.set_tag(run_id, NOTE_TAG, text)

    def rename(self, run_id: str, name: str) -> None:
        if not name.strip():
            raise UsageError("a run needs a name", "Give at least one character.")
        self.set_tag(run_id, RUN_NAME_TAG, name)

    def delete(self, run_id: str) -> None:
        folder, _ = self._find(run_id)
        self._edit_meta(folder, lifecycle_stage="deleted", deleted_time=now_ms())

    def finish(self, run_id: str, status: str) -> None:
        """Give a run that nobody writes to any more its final status, of now."""
        folder, _ = self._find(run_id)
        numbers = {name: number for number, name in STATUS_NAMES.items()}
        self._edit_meta(folder, status=numbers[status], end_time=now_ms())

    def restore(self, run_id: str) -> None:
        folder, _ = self._find(run_id)
        self._edit_meta(folder, lifecycle_stage="active", deleted_time=None)

    def history(self, run_id: str, metric: str) -> builtins.list[tuple[int, int, float]]:
        folder, _ = self._find(run_id)
        path = folder / "metrics" / check_key(metric, "metric")
        try:
            return read_points(path)
        except FileNotFoundError:
            known = [key for key, _ in walk_keys(folder / "metrics")]
            hint = nearest_hint(metric, known)
            raise NotFoundError(f"run {folder.name[:12]} has no metric {metric!r}", hint) from None
        except BrokenFileError as error:
            raise StorageError(f"metric {metric!r} of run {folder.name[:12]} {error}") from error

    def artifacts(self, run_id: str) -> builtins.list[str]:
        return sorted(
            f"{prefix}{relative}"
            for prefix, folder in self._artifact_roots(run_id)
            for relative, _ in walk_keys(folder)
        )

    def artifact_path(self, run_id: str, relative: str) -> Path:
        wanted = relative.strip("/")
        if ".." not in Path(wanted).parts:
            for prefix, folder in self._artifact_roots(run_id):
                within = f"{wanted}/"
                if not prefix or within.startswith(prefix):
                    path = folder / wanted[len(prefix) :] if within != prefix else folder
                    if path.exists():
                        return path
        hint = nearest_hint(relative, self.artifacts(run_id))
        raise NotFoundError(f"run {run_id[:12]} has no artifact {relative!r}", hint)

    def problems(self) -> builtins.list[str]:
        found: builtins.list[str] = []
        for item in self.experiment_folders():
            if item.problem:
                found.append(f"{item.folder} is no experiment: {item.problem}")
                continue
            for name in run_folders(item.folder):
                folder = item.folder / name
                if is_stray(folder):
                    found.append(f"{folder} is a stray folder among the runs")
                    continue
                run = read_run(folder, item.experiment)
                if run.problem:
                    found.append(f"run {name} ({item.experiment.name}) in {folder}: {run.problem}")
        moved: Counter[str] = Counter()
        for meta_file, key, uri, living in dead_paths(self.root):
            if living is None:
                found.append(f"{meta_file}: {key} {uri} doesn't exist")
            else:
                old, new = local_path(uri), living
                while old and old.name == new.name and new != self.root:
                    old, new = old.parent, new.parent
                moved[str(old)] += 1
        found += [
            f"{count} paths lead to {old}, where the project was before it moved here"
            for old, count in sorted(moved.items())
        ]
        return found

    def repair(self) -> builtins.list[str]:
        count = rewrite_dead_paths(self.root)
        return [f"rewrote {count} artifact paths to {self.root}"] if count else []

    def run_folder(self, run_id: str) -> Path | None:
        """The folder of a run by its full id; None when there is none."""
        for root in (self.root, self.root / TRASH):
            for name in subfolders(root):
                folder = root / name / run_id
                if name not in _NO_EXPERIMENTS and folder.is_dir():
                    return folder
        return None

    def experiment_folders(self) -> builtins.list[ExperimentFolder]:
        """Every experiment, also deleted and broken ones."""
        if self.root.exists() and not self.root.is_dir():
            raise StorageError(f"{self.root} is a file", "[tracking] uri must name a folder.")
        return [
            read_experiment(root / name)
            for root in (self.root, self.root / TRASH)
            for name in subfolders(root)
            if name not in _NO_EXPERIMENTS
        ]

    def _chosen(self, asked: str | None, *, deleted: bool) -> builtins.list[ExperimentFolder]:
        folders = [item for item in self.experiment_folders() if item.problem is None]
        if asked is None:
            return [item for item in folders if deleted or item.experiment.lifecycle_stage == "active"]
        chosen = [item for item in folders if asked in (item.experiment.name, item.experiment.experiment_id)]
        if not chosen:
            hint = nearest_hint(asked, [item.experiment.name for item in folders])
            raise NotFoundError(f"no experiment {asked!r}", hint)
        return chosen

    def _find(self, asked: str) -> tuple[Path, Experiment]:
        folder = self.run_folder(asked) if len(asked) == 32 and asked.isalnum() else None
        if folder is None:
            folder = self._search(asked)
        return folder, read_experiment(folder.parent).experiment

    def _search(self, asked: str) -> Path:
        folders = {
            name: item.folder / name
            for item in self.experiment_folders()
            for name in run_folders(item.folder)
            if not is_stray(item.folder / name)
        }
        if any(run_id.startswith(asked.lower()) for run_id in folders) and len(asked) >= 4:
            try:
                return folders[choose_run(asked, ((run_id, "") for run_id in folders))]
            except NotFoundError:
                pass  # several: their names decide, or are told
        named = [(run_id, _name(folder)) for run_id, folder in folders.items()]
        return folders[choose_run(asked, named)]

    def _active(self, run_id: str) -> Path:
        folder, experiment = self._find(run_id)
        if read_run(folder, experiment).lifecycle_stage != "active":
            raise UsageError(f"run {folder.name[:12]} is deleted", "Restore it first.")
        return folder

    def _edit_meta(self, folder: Path, **changes: Any) -> None:
        try:
            meta = {**read_meta(folder / META_FILE), **changes}
        except (OSError, BrokenFileError) as error:
            raise StorageError(f"run {folder.name[:12]} is broken: {error}", f"Look at {folder}.") from error
        if meta.get("deleted_time") is None:
            meta.pop("deleted_time", None)
        write_meta(folder / META_FILE, meta)

    def _artifact_roots(self, run_id: str) -> builtins.list[tuple[str, Path]]:
        """(prefix, folder) of the run's own files and of each logged model, the newest under its name."""
        folder, experiment = self._find(run_id)
        roots: builtins.list[tuple[str, Path]] = []
        own = resolve(read_run(folder, experiment).artifact_uri, self.root)
        if own is not None:
            roots.append(("", own))
        taken: set[str] = set()
        for model in logged_models(folder):
            files = model_files(model, self.root)
            if files is None or not model.is_ready:
                continue
            roots.append((f"{model.model_id if model.name in taken else model.name}/", files))
            taken.add(model.name)
        return roots


def _name(folder: Path) -> str:
    """The run's name; before MLflow 1.29 it was a tag alone."""
    try:
        name = read_meta(folder / META_FILE).get("run_name")
    except (OSError, BrokenFileError):
        return ""
    try:
        return str(name or (folder / "tags" / RUN_NAME_TAG).read_text("utf-8"))
    except (OSError, ValueError):
        return ""
