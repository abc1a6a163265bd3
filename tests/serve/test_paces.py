"""Which large bodies stay on the event loop, and that they are answered alike wherever they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from serve.paces import MOST_MS, Paces

KIND = ("predict", "m")
MODEL: Any = SimpleNamespace(row_ms=0.1)
BYTES = 100_000


class Answered:
    rows = 0.0

    def __call__(self) -> float:
        return self.rows


@pytest.fixture
def answered() -> Answered:
    return Answered()


@pytest.fixture
def paces(answered: Answered) -> Paces:
    paces = Paces(answered)
    answered.rows += 1_000
    paces.note(KIND, MODEL, BYTES, MOST_MS / 2 / 1000)
    return paces


def test_a_body_stays_where_it_is_alone_and_such_were_quick(paces: Paces) -> None:
    with paces.asking():
        assert paces.allow(KIND, MODEL, BYTES)
        assert not paces.allow(KIND, MODEL, 3 * BYTES)


def test_nothing_is_known_of_other_kinds_and_other_versions(paces: Paces) -> None:
    with paces.asking():
        assert not paces.allow(("invocations", "m"), MODEL, BYTES)
        successor: Any = SimpleNamespace(row_ms=0.1)
        assert not paces.allow(KIND, successor, BYTES)


def test_a_model_slow_with_a_row_is_slow_with_few(paces: Paces) -> None:
    slow: Any = SimpleNamespace(row_ms=MOST_MS)
    paces.note(KIND, slow, BYTES, MOST_MS / 2 / 1000)
    with paces.asking():
        assert not paces.allow(KIND, slow, BYTES // 5)


def test_a_slow_one_is_followed_by_others_in_threads_until_one_is_quick(paces: Paces) -> None:
    with paces.asking():
        paces.note(KIND, MODEL, BYTES, 2 * MOST_MS / 1000)
        assert not paces.allow(KIND, MODEL, BYTES)
        paces.note(KIND, MODEL, BYTES, MOST_MS / 2 / 1000)
        assert paces.allow(KIND, MODEL, BYTES)


def test_others_in_progress_are_not_kept_waiting(paces: Paces) -> None:
    with paces.asking():
        with paces.asking():
            assert not paces.allow(KIND, MODEL, BYTES)
        assert paces.allow(KIND, MODEL, BYTES)


def test_others_that_were_answered_meanwhile_may_ask_again(paces: Paces, answered: Answered) -> None:
    with paces.asking():
        answered.rows += 1
        assert not paces.allow(KIND, MODEL, BYTES)
        paces.note(KIND, MODEL, BYTES, MOST_MS / 2 / 1000)
        assert paces.allow(KIND, MODEL, BYTES)


def test_the_answer_is_the_same_in_a_thread_and_on_the_event_loop(server: Any, flower_data: Any) -> None:
    X, _ = flower_data
    rows = (X.tolist() * 20)[:1_500]
    wrong = [*rows, [*rows[0][:-1], "many"]]
    answers = [server.post("/models/two/predict/batch", rows).json()["predictions"] for _ in range(4)]
    server.post("/models/two/predict", {"features": rows[0]})
    answers.append(server.post("/models/two/predict/batch", rows).json()["predictions"])
    told = [
        {**answer, "prediction_id": "", "latency_ms": 0} for predictions in answers for answer in predictions
    ]
    assert told == told[: len(rows)] * len(answers)
    assert len({answer["prediction_id"] for predictions in answers for answer in predictions}) == 5 * len(
        rows
    )
    for _ in range(3):
        assert server.post("/models/two/predict/batch", wrong).status_code == 422
