"""Asking a server on this machine, with the standard library alone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store.errors import WorkbenchError

TIMEOUT_S = 1.5


class UnreachableError(WorkbenchError):
    """The server doesn't answer."""


@dataclass(frozen=True)
class Reply:
    """An answer with its status; `body` is text."""

    status: int
    body: str

    def json(self) -> Any:
        """The parsed body; raises UnreachableError for what is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise UnreachableError("the server answers something that is no JSON") from None


def ask(
    url: str,
    path: str,
    *,
    method: str = "GET",
    body: object = None,
    timeout_s: float = TIMEOUT_S,
    key: str | None = None,
) -> Reply:
    """One request; `body` is sent as JSON, `key` as its API key.

    Raises UnreachableError when no answer comes in time.
    """
    import http.client

    from serve.control import connect

    connection = connect(url, timeout_s)
    headers: Mapping[str, str] = {"Connection": "close"}
    if key is not None:
        headers = {**headers, "X-API-Key": key}
    content = None
    if body is not None:
        content = json.dumps(body).encode()
        headers = {**headers, "Content-Type": "application/json"}
    try:
        with contextlib.suppress(BrokenPipeError):  # it may refuse a request before it has read the body
            connection.request(method, path, content, headers)
        reply = connection.getresponse()
        return Reply(reply.status, reply.read().decode("utf-8", "replace"))
    except TimeoutError:
        raise UnreachableError(
            f"the server at {url} has not answered within {timeout_s:g} s", "It may be overloaded."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"the server at {url} does not answer: {error}", "See its log.") from None
    finally:
        connection.close()
