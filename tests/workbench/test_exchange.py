"""`workbench export` and `workbench import`: runs and versions of one project in another."""

from __future__ import annotations

import io
import json
import shutil
import tarfile

import numpy as np
import pytest

from store.errors import DataError, StorageError
from store.exchange import import_runs
from store.profile import PROFILE_FILE, build_profile
from store.references import read_reference

ROW = "age,orders\n30,1\n40,6\n"


@pytest.fixture
def elsewhere(tmp_path_factory):
    """A project of another name that has an experiment of the same name under another id."""
    root = tmp_path_factory.mktemp("elsewhere")
    (root / "workbench.toml").write_text('[project]\nname = "elsewhere"\n')
    (root / "rows.csv").write_text(ROW)
    experiment = root / "mlruns/77"
    experiment.mkdir(parents=True)
    (experiment / "meta.yaml").write_text(
        f"artifact_location: {experiment.as_uri()}\ncreation_time: 1\nexperiment_id: '77'\n"
        "last_update_time: 1\nlifecycle_stage: active\nname: churn\n"
    )
    return root


def run_row(workbench, root):
    (row,) = workbench("-C", root, "runs", "list", "--json").json
    return {key: row[key] for key in ("run_id", "name", "experiment", "status", "params", "metrics", "tags")}


def test_a_version_predicts_in_another_project_when_the_first_is_gone(
    workbench, add_model, project, elsewhere, tmp_path_factory, monkeypatch
):
    add_model("older", promote=False)
    run_id = add_model("served", metrics={"roc_auc": 0.9})
    file = tmp_path_factory.mktemp("between") / "churn.tar.gz"
    sent = workbench("export", file, "--model", "churn", "--json")
    assert sent.code == 0, sent.err
    shutil.rmtree(project / "mlruns")
    taken = workbench("-C", elsewhere, "import", file, "--json").json
    assert taken == {
        "runs": [run_id], "versions": [{"name": "churn", "version": 1}], "runs_here": [], "versions_here": [],
    }  # fmt: skip
    row = run_row(workbench, elsewhere)
    assert (row["run_id"], row["name"], row["experiment"]) == (run_id, "served", "churn")
    assert row["metrics"] == {"roc_auc": 0.9}
    assert (elsewhere / "mlruns/77" / run_id).is_dir()
    shown = workbench("-C", elsewhere, "models", "show", "churn", "--json").json
    assert (shown["champion"], [version["version"] for version in shown["versions"]]) == (None, [1])
    history = workbench("-C", elsewhere, "models", "history", "churn", "--json").json
    assert [event["reason"] for event in history] == ["imported, where it was version 2"]
    assert workbench("-C", elsewhere, "models", "promote", "churn", "1", "--yes").code == 0
    monkeypatch.chdir(elsewhere)
    assert workbench("predict", "churn", "rows.csv", "-o", "out.csv").code == 0
    assert [line.split(",")[2] for line in (elsewhere / "out.csv").read_text().splitlines()[1:]] == ["0", "1"]


def test_what_is_here_already_stays_as_it_is(workbench, make_run, add_model, elsewhere, tmp_path):
    add_model()
    other = make_run("other", params={"depth": 3}, experiment="churn")
    file = tmp_path / "both.tar.gz"
    assert workbench("export", file, "--model", "churn:1", "--run", "other").code == 0
    assert workbench("-C", elsewhere, "import", file).code == 0
    assert workbench("-C", elsewhere, "runs", "note", other, "mine").code == 0
    again = workbench("-C", elsewhere, "import", file, "--json").json
    assert (again["runs"], again["versions"]) == ([], [])
    assert (len(again["runs_here"]), again["versions_here"]) == (2, [{"name": "churn", "version": 1}])
    rows = workbench("-C", elsewhere, "runs", "list", "--json").json
    assert [row["tags"].get("mlflow.note.content") for row in rows if row["run_id"] == other] == ["mine"]
    shutil.rmtree(elsewhere / "mlruns/77" / other)  # as when an import was cut off
    assert workbench("-C", elsewhere, "import", file, "--json").json["runs"] == [other]
    assert list(elsewhere.glob(".import-*")) == []


