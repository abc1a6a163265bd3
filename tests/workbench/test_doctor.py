"""`workbench doctor`: each thing that can be wrong is found, named, and mended where that is possible."""

from __future__ import annotations

import json
import os
import shutil
import socket

import pytest

from store.jobs import add_job
from store.journal import append_event
from store.layout import Layout
from store.locks import locked


@pytest.fixture
def layout(project):
    return Layout.of(project).ensure()


@pytest.fixture
def doctor(workbench):
    """Runs doctor and returns its exit code and findings as (check, state, message)."""

    def run(*args):
        result = workbench("doctor", "--json", *args)
        return result.code, [(f["check"], f["state"], f["message"]) for f in result.json]

    return run


def found(findings, check, state):
    return [message for name, its_state, message in findings if (name, its_state) == (check, state)]


def test_a_new_project_has_no_problem(doctor, project):
    code, findings = doctor()
    assert code == 0
    assert not [f for f in findings if f[1] == "problem"]
    assert {"settings", "data", "store", "disk", "runs", "journal", "server", "locks"} <= {
        f[0] for f in findings
    }


def test_people_read_lines(workbench, project):
    result = workbench("doctor")
    assert result.code == 0
    assert "✓ settings" in result.out
    assert result.err.startswith("0 problems, ")


def test_missing_data_is_a_warning(doctor, project):
    shutil.rmtree(project / "data")
    code, findings = doctor()
    assert code == 0
    assert len(found(findings, "data", "warning")) == 2


def test_a_corrupt_run_is_named_and_the_others_are_checked_too(doctor, project, make_run):
    broken, _ = make_run("broken"), make_run("whole")
    next(project.glob(f"mlruns/*/{broken}/meta.yaml")).write_text("{")
    code, findings = doctor()
    assert code == 1
    assert any(broken in message for message in found(findings, "runs", "problem"))
    assert found(findings, "locks", "ok")


def test_a_broken_journal_is_named_with_its_line(doctor, layout):
    for _ in range(3):
        append_event(layout, "trained", model="churn")
    lines = layout.journal.read_text().splitlines(keepends=True)
    layout.journal.write_text(lines[0] + lines[2])
    code, findings = doctor()
    assert code == 1
    assert any("line 2" in message for message in found(findings, "journal", "problem"))


def test_paths_that_died_with_a_move_are_rewritten(
    workbench, doctor, project, make_run, tmp_path_factory, monkeypatch
):
    make_run("moved", has_model=True)
    new = tmp_path_factory.mktemp("new") / "shop"
    shutil.move(project, new)
    project.mkdir()
    monkeypatch.chdir(new)
    code, findings = doctor()
    assert code == 0
    assert any("moved here" in message for message in found(findings, "runs", "warning"))
    _, findings = doctor("--fix")
    assert found(findings, "runs", "mended")
    _, findings = doctor()
    assert not found(findings, "runs", "warning")


def test_an_interrupted_promotion_is_named_and_finished(workbench, doctor, layout, versions):
    details = {
        "id": "0123",
        "action": "promoted",
        "role": "champion",
        "champion": 2,
        "challenger": None,
        "before": [None, None],
    }
    append_event(layout, "intent", model="churn", to="2", details=details)
    code, findings = doctor()
    assert code == 0
    assert any("promoted of churn" in message for message in found(findings, "registry", "warning"))
    _, findings = doctor("--fix")
    assert found(findings, "registry", "mended")
    _, findings = doctor()
    assert not found(findings, "registry", "warning")


def test_a_champion_that_does_not_load_is_a_problem(workbench, doctor, versions):
    workbench("models", "promote", "churn", "1", "--yes")
    code, findings = doctor()
    assert code == 1
    assert any("churn version 1" in message for message in found(findings, "models", "problem"))


def test_a_model_without_a_champion_is_a_warning(doctor, versions):
    code, findings = doctor()
    assert code == 0
    assert found(findings, "models", "warning") == ["churn has no champion"]


def test_a_taken_port_is_a_warning(doctor, project, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("WORKBENCH_SERVE__PORT", str(port))
        code, findings = doctor()
    assert code == 0
    assert any(str(port) in message for message in found(findings, "server", "warning"))


def test_what_a_dead_server_left_is_removed(doctor, layout):
    (layout.run / "server.json").write_text(json.dumps({"pid": 1, "port": 1, "host": "127.0.0.1"}))
    _, findings = doctor()
    assert found(findings, "server", "warning")
    _, findings = doctor("--fix")
    assert found(findings, "server", "mended")
    assert not (layout.run / "server.json").exists()


def test_a_job_whose_process_died_is_marked_as_failed(workbench, doctor, layout):
    job = add_job(layout, "churn", state="running")
    _, findings = doctor()
    assert any(job.id in message for message in found(findings, "jobs", "warning"))
    doctor("--fix")
    assert workbench("jobs", "show", job.id, "--json").json["state"] == "failed"


def test_a_training_that_runs_is_left_alone(doctor, layout):
    add_job(layout, "churn", state="running")
    with locked(layout.run / "train-churn.lock", what="training of churn"):
        _, findings = doctor("--fix")
    assert not found(findings, "jobs", "warning")
    assert not found(findings, "jobs", "mended")
    assert any("training of churn" in message for message in found(findings, "locks", "ok"))


def test_a_full_disk_is_a_problem_and_a_low_one_a_warning(doctor, project, monkeypatch):
    usage = shutil.disk_usage(project)
    for free, state in ((10_000_000, "problem"), (500_000_000, "warning"), (usage.total, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path, free=free: usage._replace(free=free))
        _, findings = doctor()
        assert found(findings, "disk", state)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_store_is_a_problem(doctor, layout):
    layout.state.chmod(0o500)
    try:
        code, findings = doctor()
    finally:
        layout.state.chmod(0o700)
    assert code == 1
    assert found(findings, "store", "problem")


def test_variables_that_set_nothing_are_a_warning(doctor, project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_SERVE_PORT", "1")
    _, findings = doctor()
    assert found(findings, "settings", "warning")
