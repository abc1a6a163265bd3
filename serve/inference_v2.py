"""The Open Inference Protocol, version 2, over HTTP: what KServe's, MLServer's and Triton's clients speak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve.answers import class_key
from serve.body_weight import check_rows
from serve.gate import answering_problems
from serve.problems import Problem, shown
from serve.tensors import raw_bytes, read_document, read_tensors, rows_of

if TYPE_CHECKING:
    from serve.hosting import ModelHost
    from serve.input_schema import Batch
    from serve.predicting import Outcome, Predictor
    from serve.served_model import ServedModel

_DATATYPES = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
}
BINARY = "binary_tensor_data"
"""The extension for raw tensors, in requests and answers."""
PREDICT, PROBABILITIES, PREDICTION_ID = "predict", "predict_proba", "prediction_id"


class InferenceProtocol:
    """The endpoints under /v2."""

    def __init__(self, host: ModelHost, predictor: Predictor) -> None:
        self._host = host
        self._predictor = predictor

    def routes(self) -> list[Route]:
        """All of them; a model's are there with and without its version."""
        routes = [
            Route("/v2", answering_problems(self.server), methods=["GET"]),
            Route("/v2/health/live", answering_problems(self.live), methods=["GET"]),
            Route("/v2/health/ready", answering_problems(self.ready), methods=["GET"]),
        ]
        for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [
                Route(base, answering_problems(self.model), methods=["GET"]),
                Route(f"{base}/ready", answering_problems(self.model_ready), methods=["GET"]),
                Route(f"{base}/infer", answering_problems(self.infer), methods=["POST"]),
            ]
        return routes

    async def server(self, _request: Request) -> Response:
        return _json({"name": "workbench", "version": version("workbench"), "extensions": [BINARY]})

    async def live(self, _request: Request) -> Response:
        return _json({"live": True})

    async def ready(self, _request: Request) -> Response:
        is_ready = bool(self._host.models)
        return _json({"ready": is_ready}, 200 if is_ready else 503)

    async def model(self, request: Request) -> Response:
        return _json(metadata(await self._find(request)))

    async def model_ready(self, request: Request) -> Response:
        model = await self._find(request)
        return _json({"name": model.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        model = await self._find(request)
        header_length = request.headers.get("inference-header-content-length")
        asked: Mapping[str, Any] = {}

        def read(model: ServedModel, body: bytes) -> Batch:
            nonlocal asked
            asked, raw = read_document(body, header_length)
            _check_request(asked, model)
            tensors = read_tensors(asked, raw)
            check_rows(tensors[0].shape[0], len(body))
            rows = rows_of(tensors, model.schema)
            if not rows:
                raise Problem(400, "the inputs hold no row")
            return model.schema.from_json(rows)

        return await self._predictor.answer(request, model, read, lambda outcome: _write(outcome, asked))

    async def _find(self, request: Request) -> ServedModel:
        model = await self._host.fetch(request.path_params["name"])
        wanted = request.path_params.get("version")
        if wanted is not None and wanted != str(model.version):
            raise Problem(
                404, f"model {model.name!r} is served in version {model.version}, not {shown(wanted)}"
            )
        return model


def metadata(model: ServedModel) -> dict[str, Any]:
    """What the protocol says of a model: one tensor for each feature, and what it answers."""
    columns = model.loaded.columns
    return {
        "name": model.name,
        "versions": [str(model.version)],
        "platform": "sklearn",
        "inputs": [
            {"name": column.name, "datatype": _DATATYPES.get(column.type, "BYTES"), "shape": [-1]}
            for column in columns
        ],
        "outputs": [
            {"name": name, "datatype": _output_type(model, name), "shape": _output_shape(model, name, -1)}
            for name in _output_names(model)
        ],
    }


def _check_request(document: Mapping[str, Any], model: ServedModel) -> None:
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise Problem(400, f"id: expected a string, got {shown(request_id)}")
    parameters = document.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise Problem(400, f"parameters: expected an object, got {shown(parameters)}")
    outputs = document.get("outputs")
    if outputs is None:
        return
    names = _output_names(model)
    if not isinstance(outputs, list):
        raise Problem(400, f"outputs: expected a list, got {shown(outputs)}")
    if len(outputs) > len(names):
        raise Problem(400, f"outputs: {len(outputs)} are asked for, but there are {', '.join(names)}")
    for output in outputs:
        name = output.get("name") if isinstance(output, Mapping) else None
        if name not in names:
            raise Problem(400, f"outputs: {shown(name)} is none of {', '.join(names)}")
        if not isinstance(output.get("parameters", {}), Mapping):
            raise Problem(400, f"outputs: parameters: expected an object, got {shown(output['parameters'])}")


def _write(outcome: Outcome, asked: Mapping[str, Any]) -> Response:
    """The answer: JSON, and after it the tensors that were asked for as raw bytes."""
    model = outcome.model
    n_rows = len(outcome.predictions.prediction)
    outputs, raw = [], []
    for name, is_raw in _wanted(asked, model):
        datatype = _output_type(model, name)
        output: dict[str, Any] = {
            "name": name,
            "datatype": datatype,
            "shape": _output_shape(model, name, n_rows),
        }
        values = _values(outcome, name, datatype)
        if is_raw:
            raw.append(raw_bytes(datatype, values))
            output["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    answer: dict[str, Any] = {"model_name": model.name, "model_version": str(model.version)}
    if asked.get("id") is not None:
        answer["id"] = asked["id"]
    head = orjson.dumps({**answer, "outputs": outputs})
    if not raw:
        return Response(head, media_type="application/json")
    return Response(
        b"".join([head, *raw]),
        headers={"Inference-Header-Content-Length": str(len(head))},
        media_type="application/octet-stream",
    )


def _wanted(asked: Mapping[str, Any], model: ServedModel) -> list[tuple[str, bool]]:
    """The outputs asked for, or all, and whether each is to come as raw bytes."""
    all_raw = (asked.get("parameters") or {}).get("binary_data_output") is True
    return [
        (output["name"], output.get("parameters", {}).get("binary_data", all_raw) is True)
        for output in asked.get("outputs") or ()
    ] or [(name, all_raw) for name in _output_names(model)]


def _values(outcome: Outcome, name: str, datatype: str) -> Sequence[Any]:
    predictions = outcome.predictions
    if name == PREDICT:
        is_text = datatype == "BYTES"
        return [class_key(v) for v in predictions.prediction] if is_text else predictions.prediction
    if name == PROBABILITIES and predictions.probabilities is not None:
        flat: list[float] = predictions.probabilities.ravel().tolist()
        return flat
    # A tensor has no place for null: a prediction that could not be logged has an empty id.
    return [prediction_id or "" for prediction_id in outcome.prediction_ids]


def _output_names(model: ServedModel) -> list[str]:
    has_probabilities = model.loaded.classes is not None and hasattr(model.loaded.estimator, "predict_proba")
    return [PREDICT, *([PROBABILITIES] if has_probabilities else ()), PREDICTION_ID]


def _output_type(model: ServedModel, name: str) -> str:
    if name == PREDICTION_ID:
        return "BYTES"
    if name == PROBABILITIES or model.loaded.classes is None:
        return "FP64"
    kinds = {type(label) for label in model.loaded.classes}
    if kinds == {bool}:
        return "BOOL"
    return "INT64" if kinds == {int} else "FP64" if kinds <= {int, float} else "BYTES"


def _output_shape(model: ServedModel, name: str, n_rows: int) -> list[int]:
    if name == PROBABILITIES:
        return [n_rows, len(model.loaded.classes or ())]
    return [n_rows]


def _json(document: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