def test_mlflow_reads_what_came_with_models_and_datasets(
    workbench, open_mlflow_project, tmp_path, monkeypatch
):
    from mlflow.entities import Dataset, DatasetInput, InputTag

    here = open_mlflow_project(tmp_path / "here")
    run_id = here.log_run(metrics={"roc_auc": 0.9}, params={"depth": 3}, models=["model"])
    data = Dataset("rows.csv", "abc123", "local", "{}")
    here.client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    profile = build_profile({"age": np.arange(50.0)}, {"age": "numeric"}, np.arange(50.0), task="regression")
    (here.runs.run_folder(run_id) / "artifacts" / PROFILE_FILE).write_text(profile.to_json())
    here.registry.register("cancer", run_id=run_id, description="the first", tags={"owner": "ann"})
    there = open_mlflow_project(tmp_path / "there")
    for side in (here, there):
        (side.root / "workbench.toml").write_text('[project]\nname = "lab"\n')
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):  # commands would take that project's
        monkeypatch.delenv(name)
    file = tmp_path / "cancer.tar.gz"
    assert workbench("-C", here.root, "export", file, "--model", "cancer").code == 0
    shutil.rmtree(here.mlruns)
    assert workbench("-C", there.root, "import", file).code == 0

    run = there.client.get_run(run_id)
    assert (run.data.params, run.data.metrics) == ({"depth": "3"}, {"roc_auc": 0.9})
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("rows.csv", "abc123")
    assert there.client.get_experiment(run.info.experiment_id).name == "cancer"
    version = there.client.get_model_version("cancer", "1")
    assert (version.description, version.tags["owner"]) == ("the first", "ann")
    model = there.client.get_logged_model(version.source.removeprefix("models:/"))
    assert model.artifact_location.startswith(there.uri)
    assert there.registry.version("cancer", 1).model_dir.is_relative_to(there.mlruns)
    reference = read_reference(there.layout, "cancer", 1)
    assert reference is not None
    assert reference.to_json() == profile.to_json()
    there.client.log_metric(run_id, "added_later", 1.0)


def test_what_cannot_travel_is_told(workbench, make_run, add_model, project, tmp_path):
    file = tmp_path / "x.tar.gz"
    add_model()
    make_run("going", status=1)
    for arguments, said in (
        ([], "nothing to export. Say what"),
        (["--model", "chrun"], "no registered model 'chrun'. Did you mean 'churn'"),
        (["--model", "churn:9"], "no version '9'"),
        (["--run", "nothing"], "no run 'nothing'"),
        (["--run", "going"], "run going has not ended"),
    ):
        result = workbench("export", file, *arguments)
        assert (result.code > 0, said in result.err, file.exists()) == (True, True, False), result.err
    file.touch()
    assert workbench("export", file, "--model", "churn").code == 2
    settings = project / "workbench.toml"
    settings.write_text(settings.read_text() + '\n[tracking]\nuri = "sqlite:///runs.db"\n')
    assert "is no file store" in workbench("import", file).err


def test_a_file_that_is_no_whole_export_changes_nothing(workbench, add_model, elsewhere, tmp_path):
    add_model()
    whole = tmp_path / "whole.tar.gz"
    assert workbench("export", whole, "--model", "churn").code == 0
    before = sorted(elsewhere.rglob("mlruns/**"))
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[:-2000])
    backup = tmp_path / "backup.tar.gz"
    assert workbench("backup", backup).code == 0
    for file, said in (
        (cut, "is no whole export"),
        (backup, "is no export of workbench: it holds workbench.toml"),
        (tmp_path / "none.tar.gz", "no file"),
    ):
        result = workbench("-C", elsewhere, "import", file)
        assert (result.code, said in result.err) == (1, True), result.err
    assert "is no backup of workbench" in workbench("-C", elsewhere, "restore", whole, "--yes").err
    assert sorted(elsewhere.rglob("mlruns/**")) == before


@pytest.mark.parametrize(
    "name", ["../evil", "exchange/../../evil", "/tmp/evil", "exchange/models/x/meta.yaml"]
)
def test_a_hostile_file_puts_nothing_elsewhere(name, mlflow_project, tmp_path):
    import hashlib

    contents = {"exchange/versions.json": b"[]", name: b"run_id: x\n"}
    hashes = {key: hashlib.sha256(content).hexdigest() for key, content in contents.items()}
    contents["manifest.json"] = json.dumps({"format": 1, "sha256": hashes}).encode()
    file = tmp_path / "hostile.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for key, content in contents.items():
            entry = tarfile.TarInfo(key)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    store = tmp_path / "within/mlruns"
    with pytest.raises((DataError, StorageError)):
        import_runs(file, store, mlflow_project.registry, mlflow_project.layout)
    assert not list(tmp_path.rglob("evil"))
    assert list(store.iterdir()) == []
