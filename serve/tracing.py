"""OpenTelemetry spans of requests, for a collector that the settings or the environment name.

Only what a request was is told, never what it held: route, model, version, status and duration.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import TYPE_CHECKING, Any, Protocol

from store.errors import UsageError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span
    from starlette.types import Scope

    from serve.settings import ServeSettings

log = logging.getLogger("workbench.serve")

_TIMEOUT_S = 3.0
"""How long a collector may take to accept spans; those that it doesn't take are lost."""
_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})
_CARRIED = frozenset({b"traceparent", b"tracestate"})


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...


def note_model(scope: Scope, model: _Named) -> None:
    """Say which model a request is answered by."""
    scope["served"] = model


def is_wanted(settings: ServeSettings) -> bool:
    """Whether requests are traced. Raises UsageError where the settings ask for what isn't installed."""
    is_asked = settings.otel_endpoint is not None
    if not is_asked and not any(os.environ.get(name) for name in _VARIABLES):
        return False
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    try:
        if importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None:
            return True
    except ModuleNotFoundError:
        pass
    if is_asked:
        raise UsageError(
            "[serve] otel_endpoint needs OpenTelemetry's exporter", "pip install 'workbench[otel]'"
        )
    log.warning(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but 'workbench[otel]' isn't installed: nothing is traced"
    )
    return False


class Tracing:
    """Makes a span of each request."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("workbench.serve")
        self._kind = SpanKind.SERVER
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, scope: Scope) -> Span:
        """A span that goes on the trace the client names, if it names one."""
        carrier = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CARRIED
        }
        context = self._propagator.extract(carrier) if carrier else None
        return self._tracer.start_span(_method(scope), context=context, kind=self._kind)

    def end(self, span: Span, scope: Scope, status: int) -> None:
        """End it; status 0 where the client was gone before it had an answer."""
        from opentelemetry.trace import StatusCode

        attributes: dict[str, Any] = {
            "http.request.method": _method(scope),
            "workbench.request_id": scope["request_id"],
        }
        route = _route(scope)
        if route is not None:
            attributes["http.route"] = route
            span.update_name(f"{_method(scope)} {route}")
        if status:
            attributes["http.response.status_code"] = status
        model: _Named | None = scope.get("served")
        if model is not None:
            attributes |= {"workbench.model": model.name, "workbench.version": model.version}
        span.set_attributes(attributes)
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


def open_tracing(settings: ServeSettings) -> Tracing | None:
    """Tracing to the collector of the settings, else of the environment; None where nobody asks for it.

    Call it after forking: what sends the spans is a thread.
    """
    if not is_wanted(settings):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    endpoint = settings.otel_endpoint
    if endpoint is not None and not endpoint.endswith("/v1/traces"):
        endpoint = endpoint.rstrip("/") + "/v1/traces"
    name = os.environ.get("OTEL_SERVICE_NAME") or "workbench"
    provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_S)))
    return Tracing(provider)


def _route(scope: Scope) -> str | None:
    """The path with the names of its parameters in place of their values; None for one that isn't there."""
    if "endpoint" not in scope:
        return None
    path: str = scope["path"]
    parts = path.split("/")
    at = parts.index("models", 1, 3) if "models" in parts[1:3] else len(parts)
    for place, name in ((at + 1, "{name}"), (at + 3, "{version}")):
        if place < len(parts) and (name == "{name}" or parts[place - 1] == "versions"):
            parts[place] = name
    return "/".join(parts)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"
