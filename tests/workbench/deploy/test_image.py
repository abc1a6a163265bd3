"""The image: what its Dockerfile says, what it runs, and how it finds out whether it is healthy."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IMAGE = ROOT / "workbench/deploy/image"


def test_the_dockerfile_is_built_from_nothing_but_one_plain_tag() -> None:
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) > 1
    assert all(re.fullmatch(r"python:3\.1\d-slim", base) for base in bases)
    assert "# syntax" not in text
    assert not re.search(r"https?://|curl|apt-get", text)


def test_the_image_runs_as_nobody_special_and_has_one_volume() -> None:
    text = (ROOT / "Dockerfile").read_text()
    last = text[text.rindex("FROM ") :]
    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE), "a number, so that a cluster sees it is not root"
    assert re.findall(r"^VOLUME (.+)$", last, re.MULTILINE) == ["/project"]
    assert json.loads(re.findall(r"^CMD (\[.+\])$", last, re.MULTILINE)[0]) == ["serve"]


@pytest.fixture
def entrypoint(tmp_path: Path) -> object:
    """Runs the entry point with a `workbench` that prints its words and its process's number."""
    fake = tmp_path / "bin" / "workbench"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$$ workbench $*"\n')
    fake.chmod(0o755)
    project = tmp_path / "project"
    project.mkdir()

    def run(*words: str, **variables: str) -> str:
        environment = {"PATH": f"{fake.parent}:/usr/bin:/bin", **variables}
        command = ["sh", str(IMAGE / "entrypoint.sh"), *words]
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True)
        output, _ = process.communicate(timeout=120)
        number, _, said = output.strip().partition(" ")
        if said.startswith("workbench"):
            assert int(number) == process.pid, "signals must reach workbench itself"
            return said
        return output.strip()

    return run


def test_any_command_of_workbench_runs_with_and_without_its_name(entrypoint: object) -> None:
    assert callable(entrypoint)
    assert entrypoint("train", "--json") == "workbench train --json"
    assert entrypoint("workbench", "train", "--json") == "workbench train --json"
    assert entrypoint("mlflow", "ui") == "workbench mlflow ui"
    assert entrypoint("workbench") == "workbench"


def test_a_shell_is_a_shell(entrypoint: object) -> None:
    assert callable(entrypoint)
    assert entrypoint("sh", "-c", "echo hello") == "hello"
    assert entrypoint("/bin/echo", "hello") == "hello"


def test_a_server_listens_to_the_outside_and_makes_a_key_in_every_form(entrypoint: object) -> None:
    assert callable(entrypoint)
    expected = "workbench serve --host 0.0.0.0 --make-key --port 9000"
    assert entrypoint("serve", "--port", "9000") == expected
    assert entrypoint("workbench", "serve", "--port", "9000") == expected
    public = {"WORKBENCH_SERVE__ALLOW_PUBLIC_WITHOUT_KEYS": "true"}
    assert entrypoint("serve", **public) == "workbench serve --host 0.0.0.0"


def test_an_empty_volume_becomes_a_project_when_it_is_served_and_a_full_one_stays(
    entrypoint: object, tmp_path: Path
) -> None:
    from workbench.settings import load_project

    assert callable(entrypoint)
    entrypoint("train")
    settings = tmp_path / "project/workbench.toml"
    assert not settings.exists()
    entrypoint("serve")
    assert load_project(settings.parent).name == "workbench"
    settings.write_text('[project]\nname = "mine"\n')
    entrypoint("serve")
    assert load_project(settings.parent).name == "mine"


class _Health(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/live" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody reads it."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def check(folder: Path, **variables: str) -> int:
    command = [sys.executable, "-IS", str(IMAGE / "healthcheck.py")]
    environment = {**{k: v for k, v in os.environ.items() if k != "PORT"}, **variables}
    return subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL).returncode


def test_the_health_check_asks_the_port_that_is_served(port: int, tmp_path: Path) -> None:
    assert check(tmp_path, PORT=str(port)) == 0
    run = tmp_path / ".workbench/run"
    run.mkdir(parents=True)
    (run / "server.json").write_text(json.dumps({"url": f"http://127.0.0.1:{port}"}))
    assert check(tmp_path) == 0, "the settings may name another port than the environment"
    (run / "server.json").write_text("{")
    assert check(tmp_path, PORT=str(port)) == 0


def test_the_health_check_fails_where_nobody_answers(tmp_path: Path) -> None:
    assert check(tmp_path, PORT="1") == 1


def test_the_health_check_fails_where_the_answer_is_an_error(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Health, "status", 503)
    assert check(tmp_path, PORT=str(port)) == 1
