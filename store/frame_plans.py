"""Plans of models that take a data frame: from checked rows to the answer without pandas, row by row.

Most of the time such a model takes for a row goes into the frame and into what scikit-learn checks about it.
A plan has the array that the pipeline's transformers would make (`store.frame_encoder`), and gives it to the
pipeline's last part, or to the plan of that. It is used only after array and answer were scikit-learn's own
to the last bit on probe rows; rows that it leaves to scikit-learn go there in a frame.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from store.forked_answer import NoAnswerError, in_a_fork
from store.frame_encoder import Categories, EncodedRows, FrameEncoder, Row
from store.frame_parts import Parts, take_apart
from store.frame_probes import ASKED, probe_rows, single_missing
from store.frame_tables import handed_on, known_values, make_encoder, numbers_of, transformed
from store.frames import build_frame
from store.model_files import ColumnSpec
from store.plans import ObjectInput, SparseInput, make_plan, unverified_plan

if TYPE_CHECKING:
    import numpy as np

    from store.loaded_model import LoadedModel, Predictions


@dataclass(frozen=True)
class FramePlan:
    """A quicker way from checked rows to scikit-learn's answer."""

    encoder: FrameEncoder
    last: LoadedModel
    """What predicts on the array: the model's last part, with a plan of its own where there is one."""
    most_rows: int | None = None
    """Rows that may be predicted together; None for any number."""

    @property
    def sample(self) -> EncodedRows:
        """A row to measure with."""
        return EncodedRows(self.encoder.background[None].copy())

    def encode(self, rows: Sequence[Row]) -> EncodedRows | None:
        """The rows as an array; None for rows that only scikit-learn can tell about."""
        if self.most_rows is not None and len(rows) > self.most_rows:
            return None
        found = self.encoder(rows)
        return None if found is None else EncodedRows(found)

    def predict(self, rows: EncodedRows) -> Predictions:
        """Predict; exceptions of the estimator pass through."""
        return self.last.predict(rows.array)


@dataclass(frozen=True)
class _Learnt:
    """What was found out about a model by asking scikit-learn, with which a plan is made without."""

    background: np.ndarray
    categories: tuple[Categories, ...]
    refused: tuple[int, ...]
    order: Literal["C", "F"]
    most_rows: int | None
    takes_objects: bool
    """Whether the last part is handed an array of objects."""
    is_planned: bool
    """Whether the last part has a plan of its own."""
    is_whole: bool


def make_frame_plan(model: LoadedModel) -> FramePlan | None:
    """A plan that agrees with the model to the last bit on probe rows; None where there is none."""
    if not model.needs_frame:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of new categories, and of columns without a value
        try:
            plan, is_whole = _made(model)
        except Exception:  # transformers of a kind nobody thought of: scikit-learn itself predicts
            plan, is_whole = None, False
    if not is_whole:
        import pandas  # noqa: F401 - for the rows that are left; shared by all workers from here on
    return plan


def _made(model: LoadedModel) -> tuple[FramePlan | None, bool]:
    """The plan, and whether no row that is to be expected is left to scikit-learn."""
    parts = take_apart(model.estimator, model.columns)
    numbers = None if parts is None else numbers_of(parts, model.columns)
    if parts is None or numbers is None:
        return None, False
    learnt = _asked_apart(model, parts)
    if learnt is None:
        return None, False
    encoder = FrameEncoder(
        width=parts.width,
        background=learnt.background,
        numbers=numbers,
        outputs=tuple(number.outputs for number in numbers),
        categories=learnt.categories,
        refused=learnt.refused,
        order=learnt.order,
    )
    last = _last_part(model, parts, takes_objects=learnt.takes_objects)
    if learnt.is_planned:
        last.plan = unverified_plan(last)
    return FramePlan(encoder, last, learnt.most_rows), learnt.is_whole


def _asked_apart(model: LoadedModel, parts: Parts) -> _Learnt | None:
    """`_asked`, in a process of its own where pandas, which only that needs, isn't in this one anyway."""

    def ask() -> _Learnt | None:
        try:
            return _asked(model, parts)
        except Exception:  # as above: whatever it raises, there is no plan
            return None

    if "pandas" not in sys.modules:
        with contextlib.suppress(NoAnswerError):
            return in_a_fork(ask)
    return ask()


