"""The logged predictions of a stretch of time with their labels, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from store.sql_words import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from store.slices import Segment


_COLUMNS = ("prediction_id", "predicted_at")
_OF_CLASSES = ("label", "probability", "probabilities")
OTHER = -1
"""Position of a class that the model doesn't have."""


@dataclass(frozen=True)
class Rows:
    """n predictions in order of time.

    Of classes, `predicted` and `actual` are positions in `classes` (or OTHER) and `scores` is
    (n, n_classes) or None; of a regression they are numbers and there are no scores. Where `labelled` is
    false, `actual` means nothing.
    """

    classes: tuple[str, ...] | None
    predicted: NDArray[Any]
    actual: NDArray[Any]
    labelled: NDArray[Any]
    scores: NDArray[Any] | None
    segments: dict[str, list[str | None]] = field(default_factory=dict)
    lag_s: NDArray[Any] | None = None
    """Seconds from prediction to label, of the labelled."""
    at_us: NDArray[Any] | None = None
    """When each was predicted, in microseconds since 1970."""

    def __len__(self) -> int:
        return len(self.predicted)

    def select(self, chosen: NDArray[Any]) -> Rows:
        """The rows where `chosen` (a mask or positions) says so; without lags, times and segments."""
        return Rows(
            self.classes,
            self.predicted[chosen],
            self.actual[chosen],
            self.labelled[chosen],
            None if self.scores is None else self.scores[chosen],
        )

    def with_labels(self) -> Rows:
        return self.select(self.labelled)


def read_rows(
    connection: DuckDBPyConnection,
    model: str,
    version: int,
    role: str | None,
    start: datetime,
    end: datetime,
    *,
    classes: Sequence[str] | None,
    segments: Sequence[str] = (),
    stretches: Sequence[tuple[datetime, datetime]] = (),
    segment: Segment | None = None,
) -> Rows:
    """Predictions from `start` to before `end`, as PredictionReader.opened has them; `segments` are features.

    Of `stretches` of that time only, where some are given, and of one `segment`.
    """
    import numpy as np

    conditions = ["model = ?", "version = ?", "predicted_at >= ?", "predicted_at < ?"]
    if stretches:
        start, end = stretches[0][0], stretches[-1][1]
    values: list[Any] = [model, version, _naive(start), _naive(end)]
    if role is not None:
        conditions.append("role = ?")
        values.append(role)
    if stretches:
        # DuckDB passes over what lies between them. A query for each would take it longer to plan.
        conditions.append(f"({' OR '.join(['predicted_at >= ? AND predicted_at < ?'] * len(stretches))})")
        values += [_naive(moment) for stretch in stretches for moment in stretch]
    if segment is not None:
        conditions.append(f"{_feature(connection, segment.column)} = ?")
        values.append(segment.value)
    wanted = [*_COLUMNS, *(("prediction",) if classes is None else _OF_CLASSES)]
    given = "actual" if classes is None else "label"
    columns = ["epoch(l.received_at) - epoch(p.predicted_at) AS lag_s", "epoch_us(p.predicted_at) AS at_us"]
    if classes is None:
        columns += [
            "p.prediction AS predicted",
            "l.given AS actual",
            "isfinite(l.given) AND isfinite(p.prediction) AS labelled",
        ]
    else:
        names = f"[{', '.join(map(literal, classes))}]::VARCHAR[]"
        columns += [
            f"coalesce(list_position({names}, p.label), 0) - 1 AS predicted",
            f"coalesce(list_position({names}, l.given), 0) - 1 AS actual",
            "l.given IS NOT NULL AS labelled",
            "p.probability AS probability",
            *(f"p.probabilities[{place}] AS p{place}" for place in range(1, len(classes) + 1)),
        ]
    features = {name: _feature(connection, name) for name in segments}
    columns += [f"{source} AS s{place}" for place, source in enumerate(features.values())]
    wanted += ["schema_id", "numeric", "categorical"] if segments else []
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE chosen AS SELECT {', '.join(wanted)} FROM predictions p"
        f" WHERE {' AND '.join(conditions)}",
        values,
    )
    # Ids are in order of time, so by their bounds DuckDB passes over most of the labels.
    bounds = connection.execute("SELECT min(prediction_id), max(prediction_id) FROM chosen").fetchall()[0]
    found = connection.execute(
        "WITH labels_of_chosen AS (SELECT prediction_id,"
        f" arg_max_null({given}, received_at) AS given,"
        " max(received_at) AS received_at FROM feedback WHERE prediction_id BETWEEN ? AND ?"
        " AND prediction_id IN (SELECT prediction_id FROM chosen) GROUP BY prediction_id)"
        f" SELECT {', '.join(columns)} FROM chosen p LEFT JOIN labels_of_chosen l USING (prediction_id)"
        " ORDER BY p.predicted_at, p.prediction_id",
        [*bounds],
    ).fetchnumpy()
    arrays = {name: _filled(values) for name, values in found.items()}
    labelled = arrays["labelled"].astype(bool)
    kind = np.float64 if classes is None else np.int64
    predicted, actual = (arrays[name].astype(kind) for name in ("predicted", "actual"))
    scores = None if classes is None else _scores(arrays, len(classes))
    return Rows(
        None if classes is None else tuple(classes),
        predicted,
        actual,
        labelled,
        scores,
        {name: _texts(found[f"s{place}"]) for place, name in enumerate(features)},
        arrays["lag_s"].astype(np.float64)[labelled],
        arrays["at_us"].astype(np.int64),
    )


def _feature(connection: Any, name: str) -> str:
    """SQL for a feature's text, whichever schema a row has."""
    places = connection.execute("SELECT schema_id, kind, slot FROM schemas WHERE name = ?", [name]).fetchall()
    cases = " ".join(
        f"WHEN {literal(schema_id)} THEN p.{kind}[{int(slot)}]::VARCHAR"
        for schema_id, kind, slot in places
        if kind in ("numeric", "categorical")
    )
    return f"CASE p.schema_id {cases} END" if cases else "NULL::VARCHAR"


def _scores(arrays: dict[str, NDArray[Any]], n_classes: int) -> NDArray[Any] | None:
    """Probabilities (n, n_classes), NaN in rows that have none; None where none has any."""
    import numpy as np

    if n_classes == 2:
        positive = arrays["probability"].astype(np.float64)
        listed = arrays["p2"].astype(np.float64)
        positive = np.where(np.isnan(positive), listed, positive)
        matrix = np.column_stack([1 - positive, positive])
    else:
        matrix = np.column_stack(
            [arrays[f"p{place}"].astype(np.float64) for place in range(1, n_classes + 1)]
        )
    return None if matrix.size == 0 or bool(np.isnan(matrix).any(axis=1).all()) else matrix


def _filled(values: Any) -> NDArray[Any]:
    """An array without a mask: what is masked is NaN among numbers and false among truths."""
    import numpy as np

    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if values.dtype.kind == "b":
        return np.asarray(np.ma.filled(values, False))
    if values.dtype.kind in "iuf":
        return np.asarray(np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan))
    return np.asarray(np.ma.filled(values, None))


def _texts(values: Any) -> list[str | None]:
    return [None if value is None else str(value) for value in _filled(values).tolist()]


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
