"""Runs made again from what they logged: by the product to the last bit, and by a folder without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines.handover import hand_over
from pipelines.job_process import Starter
from pipelines.launch import train
from pipelines.recipe import Recipe, place_files, read_recipe
from pipelines.reproduce import reproduce
from pipelines.request import TrainResult
from store.errors import NotFoundError, UsageError
from store.journal import read_events
from store.layout import Layout
from store.model_files import load_model
from store.settings import StoreSettings
from store.tracking import open_registry, open_runs, resolve_uri

Train = Callable[..., TrainResult]
MODULE = (
    "from ages import is_old\n\n\ndef features(frame):\n    frame['old'] = is_old(frame)\n    return frame\n"
)
BESIDE = "import limits\n\n\ndef is_old(frame):\n    return frame['age'] > limits.OLD\n"


@pytest.fixture
def trained(layout: Layout, customers: Any, train_here: Train) -> Recipe:
    """All that is hard: text, dates, gaps, a module and files beside it, weights, a threshold, a search."""
    customers.to_csv(layout.root / "customers.csv", index=False, sep=";")
    (layout.root / "mine.py").write_text(MODULE, "utf-8")
    (layout.root / "ages.py").write_text(BESIDE, "utf-8")
    (layout.root / "limits.py").write_text("OLD = 50\n", "utf-8")
    result = train_here(
        data="customers.csv",
        target="churned",
        ignore=["amount", "tier"],
        id_column="customer id",
        module="mine.py",
        estimator="gradient_boosting",
        params={"n_estimators": 10, "subsample": 0.5},
        class_weight="balanced",
        threshold="f1",
        split={"cv_folds": 3},
        search={
            "params": {"max_depth": [1, 2], "prepare__categorical__encoder__max_categories": [3]},
            "cv": 2,
        },
    )
    for name in ("mine.py", "ages.py", "limits.py"):
        (layout.root / name).write_text("raise RuntimeError('changed since')\n", "utf-8")
    runs = runs_of(layout)
    return read_recipe(runs, runs.get(result.run_id))


@pytest.fixture(autouse=True)
def _trained_again_in_a_fork(monkeypatch: pytest.MonkeyPatch, forked: Starter) -> None:
    monkeypatch.setattr("pipelines.reproduce.train", partial(train, start=forked))


def runs_of(layout: Layout) -> Any:
    return open_runs(resolve_uri("mlruns", layout.root))


def again(layout: Layout, recipe: Recipe) -> Any:
    return reproduce(recipe, runs_of(layout), layout, store=StoreSettings(), restore=lambda file: None)


@pytest.mark.slow
def test_a_run_is_made_again_and_handed_over_to_the_last_bit(trained: Recipe, layout: Layout) -> None:
    before = {path.name for path in layout.state.iterdir()}
    parent = trained.run
    children = [run for run in runs_of(layout).list() if run.run_id != parent.run_id]
    assert [run.tags["mlflow.parentRunId"] for run in children] == [parent.run_id] * 2
    assert {run.params["max_depth"] for run in children} == {"1", "2"}
    assert all(run.metrics["cv_roc_auc_mean"] > 0.5 for run in children)
    assert parent.params["max_depth"] == str(trained.found_params["max_depth"])

    outcome = again(layout, trained)
    assert outcome.is_identical, outcome
    assert outcome.compared > 10
    assert outcome.packages == {}
    assert {path.name for path in layout.state.iterdir()} == before
    assert len(runs_of(layout).list()) == 3
    assert len(open_registry(resolve_uri("mlruns", layout.root), layout).model("demo").versions) == 1
    assert [event.reason for event in read_events(layout, what="reproduced")] == ["identical"]

    folder = layout.root / "for a colleague"
    model = load_model(
        runs_of(layout).artifact_path(trained.run.run_id, "model/MLmodel").parent, layout=layout
    )
    files = hand_over(trained, layout.root, folder, model=model, restore=lambda file: None)
    assert {"train.py", "transforms.py", "requirements.txt", "data.json", "README.md"} <= set(files)
    written = {"mine.py": MODULE, "ages.py": BESIDE, "limits.py": "OLD = 50\n"}
    assert {name: (folder / name).read_text("utf-8") for name in written} == written
    blocked = (
        "import sys, runpy\n"
        "for name in ('workbench', 'store', 'serve', 'pipelines', 'mlflow', 'skops'):\n"
        "    sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "sys.argv = ['train.py']\n"
        f"runpy.run_path({str(folder / 'train.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", blocked], cwd=layout.root, capture_output=True, text=True, check=False
    )
    assert "to the last bit" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    with pytest.raises(UsageError, match="not empty"):
        hand_over(trained, layout.root, folder, model=None, restore=lambda file: None)


@pytest.mark.slow
def test_what_came_out_otherwise_is_named(layout: Layout, cancer_csv: Path, train_here: Train) -> None:
    result = train_here(
        data="cancer.csv", target="target", estimator="logistic_regression", split={"cv_folds": 0}
    )
    runs = runs_of(layout)
    recipe = read_recipe(runs, runs.get(result.run_id))
    other = recipe.settings.model_copy(update={"params": {"C": 0.001}})
    changed = replace(recipe, settings=other, packages={**recipe.packages, "numpy": "1.0"})
    outcome = again(layout, changed)
    assert not outcome.is_identical
    assert "accuracy" in {difference.name for difference in outcome.metrics}
    assert [(d.name, d.after) for d in outcome.params if d.name == "C"] == [("C", "0.001")]
    assert "feature_importances.json" in outcome.artifacts
    assert outcome.packages["numpy"][0] == "1.0"

    kept = layout.root / "kept"
    cancer_csv.rename(kept)
    cancer_csv.write_text("something else\n", "utf-8")
    with pytest.raises(NotFoundError, match=r"cancer\.csv is gone"):
        again(layout, recipe)
    (copy,) = place_files(recipe, layout.root, layout.root / "out", lambda file: kept)
    assert copy.read_bytes() == kept.read_bytes()


def test_a_run_of_somebody_elses_script_says_that_it_cannot_be_made_again(layout: Layout) -> None:
    folder = layout.root / "mlruns" / "1" / ("a" * 32)
    (folder / "artifacts").mkdir(parents=True)
    (layout.root / "mlruns" / "1" / "meta.yaml").write_text(
        f"artifact_location: {folder.parent.as_uri()}\nexperiment_id: '1'\nlifecycle_stage: active\nname: e\n"
    )
    (folder / "meta.yaml").write_text(
        f"artifact_uri: {(folder / 'artifacts').as_uri()}\nend_time: 2\nentry_point_name: ''\n"
        f"experiment_id: '1'\nlifecycle_stage: active\nrun_id: {'a' * 32}\nrun_name: theirs\n"
        "source_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: 1\nstatus: 3\ntags: []\n"
        "user_id: me\n"
    )
    runs = runs_of(layout)
    with pytest.raises(NotFoundError, match="workbench did not train it"):
        read_recipe(runs, runs.get("a" * 32))
