"""What the demo says to type next can be typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workbench.demo.narration import closing_words
from workbench.demo.tour import Summary


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of programs of a virtual environment, out of which this process was called."""
    programs = tmp_path / "my venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("workbench", "activate"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(programs / "workbench"), "demo"])
    return programs


def test_where_it_was_called_by_its_path_the_environment_is_entered_first(
    environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    closing_words(Summary(root=Path("/p")), is_serving=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    first = lines[lines.index("What to type next:") + 1]
    assert first.startswith(f". '{environment}/activate'")


def test_where_the_shell_finds_it_nothing_comes_before_the_folder(
    environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(environment))
    closing_words(Summary(root=Path("/p")), is_serving=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[lines.index("What to type next:") + 1] == "cd /p"