def _asked(model: LoadedModel, parts: Parts) -> _Learnt | None:
    encoder = make_encoder(parts, model.columns)
    if encoder is None:
        return None
    known = {place: known_values(parts, place) or [] for place in range(len(model.columns))}
    encoder = replace(encoder, refused=_refused(encoder, parts, model.columns, known))
    probes = list(probe_rows(model.columns, parts, known, encoder.refused))
    if not all(_makes_the_same(encoder, parts, model.columns, *probe) for probe in probes):
        return None
    takes_objects = handed_on(parts, model.columns, probes[0][0]).dtype == object
    last = _last_part(model, parts, takes_objects=takes_objects)
    last.plan = make_plan(last)
    # numpy adds up the columns of a matrix in another order where it lies otherwise in memory.
    in_columns = replace(encoder, order="F")
    ways = (FramePlan(encoder, last), FramePlan(in_columns, last), FramePlan(encoder, last, most_rows=1))
    for plan in ways:
        if all(_answers_the_same(plan, model, rows) for rows, _ in probes[:ASKED]):
            return _Learnt(
                background=encoder.background,
                categories=encoder.categories,
                refused=encoder.refused,
                order=plan.encoder.order,
                most_rows=plan.most_rows,
                takes_objects=takes_objects,
                is_planned=last.plan is not None,
                is_whole=plan.most_rows is None and _is_whole(encoder, model.columns),
            )
    return None


def _is_whole(encoder: FrameEncoder, columns: Sequence[ColumnSpec]) -> bool:
    refused = set(encoder.refused)
    for categories in encoder.categories:
        if categories.missing is None:
            refused.add(categories.place)
        if categories.new is None and columns[categories.place].type != "boolean":
            return False
    return not any(not columns[place].required or columns[place].type == "any" for place in refused)


def _last_part(model: LoadedModel, parts: Parts, *, takes_objects: bool) -> LoadedModel:
    """What predicts on the array, handed the kind of array that it was fitted on."""
    estimator = parts.last
    if parts.is_sparse:
        estimator = SparseInput(estimator)
    elif takes_objects:
        estimator = ObjectInput(estimator)
    return replace(
        model,
        estimator=estimator,
        columns=tuple(ColumnSpec(f"x{place}", "double", required=False) for place in range(parts.width)),
        needs_frame=False,
        dtype="float64",
    )


def _refused(
    encoder: FrameEncoder, parts: Parts, columns: Sequence[ColumnSpec], known: dict[int, list[Any]]
) -> tuple[int, ...]:
    """Columns without whose value the array would be another."""
    return tuple(
        place
        for place, row in single_missing(columns, parts, known)
        if not _makes_the_same(encoder, parts, columns, [row], False)
    )


def _makes_the_same(
    encoder: FrameEncoder,
    parts: Parts,
    columns: Sequence[ColumnSpec],
    rows: Sequence[Row],
    is_plain: bool,
) -> bool:
    """Whether the array is scikit-learn's, or left to it where the rows aren't plain ones."""
    import numpy as np

    found = encoder(rows)
    if found is None:
        return not is_plain
    try:
        expected = transformed(parts, columns, rows)
    except (ValueError, TypeError):
        return False
    return bool(np.array_equal(found, expected, equal_nan=True))


def _answers_the_same(plan: FramePlan, model: LoadedModel, rows: Sequence[Row]) -> bool:
    encoded = plan.encode(rows)
    if encoded is None:
        return True
    frame = build_frame(model.columns, {name: [row[i] for row in rows] for i, name in enumerate(model.names)})
    return bool(_outcome(lambda: plan.predict(encoded)) == _outcome(lambda: model.predict(frame)))


def _outcome(predict: Any) -> Any:
    """What can be compared of a prediction, or of what was raised instead."""
    try:
        found: Predictions = predict()
    except Exception as error:
        return type(error), str(error)
    table = found.probabilities
    return repr(found.prediction), None if table is None else table.tobytes()
