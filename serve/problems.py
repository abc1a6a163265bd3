"""The one shape of every error the server answers: RFC 9457 problem+json with a request id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
_MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    500: "INTERNAL_ERROR",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
}
INTERNAL = "an internal error; the server's log has the details under this request id"
MOST_ERRORS = 20
"""Field errors listed in one answer; the check of a body ends when it has found as many."""


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """Ends a request with an error answer. `errors` name fields: {"field", "message", …}."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.reason = reason or HTTPStatus(status).phrase.lower().replace(" ", "_")
        """A short word for metrics and logs."""


def problem_response(problem: Problem, request_id: str, path: str = "") -> Response:
    """The answer for a problem at a path; text from clients is only ever inside JSON strings."""
    document = problem_document(problem, request_id, path)
    return Response(
        orjson.dumps(document), document["status"], headers=problem.headers, media_type=MEDIA_TYPE
    )


def problem_document(problem: Problem, request_id: str, path: str = "") -> dict[str, Any]:
    """What is said of a problem at a path.

    Clients of another protocol find their own members beside ours: `error_code` and `message` of MLflow's
    scoring protocol, where a wrong field is a 400, and `error` of the Open Inference Protocol.
    """
    status = problem.status
    body: dict[str, Any] = {}
    if path.endswith("/invocations"):
        status = 400 if status == 422 else status
        body = {"error_code": _MLFLOW_CODES.get(status, "BAD_REQUEST"), "message": problem.detail}
    elif path == "/v2" or path.startswith("/v2/"):
        status = 400 if status == 422 else status
        body = {"error": problem.detail}
    body |= {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = list(problem.errors[:MOST_ERRORS])
    return body


def first_repeated(names: Sequence[str]) -> str | None:
    """The first name that was there before; None where each is there once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def shown(value: object, limit: int = 60) -> str:
    """A client's value as it may be repeated in a message: short, and safe to encode."""
    if isinstance(value, str):
        text = value[: limit + 1].encode("utf-8", "replace").decode("utf-8")
        text = f'"{text}"'
    elif isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    elif value is None:
        return "null"
    elif isinstance(value, bool):
        return str(value).lower()
    elif isinstance(value, int) and abs(value) > 10**18:
        return "a very large number"
    else:
        text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"
