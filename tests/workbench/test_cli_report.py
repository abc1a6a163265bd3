from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Workbench = Callable[..., Any]


def write(path: Path, *, shift: float = 0.0, seed: int = 1, rows: int = 800) -> Path:
    rng = np.random.default_rng(seed)
    values = zip(rng.normal(shift, 1, rows), rng.choice(["a", "b"], rows), strict=True)
    path.write_text("\n".join(["x,kind", *(f"{x:.6f},{kind}" for x, kind in values)]) + "\n")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A reference, the same again, and one that drifted. No project anywhere."""
    return (
        write(tmp_path / "reference.csv"),
        write(tmp_path / "same.csv", seed=2),
        write(tmp_path / "shifted.csv", seed=3, shift=1.5),
    )


def test_two_files_without_a_project(workbench: Workbench, files: tuple[Path, Path, Path]) -> None:
    reference, same, shifted = files
    quiet = workbench("report", "--reference", reference, "--current", same)
    assert quiet.code == 0
    assert "no drift" in quiet.out
    found = workbench("report", "--reference", reference, "--current", shifted, "--json").json
    assert found["drifted"] is True
    assert found["features"][0]["name"] == "x"
    assert found["model"] is None


def test_fail_on(workbench: Workbench, files: tuple[Path, Path, Path]) -> None:
    reference, same, shifted = files
    for severity, code in (("watch", 4), ("critical", 4)):
        assert (
            workbench("report", "--reference", reference, "--current", shifted, "--fail-on", severity).code
            == code
        )
    assert workbench("report", "--reference", reference, "--current", same, "--fail-on", "warning").code == 0


def test_markdown_names_what_drifted(workbench: Workbench, files: tuple[Path, Path, Path]) -> None:
    reference, _, shifted = files
    text = workbench("report", "--reference", reference, "--current", shifted, "--markdown").out
    assert text.startswith("### Drift: critical: x")
    assert "| ■ | x | critical |" in text
    assert "1 of 2 without drift." in text
    assert "\n\n\n" not in text


def test_a_table_says_why_once(workbench: Workbench, files: tuple[Path, Path, Path]) -> None:
    reference, _, shifted = files
    line = next(
        line
        for line in workbench("report", "--reference", reference, "--current", shifted).out.splitlines()
        if line.startswith("■")
    )
    assert "  critical from 0.25 on" in line
    assert "effect" not in line
    assert "adjusted p" not in line


def test_classic_rules(workbench: Workbench, files: tuple[Path, Path, Path]) -> None:
    reference, _, shifted = files
    found = workbench("report", "--reference", reference, "--current", shifted, "--json", "--classic").json
    assert found["method"] == "classic"
    assert "classic rules" in found["features"][0]["reason"]


def test_wrong_usage(workbench: Workbench, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    reference, _, _ = files
    assert workbench("report", "--reference", reference).code == 2
    assert workbench("report", "bikes", "--reference", reference, "--current", reference).code == 2
    gone = workbench("report", "--reference", reference, "--current", tmp_path / "nosuch.csv")
    assert gone.code == 1
    assert "nosuch.csv" in gone.err
    (tmp_path / "empty.csv").write_text("")
    empty = workbench("report", "--reference", reference, "--current", tmp_path / "empty.csv")
    assert empty.code == 1
    assert "empty.csv is empty" in empty.err


def test_monitor_without_models(workbench: Workbench, project: Path) -> None:
    nothing = workbench("monitor")
    assert nothing.code == 1
    assert "no model is in service" in nothing.err
    unknown = workbench("monitor", "nosuch")
    assert unknown.code == 1
    assert "nosuch" in unknown.err
    assert workbench("monitor", "--history", "--json").json == []
    assert "No window has ended" in workbench("monitor", "--history").err


def test_options_that_would_do_nothing_are_refused(
    workbench: Workbench, files: tuple[Path, Path, Path]
) -> None:
    reference, same, _ = files
    of_files = workbench("report", "--reference", reference, "--current", same, "--window", "500")
    assert of_files.code == 2
    assert "--window is about a report of a model's log" in of_files.err
    of_model = workbench("report", "bikes", "--target", "y")
    assert of_model.code == 2
    assert "--target is about a report of two files" in of_model.err
