"""Spans of requests, at a collector that speaks OTLP over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from serve import tracing
from serve.settings import ServeSettings
from store.errors import UsageError

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET_VALUE = 123456.75


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector's URL, and what it was sent: (path, body)."""
    sent: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent.append((self.path, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()
        thread.join()


def test_each_request_is_a_span_without_its_values(
    project: Any, flower_data: Any, columns: Any, running: Any, collector: Any
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    url, sent = collector
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y), inputs=columns(**dict.fromkeys("abcd", "double")))
    with running(project, settings={"otel_endpoint": url}) as server:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert server.post("/predict", [SECRET_VALUE, 0, 0, 0], headers=headers).status_code == 200
        assert server.post("/models/two/predict", ["x"]).status_code == 422
        assert server.get("/no/such/place").status_code == 404
    assert {path for path, _ in sent} == {"/v1/traces"}
    spans = {}
    for _, body in sent:
        assert str(SECRET_VALUE).encode() not in body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {
                        item.key: item.value.int_value or item.value.string_value for item in span.attributes
                    }
                    assert span.end_time_unix_nano > span.start_time_unix_nano
                    assert values.pop("workbench.request_id")
                    spans[span.name] = (span.trace_id.hex(), span.parent_span_id.hex(), values)
    assert spans["POST /predict"][:2] == (TRACE, PARENT)
    assert spans["POST /predict"][2] == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "workbench.model": "two",
        "workbench.version": 1,
    }
    assert spans["POST /models/{name}/predict"][2]["http.response.status_code"] == 422
    assert spans["GET"][2] == {"http.request.method": "GET", "http.response.status_code": 404}


def test_nothing_is_traced_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tracing._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert tracing.open_tracing(ServeSettings()) is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert tracing.is_wanted(ServeSettings())
    monkeypatch.setattr(tracing.importlib.util, "find_spec", lambda _name: None)
    assert not tracing.is_wanted(ServeSettings())
    with pytest.raises(UsageError, match="otel_endpoint needs"):
        tracing.is_wanted(ServeSettings(otel_endpoint="http://127.0.0.1:9"))
