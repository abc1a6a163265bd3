"""Ground truth for predictions: append-only, of several labels for one prediction the last counts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from store.errors import WorkbenchError
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import Origin
from store.records import class_text, spellings
from store.references import read_reference

Label = float | int | str | bool
Item = tuple[str, Label, datetime | None]
"""Prediction id, label, when it was observed or None."""
ClassesOf = Callable[[str, int], "Sequence[Any] | None"]
"""From a model and version to its classes; None for a regression, and where nobody knows."""


class KnowsOrigins(Protocol):
    """What is asked of a reader of the log."""

    def origins(self, ids: set[str], /) -> Mapping[str, Origin | None]:
        """See `PredictionReader.origins`."""


@dataclass(frozen=True)
class Receipt:
    """How many labels belong to logged predictions, and how many don't; those are kept aside."""

    accepted: int
    unknown: int
    unknown_ids: tuple[str, ...] = ()
    """The first of them."""
    lost: int = 0
    """Labels that could not be written; the log's `problem` says why."""
    unexpected: int = 0
    """Labels that are no class of the version that predicted; they are kept, as classes may be new."""
    unexpected_labels: tuple[str, ...] = ()
    """The first of them, each once, as text."""
    expected_classes: tuple[str, ...] = ()
    """Of the first version that such a label was given for."""


def give_feedback(
    log: PredictionLog, reader: KnowsOrigins, items: Sequence[Item], classes_of: ClassesOf
) -> Receipt:
    """Log labels: (prediction id, label, when it was observed or None).

    Labels of unknown predictions are kept as well and join their prediction should it come.
    """
    if not items:
        return Receipt(0, 0)
    origins = reader.origins({item[0] for item in items})
    if not log.append_feedback(items):
        return Receipt(0, 0, lost=len(items))
    unknown = [item[0] for item in items if item[0] not in origins]
    few = tuple(dict.fromkeys(unknown))[:10]
    wrong, classes = _unexpected(items, origins, classes_of)
    return Receipt(
        len(items) - len(unknown),
        len(unknown),
        few,
        unexpected=len(wrong),
        unexpected_labels=tuple(dict.fromkeys(map(str, wrong)))[:3],
        expected_classes=classes,
    )


def published_classes(layout: Layout) -> ClassesOf:
    """The classes that published references have, each read once."""

    @cache
    def classes_of(model: str, version: int) -> Sequence[Any] | None:
        with contextlib.suppress(WorkbenchError, OSError):
            profile = read_reference(layout, model, version)
            if profile is not None and profile.task != "regression":
                return profile.prediction.categories or None
        return None

    return classes_of


def _unexpected(
    items: Sequence[Item], origins: Mapping[str, Origin | None], classes_of: ClassesOf
) -> tuple[list[Label], tuple[str, ...]]:
    """Labels that are no class of what predicted, and the classes of the first of these."""
    texts: dict[Origin, frozenset[str]] = {}
    right: set[tuple[Origin, type, Label]] = set()  # a label is judged once for a version
    wrong: list[Label] = []
    expected: tuple[str, ...] = ()
    for prediction_id, label, _ in items:
        origin = origins.get(prediction_id)
        if origin is None or (origin, type(label), label) in right:
            continue
        if origin not in texts:
            texts[origin] = frozenset(map(class_text, classes_of(*origin) or ()))
        if not texts[origin] or texts[origin] & spellings(label):
            right.add((origin, type(label), label))
        else:
            wrong.append(label)
            expected = expected or tuple(map(class_text, classes_of(*origin) or ()))
    return wrong, expected
