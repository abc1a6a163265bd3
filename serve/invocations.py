"""MLflow's scoring protocol: the bodies of /invocations, and their answers.

Differs from MLflow's own server in that a value of the wrong type is refused, never converted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from serve.bodies import body_format, may_hold_booleans, parse_json
from serve.body_weight import check_rows
from serve.number_tables import split_table
from serve.problems import Problem, first_repeated, shown
from serve.row_parts import read_rows

if TYPE_CHECKING:
    from serve.input_schema import Batch
    from serve.predicting import Outcome
    from serve.served_model import ServedModel
    from store.loaded_model import Predictions

KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def read_invocation(model: ServedModel, body: bytes, content_type: str) -> Batch:
    """Checked rows from JSON with one of `KEYS`, or CSV. Columns the model doesn't have are ignored.

    Raises Problem 400 for another shape, 422 for values that don't fit the model, 501 for a model logged to
    answer with a method that isn't served.
    """
    wanted = model.loaded.file.predict_fn
    if wanted not in ("predict", "predict_proba"):
        raise Problem(501, f"the model was logged to answer with {wanted}, which is not served; use /predict")
    kind = body_format(content_type)
    if kind == "csv":
        table = read_rows(body, content_type, model.loaded.names)
        names = table.columns or ()
        return model.schema.from_text(
            [_own_columns(model, dict(zip(names, row, strict=True))) for row in table.rows]
        )
    if kind == "jsonl":
        raise Problem(415, "send application/json or text/csv here")
    if model.loaded.file.inputs is not None:
        batch = model.schema.from_numbers(body, split_table)
        if batch is not None:
            return batch
    document = parse_json(body)
    present = [key for key in KEYS if key in document] if isinstance(document, dict) else []
    if len(present) != 1:
        raise Problem(400, f"expected an object with one of {', '.join(KEYS)}; got {shown(document)}")
    key = present[0]
    others = document.keys() - {key, "params"}
    if others:
        raise Problem(400, f"{shown(sorted(others)[0])} is not read beside {key}")
    value = document[key]
    columns = value if isinstance(value, Mapping) else {}
    parts = [columns.get("data")] if key == "dataframe_split" else [value, *columns.values()]
    check_rows(max((len(part) for part in parts if isinstance(part, list)), default=0), len(body))
    rows = _split_rows(model, value) if key == "dataframe_split" else _rows(model, value, key)
    if not rows:
        raise Problem(400, f"{key} holds no row")
    return model.schema.from_json(rows, may_hold_booleans=may_hold_booleans(body))


def write_invocation(outcome: Outcome) -> Response:
    """{"predictions": […]} with what MLflow's prediction gives, and beside it what feedback refers to."""
    model = outcome.model
    body = {
        "predictions": _mlflow_values(model, outcome.predictions),
        "model": model.name,
        "version": model.version,
        "prediction_ids": outcome.prediction_ids,
    }
    return Response(orjson.dumps(body), media_type="application/json")


def _mlflow_values(model: ServedModel, predictions: Predictions) -> list[Any]:
    """The answer of the method the model was logged to predict with."""
    if model.loaded.file.predict_fn == "predict_proba" and predictions.probabilities is not None:
        return list(predictions.probabilities.tolist())
    return predictions.prediction


def _rows(model: ServedModel, value: Any, key: str) -> list[Any]:
    """Rows of dataframe_records, instances or inputs."""
    if isinstance(value, Mapping) and key == "inputs":
        return _rows_of_columns(model, value)
    if not isinstance(value, list):
        raise Problem(400, f"{key}: expected a list, got {shown(value)}")
    if key != "dataframe_records" and value and not isinstance(value[0], (Mapping, list)):
        return [[cell] for cell in value]
    return [_own_columns(model, row) if isinstance(row, Mapping) else row for row in value]


def _split_rows(model: ServedModel, value: Any) -> list[Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), list):
        raise Problem(400, 'dataframe_split: expected {"columns": […], "data": [[…], …]}')
    data, columns = value["data"], value.get("columns")
    if columns is None:
        return list(data)
    if not isinstance(columns, list):
        raise Problem(400, f"dataframe_split: expected a list of columns, got {shown(columns)}")
    for position, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            got = f"{len(row)} values" if isinstance(row, list) else shown(row)
            raise Problem(400, f"dataframe_split: row {position}: expected {len(columns)} values, got {got}")
    return _arranged(model, [str(column) for column in columns], data)


def _rows_of_columns(model: ServedModel, columns: Mapping[str, Any]) -> list[Any]:
    """Rows of values given by column: lists of one length, or single values for one row."""
    if len(columns) == 1:
        only = next(iter(columns.values()))
        if isinstance(only, list) and only and isinstance(only[0], list) and len(only[0]) != 1:
            return list(only)  # a named tensor: the matrix itself
    cells = [_cells(values) for values in columns.values()]
    lengths = {len(values) for values in cells}
    if len(lengths) > 1:
        raise Problem(400, f"inputs: the columns differ in length: {', '.join(map(str, sorted(lengths)))}")
    return _arranged(model, list(columns), [list(row) for row in zip(*cells, strict=True)])


def _cells(values: Any) -> list[Any]:
    if not isinstance(values, list):
        return [values]
    return [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in values]


def _arranged(model: ServedModel, columns: Sequence[str], data: Sequence[Sequence[Any]]) -> list[Any]:
    """The rows in the model's order of columns."""
    at = {name: position for position, name in enumerate(columns)}
    twice = first_repeated(columns) if len(at) != len(columns) else None
    if twice is not None:
        raise Problem(400, f"column {shown(twice)} is there twice")
    if _is_by_position(model, at):
        return list(data)
    fields = model.schema.fields
    missing = [field for field in fields if field.required and field.name not in at]
    if missing:
        errors = [
            {
                "field": field.name,
                "message": f"missing; expected {field.expected}",
                "expected": field.expected,
            }
            for field in missing
        ]
        raise Problem(422, f"{missing[0].name}: {errors[0]['message']}", errors=errors)
    order = [at.get(field.name) for field in fields]
    if order == list(range(len(columns))):
        return list(data)
    return [[None if place is None else row[place] for place in order] for row in data]


def _own_columns(model: ServedModel, record: Mapping[str, Any]) -> Any:
    if _is_by_position(model, record):
        return list(record.values())
    return {name: record[name] for name in model.loaded.names if name in record}


def _is_by_position(model: ServedModel, columns: Mapping[str, Any]) -> bool:
    """Whether names say nothing: no signature names the features, and none of them is meant."""
    return (
        model.loaded.file.inputs is None
        and len(columns) == model.schema.width
        and columns.keys().isdisjoint(model.loaded.names)
    )
