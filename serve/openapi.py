"""The OpenAPI document: request models, limits and examples come from each model's signature and rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from serve.answers import class_key
from serve.fields import Field
from serve.openapi_admin import admin_paths, require_keys
from serve.openapi_protocols import (
    inference_paths,
    inference_server_paths,
    invocation,
    problem_responses,
)
from serve.served_model import ServedModel

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "expected": {"type": "string"},
                    "row": {"type": "integer"},
                },
            },
        },
    },
}
_FEEDBACK_ITEM: dict[str, Any] = {
    "type": "object",
    "required": ["prediction_id", "actual"],
    "additionalProperties": False,
    "properties": {
        "prediction_id": {"type": "string", "minLength": 1, "maxLength": 200},
        "actual": {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": -1e300, "exclusiveMaximum": 1e300},
                {"type": "string", "minLength": 1, "maxLength": 1000},
                {"type": "boolean"},
            ]
        },
        "timestamp": {"type": ["string", "null"], "format": "date-time"},
    },
}


def add_predictions(
    document: dict[str, Any],
    models: Iterable[ServedModel],
    default: ServedModel | None,
    *,
    has_keys: bool,
    has_examples: bool = True,
) -> dict[str, Any]:
    """Add the endpoints that predict, /feedback and /admin to FastAPI's document of the others.

    Examples are rows of the training data: `has_examples` says whether they may be shown.
    """
    models = [model if has_examples else replace(model, example=None, documents={}) for model in models]
    if default is not None and not has_examples:
        default = replace(default, example=None, documents={})
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM_SCHEMA
    schemas["Feedback"] = _FEEDBACK_ITEM
    paths = document["paths"]
    for model in models:
        part = _model_schemas(model)
        key = schema_key(model.name)
        schemas[f"{key}Record"], schemas[f"{key}Prediction"] = part["record"], part["prediction"]
        # Each model's own path: {name} would need one request model for all of them.
        base = f"/models/{quote(model.name, safe='')}/predict"
        paths[base] = {"post": _operation(model, key, batch=False, named=True)}
        paths[f"{base}/batch"] = {"post": _operation(model, key, batch=True, named=True)}
        paths.update(inference_paths(model, key))
        paths[f"/models/{quote(model.name, safe='')}/invocations"] = {"post": invocation(model, key)}
    if default is not None:
        key = schema_key(default.name)
        paths["/predict"] = {"post": _operation(default, key, batch=False, named=False)}
        paths["/predict/batch"] = {"post": _operation(default, key, batch=True, named=False)}
        paths["/invocations"] = {"post": invocation(default, "default")}
    paths.update(inference_server_paths())
    paths["/feedback"] = {"post": _feedback_operation()}
    paths.update(admin_paths())
    require_keys(document, has_keys=has_keys)
    return document


def schema_key(name: str) -> str:
    """A model's name as OpenAPI allows it in the name of a component."""
    return "".join(character if character.isalnum() and character.isascii() else "_" for character in name)


def field_schema(field: Field) -> dict[str, Any]:
    """The JSON schema of one feature."""
    types = {
        "number": "number",
        "integer": "integer",
        "boolean": "boolean",
        "string": "string",
        "datetime": "string",
    }
    kind = types.get(field.kind)
    schema: dict[str, Any] = {"type": kind if field.required else [kind, "null"]} if kind else {}
    if kind is None:
        schema["type"] = ["number", "string", "boolean"] + ([] if field.required else ["null"])
    if field.kind == "datetime":
        schema["format"] = "date-time"
    if field.low is not None:
        schema["minimum"] = field.low
    if field.high is not None:
        schema["maximum"] = field.high
    if field.values is not None:
        schema["enum"] = [*field.values] + ([] if field.required else [None])
    if field.description:
        schema["description"] = field.description
    return schema


def _taken_schema(field: Field) -> dict[str, Any]:
    """What a request may say for a feature: more than is written down of it."""
    schema = field_schema(field)
    if field.kind == "boolean":
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema |= {"type": [*types, "integer"], "minimum": 0, "maximum": 1}
    return schema


