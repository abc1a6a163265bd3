"""`workbench train` and what follows from it, with a real training in a child process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from store.layout import Layout
from store.locks import locked

QUICK = ("--set", "estimator=logistic_regression", "--set", "split.cv_folds=0")


@pytest.fixture
def learnable(project):
    """The project with data that a model can learn: `churned` follows from the number of orders."""
    rows = [f"{20 + i % 50},{i % 7},{int(i % 7 > 3)},{i * 1.5}" for i in range(200)]
    (project / "data" / "customers.csv").write_text("\n".join(["age,orders,churned,total", *rows, ""]))
    return project


def test_several_pipelines_and_none_named_is_wrong_usage(workbench, project):
    result = workbench("train")
    assert result.code == 2
    assert "churn, spend" in result.err
    assert "--all" in result.err
    assert workbench("train", "churn", "--all").code == 2


def test_an_unknown_pipeline_names_the_nearest(workbench, project):
    result = workbench("train", "chrn")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "'churn'" in result.err


def test_a_project_without_pipelines_says_what_to_add(workbench, tmp_path):
    (tmp_path / "workbench.toml").write_text('[project]\nname = "empty"\n')
    for args in (("train",), ("train", "--all")):
        result = workbench(*args)
        assert result.code == 1
        assert "[pipelines.NAME]" in result.err


@pytest.mark.parametrize("setting", ["max_depth", "=5", "params..a=1", ".=1"])
def test_a_setting_must_be_key_and_value(workbench, project, setting):
    result = workbench("train", "churn", "--set", setting)
    assert result.code == 2
    assert "KEY=VALUE" in result.err


def test_an_unknown_setting_names_the_nearest(workbench, project):
    result = workbench("train", "churn", "--set", "split.sed=1")
    assert result.code == 2
    assert "the command line" in result.err
    assert "'seed'" in result.err
    result = workbench("train", "churn", "--set", "estimator=random_forrest")
    assert result.code == 2
    assert "no estimator 'random_forrest'. Did you mean 'random_forest'?" in result.err


def test_force_needs_a_reason(workbench, project):
    result = workbench("train", "churn", "--promote", "force")
    assert result.code == 2
    assert "--reason" in result.err


def test_two_trainings_of_one_pipeline_at_once_are_refused(workbench, project):
    layout = Layout.of(project).ensure()
    with locked(layout.run / "train-churn.lock", what="training of churn"):
        result = workbench("train", "churn")
    assert (result.code, result.out) == (1, "")
    assert "training of churn" in result.err


def test_a_failed_training_is_one_line_and_a_failed_job(workbench, project):
    result = workbench("train", "churn", "--set", "target=nothing")
    assert result.code == 1
    assert result.out == ""
    last = result.err.splitlines()[-1]
    assert last.startswith("workbench: ")
    assert "nothing" in last
    assert "Traceback" not in result.err
    assert workbench("jobs", "list", "--json").json[0]["state"] == "failed"


@pytest.mark.slow
def test_the_whole_way_from_data_to_a_rolled_back_champion(workbench, learnable, tmp_path, request):
    first = workbench("train", "churn", *QUICK, "--json")
    assert first.code == 0, first.err
    trained = first.json
    assert {"run_id", "version", "metrics", "gate", "promoted"} <= trained.keys()
    assert {"accepted", "reasons", "rules"} <= trained["gate"].keys()
    assert (trained["version"], trained["promoted"]) == (1, True)
    assert trained["metrics"]["roc_auc"] > 0.9
    assert "[1/" in first.err

    request.getfixturevalue("forked_trainings")
    tie = workbench("train", "churn", *QUICK)
    assert tie.code == 3
    assert "refused" in tie.out
    assert "version 1 stays champion" in tie.out
    assert "--promote force" in tie.err
    assert [job["state"] for job in workbench("jobs", "list", "--json").json] == ["refused", "done"]

    forced = workbench(
        "train", "churn", *QUICK, "--promote", "force", "--reason", "audit", "--name", "again", "--json"
    )
    assert forced.code == 0, forced.err
    assert (forced.json["version"], forced.json["promoted"], forced.json["run_name"]) == (2, True, "again")
    shown = workbench("runs", "show", "again").out
    assert "gate: refused" in shown
    assert "gate.json" in shown

    restored = workbench("models", "rollback", "churn", "--yes", "--json")
    assert (restored.json["from"], restored.json["to"]) == (2, 1)
    assert (
        workbench("models", "trust", "churn", "1").err
        == "churn version 1 needs nothing more to be trusted.\n"
    )

    code = [f["state"] for f in workbench("doctor", "--json").json if f["check"] == "models"]
    assert "problem" not in code

    scored = tmp_path / "scored.csv"
    result = workbench("predict", "churn", "data/customers.csv", "-o", scored, "--log")
    assert result.code == 0, result.err
    assert len(scored.read_text().splitlines()) == 201
    counted = workbench("store", "sql", "SELECT count(*) AS n FROM predictions WHERE version = 1", "--json")
    assert counted.json == [{"n": 200}]
    by_version = workbench("predict", "churn/2", "data/customers.csv")
    assert len(by_version.out.splitlines()) == 201


@pytest.mark.slow
@pytest.mark.usefixtures("forked_trainings")
def test_all_trains_each_pipeline(workbench, learnable):
    result = workbench(
        "train", "--all", "--set", "split.cv_folds=0", "--set", "estimator=decision_tree", "--json"
    )
    assert result.code == 0, result.err
    assert [row["pipeline"] for row in result.json] == ["churn", "spend"]
    assert [row["version"] for row in result.json] == [1, 1]


@pytest.mark.slow
@pytest.mark.usefixtures("forked_trainings")
def test_other_data_is_meant_from_where_one_stands(workbench, learnable, monkeypatch):
    (learnable / "data" / "customers.csv").rename(learnable / "data" / "moved.csv")
    monkeypatch.chdir(learnable / "data")
    trained = workbench("train", "churn", *QUICK, "--data", "moved.csv", "--json")
    assert trained.code == 0
    (version,) = workbench("data", "versions", "--json").json
    assert (version["runs"], version["kept"]) == ([trained.json["run_id"]], True)
    assert [file["path"] for file in version["files"]] == ["data/moved.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_kill_and_a_closed_terminal_end_the_training_and_cancel_its_job(workbench, learnable, sent):
    settings = ("--set", "estimator=random_forest", "--set", "params.n_estimators=5000")
    command = subprocess.Popen(
        [sys.executable, "-m", "workbench", "train", "churn", *settings],
        cwd=learnable,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in command.stderr:
        if "Cross-validating" in line:
            break
    command.send_signal(sent)
    out, err = command.communicate(timeout=120)
    assert command.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    deadline = time.monotonic() + 90
    while (job := workbench("jobs", "list", "--json").json[0])["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert job["state"] == "cancelled"
    assert workbench("models", "list", "--json").json == []


@pytest.fixture
def pickled(make_run, workbench, project):
    """Version 1 of `churn`: a pickle with a code file beside it, logged by somebody else."""
    run_id = make_run("foreign", has_model=True)
    model = next(project.glob(f"mlruns/*/{run_id}/artifacts/model"))
    text = (model / "MLmodel").read_text().replace("model.skops", "model.pkl")
    text = text.replace("serialization_format: skops", "serialization_format: cloudpickle\n    code: code")
    (model / "MLmodel").write_text(text)
    (model / "model.pkl").write_bytes(b"\x80\x04N.")
    (model / "code").mkdir()
    (model / "code" / "theirs.py").write_text("VALUE = 1\n")
    assert workbench("models", "register", run_id).code == 0
    return model


def test_trusting_a_version_names_what_runs_and_asks(workbench, pickled):
    refused = workbench("models", "trust", "churn", "1")
    assert refused.code == 2
    assert "theirs.py" in refused.err
    assert "model.pkl" in refused.err
    assert workbench("models", "trust", "churn", "1", "--yes", "--reason", "read it").code == 0
    events = workbench("events", "--what", "trusted", "--json").json
    assert {event["kind"] for event in events} == {"code", "model"}
    assert {event["reason"] for event in events} == {"read it"}
    assert "nothing more" in workbench("models", "trust", "churn", "1", "--yes").err


def test_trusting_one_file_or_type_by_the_name_in_an_error(workbench, pickled):
    from store.trust import file_digest

    digest = file_digest(pickled / "model.pkl")
    assert workbench("models", "trust", digest, "--yes").code == 0
    assert workbench("models", "trust", "mine.Thing", "--yes").code == 0
    events = workbench("events", "--what", "trusted", "--json").json
    assert [(event["kind"], event["value"]) for event in events] == [
        ("model", digest),
        ("type", "mine.Thing"),
    ]
    assert workbench("models", "trust", "0" * 64, "--yes").code == 1
    assert workbench("models", "trust", "churn").code == 2


@pytest.mark.usefixtures("forked_trainings")
def test_json_of_a_refused_file_is_never_half_written(workbench, project):
    result = workbench("train", "churn", "--data", "nothing.csv", "--json")
    assert result.code == 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(result.out)
    assert result.out == ""
