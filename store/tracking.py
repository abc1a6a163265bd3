"""Where runs and registered models are: a file store, a database or a server, by one URI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from store.errors import SettingsError

if TYPE_CHECKING:
    from store.layout import Layout
    from store.registry import Registry
    from store.runs import RunStore

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


def resolve_uri(uri: str, root: Path) -> str:
    """The URI made absolute: a folder, also relative to `root`, becomes `file:///…`; a server stays."""
    uri = uri.strip()
    scheme = urlsplit(uri).scheme
    if not uri:
        raise SettingsError("[tracking] uri is empty", 'Use a folder such as "mlruns".')
    if scheme in ("http", "https"):
        return uri.rstrip("/")
    if scheme.partition("+")[0] in _DATABASES:
        return _absolute_sqlite(uri, root) if scheme.startswith("sqlite") else uri
    if scheme == "file":
        path = Path(url2pathname(unquote(urlsplit(uri).path) if "%" in uri else urlsplit(uri).path))
        if not path.is_absolute() or not str(path).strip("/"):
            path = root / uri.removeprefix("file:").lstrip("/")
        return path.resolve().as_uri()
    if scheme:
        raise SettingsError(
            f"[tracking] uri {uri!r} has an unknown scheme",
            "Use a folder, sqlite:///FILE or http(s)://HOST.",
        )
    return (root / Path(uri).expanduser()).resolve().as_uri()


def is_file_store(uri: str) -> bool:
    """Whether the URI names a folder."""
    return urlsplit(uri).scheme in ("", "file")


def file_store_path(uri: str) -> Path:
    """The folder of a file store's URI."""
    if not is_file_store(uri):
        raise SettingsError(f"{uri} is no file store", "This needs [tracking] uri to be a folder.")
    return Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri)


def tracking_environment(uri: str) -> dict[str, str]:
    """The variables with which plain MLflow uses the same store, quietly and without telemetry."""
    return {
        "MLFLOW_TRACKING_URI": uri,
        # A registry named in the user's environment would take the models elsewhere than the runs.
        "MLFLOW_REGISTRY_URI": uri,
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "WORKBENCH_MLFLOW_PLUGIN": "1",
    }


def open_runs(uri: str, layout: Layout | None = None, *, in_process: bool = False) -> RunStore:
    """The runs at an absolute URI (see `resolve_uri`); a file store is read without MLflow.

    With `layout` its lists are answered from the run index there, else by reading every run. A database or
    a server is asked by a child process, which has MLflow's client, or `in_process` by this one, which has
    imported MLflow already.
    """
    if is_file_store(uri):
        root = file_store_path(uri)
        if layout is not None:
            from store.index_file import index_path
            from store.run_index import RunIndex

            return RunIndex(root, index_path(layout, root))
        from store.file_runs import FileRunStore

        return FileRunStore(root)
    if in_process:
        from store.client_runs import ClientRunStore

        return ClientRunStore(uri)
    from store.remote import remote_runs

    return remote_runs(uri)


def open_registry(
    uri: str, layout: Layout, *, runs: RunStore | None = None, in_process: bool = False
) -> Registry:
    """The model registry at an absolute URI; what changes it is journalled in `layout`.

    `runs`, the store at the same URI, lends its index to a file store's lists. `in_process` has a database
    or a server asked by this process, which has imported MLflow already.
    """
    if is_file_store(uri):
        from store.file_registry import FileRegistry
        from store.run_index import RunIndex

        return FileRegistry(file_store_path(uri), layout, runs if isinstance(runs, RunIndex) else None)
    from store.client_registry import ClientRegistry

    if not in_process:
        from store.remote import remote_backend

        return ClientRegistry(remote_backend(uri), layout)
    from store.client_backend import ClientBackend
    from store.client_runs import ClientRunStore

    return ClientRegistry(ClientBackend(uri, ClientRunStore(uri)), layout)


def close_clients(uri: str) -> None:
    """End the child process that asks a database or a server, and with it whatever waits for its answer."""
    if not is_file_store(uri):
        from store.client_process import client_process

        client_process(uri).close()


def _absolute_sqlite(uri: str, root: Path) -> str:
    """`sqlite:///a.db` is relative and `sqlite:////a.db` absolute, as SQLAlchemy has it."""
    head, _, rest = uri.partition(":///")
    name, question, query = rest.partition("?")
    if not name or name == ":memory:":
        raise SettingsError(f"[tracking] uri {uri!r} names no file", "Use sqlite:///mlflow.db.")
    return f"{head}:///{(root / name).resolve()}{question}{query}"