def _model_schemas(model: ServedModel) -> dict[str, Any]:
    kept = model.documents.get("schemas")
    if kept is not None:
        return dict(kept)
    fields = model.schema.fields
    record: dict[str, Any] = {
        "type": "object",
        "title": f"{model.name} record",
        "properties": {field.name: _taken_schema(field) for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }
    if model.example is not None:
        record["examples"] = [dict(model.example)]
    made = {"record": record, "prediction": _prediction_schema(model)}
    model.documents["schemas"] = made
    return made


def _prediction_schema(model: ServedModel) -> dict[str, Any]:
    loaded = model.loaded
    properties: dict[str, Any] = {"prediction": {"type": "number"}}
    if loaded.classes is not None:
        properties["prediction"] = {"enum": list(loaded.classes)}
        if hasattr(loaded.estimator, "predict_proba"):
            share = {"type": "number", "minimum": 0, "maximum": 1}
            if len(loaded.classes) == 2:
                label = loaded.classes[1]
                properties["probability"] = {**share, "description": f"probability of {class_key(label)}"}
            else:
                properties["probabilities"] = {
                    "type": "object",
                    "properties": {class_key(label): share for label in loaded.classes},
                }
            properties["confidence"] = {"enum": ["high", "medium", "low"]}
    properties["model"] = {"type": "string"}
    properties["version"] = {"type": "integer"}
    properties["prediction_id"] = {
        "type": ["string", "null"],
        "description": "what /feedback refers to; null when the prediction could not be logged",
    }
    properties["latency_ms"] = {"type": "number"}
    return {
        "type": "object",
        "title": f"{model.name} prediction",
        "properties": properties,
        "required": list(properties),
    }


def _operation(model: ServedModel, key: str, *, batch: bool, named: bool) -> dict[str, Any]:
    record = {"$ref": f"#/components/schemas/{key}Record"}
    vector = {
        "type": "array",
        "description": f"values in the model's order: {', '.join(model.loaded.names[:40])}",
        "minItems": model.schema.width,
        "maxItems": model.schema.width,
        "prefixItems": [_taken_schema(field) for field in model.schema.fields],
    }
    records = {"type": "array", "items": {"anyOf": [record, vector]}, "minItems": 1}
    features = {
        "type": "object",
        "required": ["features"],
        "properties": {"features": {"anyOf": [record, vector, records]}},
        "additionalProperties": False,
    }
    many = {
        "type": "object",
        "required": ["records"],
        "properties": {"records": records},
        "additionalProperties": False,
    }
    shapes = [records, many, features, record] if batch else [features, record, many, records]
    content: dict[str, Any] = {"application/json": {"schema": {"anyOf": shapes}}}
    if model.example is not None:
        example = dict(model.example)
        content["application/json"]["example"] = [example] if batch else {"features": example}
    if batch:
        content["text/csv"] = {"schema": {"type": "string"}}
        content["application/x-ndjson"] = {"schema": {"type": "string"}}
    prediction = {"$ref": f"#/components/schemas/{key}Prediction"}
    listed = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": prediction}},
    }
    answer = listed if batch else {"anyOf": [prediction, listed]}
    return {
        "tags": ["predict"],
        "summary": f"Predict {'many records' if batch else 'one record or many'} with {model.name}",
        "operationId": f"predict{'_batch' if batch else ''}_{key if named else 'default'}",
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {
                "description": f"{model.name} version {model.version}",
                "content": {
                    "application/json": {"schema": answer},
                    "text/csv": {"schema": {"type": "string"}},
                },
            },
            **problem_responses("400", "404", "408", "413", "415", "422", "503"),
        },
    }


def _feedback_operation() -> dict[str, Any]:
    item = {"$ref": "#/components/schemas/Feedback"}
    count = {"type": "integer", "minimum": 0}
    return {
        "tags": ["feedback"],
        "summary": "Say what turned out to be true, any time after the prediction",
        "operationId": "feedback",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]},
                    "example": {"prediction_id": "…", "actual": 1},
                }
            },
        },
        "responses": {
            "202": {
                "description": "How many labels belong to predictions known here",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["accepted", "unknown"],
                            "properties": {
                                "accepted": count,
                                "unknown": count,
                                "unknown_ids": {"type": "array", "items": {"type": "string"}},
                                "unexpected": count,
                                "warning": {"type": "string"},
                            },
                        }
                    }
                },
            },
            **problem_responses("400", "408", "413", "415", "422", "503"),
        },
    }
