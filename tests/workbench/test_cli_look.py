"""`workbench status`, `events`, `jobs`, `config`, `env`, `completion`: looking at a project."""

from __future__ import annotations

import os
import subprocess

import pytest

from store.jobs import add_job, update_job
from store.journal import append_event
from store.layout import Layout


@pytest.fixture
def layout(project):
    return Layout.of(project).ensure()


def test_status_of_an_empty_project_has_every_part(workbench, project):
    state = workbench("status", "--json").json
    assert list(state) == ["project", "server", "watcher", "models", "problems", "alerts", "jobs"]
    assert state["project"]["name"] == "shop"
    assert state["project"]["root"] == str(project)
    assert (state["server"], state["watcher"]) == (None, None)
    assert (state["models"], state["alerts"], state["jobs"]) == ([], [], [])
    text = workbench("status")
    assert text.code == 0
    assert "workbench serve" in text.out


def test_status_shows_models_and_jobs(workbench, versions, layout):
    workbench("models", "promote", "churn", "2", "--yes")
    add_job(layout, "churn", state="running")
    state = workbench("status", "--json").json
    assert state["models"][0]["name"] == "churn"
    assert state["models"][0]["champion"] == 2
    assert state["models"][0]["predictions"] == 0
    assert state["jobs"][0]["state"] == "running"
    text = workbench("status").out
    assert "churn" in text
    assert "running" in text


def test_events_are_oldest_first_and_can_be_narrowed(workbench, layout):
    append_event(layout, "trained", model="churn", details={"run_id": "abc"})
    append_event(layout, "promoted", model="churn", from_="1", to="2", reason="better")
    append_event(layout, "trained", model="spend")
    events = workbench("events", "--json").json
    assert [event["what"] for event in events] == ["trained", "promoted", "trained"]
    assert {"at", "who", "what", "model", "from", "to", "reason"} <= events[0].keys()
    assert events[1]["from"] == "1"
    assert len(workbench("events", "--model", "churn", "--json").json) == 2
    assert len(workbench("events", "--what", "trained", "--json").json) == 2
    assert [e["model"] for e in workbench("events", "--limit", "1", "--json").json] == ["spend"]
    text = workbench("events").out
    assert "1 → 2" in text
    assert "better" in text


def test_jobs_list_and_show(workbench, layout):
    job = add_job(layout, "churn", trigger="manual", reason="nightly")
    update_job(layout, job.id, state="running")
    update_job(layout, job.id, state="failed", error="no such column", run_id="abcdef")
    rows = workbench("jobs", "list", "--json").json
    assert {"id", "pipeline", "state", "trigger", "reason", "run_id", "created_at"} <= rows[0].keys()
    assert (rows[0]["id"], rows[0]["state"], rows[0]["run_id"]) == (job.id, "failed", "abcdef")
    assert workbench("jobs", "list", "--state", "done", "--json").json == []
    assert job.id in workbench("jobs", "list").out
    shown = workbench("jobs", "show", job.id, "--json").json
    assert shown["error"] == "no such column"
    assert "no such column" in workbench("jobs", "show", job.id).out
    assert workbench("jobs", "show", "nothing").code == 1


def test_config_show_says_where_each_value_comes_from(workbench, project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_SERVE__PORT", "9000")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "runs")
    shown = workbench("config", "show", "--json").json
    assert shown["project.name"] == {"value": "shop", "source": "file"}
    assert shown["serve.port"] == {"value": 9000, "source": "WORKBENCH_SERVE__PORT"}
    assert shown["tracking.uri"] == {"value": "runs", "source": "MLFLOW_TRACKING_URI"}
    assert shown["serve.host"]["source"] == "default"
    assert "9000" in workbench("config", "show").out


def test_config_show_can_be_narrowed(workbench, project):
    section = workbench("config", "show", "pipelines.churn.split", "--json").json
    assert section["pipelines.churn.split.seed"]["value"] == 42
    assert all(key.startswith("pipelines.churn.split.") for key in section)
    changed = workbench("config", "show", "--changed", "--json").json
    assert all(entry["source"] != "default" for entry in changed.values())
    missing = workbench("config", "show", "serve.prt")
    assert missing.code == 1
    assert "serve.port" in missing.err


def test_config_help_text_needs_no_project(workbench):
    entries = workbench("config", "show", "--help-text", "--json").json
    assert entries["serve.port"] == {
        "default": "8000",
        "help": "Port to listen on; 0 picks a free one.",
    }
    assert all(entry["help"] for entry in entries.values())
    assert "pipelines.NAME.target" in workbench("config", "show", "--help-text").out


def test_config_check_names_what_is_wrong_and_variables_that_set_nothing(workbench, project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_SERVE_PORT", "9000")
    checked = workbench("config", "check", "--json")
    assert checked.json["ignored_variables"] == ["WORKBENCH_SERVE_PORT"]
    assert "WORKBENCH_SERVE__PORT" in checked.err
    (project / "workbench.toml").write_text("[project\n")
    assert workbench("config", "check").code == 2


def test_env_is_what_a_shell_evaluates(workbench, project):
    lines = workbench("env").out
    shown = subprocess.run(
        ["sh", "-c", f'{lines}\nprintf "%s" "$MLFLOW_TRACKING_URI"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == (project / "mlruns").as_uri()
    variables = workbench("env", "--json").json
    assert variables["MLFLOW_TRACKING_URI"] == shown.stdout
    assert variables["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(workbench, shell):
    result = workbench("completion", shell)
    assert result.code == 0
    assert "_WORKBENCH_COMPLETE" in result.out


def complete(process, words, cwd):
    environment = {
        **os.environ,
        "_WORKBENCH_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    return [line.partition(",")[2] for line in process(env=environment, cwd=cwd).out.splitlines()]


def test_the_shell_completes_commands_options_and_names(process, project, versions):
    assert {"models", "mlflow"} <= set(complete(process, "workbench m", project))
    assert complete(process, "workbench models prom", project) == ["promote"]
    assert "--reason" in complete(process, "workbench train --re", project)
    assert complete(process, "workbench train ch", project) == ["churn"]
    assert complete(process, "workbench models show c", project) == ["churn"]
    assert "try-1" in complete(process, "workbench runs show try", project)
