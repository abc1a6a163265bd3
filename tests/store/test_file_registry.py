from __future__ import annotations

import json
import os
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from store.errors import NotFoundError, UsageError
from store.file_registry import FileRegistry
from store.journal import read_events

if TYPE_CHECKING:
    from tests.conftest import MlflowProject

Start = Callable[..., "subprocess.Popen[str]"]


def transition(project: MlflowProject, version: int, stage: str, *, archive: bool = False) -> None:
    """What a person does with plain MLflow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        project.client.transition_model_version_stage("cancer", str(version), stage, archive)


# ── what we write, MLflow reads ──────────────────────────────────────────────────────────────────────


def test_a_registered_version_is_what_mlflow_itself_would_have_written(mlflow_project: MlflowProject) -> None:
    import mlflow

    run_id = mlflow_project.log_run(metrics={"roc_auc": 0.97}, models=["model"])
    (model,) = mlflow_project.client.search_logged_models([mlflow_project.experiment()])
    theirs = mlflow.register_model(f"models:/{model.model_id}", "cancer")
    ours = mlflow_project.registry.register("cancer", run_id=run_id)
    written = [
        dict(mlflow_project.client.get_model_version("cancer", version))
        for version in (theirs.version, ours.version)
    ]
    for item in written:
        for differing in ("version", "creation_timestamp", "last_updated_timestamp"):
            item.pop(differing)
    assert written[0] == written[1]
    assert ours.metrics == {"roc_auc": 0.97}
    assert ours.model_dir is not None
    assert (ours.model_dir / "MLmodel").exists()
    tags = mlflow_project.client.get_logged_model(model.model_id).tags
    assert json.loads(tags["mlflow.modelVersions"]) == [
        {"name": "cancer", "version": 1},
        {"name": "cancer", "version": 2},
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of MLflow's own imports
def test_plain_mlflow_loads_the_champion_by_stage_and_by_alias(mlflow_project: MlflowProject) -> None:
    import mlflow
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    registry = mlflow_project.registry
    for strength in (0.01, 100.0):
        with mlflow.start_run(experiment_id=mlflow_project.experiment()) as run:
            estimator = LogisticRegression(C=strength).fit(X, y)
            mlflow.sklearn.log_model(estimator, name="model", pip_requirements=["scikit-learn"])
        version = registry.register("cancer", run_id=run.info.run_id)
        registry.promote("cancer", version.version)
    for uri in ("models:/cancer/Production", "models:/cancer@champion"):
        assert mlflow.sklearn.load_model(uri).C == 100.0
    registry.rollback("cancer")
    for uri in ("models:/cancer/Production", "models:/cancer@champion"):
        assert mlflow.sklearn.load_model(uri).C == 0.01


def test_aliases_and_stages_stay_in_step_through_every_change(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(3)
    registry.promote("cancer", 1)
    registry.promote("cancer", 2, to="challenger")
    assert mlflow_project.stages() == {
        1: ("Production", ("champion",)), 2: ("Staging", ("challenger",)), 3: ("None", ()),
    }  # fmt: skip
    registry.promote("cancer", 2)
    assert mlflow_project.stages() == {1: ("Archived", ()), 2: ("Production", ("champion",)), 3: ("None", ())}
    registry.promote("cancer", 3, to="staging")
    registry.archive("cancer", 3)
    assert mlflow_project.stages() == {
        1: ("Archived", ()),
        2: ("Production", ("champion",)),
        3: ("Archived", ()),
    }
    model = registry.model("cancer")
    assert (model.champion, model.challenger) == (2, None)
    registered = mlflow_project.client.get_registered_model("cancer")
    assert registered.aliases == {"champion": "2"}


def test_description_and_tags_reach_mlflow(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run(models=["model"])
    mlflow_project.registry.register("cancer", run_id=run_id, description="first", tags={"gate": "passed"})
    version = mlflow_project.client.get_model_version("cancer", "1")
    assert (version.description, version.tags) == ("first", {"gate": "passed"})


def test_a_runs_uri_registers_the_artifact_or_the_logged_model_of_that_name(
    mlflow_project: MlflowProject,
) -> None:
    run_id = mlflow_project.log_run(models=["first", "second"])
    registry = mlflow_project.registry
    newest = registry.register("cancer", run_id=run_id)
    first = registry.register("cancer", run_id=run_id, source=f"runs:/{run_id}/first")
    assert newest.source != first.source
    assert registry.register("cancer", run_id=run_id, source=first.source).source == first.source
    old_style = mlflow_project.log_run("old style")
    folder = mlflow_project.runs.artifact_path(run_id, "first/MLmodel").parent
    artifacts = Path(mlflow_project.runs.get(old_style).artifact_uri.removeprefix("file://"))
    (artifacts / "model").mkdir()
    (artifacts / "model" / "MLmodel").write_bytes((folder / "MLmodel").read_bytes())
    for source in (None, f"runs:/{old_style}/model"):
        version = registry.register("cancer", run_id=old_style, source=source)
        assert version.model_dir == artifacts / "model"
        assert (
            mlflow_project.client.get_model_version_download_uri("cancer", str(version.version))
            == version.source
        )


# ── rollback ─────────────────────────────────────────────────────────────────────────────────────────


def test_rollback_walks_back_through_the_champions_until_there_is_none(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(3)
    for version in (1, 2, 3):
        registry.promote("cancer", version, reason=f"better {version}")
    assert registry.rollback("cancer", who="ann@desk", reason="errors").to_version == 2
    assert registry.rollback("cancer").to_version == 1
    with pytest.raises(NotFoundError, match="no earlier champion"):
        registry.rollback("cancer")
    event = next(item for item in registry.history("cancer") if item.what == "rolled_back")
    assert (event.who, event.from_, event.to, event.reason) == ("ann@desk", "3", "2", "errors")


def test_a_rollback_forgets_the_champion_it_left(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(3)
    registry.promote("cancer", 1)
    registry.promote("cancer", 2)
    registry.rollback("cancer")
    registry.promote("cancer", 3)
    assert registry.rollback("cancer").to_version == 1


def test_a_rollback_passes_over_archived_and_deleted_versions(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(4)
    for version in (1, 2, 3, 4):
        registry.promote("cancer", version)
    registry.archive("cancer", 3)
    mlflow_project.client.delete_model_version("cancer", "2")
    assert registry.rollback("cancer").to_version == 1


def test_an_archived_champion_leaves_none_and_a_rollback_brings_back_the_one_before(
    mlflow_project: MlflowProject,
) -> None:
    registry = mlflow_project.with_versions(2)
    registry.promote("cancer", 1)
    registry.promote("cancer", 2)
    registry.archive("cancer", 2)
    assert registry.model("cancer").champion is None
    assert registry.rollback("cancer").to_version == 1


def test_champions_chosen_outside_are_in_the_stack(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(3)
    registry.promote("cancer", 1)
    transition(mlflow_project, 2, "Production", archive=True)
    registry.promote("cancer", 3)
    assert registry.rollback("cancer").to_version == 2
    assert registry.rollback("cancer").to_version == 1


# ── changes by others ────────────────────────────────────────────────────────────────────────────────


def test_a_model_registered_and_staged_by_a_script_is_adopted(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run(models=["model"])
    mlflow_project.client.create_registered_model("cancer")
    for _ in range(3):
        mlflow_project.client.create_model_version("cancer", f"runs:/{run_id}/model", run_id)
    transition(mlflow_project, 1, "Production")
    transition(mlflow_project, 2, "Production")
    registry = mlflow_project.registry
    assert registry.model("cancer").champion == 2
    assert registry.version("cancer", "Production").version == 2
    assert read_events(mlflow_project.layout) == []
    registered, champion = registry.settle()
    assert (registered.what, registered.details["registered"]) == ("external", [1, 2, 3])
    assert (champion.what, champion.to, champion.who) == ("external", "2", "outside workbench")
    assert mlflow_project.stages() == {1: ("Archived", ()), 2: ("Production", ("champion",)), 3: ("None", ())}
    assert registry.settle() == []


@pytest.mark.parametrize("archive", [True, False])
def test_a_stage_changed_by_mlflow_moves_the_alias(mlflow_project: MlflowProject, archive: bool) -> None:
    registry = mlflow_project.with_versions(3)
    registry.promote("cancer", 2)
    before = registry.fingerprint()
    transition(mlflow_project, 1, "Production", archive=archive)
    assert registry.fingerprint() != before
    assert registry.model("cancer").champion == 1
    (event,) = registry.settle()
    assert (event.what, event.from_, event.to) == ("external", "2", "1")
    assert mlflow_project.stages() == {1: ("Production", ("champion",)), 2: ("Archived", ()), 3: ("None", ())}


def test_an_alias_changed_by_mlflow_moves_the_stage(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(2)
    registry.promote("cancer", 1)
    before = registry.fingerprint()
    mlflow_project.client.set_registered_model_alias("cancer", "champion", "2")
    assert registry.fingerprint() != before
    assert registry.model("cancer").champion == 2
    assert [(event.from_, event.to) for event in registry.settle()] == [("1", "2")]
    assert mlflow_project.stages() == {1: ("Archived", ()), 2: ("Production", ("champion",))}


def test_a_champion_demoted_or_deleted_by_mlflow_is_none_afterwards(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(3)
    registry.promote("cancer", 1)
    registry.promote("cancer", 2)
    transition(mlflow_project, 2, "Archived")
    assert [(event.from_, event.to) for event in registry.settle()] == [("2", None)]
    assert mlflow_project.stages() == {1: ("Archived", ()), 2: ("Archived", ()), 3: ("None", ())}
    registry.promote("cancer", 3)
    mlflow_project.client.delete_model_version("cancer", "3")
    assert registry.model("cancer").champion is None
    changes = [(event.details["change"], event.from_, event.to) for event in registry.settle()]
    assert changes == [("deleted", "3", None), ("champion", "3", None)]
    assert registry.rollback("cancer").to_version == 1


def test_another_alias_is_left_alone(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(2)
    mlflow_project.client.set_registered_model_alias("cancer", "blue", "1")
    registry.promote("cancer", 1)
    registry.promote("cancer", 2)
    assert registry.version("cancer", "blue").version == 1
    assert mlflow_project.client.get_model_version_by_alias("cancer", "blue").version == 1


def test_a_deleted_model_starts_anew_under_its_name(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(2)
    registry.promote("cancer", 1)
    registry.promote("cancer", 2)
    mlflow_project.client.delete_registered_model("cancer")
    assert [event.details["change"] for event in registry.settle()] == ["model deleted"]
    assert registry.settle() == []
    mlflow_project.with_versions(1).promote("cancer", 1)
    with pytest.raises(NotFoundError, match="no earlier champion"):
        registry.rollback("cancer")


def test_a_prompt_is_no_model(mlflow_project: MlflowProject) -> None:
    mlflow_project.client.register_prompt("greeting", "Hello {{name}}")
    assert mlflow_project.registry.models() == []


# ── finding versions, bad input ──────────────────────────────────────────────────────────────────────


def test_versions_are_found_by_number_alias_stage_and_latest(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(3)
    registry.promote("cancer", 1)
    registry.promote("cancer", 2, to="challenger")
    asked = {
        "1": 1,
        "champion": 1,
        "@champion": 1,
        "Production": 1,
        "challenger": 2,
        "Staging": 2,
        "latest": 3,
    }
    assert {which: registry.version("cancer", which).version for which in asked} == asked
    assert registry.version("cancer", 3).version == 3
    assert [version.version for version in registry.model("cancer").versions] == [3, 2, 1]


def test_what_does_not_exist_is_named_with_the_nearest(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(1)
    with pytest.raises(NotFoundError, match="Did you mean 'cancer'"):
        registry.model("cancr")
    with pytest.raises(NotFoundError, match="no version '7'"):
        registry.promote("cancer", 7)
    with pytest.raises(NotFoundError, match="no run"):
        registry.register("cancer", run_id="f" * 32)
    with pytest.raises(NotFoundError, match="has no model"):
        registry.register("cancer", run_id=mlflow_project.log_run("without"))
    with pytest.raises(NotFoundError, match="no registered model"):
        registry.history("nothing")


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", "..", "a%b"])
def test_a_name_mlflow_refuses_is_refused(mlflow_project: MlflowProject, name: str) -> None:
    run_id = mlflow_project.log_run(models=["model"])
    with pytest.raises(UsageError):
        mlflow_project.registry.register(name, run_id=run_id)
    assert mlflow_project.registry.models() == []


def test_the_champion_does_not_become_its_own_challenger(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(1)
    registry.promote("cancer", 1)
    with pytest.raises(UsageError, match="is the champion"):
        registry.promote("cancer", 1, to="challenger")


def test_a_broken_version_is_a_flag_not_a_crash(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(2)
    registry.promote("cancer", 1)
    meta = mlflow_project.mlruns / "models" / "cancer" / "version-2" / "meta.yaml"
    meta.write_text("name: 'can")
    os.utime(meta, (0, 0))
    model = registry.model("cancer")
    assert [version.version for version in model.versions] == [1]
    assert model.champion == 1
    assert model.problem is not None
    assert "version-2" in model.problem
    assert registry.settle() == []


def test_a_broken_model_file_neither_unseats_the_champion_nor_blocks_a_rollback(
    mlflow_project: MlflowProject,
) -> None:
    registry = mlflow_project.with_versions(2)
    registry.promote("cancer", 1)
    registry.promote("cancer", 2)
    folder = mlflow_project.mlruns / "models" / "cancer"
    for broken in (folder / "meta.yaml", folder / "aliases" / "champion"):
        broken.write_text("")
        os.utime(broken, (0, 0))
    model = registry.model("cancer")
    assert model.champion == 2
    assert model.problem is not None
    assert registry.rollback("cancer").to_version == 1
    assert registry.model("cancer").problem is None
    assert mlflow_project.stages() == {1: ("Production", ("champion",)), 2: ("Archived", ())}


def test_a_store_without_models_is_empty(mlflow_project: MlflowProject) -> None:
    registry = FileRegistry(mlflow_project.root / "nowhere", mlflow_project.layout)
    assert registry.models() == []
    assert registry.settle() == []
    assert registry.fingerprint() == registry.fingerprint()
    assert not mlflow_project.layout.state.exists()
