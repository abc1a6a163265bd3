"""A server that was asked for ONNX answers with it where it may, says so, and with scikit-learn otherwise."""

from __future__ import annotations

import multiprocessing
import sys
from importlib.util import find_spec
from typing import Any

import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from serve.hosting import ModelHost
from serve.served_model import ServedModel

needs_onnx = pytest.mark.skipif(
    find_spec("skl2onnx") is None or find_spec("onnxruntime") is None,
    reason="the extra onnx is not installed",
)


def served(project: Any, **options: Any) -> dict[str, ServedModel]:
    host = ModelHost(project.registry, layout=project.layout, model_order=project.models, **options)
    host.refresh()
    return host.models


@pytest.fixture
def two_models(project: Any, flower_data: Any) -> Any:
    X, y = flower_data
    project.add("linear", make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y))
    project.add("binned", HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(X, y))
    return project


@needs_onnx
def test_the_log_and_the_model_say_which_engine_answers_and_why(
    two_models: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="workbench.serve"):
        models = served(two_models, engine="onnx")
    assert models["linear"].engine == "onnx"
    assert "of scikit-learn on" in str(models["linear"].engine_note)
    assert models["binned"].engine == "native"
    assert "float64" in str(models["binned"].engine_note)
    levels = {r.getMessage().split(":")[0]: r.levelname for r in caplog.records if "engine" in r.getMessage()}
    assert levels == {"linear version 1": "INFO", "binned version 1": "WARNING"}


def test_without_the_extra_scikit_learn_answers_and_the_note_says_how_to_install_it(
    two_models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = served(two_models, engine="onnx")["linear"]
    assert model.engine == "native"
    assert "pip install 'workbench[onnx]'" in str(model.engine_note)


def test_nobody_is_given_it_unasked(two_models: Any) -> None:
    models = served(two_models)
    assert {(model.engine, model.engine_note) for model in models.values()} == {("native", None)}


@needs_onnx
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_worker_answers_the_same(two_models: Any, flower_data: Any) -> None:
    model = served(two_models, engine="onnx")["linear"].loaded
    X, _ = flower_data
    expected = model.predict(X).prediction
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=lambda: theirs.send(model.predict(X).prediction)
    )
    process.start()
    assert ours.poll(30)
    assert ours.recv() == expected
    process.join(90)
