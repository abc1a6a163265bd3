"""What is answered to many rows at once: put together by column, and yet the JSON of each row's answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.answers import Answers, csv_answer, json_answer
from store.ids import new_prediction_ids
from store.loaded_model import Predictions

SHARES = st.floats(0, 1) | st.sampled_from([0.6, 0.8, 1 / 3, 1e-300, 1.0])
CLASSES = st.sampled_from(
    [(0, 1), (False, True), ('"no"\n', "oui é"), (-1.5, 2.0), ("a", "b", "c,}"), (1, 2, 3)]
)


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """Answers of a classifier of any kind, with and without probabilities, or of a regression."""
    n_rows = draw(st.integers(1, 20))
    classes: Any = draw(st.none() | CLASSES)
    if classes is None:
        number = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63)
        several = st.lists(st.floats(-9, 9), min_size=2, max_size=2)
        kind = draw(st.sampled_from([number, several]))
        predictions = Predictions(draw(st.lists(kind, min_size=n_rows, max_size=n_rows)))
    else:
        labels = draw(st.lists(st.sampled_from(classes), min_size=n_rows, max_size=n_rows))
        width = len(classes)
        cells = draw(st.lists(SHARES, min_size=n_rows * width, max_size=n_rows * width))
        table = np.array(cells).reshape(n_rows, width)
        if draw(st.booleans()):
            table = np.asfortranarray(table)
        predictions = draw(
            st.sampled_from(
                [
                    Predictions(labels),
                    Predictions(labels, table[:, 1] if width == 2 else None, table),
                ]
            )
        )
    ids: list[Any] = new_prediction_ids(n_rows)
    ids = draw(st.sampled_from([ids, [None] * n_rows]))
    name = draw(st.sampled_from(["linear", 'quo"ted é']))
    model: Any = SimpleNamespace(classes=classes)
    return Answers(model, name, draw(st.integers(1, 99)), predictions, ids, draw(st.floats(0, 1e4)))


@given(answers())
def test_the_text_of_many_answers_is_the_json_of_each(answered: Answers) -> None:
    rows = answered.rows()
    assert answered.text() == b",".join(map(orjson.dumps, rows))
    assert answered.text("\n").split(b"\n") == [orjson.dumps(row) for row in rows]
    assert json_answer(answered, is_single=False).body == orjson.dumps({"predictions": rows})


def test_one_answer_stands_by_itself() -> None:
    model: Any = SimpleNamespace(classes=(0, 1))
    table = np.array([[0.25, 0.75]])
    answered = Answers(model, "two", 3, Predictions([1], table[:, 1], table), [None], 1.23456)
    assert orjson.loads(json_answer(answered, is_single=True).body) == {
        "prediction": 1,
        "probability": 0.75,
        "confidence": "medium",
        "model": "two",
        "version": 3,
        "prediction_id": None,
        "latency_ms": 1.235,
    }
    assert bytes(csv_answer(answered).body).splitlines()[1] == b"1,0.75,medium,two,3,,1.235"


@pytest.mark.parametrize(("winning", "level"), [(0.8, "high"), (0.6, "medium"), (0.5999999, "low")])
def test_confidence_begins_at_its_limit(winning: float, level: str) -> None:
    model: Any = SimpleNamespace(classes=(0, 1))
    table = np.array([[1 - winning, winning]])
    answered = Answers(model, "two", 1, Predictions([1], table[:, 1], table), ["x"], 1.0)
    assert orjson.loads(answered.text())["confidence"] == level == answered.rows()[0]["confidence"]
