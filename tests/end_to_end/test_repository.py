"""What must hold of the checkout itself: its commands, its own project, its rooms, its words."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

TOP_LEVEL = {
    "workbench", "pipelines", "store", "serve", "tests", "pyproject.toml", "workbench.toml", "README.md",
    "Dockerfile", "LICENSE", "CHANGELOG.md", "constraints.txt",
}  # fmt: skip


def tracked(repository: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    return listed.splitlines()


def test_nothing_but_the_rooms_lies_at_the_top(repository: Path) -> None:
    first = {path.split("/")[0] for path in tracked(repository)}
    assert {name for name in first if not name.startswith(".")} <= TOP_LEVEL


def test_the_constraints_name_packages_and_versions_only(repository: Path) -> None:
    for line in (repository / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!-]+", line), line


def test_the_repositorys_own_settings_are_a_working_project_with_both_pipelines(repository: Path) -> None:
    from pipelines.data import find_files
    from workbench.settings import load_project

    project = load_project(repository)
    assert set(project.settings.pipelines) == {"cancer", "bikes"}
    for pipeline in project.settings.pipelines.values():
        assert find_files(pipeline.data, repository)


def test_the_demos_cancer_data_is_scikit_learns_own(repository: Path) -> None:
    import pandas as pd
    from sklearn.datasets import load_breast_cancer

    shipped = pd.read_csv(repository / "workbench" / "demo" / "data" / "cancer.csv")
    original = load_breast_cancer(as_frame=True).frame
    pd.testing.assert_frame_equal(shipped, original, check_exact=True)


def test_the_image_is_built_from_what_the_checkout_has(repository: Path) -> None:
    dockerfile = (repository / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    for names in copied:
        for name in names.split():
            assert (repository / name).exists(), name


@pytest.mark.parametrize("room", ["workbench", "pipelines", "serve", "store"])
def test_every_room_ships_in_the_package(repository: Path, room: str) -> None:
    settings = tomllib.loads((repository / "pyproject.toml").read_text())
    assert room in settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
