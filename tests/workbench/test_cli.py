"""The command line as a whole: help, errors in one line, exit codes, and what it must not import."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from workbench.cli.root import COMMANDS

HEAVY = (
    "pydantic",
    "mlflow",
    "sklearn",
    "pandas",
    "textual",
    "rich",
    "numpy",
    "duckdb",
    "fastapi",
    "pyarrow",
)


def imported_by(*args, cwd=None):
    """Names of the heavy packages that are loaded when a command has ended."""
    code = (
        "import sys\nfrom workbench.cli import execute\n"
        f"code = execute({list(args)!r})\n"
        "print([name for name in sys.argv[1:] if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, cwd=cwd, check=True, timeout=60
    )
    loaded, code = done.stderr.splitlines()[-1].rsplit(" ", 1)
    return set(json.loads(loaded.replace("'", '"'))), int(code)


@pytest.mark.parametrize(
    "args", [("--help",), ("--version",), ("train", "--help"), ("models", "promote", "--help")]
)
def test_help_imports_nothing_heavy(args):
    assert imported_by(*args) == (set(), 0)


def test_reading_commands_import_neither_mlflow_nor_a_terminal_library(project, make_run):
    make_run("a", metrics={"roc_auc": 0.9})
    for args in (("runs", "list"), ("models", "list", "--json"), ("status", "--json"), ("events",), ("env",)):
        loaded, code = imported_by(*args, cwd=project)
        assert code == 0
        assert not loaded & {"mlflow", "sklearn", "pandas", "textual"}, args


def test_help_lists_every_command(workbench):
    result = workbench("--help")
    assert result.code == 0
    for name, entry in COMMANDS.items():
        assert f"  {name} " in result.out
        assert entry.help in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_its_module(workbench, name):
    assert importlib.util.find_spec(f"workbench.cli.{COMMANDS[name].module}")
    result = workbench(name, "--help")
    assert result.code == 0
    assert "Usage: workbench" in result.out


def test_without_a_command_it_helps(workbench):
    assert workbench().code == 0


def test_an_unknown_command_names_the_nearest(workbench):
    result = workbench("sttaus")
    assert result.code == 2
    assert result.err == "workbench: no such command 'sttaus'. Did you mean 'status'? See workbench --help.\n"


@pytest.mark.parametrize(
    "args", [("runs", "shw"), ("train", "--fast"), ("runs", "show"), ("models", "promote")]
)
def test_wrong_usage_is_one_line_and_exit_2(workbench, project, args):
    result = workbench(*args)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("workbench: ")
    assert result.err.count("\n") == 1
    assert "--help" in result.err


@pytest.mark.parametrize(
    "args",
    [
        ("train",),
        ("runs", "list"),
        ("models", "list"),
        ("status",),
        ("serve",),
        ("doctor",),
        ("events",),
        ("jobs", "list"),
        ("env",),
        ("config", "show"),
        ("store", "sql", "SELECT 1"),
        ("predict", "churn", "a.csv"),
        ("feedback", "a.csv"),
        ("mlflow", "ui"),
    ],
)
def test_without_a_project_every_command_says_how_to_start_one(workbench, args):
    result = workbench(*args)
    assert result.code == 1
    assert "workbench init" in result.err
    assert result.err.count("\n") == 1


def test_where_plain_mlflow_has_logged_runs_the_way_to_see_them_is_named(workbench, tmp_path, monkeypatch):
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    monkeypatch.chdir(tmp_path)
    result = workbench("runs", "list")
    assert result.code == 1
    assert "workbench opens its runs" in result.err
    assert "workbench init" in result.err


def test_an_unknown_setting_names_the_nearest_and_exits_2(workbench, project):
    with (project / "workbench.toml").open("a") as file:
        file.write("\n[serve]\nprot = 9000\n")
    result = workbench("status")
    assert result.code == 2
    assert "serve.prot" in result.err
    assert "port" in result.err
    assert result.err.count("\n") == 1


def test_the_project_is_found_from_a_folder_below_and_by_option(
    workbench, project, tmp_path_factory, monkeypatch
):
    monkeypatch.chdir(project / "data")
    assert workbench("config", "check").code == 0
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert workbench("config", "check").code == 1
    assert workbench("-C", project, "config", "check").code == 0
    monkeypatch.setenv("WORKBENCH_PROJECT", str(project))
    assert workbench("config", "check").code == 0
    assert workbench("-C", "nowhere", "config", "check").code == 1


def test_an_unexpected_error_is_one_line_and_debug_shows_the_traceback(workbench, project, monkeypatch):
    from workbench.cli.invocation import Invocation

    def fail(_invocation):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(Invocation, "project", property(fail))
    result = workbench("status")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "ZeroDivisionError: by zero" in result.err
    assert "Traceback" in workbench("--debug", "status").err


def test_a_full_disk_is_said_in_one_line(workbench, project, monkeypatch):
    from workbench.cli.invocation import Invocation

    def fail(_invocation):
        raise OSError(28, "No space left on device", "journal.jsonl")

    monkeypatch.setattr(Invocation, "project", property(fail))
    result = workbench("status")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "No space left on device (journal.jsonl)" in result.err


def test_ctrl_c_exits_130(workbench, project, monkeypatch):
    from workbench.cli.invocation import Invocation

    def interrupt(_invocation):
        raise KeyboardInterrupt

    monkeypatch.setattr(Invocation, "project", property(interrupt))
    result = workbench("status")
    assert result.code == 130
    assert "Traceback" not in result.err


def test_a_closed_pipe_is_silent(project, make_run):
    for i in range(300):
        make_run(f"run-{i}", params={"a": "x" * 200})
    with subprocess.Popen(
        [sys.executable, "-m", "workbench", "runs", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=project,
    ) as command:
        command.stdout.read(10)
        command.stdout.close()
        assert command.stderr.read() == b""


def test_the_installed_command_works_end_to_end(process, project, make_run):
    make_run("first", metrics={"roc_auc": float("nan")})
    listed = process("runs", "list", "--json", cwd=project)
    assert listed.json[0]["metrics"] == {"roc_auc": None}
    missing = process("runs", "show", "zzzz", cwd=project)
    assert (missing.code, missing.out) == (1, "")
    assert missing.err.startswith("workbench: ")


def test_a_project_with_folders_named_like_ours_works(process, project, make_run):
    for name in ("store", "serve", "pipelines", "workbench", "tests"):
        (project / name).mkdir()
        (project / name / "__init__.py").write_text("raise RuntimeError('imported from the project')\n")
    make_run("first")
    script = os.path.join(os.path.dirname(sys.executable), "workbench")  # noqa: PTH118, PTH120
    done = subprocess.run(
        [script, "runs", "list", "--json"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 1


def test_a_stream_that_cannot_show_a_character_is_no_error(process, project, make_run):
    make_run("größe")
    listed = process("runs", "list", cwd=project, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (listed.code, listed.err) == (0, "")
    assert "gr??e" in listed.out


def test_a_librarys_thread_does_not_hold_up_the_end_of_a_command():
    code = (
        "import threading, time\n"
        "from workbench.cli import run\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "run(['--version'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()[0]) == (0, "workbench")
