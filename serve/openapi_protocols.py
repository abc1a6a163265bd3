"""The OpenAPI description of the protocols of others: MLflow's and the Open Inference Protocol."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from serve.inference_v2 import metadata
from serve.problems import MEDIA_TYPE
from serve.served_model import ServedModel
from serve.tensors import DATATYPES

_PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
PROBLEMS = {
    "400": "The body is no JSON, CSV or JSON lines",
    "401": "The API key is missing or unknown",
    "403": "The API key lacks the scope, or the Host or Origin is a stranger's",
    "404": "No such model",
    "408": "The body came too slowly",
    "409": "The registry can't do that now",
    "413": "The body is too large",
    "415": "The content type can't hold records",
    "422": "A field is unknown, missing, mistyped or out of range",
    "503": "No model is loaded, too many requests, or no answer in time",
}


def problem_responses(*statuses: str) -> dict[str, Any]:
    """The error answers of an operation."""
    return {
        status: {"description": PROBLEMS[status], "content": {MEDIA_TYPE: {"schema": _PROBLEM_REF}}}
        for status in statuses
    }


def invocation(model: ServedModel, key: str) -> dict[str, Any]:
    """MLflow's scoring protocol."""
    rows = {"type": "array", "items": {"type": "array"}}
    records = {"type": "array", "items": {"type": "object"}, "minItems": 1}
    split = {
        "type": "object",
        "required": ["data"],
        "properties": {"columns": {"type": "array", "items": {"type": "string"}}, "data": rows},
    }
    by_key: dict[str, Any] = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": {"type": "array", "minItems": 1},
        "inputs": {"type": ["array", "object"]},
    }
    shapes = [
        {"type": "object", "required": [name], "properties": {name: schema, "params": {}}}
        for name, schema in by_key.items()
    ]
    body: dict[str, Any] = {"schema": {"anyOf": shapes}}
    if model.example is not None:
        body["example"] = {"dataframe_records": [dict(model.example)]}
    answer = {
        "type": "object",
        "required": ["predictions"],
        "properties": {
            "predictions": {"type": "array"},
            "model": {"type": "string"},
            "version": {"type": "integer"},
            "prediction_ids": {"type": "array", "items": {"type": ["string", "null"]}},
        },
    }
    return {
        "tags": ["mlflow"],
        "summary": f"MLflow's scoring protocol with {model.name}",
        "operationId": f"invocations_{key}",
        "requestBody": {
            "required": True,
            "content": {"application/json": body, "text/csv": {"schema": {"type": "string"}}},
        },
        "responses": {
            "200": {
                "description": f"{model.name} version {model.version}",
                "content": {"application/json": {"schema": answer}},
            },
            **problem_responses("400", "404", "408", "413", "415", "503"),
        },
    }


def inference_server_paths() -> dict[str, Any]:
    """/v2 itself: the server and its health."""
    paths = {
        "/v2": ("What this server is", "v2_server", {"200": "Its name and version"}),
        "/v2/health/live": ("Whether the process answers", "v2_live", {"200": "It does"}),
        "/v2/health/ready": (
            "Whether predictions are answered",
            "v2_ready",
            {"200": "They are", "503": "No model is loaded"},
        ),
    }
    return {
        path: {
            "get": {
                "tags": ["inference v2"],
                "summary": summary,
                "operationId": operation,
                "responses": {status: _json_object(text) for status, text in answers.items()},
            }
        }
        for path, (summary, operation, answers) in paths.items()
    }


def inference_paths(model: ServedModel, key: str) -> dict[str, Any]:
    """The paths of one model under /v2, without its version."""
    base = f"/v2/models/{quote(model.name, safe='')}"
    described = metadata(model)
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "datatype": {"enum": list(DATATYPES)},
            "parameters": {"type": ["object", "null"]},
            "data": {"type": "array"},
        },
    }
    output_names = [output["name"] for output in described["outputs"]]
    request: dict[str, Any] = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"]},
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"enum": output_names}, "parameters": {"type": "object"}},
                },
            },
        },
    }
    content: dict[str, Any] = {"schema": request}
    if model.example is not None:
        content["example"] = {
            "inputs": [
                {**column, "shape": [1], "data": [model.example[column["name"]]]}
                for column in described["inputs"]
            ]
        }
    answer = {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": tensor},
        },
    }
    problems = problem_responses("404", "503")
    common = {"tags": ["inference v2"]}
    return {
        base: {
            "get": {
                **common,
                "summary": f"What {model.name} takes and answers",
                "operationId": f"v2_metadata_{key}",
                "responses": {"200": _json_object("Its inputs and outputs"), **problems},
            }
        },
        f"{base}/ready": {
            "get": {
                **common,
                "summary": f"Whether {model.name} answers",
                "operationId": f"v2_ready_{key}",
                "responses": {"200": _json_object("It does"), **problems},
            }
        },
        f"{base}/infer": {
            "post": {
                **common,
                "summary": f"Predict with {model.name}: a tensor for each feature, or one matrix",
                "operationId": f"v2_infer_{key}",
                "requestBody": {"required": True, "content": {"application/json": content}},
                "responses": {
                    "200": {
                        "description": f"{model.name} version {model.version}",
                        "content": {"application/json": {"schema": answer}},
                    },
                    **problem_responses("400", "404", "408", "413", "503"),
                },
            }
        },
    }


def _json_object(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}
