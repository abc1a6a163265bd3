"""What a prediction looks like to the client: JSON, or CSV where the client accepts that."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import orjson
from starlette.responses import Response

from serve.large_answers import LargeAnswer
from store.loaded_model import LoadedModel, Predictions

JSON = "application/json"
CSV = "text/csv; charset=utf-8"
HIGH, MEDIUM = 0.8, 0.6
_LEVELS = ("low", "medium", "high")
_ROWS_AT_ONCE = 8_192
"""Of an answer of more, as many are made at once."""


@dataclass(frozen=True)
class Answers:
    """What is answered to the rows of a request, column by column."""

    model: LoadedModel
    name: str
    version: int
    predictions: Predictions
    prediction_ids: Sequence[str | None]
    latency_ms: float

    def blocks(self) -> Iterator[Answers]:
        """The same in parts of some thousand rows."""
        predictions = self.predictions
        for start in range(0, len(self.prediction_ids), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            yield replace(
                self,
                predictions=replace(
                    predictions,
                    prediction=predictions.prediction[part],
                    probability=None if predictions.probability is None else predictions.probability[part],
                    probabilities=(
                        None if predictions.probabilities is None else predictions.probabilities[part]
                    ),
                ),
                prediction_ids=self.prediction_ids[part],
            )

    def rows(self) -> list[dict[str, Any]]:
        """One answer a row."""
        return answer_rows(
            self.model, self.name, self.version, self.predictions, self.prediction_ids, self.latency_ms
        )

    def text(self, separator: str = ",") -> bytes:
        """The JSON of `rows`, put together from texts by column: a fifth of the time."""
        n_rows = len(self.prediction_ids)
        is_logged = None not in self.prediction_ids[:1]  # all rows of a request are, or none
        quote = '"' if is_logged else ""
        end = f'{quote},"latency_ms":{_json(round(self.latency_ms, 3))}}}'
        # Each row begins with what ends the row before it.
        start = f'{end}{separator}{{"prediction":'
        origin = f',"model":{_json(self.name)},"version":{self.version},"prediction_id":{quote}'
        ids: Iterable[Any] = self.prediction_ids if is_logged else ["null"] * n_rows
        columns: list[Iterable[str] | str] = [*self._columns(start, origin), ids]
        pieces = [""] * (n_rows * len(columns))
        for place, column in enumerate(columns):
            pieces[place :: len(columns)] = [column] * n_rows if isinstance(column, str) else column
        return ("".join(pieces)[len(end) + len(separator) :] + end).encode()

    def _columns(self, start: str, origin: str) -> Iterator[Iterable[str] | str]:
        """The pieces of a row, one after the other; one text where all rows have the same."""
        predictions, classes = self.predictions, self.model.classes
        labels, table = predictions.prediction, predictions.probabilities
        if classes is None:
            yield start
            yield _numbers(labels)
            yield origin
            return
        if table is None:
            yield _by_label(labels, start, origin)
            return
        if predictions.probability is not None:
            yield _by_label(labels, start, ',"probability":')
            yield _numbers(table[:, 1])
            end = ""
        else:
            first, *others = (f"{_json(class_key(label))}:" for label in classes)
            yield _by_label(labels, start, f',"probabilities":{{{first}')
            yield _numbers(table[:, 0])
            for place, key in enumerate(others, 1):
                yield f",{key}"
                yield _numbers(table[:, place])
            end = "}"
        by_level = [f'{end},"confidence":"{level}"{origin}' for level in _LEVELS]
        # Column by column: along rows as short as these numpy takes ten times as long.
        winning = reduce(np.maximum, table.T)
        levels = (winning >= MEDIUM).astype(np.intp) + (winning >= HIGH)
        yield np.array(by_level, dtype=object).take(levels).tolist()


def confidence(winning: float) -> str:
    """high, medium or low, by the probability of the likeliest class."""
    return "high" if winning >= HIGH else "medium" if winning >= MEDIUM else "low"


def answer_rows(
    model: LoadedModel,
    name: str,
    version: int,
    predictions: Predictions,
    prediction_ids: Sequence[str | None],
    latency_ms: float,
) -> list[dict[str, Any]]:
    """One answer a row."""
    latency = round(latency_ms, 3)
    tails = [
        {"model": name, "version": version, "prediction_id": prediction_id, "latency_ms": latency}
        for prediction_id in prediction_ids
    ]
    labels = predictions.prediction
    if predictions.probabilities is None or model.classes is None:
        return [{"prediction": label, **tail} for label, tail in zip(labels, tails, strict=True)]
    table = predictions.probabilities.tolist()
    sure = [confidence(max(row)) for row in table]
    if predictions.probability is not None:
        return [
            {"prediction": label, "probability": row[1], "confidence": level, **tail}
            for label, row, level, tail in zip(labels, table, sure, tails, strict=True)
        ]
    keys = [class_key(label) for label in model.classes]
    return [
        {
            "prediction": label,
            "probabilities": dict(zip(keys, row, strict=True)),
            "confidence": level,
            **tail,
        }
        for label, row, level, tail in zip(labels, table, sure, tails, strict=True)
    ]


def class_key(label: Any) -> str:
    """A class as the key of a JSON object."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def wants_csv(accept: str) -> bool:
    """Whether the client asks for CSV before JSON."""
    for part in accept.lower().split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in ("text/csv", "application/csv"):
            return True
        if media_type in ("application/json", "*/*", "application/*"):
            return False
    return False


def json_answer(answers: Answers, is_single: bool) -> Response:
    """The answer itself for one record, {"predictions": […]} for several."""
    if len(answers.prediction_ids) > _ROWS_AT_ONCE:
        return LargeAnswer(_json_parts(answers), JSON)
    text = answers.text()
    return Response(text if is_single else b'{"predictions":[' + text + b"]}", media_type=JSON)


def _json_parts(answers: Answers) -> Iterator[bytes]:
    before = b'{"predictions":['
    for block in answers.blocks():
        yield before + block.text()
        before = b","
    yield b"]}"


def csv_answer(answers: Answers) -> Response:
    """One line a row; probabilities by class become columns of their own."""
    if len(answers.prediction_ids) > _ROWS_AT_ONCE:
        return LargeAnswer(_csv_parts(answers), CSV)
    return Response(b"".join(_csv_parts(answers)), media_type=CSV)


def _csv_parts(answers: Answers) -> Iterator[bytes]:
    has_header = False
    for block in answers.blocks():
        flat = flat_rows(block.rows())
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, fieldnames=list(flat[0]), lineterminator="\n")
        if not has_header:
            writer.writeheader()
            has_header = True
        writer.writerows(flat)
        yield out.getvalue().encode()


def flat_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers as rows of a table."""
    flat = []
    for row in rows:
        spread = row.get("probabilities") or {}
        line = {key: value for key, value in row.items() if key != "probabilities"}
        flat.append({**line, **{f"probability_{key}": value for key, value in spread.items()}})
    return flat


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _by_label(labels: Sequence[Any], before: str, after: str) -> Iterable[str]:
    texts = {label: f"{before}{_json(label)}{after}" for label in set(labels)}
    return map(texts.__getitem__, labels)


def _numbers(values: Any) -> list[str]:
    """The JSON of each value of a column."""
    if isinstance(values, np.ndarray):
        values = np.ascontiguousarray(values)
    elif any(type(value) is not float for value in values):  # a regression of several outputs, for one
        return [_json(value) for value in values]
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
