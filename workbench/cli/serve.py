"""`workbench serve`: the prediction server in this terminal or container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from serve.control import ServerInfo
    from workbench.settings import Project


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on ([serve] host).")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on ([serve] port); 0: a free one."
)
@click.option("--socket", metavar="PATH", help="Unix socket to listen on instead ([serve] socket).")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer ([serve] workers).")
@click.option("--watch", "with_watcher", is_flag=True, help="Run the watcher beside it, as workbench watch.")
@click.option(
    "--uri", metavar="URI", help="Serve just this: models:/NAME/STAGE, @ALIAS or /VERSION; no project needed."
)
@click.option(
    "--make-key", is_flag=True, help="Where there is no API key yet, make one and print it this once."
)
@pass_invocation
def serve(
    invocation: Invocation,
    host: str | None,
    port: int | None,
    socket: str | None,
    workers: int | None,
    with_watcher: bool,
    uri: str | None,
    make_key: bool,
) -> None:
    """Answer predictions over HTTP until ctrl-C; promotions are taken over without a restart.

    MODEL_URI, or MODEL_NAME with MODEL_STAGE, stand for --uri; PORT for --port.
    """
    from store.errors import UsageError
    from store.tracking import resolve_uri
    from workbench.settings import served_uri

    uri = uri or served_uri(os.environ)
    project, has_file = _project(
        invocation,
        {
            "serve.host": host,
            "serve.port": port,
            "serve.socket": os.path.abspath(socket) if socket else socket,  # noqa: PTH100
            "serve.workers": workers,
        },
        uri,
    )
    from serve.main import ServerConfig
    from serve.main import serve as run_server

    config = ServerConfig(
        settings=project.settings.serve,
        store=project.settings.store,
        tracking_uri=resolve_uri(project.settings.tracking.uri, project.root),
        layout=project.layout if has_file else None,
        model_order=tuple(project.model_name(name) for name in project.settings.pipelines),
        uri=uri,
        make_key=make_key,
        beside="workbench.monitoring:run_beside" if has_file else None,
    )
    if not with_watcher:
        run_server(config, on_ready=_announce, on_key=_show_key)
        return
    if not has_file:
        raise UsageError("--watch needs a project", "Start it where there is a workbench.toml.")
    from workbench.hosted_watcher import HostedWatcher

    watcher = HostedWatcher(project)

    def ready(server: ServerInfo) -> None:
        _announce(server)
        watcher.start()

    try:
        run_server(config, on_ready=ready, on_key=_show_key, on_told=watcher.tell)
    finally:
        watcher.stop(patience_s=config.settings.drain_seconds)


def _project(invocation: Invocation, options: Mapping[str, Any], uri: str | None) -> tuple[Project, bool]:
    """The project to serve and whether it has settings of its own; a URI needs none."""
    from workbench.settings import find_root, without_file

    overrides = {name: value for name, value in options.items() if value is not None}
    if uri is not None and find_root(invocation.start) is None:
        return without_file(invocation.start, overrides), False
    return invocation.load(overrides), True


def _announce(server: ServerInfo) -> None:
    from workbench.output import say

    documentation = f" (its documentation: {server.url}/docs)" if server.port else ""
    with suppress(OSError):  # a terminal that is gone in this moment says so by a signal
        say(f"Serving on {server.url}{documentation}. ctrl-C ends it.")
        if server.admin_url is not None:
            say(f"/admin and /metrics are at {server.admin_url}.")


def _show_key(secret: str) -> None:
    from workbench.output import say

    say(f"There was no API key, so here is one; it is not shown again: {secret}")
    say('Send it as "Authorization: Bearer KEY" or "X-API-Key: KEY". More: workbench keys create NAME.')
