"""A label counts for the class that it means, however it is written."""

from __future__ import annotations

from typing import Any

import pytest

from store.fold import fold
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.records import class_text, spellings

CASES = [
    ((False, True), 1, "true"),
    ((False, True), 0.0, "false"),
    ((False, True), "1", "true"),
    ((False, True), "False", "false"),
    ((False, True), True, "true"),
    ((0, 1), True, "1"),
    ((0, 1), "1.0", "1"),
    ((0, 1), "false", "0"),
    ((0, 1, 2), 2.0, "2"),
    ((0, 1), 7, "7"),
    ((0, 1), "maybe", "maybe"),
    ((False, True), "maybe", "maybe"),
    (("0", "yes"), "yes", "yes"),
    (("false positive", "hit"), "True", "True"),
]


@pytest.mark.parametrize("is_early", [False, True], ids=["after its prediction", "before it"])
def test_a_label_counts_for_the_class_it_means(
    layout: Layout, log: PredictionLog, log_bikes: Any, is_early: bool
) -> None:
    labels = [(f"p{number:02}", given, None) for number, (_, given, _) in enumerate(CASES)]
    if is_early:
        log.append_feedback(labels)
        fold(layout)
    for number, (classes, _, _) in enumerate(CASES):
        log_bikes(
            log, model=f"m{number:02}", ids=[f"p{number:02}"], predictions=[classes[1]], classes=classes
        )
    fold(layout)
    if not is_early:
        log.append_feedback(labels)
        fold(layout)

    reader = PredictionReader(layout)
    meant = [(meaning,) for _, _, meaning in CASES]
    assert reader.query("SELECT label FROM labels ORDER BY prediction_id").rows == meant
    counted = reader.query("SELECT predicted, actual, labelled FROM log.performance ORDER BY model").rows
    assert counted == [(class_text(classes[1]), meaning, 1) for classes, _, meaning in CASES]


def test_a_regression_keeps_its_labels_as_they_are(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    (prediction_id,) = log_bikes(log)
    log.append_feedback([(prediction_id, 7.5, None)])
    fold(layout)

    assert PredictionReader(layout).query("SELECT label, actual FROM labels").rows == [("7.5", 7.5)]


def test_a_label_of_a_prediction_that_was_logged_twice_counts_once(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    for _ in range(2):
        log_bikes(log, ids=["twice"])
    log.append_feedback([("twice", 1.0, None)])
    fold(layout)

    assert PredictionReader(layout).query("SELECT count(*) FROM log.feedback").rows == [(1,)]


def test_what_a_label_can_mean() -> None:
    assert spellings(True) == {"true", "1"}
    assert spellings("0") == {"0", "false"}
    assert spellings(2.0) == {"2"}
    assert spellings("False") == {"False", "false", "0"}
    assert spellings("maybe") == {"maybe"}
