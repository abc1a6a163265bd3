"""The API's description comes from each model's signature, column rules and example."""

from __future__ import annotations

import re
from typing import Any

import pytest


@pytest.fixture(scope="module")
def document(server: Any) -> Any:
    return server.get("/openapi.json").json()


def test_request_models_have_types_limits_and_descriptions(document: Any) -> None:
    record = document["components"]["schemas"]["mixedRecord"]
    assert record["properties"]["age"] == {"type": ["number", "null"], "minimum": 0, "maximum": 120}
    assert record["properties"]["orders"] == {"type": "integer"}
    assert record["properties"]["plan"] == {"type": "string", "enum": ["free", "pro", "team"]}
    assert record["properties"]["active"] == {"type": ["boolean", "integer"], "minimum": 0, "maximum": 1}
    assert record["required"] == ["orders", "plan", "active"]
    assert record["additionalProperties"] is False
    two = document["components"]["schemas"]["twoRecord"]["properties"]
    assert two["a"] == {"type": "number", "minimum": -50, "maximum": 50, "description": "first"}


def test_examples_are_the_stored_ones_and_work(document: Any, server: Any) -> None:
    for path in ("/predict", "/predict/batch", "/models/mixed/predict"):
        example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert server.post(path, example).status_code == 200


def test_every_endpoint_is_described(document: Any) -> None:
    assert {
        *("/predict", "/predict/batch", "/feedback", "/models", "/models/{name}"),
        *("/health", "/health/live", "/health/ready", "/metrics"),
        *("/models/two/predict", "/models/two/predict/batch", "/models/mixed/predict"),
    } <= set(document["paths"])


def test_every_reference_leads_somewhere(document: Any, server: Any) -> None:
    for name in re.findall(r"#/components/schemas/([^\"]+)", server.get("/openapi.json").text):
        assert name in document["components"]["schemas"]


def test_errors_are_described_as_problems(document: Any) -> None:
    responses = document["paths"]["/predict"]["post"]["responses"]
    assert {"400", "404", "413", "422", "503"} <= set(responses)
    assert list(responses["422"]["content"]) == ["application/problem+json"]


def test_the_docs_page_loads_nothing_from_elsewhere(server: Any) -> None:
    page = server.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text)
