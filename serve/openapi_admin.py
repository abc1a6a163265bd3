"""The OpenAPI description of keys and of the endpoints under /admin."""

from __future__ import annotations

from typing import Any

from serve.openapi_protocols import problem_responses

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def require_keys(document: dict[str, Any], *, has_keys: bool) -> None:
    """Add the kinds of key, and to each operation whether it needs one."""
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for path, methods in document["paths"].items():
        operation = methods.get("post")
        if operation is not None and (has_keys or path.startswith("/admin/")):
            operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
            operation["responses"] |= problem_responses("401", "403")


def admin_paths() -> dict[str, Any]:
    """The endpoints that change production."""
    name = {"type": "string", "minLength": 1}
    reason = {"type": ["string", "null"], "maxLength": 2000}
    promote = {
        "model": name,
        "version": {"type": "integer", "minimum": 1},
        "to": {"enum": ["champion", "challenger", "staging"]},
        "reason": reason,
    }
    return {
        "/admin/reload": _operation("Look at the registry again", "reload", None, ()),
        "/admin/promote": _operation("Promote a version", "promote", promote, ("model", "version")),
        "/admin/rollback": _operation(
            "Make the champion before the present one champion again",
            "rollback",
            {"model": name, "reason": reason},
            ("model",),
        ),
        "/admin/retrain": _queueing({"pipeline": name, "reason": reason}),
    }


def _queueing(properties: dict[str, Any]) -> dict[str, Any]:
    operation = _operation("Queue a training for the watcher", "retrain", properties, ("pipeline",))
    answers = operation["post"]["responses"]
    del answers["200"]
    answers["202"] = {
        "description": "The queued job",
        "content": {"application/json": {"schema": {"type": "object", "required": ["id", "state"]}}},
    }
    return operation


def _operation(
    summary: str, key: str, properties: dict[str, Any] | None, required: tuple[str, ...]
) -> dict[str, Any]:
    answer = {
        "type": "object",
        "required": ["models", "failures"],
        "properties": {
            "models": {"type": "object", "additionalProperties": {"type": "integer"}},
            "failures": {"type": "array", "items": {"type": "object"}},
        },
    }
    statuses = ("503",) if properties is None else ("400", "404", "408", "409", "413", "422", "503")
    operation: dict[str, Any] = {
        "tags": ["admin"],
        "summary": summary,
        "operationId": f"admin_{key}",
        "responses": {
            "200": {
                "description": "The versions that are in service afterwards",
                "content": {"application/json": {"schema": answer}},
            },
            **problem_responses(*statuses),
        },
    }
    if properties is not None:
        schema = {
            "type": "object",
            "required": list(required),
            "properties": properties,
            "additionalProperties": False,
        }
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"post": operation}
