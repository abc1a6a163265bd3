"""MLflow's own client, for stores that are a database or a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from store.errors import NotFoundError, StorageError, UsageError, WorkbenchError
from store.tracking import tracking_environment

PAGE = 1000
_HINT = "See whether the server runs and [tracking] uri is right."
_MISSING = frozenset(("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"))
_WRONG = frozenset(("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE"))
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""MLflow's own defaults keep a person waiting for minutes when the server is down."""


def connect(uri: str) -> Any:
    """An MlflowClient for runs and registry at `uri`; the import takes about 3 s."""
    for name, value in {**tracking_environment(uri), **_PATIENCE}.items():
        if name != "WORKBENCH_MLFLOW_PLUGIN":
            os.environ.setdefault(name, value)
    import mlflow

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    with explained(uri):
        mlflow.set_tracking_uri(uri)  # MLflow's database store asks the global one for logged models
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn MLflow's exceptions into ours: not found, refused, or not reachable."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except WorkbenchError:
        raise
    except MlflowException as error:
        message = str(error.message).strip().splitlines()[0][:300]
        if error.error_code in _MISSING:
            raise NotFoundError(message) from error
        if error.error_code in _WRONG:
            raise UsageError(message) from error
        if "Max retries exceeded" in message:
            raise StorageError(f"{uri} can't be reached any more", _HINT) from error
        raise StorageError(f"{uri}: {message}", _HINT) from error
    except OSError as error:
        raise StorageError(f"{uri}: {error}", _HINT) from error


def all_pages(fetch: Callable[[str | None], Any]) -> list[Any]:
    """Everything of a paged answer; `fetch` gets the page token."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = fetch(token)
        found += page
        token = page.token
        if not token:
            return found
