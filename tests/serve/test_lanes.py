"""Requests that come together are predicted together, and none is the worse for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serve.input_schema import Batch
from serve.lanes import MOST_TOGETHER, DirectLane, ThreadLane, TickLane, lane_to
from serve.problems import Problem
from store.loaded_model import Predictions


class Doubling:
    """A model that doubles numbers, refuses negative ones, and remembers how many rows each call had."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, X: Any) -> Predictions:
        values = np.asarray(X)
        self.calls.append(len(values))
        if (values < 0).any():
            raise ValueError("negative")
        table = np.column_stack([1 - values[:, 0], values[:, 0]])
        return Predictions((values[:, 0] * 2).tolist(), table[:, 1], table)


def model(row_ms: float = 1.0) -> Any:
    return SimpleNamespace(name="m", version=1, row_ms=row_ms, loaded=Doubling())


def batch(*values: float) -> Batch:
    X = np.array(values)[:, None]
    return Batch(len(values), X, X, ())


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def ask(lane: Any, *batches: Batch) -> list[Any]:
    return await asyncio.gather(*(lane.predict(b) for b in batches), return_exceptions=True)


def test_the_lane_suits_the_models_speed(threads: Any) -> None:
    assert isinstance(lane_to(model(0.02), threads), DirectLane)
    assert isinstance(lane_to(model(1.0), threads), TickLane)
    assert isinstance(lane_to(model(20.0), threads), ThreadLane)


def test_a_request_alone_is_predicted_at_once() -> None:
    served = model()

    async def run() -> None:
        coroutine = TickLane(served).predict(batch(2.0))
        with pytest.raises(StopIteration) as ended:  # done at its first step, without waiting for the loop
            coroutine.send(None)
        assert ended.value.value.prediction == [4.0]

    asyncio.run(run())
    assert served.loaded.calls == [1]


def test_requests_of_one_tick_share_a_call() -> None:
    served = model()
    answers = asyncio.run(ask(TickLane(served), *(batch(float(n), float(n)) for n in range(20))))
    assert [a.prediction for a in answers] == [[2.0 * n, 2.0 * n] for n in range(20)]
    assert [a.probability.tolist() for a in answers] == [[float(n)] * 2 for n in range(20)]
    assert served.loaded.calls == [2, 38]


def test_single_requests_are_predicted_at_once_again_after_a_while() -> None:
    served = model()

    async def run() -> None:
        lane = TickLane(served)
        await ask(lane, batch(1.0), batch(2.0), batch(3.0))
        for _ in range(3):
            await lane.predict(batch(1.0))
        assert not lane._is_sharing

    asyncio.run(run())
    assert served.loaded.calls == [1, 2, 1, 1, 1]


@pytest.mark.parametrize("kind", ["tick", "thread"])
def test_nobody_fails_for_another(kind: str, threads: Any) -> None:
    served = model()
    lane = TickLane(served) if kind == "tick" else ThreadLane(served, threads)
    answers = asyncio.run(ask(lane, batch(1.0), batch(2.0), batch(-1.0), batch(3.0)))
    assert [getattr(a, "prediction", None) for a in answers] == [[2.0], [4.0], None, [6.0]]
    assert isinstance(answers[2], Problem)
    assert "negative" in answers[2].detail


def test_a_call_has_a_limit_of_rows(threads: Any) -> None:
    served = model()
    rows = [1.0] * 100
    answers = asyncio.run(ask(ThreadLane(served, threads), *(batch(*rows) for _ in range(7))))
    assert all(len(a.prediction) == 100 for a in answers)
    assert max(served.loaded.calls) <= MOST_TOGETHER
    assert sum(served.loaded.calls) == 700


def test_a_client_that_gave_up_does_not_disturb_the_others(threads: Any) -> None:
    served = model()

    async def run() -> Any:
        lane = ThreadLane(served, threads)
        gone = asyncio.create_task(lane.predict(batch(1.0)))
        stays = asyncio.create_task(lane.predict(batch(2.0)))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(run()).prediction == [4.0]


def test_frames_share_a_call_where_their_dtypes_agree() -> None:
    import pandas as pd

    served = model()
    whole = Batch(1, pd.DataFrame({"a": [1.0]}), (), ())
    text = Batch(1, pd.DataFrame({"a": [2]}), (), ())
    answers = asyncio.run(ask(TickLane(served), whole, whole, whole))
    assert [a.prediction for a in answers] == [[2.0]] * 3
    assert served.loaded.calls == [1, 2]
    served = model()
    asyncio.run(ask(TickLane(served), whole, whole, text))
    assert served.loaded.calls == [1, 1, 1]


@pytest.mark.parametrize("name", ["mixed", "unsigned", "slow"])
def test_answers_under_load_are_those_of_requests_alone(
    several_models: Any, running: Any, flower_data: Any, project: Any, name: str
) -> None:
    import threading

    import httpx

    X, _ = flower_data
    rows = [row.tolist() for row in X[:16]]
    source = several_models
    if name == "mixed":
        rows = [[20.0 + n, n, "pro" if n % 2 else "free", n % 3 == 0] for n in range(16)]
    elif name == "slow":
        from sklearn.ensemble import BaggingClassifier
        from sklearn.svm import SVC

        labels = (X[:, 0] > 0).astype(int)
        project.add("slow", BaggingClassifier(SVC(), n_estimators=60, random_state=0).fit(X, labels))
        source = project
    found: dict[int, Any] = {}
    with running(source) as server:
        path = f"/models/{name}/predict"
        alone = [server.post(path, {"features": row}).json()["prediction"] for row in rows]

        def ask_often(position: int) -> None:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                answers = [client.post(path, json={"features": rows[position]}) for _ in range(5)]
                found[position] = {a.json()["prediction"] for a in answers}

        workers = [threading.Thread(target=ask_often, args=(n,)) for n in range(16)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert found == {position: {answer} for position, answer in enumerate(alone)}
        bad = server.post(path, {"features": ["x"] * 4})
        assert bad.status_code == 422
