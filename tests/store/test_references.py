"""References are published where every process finds them, whoever made them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from store.errors import DataError
from store.layout import Layout
from store.profile import PROFILE_FILE, Profile, build_profile
from store.references import (
    RunReferences,
    fingerprint,
    publish_reference,
    published_references,
    read_reference,
    reference_path,
)

if TYPE_CHECKING:
    from tests.conftest import MlflowProject

PROFILE = build_profile({"a": [1.0, 2.0, 3.0]}, {"a": "numeric"}, [1.0, 2.0, 3.0], task="regression")


@pytest.mark.parametrize("model", ["bikes", "Größe 2", "../up", "a.b", ".."])
def test_a_published_reference_is_found_under_any_name(layout: Layout, model: str) -> None:
    before = fingerprint(layout)
    path = publish_reference(layout, model, 12, PROFILE)

    assert path.resolve().is_relative_to(layout.references)
    assert published_references(layout) == {(model, 12): path}
    assert read_reference(layout, model, 12) == PROFILE
    assert fingerprint(layout) != before


def test_none_is_none_and_a_damaged_one_is_said_to_be(layout: Layout) -> None:
    assert read_reference(layout, "bikes", 1) is None
    publish_reference(layout, "bikes", 1, PROFILE)
    reference_path(layout, "bikes", 1).write_text("{")
    with pytest.raises(DataError):
        read_reference(layout, "bikes", 1)


def test_those_that_training_left_with_its_runs_are_published_once(mlflow_project: MlflowProject) -> None:
    layout = mlflow_project.layout
    with_profile = mlflow_project.log_run(models=["model"])
    without = mlflow_project.log_run(models=["model"])
    artifacts = next(Path(mlflow_project.mlruns).glob(f"*/{with_profile}")) / "artifacts"
    artifacts.mkdir(exist_ok=True)
    (artifacts / PROFILE_FILE).write_text(PROFILE.to_json())
    references = RunReferences(layout, mlflow_project.uri)
    assert references.publish_new() == 0

    for run_id in (with_profile, without):
        mlflow_project.registry.register("cancer", run_id=run_id)
    assert references.publish_new() == 1
    assert references.publish_new() == 0
    assert [*published_references(layout)] == [("cancer", 1)]

    other = Profile.from_json(PROFILE.to_json().replace('"rows": 3', '"rows": 4'))
    publish_reference(layout, "cancer", 1, other)
    RunReferences(layout, mlflow_project.uri).publish_new()
    assert read_reference(layout, "cancer", 1) == other
