"""Registered models read from the run index: whatever changes them, the answers are those of the files."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from store.file_registry import FileRegistry
from store.index_file import index_path
from store.registry import RegisteredModel
from store.tracking import open_registry, open_runs

if TYPE_CHECKING:
    from tests.conftest import MlflowProject

MODEL = "cancer"


@pytest.fixture
def project(mlflow_project: MlflowProject) -> MlflowProject:
    """A model of three versions, the second of which is champion."""
    run_id = mlflow_project.log_run("forest", metrics={"auc": 0.9, "nan": float("nan")}, models=["model"])
    for _ in range(3):
        mlflow_project.registry.register(MODEL, run_id=run_id, tags={"team": "a"})
    mlflow_project.registry.promote(MODEL, 2)
    return mlflow_project


def indexed(project: MlflowProject) -> FileRegistry:
    """A registry with the index, as a command or a screen opens it."""
    registry = open_registry(project.uri, project.layout, runs=open_runs(project.uri, project.layout))
    assert isinstance(registry, FileRegistry)
    return registry


def shown(model: RegisteredModel) -> str:
    """Compared as text, for NaN is not equal to itself."""
    versions = [replace(item, metrics=dict(sorted(item.metrics.items()))) for item in model.versions]
    return repr(replace(model, versions=tuple(versions)))


def rows(project: MlflowProject, query: str) -> list[Any]:
    connection = sqlite3.connect(index_path(project.layout, project.mlruns))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _break_alias(_: Any, folder: Path) -> None:
    (folder / "aliases" / "champion").write_text("x")


CHANGES: dict[str, Callable[[Any, Path], Any]] = {
    "nothing": lambda client, folder: None,
    "an alias": lambda client, folder: client.set_registered_model_alias(MODEL, "best", "1"),
    "an alias moved": lambda client, folder: client.set_registered_model_alias(MODEL, "champion", "3"),
    "an alias taken away": lambda client, folder: client.delete_registered_model_alias(MODEL, "champion"),
    "a half-written alias": _break_alias,
    "a stage": lambda client, folder: client.transition_model_version_stage(MODEL, "1", "Staging"),
    "a tag": lambda client, folder: client.set_model_version_tag(MODEL, "1", "team", "b"),
    "a description": lambda client, folder: client.update_model_version(MODEL, "1", "good"),
    "the model's description": lambda client, folder: client.update_registered_model(MODEL, "of tumours"),
    "a version deleted": lambda client, folder: client.delete_model_version(MODEL, "3"),
    "the model deleted": lambda client, folder: client.delete_registered_model(MODEL),
    "a version without meta.yaml": lambda client, folder: (folder / "version-1" / "meta.yaml").unlink(),
    "half a meta.yaml": lambda client, folder: (folder / "version-1" / "meta.yaml").write_text("name: 'c"),
    "a model without meta.yaml": lambda client, folder: (folder / "meta.yaml").unlink(),
    "a stray file": lambda client, folder: (folder / "notes.txt").write_text("x"),
    "a version removed by hand": lambda client, folder: shutil.rmtree(folder / "version-3"),
    "a metric of its run": lambda client, folder: client.log_metric(
        client.get_model_version(MODEL, "1").run_id, "auc", 0.95, step=1
    ),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_every_change_is_seen(project: MlflowProject, what: str) -> None:
    registry = indexed(project)
    open_runs(project.uri, project.layout).list()
    registry.models()
    for path in project.mlruns.rglob("*"):  # so long ago that the index relies on what it has
        os.utime(path, (0, 0), follow_symlinks=False)
    registry.models()
    CHANGES[what](project.client, project.mlruns / "models" / MODEL)
    for opened in (registry, indexed(project)):
        assert [*map(shown, opened.models())] == [*map(shown, project.registry.models())]


def test_versions_and_aliases_are_tables(project: MlflowProject) -> None:
    indexed(project).models()
    assert rows(project, "SELECT model, version, stage FROM versions ORDER BY version") == [
        (MODEL, 1, "None"),
        (MODEL, 2, "Production"),
        (MODEL, 3, "None"),
    ]
    assert rows(project, "SELECT model, alias, version FROM aliases") == [(MODEL, "champion", 2)]
    project.client.delete_registered_model(MODEL)
    assert indexed(project).models() == []
    project.registry.register("other", run_id=project.runs.list()[0].run_id)
    indexed(project).models()
    assert rows(project, "SELECT name FROM models ORDER BY name")[-1] == ("other",)


def test_files_that_moved_away_and_came_back_are_found(project: MlflowProject) -> None:
    registry = indexed(project)
    folder = registry.version(MODEL, 1).model_dir
    assert folder is not None
    shutil.move(folder, project.root / "aside")
    assert registry.version(MODEL, 1).model_dir is None
    shutil.move(project.root / "aside", folder)
    assert registry.version(MODEL, 1).model_dir == folder


def test_a_damaged_index_leaves_the_models_readable(project: MlflowProject) -> None:
    registry = indexed(project)
    path = index_path(project.layout, project.mlruns)
    registry.models()
    path.write_bytes(b"garbage" * 1000)
    assert shown(indexed(project).model(MODEL)) == shown(project.registry.model(MODEL))
    assert registry.promote(MODEL, 3).to_version == 3


def test_changes_of_one_registry_are_seen_by_another_at_once(project: MlflowProject) -> None:
    screen, command = indexed(project), indexed(project)
    for version in (1, 3, 2, 1):
        command.promote(MODEL, version)
        assert screen.model(MODEL).champion == version
        assert shown(screen.model(MODEL)) == shown(project.registry.model(MODEL))
