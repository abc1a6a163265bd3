"""Plans of models that take a data frame: from checked rows to the answer without pandas, row by row.

Most of the time such a model takes for a row goes into the frame and into what scikit-learn checks about it.
A plan has the array that the pipeline's transformers would make (`store.frame_encoder`), and gives it to the
pipeline's last part, or to the plan of that. It is used only after array and answer were scikit-learn's own
to the last bit on probe rows; rows that it leaves to scikit-learn go there in a frame.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from store.frame_encoder import EncodedRows, FrameEncoder, Row
from store.frame_parts import Parts, take_apart
from store.frame_probes import ASKED, probe_rows, single_missing
from store.frame_tables import handed_on, known_values, make_encoder, transformed
from store.frames import build_frame
from store.model_files import ColumnSpec
from store.plans import ObjectInput, SparseInput, make_plan

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


def make_frame_plan(model: LoadedModel) -> FramePlan | None:
    """A plan that agrees with the model to the last bit on probe rows; None where there is none."""
    if not model.needs_frame:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of new categories, and of columns without a value
            return _made(model)
    except Exception:  # transformers of a kind nobody thought of: scikit-learn itself predicts
        return None


def _made(model: LoadedModel) -> FramePlan | None:
    parts = take_apart(model.estimator, model.columns)
    if parts is None:
        return None
    encoder = make_encoder(parts, model.columns)
    if encoder is None:
        return None
    known = {place: known_values(parts, place) or [] for place in range(len(model.columns))}
    encoder = replace(encoder, refused=_refused(encoder, parts, model.columns, known))
    probes = list(probe_rows(model.columns, parts, known, encoder.refused))
    if not all(_makes_the_same(encoder, parts, model.columns, *probe) for probe in probes):
        return None
    last = replace(
        model,
        estimator=_as_fitted(parts, handed_on(parts, model.columns, probes[0][0])),
        columns=tuple(ColumnSpec(f"x{place}", "double", required=False) for place in range(parts.width)),
        needs_frame=False,
        dtype="float64",
    )
    last.plan = make_plan(last)
    # numpy adds up the columns of a matrix in another order where it lies otherwise in memory.
    in_columns = replace(encoder, order="F")
    ways = (FramePlan(encoder, last), FramePlan(in_columns, last), FramePlan(encoder, last, most_rows=1))
    for plan in ways:
        if all(_answers_the_same(plan, model, rows) for rows, _ in probes[:ASKED]):
            return plan
    return None


def _as_fitted(parts: Parts, handed: np.ndarray) -> Any:
    """The last part, handed the kind of array that it was fitted on."""
    if parts.is_sparse:
        return SparseInput(parts.last)
    return ObjectInput(parts.last) if handed.dtype == object else parts.last


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
