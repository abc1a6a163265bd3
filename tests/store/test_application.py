"""An application of somebody's own that serves a model and logs to a project."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from fastapi import FastAPI

from store import application, ids, log_feedback, log_prediction
from store import log as writing
from store.errors import SettingsError
from store.fold import fold
from store.layout import Layout
from store.predictions import PredictionReader


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """A process's logs go on until it ends; those of a test end with it."""
    yield
    for log in {*application._logs.values()}:
        log.close()
    application._logs.clear()


def app_of(project: Path) -> FastAPI:
    """As its author would write it."""
    app = FastAPI()

    @app.post("/score")
    def score(features: dict[str, Any]) -> dict[str, Any]:
        probability = 0.9 if features["visits"] < 3 else 0.2
        prediction_id = log_prediction(
            project,
            model="churn",
            version=3,
            features=features,
            prediction=int(probability > 0.5),
            probability=probability,
        )
        return {"churns": probability > 0.5, "prediction_id": prediction_id}

    @app.post("/outcome/{prediction_id}")
    def outcome(prediction_id: str, churned: bool) -> bool:
        return log_feedback(project, prediction_id, churned)

    return app


def test_an_application_of_its_own_logs_predictions_and_outcomes(layout: Layout) -> None:
    async def use() -> list[str]:
        transport = httpx.ASGITransport(app_of(layout.root))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            bodies = [{"age": 30 + n, "plan": "pro", "visits": n} for n in range(6)]
            answers = await asyncio.gather(*(client.post("/score", json=body) for body in bodies))
            ids = [answer.json()["prediction_id"] for answer in answers]
            for prediction_id in (ids[0], ids[5]):
                answer = await client.post(f"/outcome/{prediction_id}", params={"churned": True})
                assert answer.json() is True
                fold(layout)
            return ids

    ids = asyncio.run(use())
    fold(layout)

    rows = PredictionReader(layout).query("SELECT * FROM churn ORDER BY visits").records()
    assert [row["prediction_id"] for row in rows] == ids
    assert [row["age"] for row in rows] == [30.0, 31.0, 32.0, 33.0, 34.0, 35.0]
    assert {row["plan"] for row in rows} == {"pro"}
    labels = PredictionReader(layout).query("SELECT prediction_id, label FROM labels ORDER BY ALL").rows
    assert labels == sorted([(ids[0], "1"), (ids[5], "1")])
    performance = PredictionReader(layout).query(
        "SELECT predicted, actual, labelled FROM log.performance ORDER BY ALL"
    )
    assert performance.rows == [("0", "1", 1), ("1", "1", 1)]


def test_the_projects_redactions_hold_for_it(tmp_path: Path) -> None:
    (tmp_path / "workbench.toml").write_text(
        '[project]\nname = "p"\n[store]\nredact = ["card"]\npath = "log"\n'
    )
    log_prediction(tmp_path, model="m", features={"card": "4111-1111", "amount": 5}, prediction=0.5)

    written = b"".join(path.read_bytes() for path in (tmp_path / "log" / "spool").glob("*.seg"))
    assert b'"x":[[5.0]]' in written
    assert b"4111" not in written


def test_settings_that_cannot_be_read_are_no_silence(tmp_path: Path) -> None:
    (tmp_path / "workbench.toml").write_text('[store]\nredact = "card"\n')
    with pytest.raises(SettingsError, match=r"store\.redact"):
        log_prediction(tmp_path, model="m", features={"card": "4111"}, prediction=0.5)
    (tmp_path / "workbench.toml").write_text("[store")
    with pytest.raises(SettingsError, match="cannot read"):
        log_feedback(tmp_path, "p", 1)


def test_what_cannot_be_logged_gives_no_id(tmp_path: Path) -> None:
    (tmp_path / ".workbench").write_text("a file where the folder should be")

    assert log_prediction(tmp_path, model="m", features={"a": 1}, prediction=1.0) is None
    assert not log_feedback(tmp_path, "p", 1)


def _send_logged(project: Path, pipe: Any) -> None:
    logged = log_prediction(project, model="m", features={"a": 1.0}, prediction=0.5)
    pipe.send((logged, log_feedback(project, "p", 1)))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_while_a_thread_logs_does_not_wait_for_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_send_logged, args=(tmp_path, theirs))
    # As a thread of the parent would hold them, that is not in the child.
    with application._lock, writing._lock, ids._source._lock:
        child.start()
    try:
        assert ours.poll(30), "the child waits for a thread that it does not have"
        prediction_id, is_labelled = ours.recv()
    finally:
        child.kill()
        child.join(90)
    assert prediction_id is not None
    assert is_labelled


class Unspeakable:
    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_no_value_of_a_feature_makes_it_raise(layout: Layout) -> None:
    first = {"paid_at": pd.NaT, "amount": pd.NA, "what": Unspeakable()}
    second = {"paid_at": pd.Timestamp("1970-01-02"), "amount": 5, "what": "car"}
    for features in (first, second):
        assert log_prediction(layout.root, model="m", features=features, prediction=0.5)
    fold(layout)

    rows = PredictionReader(layout).query("SELECT paid_at, amount, what FROM m ORDER BY prediction_id").rows
    assert str(rows[0]) == "(nan, None, '<Unspeakable>')"
    assert rows[1] == (86_400.0, 5.0, "car")


def test_a_version_that_no_log_holds_is_refused_at_once(layout: Layout) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        log_prediction(layout.root, model="m", version=20261122113000, features={"a": 1}, prediction=0.5)
    assert log_prediction(layout.root, model="m", version=20261122, features={"a": 1}, prediction=0.5)
