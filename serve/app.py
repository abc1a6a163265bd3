"""The HTTP application: which path is answered by what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Literal

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from serve.access import Access
from serve.access_log import AccessLog
from serve.admin import AdminDesk
from serve.body_room import BodyRoom
from serve.clients import Clients
from serve.disclosure import without_folders
from serve.drift_view import DriftView
from serve.gate import (
    EXPOSED_HEADERS,
    AdminSide,
    Gate,
    answer_http_exception,
    answering_problems,
    is_for_admins,
    request_id_of,
)
from serve.hosting import ModelHost
from serve.inference_v2 import InferenceProtocol
from serve.labels import FeedbackDesk
from serve.openapi import add_predictions, field_schema
from serve.openapi_protocols import problem_responses
from serve.predicting import Predictor
from serve.problems import Problem, problem_response
from serve.rate import RateLimit
from serve.served_model import ServedModel
from serve.settings import ServeSettings
from serve.telemetry import CONTENT_TYPE, Telemetry
from serve.tracing import Tracing

_DRIFT_PROBLEMS: dict[int | str, dict[str, Any]] = dict(
    problem_responses("401", "403", "404", "422", "503").items()
)
_MODEL_PROBLEMS: dict[int | str, dict[str, Any]] = dict(problem_responses("401", "404", "503").items())
Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Services:
    """What the endpoints work with."""

    settings: ServeSettings
    host: ModelHost
    predictor: Predictor
    feedback: FeedbackDesk
    telemetry: Telemetry
    access: Access
    admin: AdminDesk
    access_log: AccessLog | None = None
    drift: DriftView | None = None
    log_problem: str | None = None
    """Why predictions are not logged although they should be."""
    rate: RateLimit | None = None
    admin_side: AdminSide | None = None
    """Where /admin and /metrics are, if not beside everything else."""
    tracing: Tracing | None = None


def create_app(services: Services, lifespan: Lifespan | None = None) -> Gate:
    """The application; predictions bypass FastAPI's own handling, which costs more than a prediction."""
    app = FastAPI(
        title="workbench",
        summary="Predictions from the champions of this project's model registry.",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    predictor, feedback = services.predictor, services.feedback
    for path, endpoint in (
        ("/predict", predictor.predict),
        ("/predict/batch", predictor.predict_batch),
        ("/models/{name}/predict", predictor.predict),
        ("/models/{name}/predict/batch", predictor.predict_batch),
        ("/invocations", predictor.invoke),
        ("/models/{name}/invocations", predictor.invoke),
        ("/feedback", feedback.take),
    ):
        app.router.routes.append(Route(path, answering_problems(endpoint), methods=["POST"]))
    app.router.routes += InferenceProtocol(services.host, predictor).routes()
    app.router.routes += services.admin.routes()
    _add_views(app, services)
    if services.drift is not None:
        services.telemetry.registry.register(services.drift)
    app.add_exception_handler(HTTPException, answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(Problem, _answer_problem)
    if services.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(services.settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    return Gate(
        app,
        access=services.access,
        concurrency=services.settings.concurrency,
        telemetry=services.telemetry,
        clients=Clients(services.settings.trusted_proxies),
        bodies=BodyRoom(
            services.settings.most_held, services.settings.max_body, services.telemetry.count_refused
        ),
        rate=services.rate,
        access_log=services.access_log,
        cors_origins=services.settings.cors_origins,
        admin_side=services.admin_side,
        tracing=services.tracing,
    )


def _add_views(app: FastAPI, services: Services) -> None:
    host = services.host

    @app.get("/health", tags=["health"], summary="Whether the server answers, and with which model")
    async def health() -> dict[str, Any]:
        name = host.default_name()
        model = host.models.get(name) if name is not None else None
        return {
            "status": "healthy",
            "model_loaded": model is not None,
            "model": name,
            "model_version": model.version if model is not None else None,
            "models": {served.name: served.version for served in host.ordered()},
        }

    @app.get("/health/live", tags=["health"], summary="Whether the process answers at all")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/health/ready", tags=["health"], summary="Whether predictions are answered")
    async def ready() -> Response:
        failures = [
            {"name": failure.name, "version": failure.version, "reason": without_folders(failure.reason)}
            for failure in host.failures.values()
        ]
        is_ready = bool(host.models or host.unloaded)
        body: dict[str, Any] = {
            "status": "ready" if is_ready else "no model is loaded",
            "models": {model.name: model.version for model in host.ordered()},
            "failures": failures,
        }
        if services.telemetry.lost():
            # Predictions are answered all the same, so this doesn't make the server unready.
            body["predictions_not_logged"] = services.telemetry.lost()
        if services.log_problem is not None:
            body["log_problem"] = without_folders(services.log_problem)
        if host.registry_problem is not None:
            body["registry_problem"] = without_folders(host.registry_problem)
        return Response(orjson.dumps(body), 200 if is_ready else 503, media_type="application/json")

    @app.get(
        "/ping",
        tags=["mlflow"],
        summary="MLflow's health check: whether a model is loaded",
        response_class=PlainTextResponse,
        responses={
            404: {"description": "None is", "content": {"text/plain": {"schema": {"type": "string"}}}}
        },
    )
    async def ping() -> Response:
        return Response("\n", 200 if host.models else 404, media_type="text/plain")

    @app.get(
        "/version",
        tags=["mlflow"],
        summary="The version of MLflow whose protocol this is",
        response_class=PlainTextResponse,
    )
    async def mlflow_version() -> Response:
        return Response(version("mlflow"), media_type="text/plain")

    @app.get("/metrics", tags=["health"], summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        if services.drift is not None:
            await asyncio.to_thread(services.drift.refresh)
        return Response(services.telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE})

    @app.get("/models", tags=["models"], summary="The models in service, and those that should be")
    async def models() -> dict[str, Any]:
        served = [_summary(model) for model in host.ordered()]
        waiting = [
            {"name": name, "version": version.version, "role": "champion", "status": "not loaded"}
            for name, version in host.unloaded.items()
        ]
        failed = [
            {"name": f.name, "version": f.version, "status": "failed", "reason": without_folders(f.reason)}
            for f in host.failures.values()
        ]
        return {"default": host.default_name(), "models": [*served, *waiting, *failed]}

    @app.get(
        "/models/{name}",
        tags=["models"],
        summary="One model: signature, metrics, version",
        responses=dict(_MODEL_PROBLEMS),
    )
    async def model(name: str, request: Request) -> dict[str, Any]:
        sees_data = services.access.may_see_data(request.scope["key"])
        return _details(await host.fetch(name), has_example=sees_data)

    @app.get(
        "/models/{name}/drift",
        tags=["models"],
        summary="The monitor's newest report on a model",
        responses=dict(_DRIFT_PROBLEMS),
    )
    async def drift(
        name: str, version: int | None = None, role: Literal["champion", "challenger"] = "champion"
    ) -> dict[str, Any]:
        view = services.drift if services.drift is not None else DriftView(None)
        return await asyncio.to_thread(view.report, name, version, role)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        sees_data = services.access.may_see_data(request.scope["key"])
        document = _document(app, services, has_examples=sees_data)
        return Response(orjson.dumps(document), media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(files("serve").joinpath("docs.html").read_text("utf-8"))


def _document(app: FastAPI, services: Services, *, has_examples: bool) -> dict[str, Any]:
    host = services.host
    name = host.default_name()
    base = orjson.loads(orjson.dumps(app.openapi()))
    default = host.models.get(name) if name is not None else None
    document = add_predictions(
        base, host.ordered(), default, has_keys=services.access.has_keys, has_examples=has_examples
    )
    if services.admin_side is not None:
        paths = document["paths"]
        document["paths"] = {path: paths[path] for path in paths if not is_for_admins(path)}
    return document


def _summary(model: ServedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "role": model.role,
        "task": model.loaded.task,
        "status": "serving",
        "loaded_at": model.loaded_at.isoformat(),
        "engine": model.engine,
        "engine_note": without_folders(model.engine_note) if model.engine_note else None,
        "warnings": [without_folders(difference) for difference in model.differences],
    }


def _details(model: ServedModel, *, has_example: bool) -> dict[str, Any]:
    loaded = model.loaded
    threshold = loaded.threshold
    if threshold is None and loaded.task == "binary":
        threshold = 0.5
    return {
        **_summary(model),
        "run_id": model.registered.run_id,
        "aliases": list(model.registered.aliases),
        "stage": model.registered.stage,
        "created_at": model.registered.created_at.isoformat(),
        "description": model.registered.description,
        "metrics": dict(model.registered.metrics),
        "classes": list(loaded.classes) if loaded.classes is not None else None,
        "threshold": threshold,
        "signature": [
            {"name": field.name, "required": field.required, **field_schema(field)}
            for field in model.schema.fields
        ],
        "example": dict(model.example) if model.example is not None and has_example else None,
    }


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error, request_id_of(request), request.scope["path"])


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(part) for part in item["loc"]), "message": str(item["msg"])}
        for item in error.errors()
    ]
    return problem_response(
        Problem(422, errors[0]["message"] if errors else "invalid request", errors=errors),
        request_id_of(request),
        request.scope["path"],
    )
