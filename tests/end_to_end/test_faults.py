"""The night production goes wrong: full disks, read-only folders, broken runs, taken ports."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SETTINGS = """\
[project]
name = "churn"

[pipelines.churn]
data = "churn.csv"
target = "churned"
estimator = "logistic_regression"
"""


def write_project(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workbench.toml").write_text(SETTINGS)
    customers = [(age, visits) for age in range(18, 90) for visits in range(12)]
    rows = [
        f"{age},{visits},{'yes' if age - 3 * visits + age % 7 > 10 else 'no'}" for age, visits in customers
    ]
    (folder / "churn.csv").write_text("age,visits,churned\n" + "\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, workbench_in: Callable[[Path], Any]) -> Any:
    """A project with one champion."""
    folder = tmp_path_factory.mktemp("faults") / "project"
    write_project(folder)
    command = workbench_in(folder)
    command("train")
    return command


@pytest.fixture
def copy(trained: Any, tmp_path: Path, workbench_in: Callable[[Path], Any]) -> Any:
    """That project at another path, the first one out of reach."""
    folder = tmp_path / "moved here"
    shutil.copytree(trained.folder, folder)
    for path in (folder / "mlruns").rglob("*"):  # dead, as after a real move
        if path.is_file() and path.name in ("meta.yaml", "MLmodel"):
            path.write_text(path.read_text().replace(str(trained.folder), str(tmp_path / "gone")))
    return workbench_in(folder)


def in_a_namespace(folder: Path, mount: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run workbench in `folder` after `mount` (a shell command) has been done where only it sees it."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("needs user namespaces")
    command = f'{mount} && cd "{folder}" && exec "$@"'
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, "sh", sys.executable, "-m", "workbench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode not in (0, -9), done
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("workbench: "), done.stderr
    for word in words:
        assert word.lower() in last.lower(), done.stderr


def test_a_full_disk_is_named_and_leaves_the_champion_alone(trained: Any, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    # Room for the project, hardly any for one more run.
    mount = (
        f'mount -t tmpfs -o size=6m tmpfs "{small}" && cp -a "{trained.folder}/." "{small}" && '
        f'(dd if=/dev/zero of="{small}/ballast" bs=4k count=100000 2>/dev/null || true)'
    )
    done = in_a_namespace(small, mount, "train")
    assert_one_clear_line(done, "space")
    shown = in_a_namespace(small, mount, "models", "show", "churn", "--json")
    assert '"champion": 1' in shown.stdout, shown.stderr


def test_a_read_only_folder_is_named(trained: Any) -> None:
    mount = (
        f'mount --bind "{trained.folder}" "{trained.folder}" && mount -o remount,ro,bind "{trained.folder}"'
    )
    assert_one_clear_line(in_a_namespace(trained.folder, mount, "train"), "read-only")
    listed = in_a_namespace(trained.folder, mount, "runs", "list", "--json")
    assert '"run_id"' in listed.stdout, listed.stderr


def test_a_corrupt_run_is_skipped_and_named_by_doctor(copy: Any) -> None:
    copy("train", "--set", "params.C=0.5", expect=None)
    runs = copy.json("runs", "list")
    meta = next((copy.folder / "mlruns").glob(f"*/{runs[0]['run_id']}/meta.yaml"))
    meta.write_text("artifact_uri: fi")
    left = [run for run in copy.json("runs", "list") if run["run_id"] != runs[0]["run_id"]]
    assert left == runs[1:]
    doctor = copy("doctor", expect=None)
    assert runs[0]["run_id"] in doctor.stdout + doctor.stderr


def test_a_moved_project_still_shows_predicts_and_trains(copy: Any) -> None:
    (copy.folder / "ask.csv").write_text("age,visits\n30,4\n80,1\n")
    done = copy("predict", "churn", "ask.csv")
    assert len(done.stdout.strip().splitlines()) == 3
    run = copy.json("runs", "list")[0]["run_id"]
    assert "gate.json" in copy("runs", "show", run).stdout
    assert copy("train", expect=None).returncode in (0, 3)
    copy("doctor", "--fix", expect=None)
    assert copy("doctor", expect=None).returncode == 0


def test_a_taken_port_is_named_with_who_has_it_and_another(trained: Any) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = trained("serve", "--port", str(port), expect=1)
    assert_one_clear_line(done, str(port), "--port")


def test_no_project_here_says_how_to_begin(tmp_path: Path, workbench_in: Callable[[Path], Any]) -> None:
    for arguments in (("train",), ("runs", "list"), ("serve",), ("status",), ("doctor",)):
        assert_one_clear_line(
            workbench_in(tmp_path)(*arguments, expect=1), "workbench.toml", "workbench init"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_broken_settings_file_is_named_by_every_command(
    tmp_path: Path, workbench_in: Callable[[Path], Any]
) -> None:
    (tmp_path / "workbench.toml").write_text(
        "[project]\nname = 'x'\n[pipelines.a]\ndata='d'\ntarget='t'\nestimater='x'\n"
    )
    for arguments in (("train",), ("runs", "list"), ("config", "show")):
        assert_one_clear_line(workbench_in(tmp_path)(*arguments, expect=2), "estimater", "estimator")
