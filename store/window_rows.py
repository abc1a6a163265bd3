"""Single rows of a window of the prediction log, column by column: for what counts over bins don't tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from store.layout import Layout
from store.predictions import PredictionReader
from store.slices import Key, Segment, expression_of, places_of


@dataclass(frozen=True)
class LoggedColumn:
    """The values of one feature, None where it is missing or a row has no features."""

    kind: Literal["numeric", "categorical"]
    values: Sequence[Any]


@dataclass(frozen=True)
class WindowRows:
    """Predictions of some time, newest first or drawn by chance."""

    start: datetime
    end: datetime
    """Of the last row, which is within."""
    columns: dict[str, LoggedColumn]
    predictions: Sequence[float | None]
    labels: Sequence[str | None]

    @property
    def rows(self) -> int:
        return len(self.predictions)


def window_rows(
    layout: Layout,
    key: Key,
    start: datetime,
    end: datetime,
    limit: int,
    *,
    segment: Segment | None = None,
    by_chance: bool = False,
) -> WindowRows | None:
    """At most `limit` predictions from `start` up to and including `end`; None where there is none.

    Where there are more, they are the newest, or `by_chance` drawn the same way each time.
    """
    reader = PredictionReader(layout)
    with reader.opened() as connection:
        places = places_of(connection, key)
        names: list[tuple[str, Literal["numeric", "categorical"]]] = []
        selected = ["epoch_us(predicted_at)", "prediction", "label"]
        for name, wanted in places.items():
            is_text = any(kind == "categorical" for _, kind, _ in wanted)
            expression = expression_of(wanted, is_text=is_text)
            if expression is not None:
                names.append((name, "categorical" if is_text else "numeric"))
                selected.append(expression)
        condition = "model = ? AND version = ? AND role = ? AND predicted_at >= ? AND predicted_at <= ?"
        values: list[Any] = [key.model, key.version, key.role]
        values += [moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end)]
        if segment is not None:
            expression = expression_of(places.get(segment.column, []), is_text=True)
            if expression is None:
                return None
            condition += f" AND {expression} = ?"
            values.append(segment.value)
        order = "hash(prediction_id)" if by_chance else "predicted_at DESC"
        rows = connection.execute(
            f"SELECT {', '.join(selected)} FROM predictions WHERE {condition} ORDER BY {order} LIMIT ?",
            [*values, limit],
        ).fetchall()
    if not rows:
        return None
    at, predictions, labels, *columns = zip(*rows, strict=True)
    return WindowRows(
        start=datetime.fromtimestamp(min(at) / 1e6, UTC),
        end=datetime.fromtimestamp(max(at) / 1e6, UTC),
        columns={
            name: LoggedColumn(kind, column) for (name, kind), column in zip(names, columns, strict=True)
        },
        predictions=predictions,
        labels=labels,
    )
