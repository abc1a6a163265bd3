"""`workbench deploy` as its users call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workbench.toml").write_text('[project]\nname = "shop"\n')
    return tmp_path


def test_a_target_is_printed_and_what_to_do_with_it_said(workbench: Any, project: Path) -> None:
    result = workbench("deploy", "compose")
    assert result.code == 0
    assert result.out.startswith("# shop with Docker Compose")
    assert "docker compose up -d" in result.err


def test_it_writes_where_it_is_told_and_never_over_a_file(workbench: Any, project: Path) -> None:
    assert workbench("deploy", "systemd", "--out", "units/").code == 0
    unit = project / "units/workbench-shop.service"
    unit.write_text("mine")
    refused = workbench("deploy", "systemd", "--out", "units/")
    assert refused.code == 2
    assert "--force" in refused.err
    assert unit.read_text() == "mine"
    assert workbench("deploy", "systemd", "--out", "units/", "--force").code == 0
    assert "ExecStart" in unit.read_text()


def test_an_unknown_target_names_the_nearest(workbench: Any, project: Path) -> None:
    result = workbench("deploy", "kuberentes")
    assert result.code == 2
    assert "kubernetes" in result.err


def test_without_a_project_there_is_nothing_to_deploy(workbench: Any) -> None:
    result = workbench("deploy", "compose")
    assert result.code == 1
    assert "workbench init" in result.err


def test_help_lists_the_targets(workbench: Any) -> None:
    out = workbench("deploy", "--help").out
    assert "systemd" in out
    assert "grafana" in out
