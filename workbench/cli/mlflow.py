"""`workbench mlflow`: MLflow's own server on this project's store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    import subprocess

GRACE_S = 10.0


@click.group()
def mlflow() -> None:
    """MLflow's own user interface on this project."""


def _options(command: Any) -> Any:
    command = click.argument("extra", nargs=-1, type=click.UNPROCESSED, metavar="[-- MLFLOW OPTIONS]")(
        command
    )
    command = click.option(
        "--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="Port to listen on."
    )(command)
    return click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")(
        command
    )


@mlflow.command()
@_options
@pass_invocation
def ui(invocation: Invocation, host: str, port: int, extra: tuple[str, ...]) -> None:
    """Open MLflow's user interface on this project until ctrl-C."""
    _serve(invocation, host, port, extra)


@mlflow.command()
@_options
@pass_invocation
def server(invocation: Invocation, host: str, port: int, extra: tuple[str, ...]) -> None:
    """Run an MLflow tracking server on this project until ctrl-C.

    Scripts log to it with MLFLOW_TRACKING_URI=http://HOST:PORT; what they log is this project's.
    """
    _serve(invocation, host, port, extra)


def _serve(invocation: Invocation, host: str, port: int, extra: Sequence[str]) -> None:
    import os
    import sys

    from store.errors import UsageError
    from store.tracking import is_file_store, tracking_environment
    from workbench.output import say

    uri = invocation.tracking_uri
    if uri.startswith(("http://", "https://")):
        raise UsageError(f"[tracking] uri is a server already: {uri}", "Open that address in a browser.")
    _check_port(host, port)
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--no-serve-artifacts"]
    command += ["--host", host, "--port", str(port), "--backend-store-uri", uri]
    if is_file_store(uri):
        command += ["--default-artifact-root", uri]
    environment = {**os.environ, **tracking_environment(uri), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # A script's plug-in has no place in a server, and the server is no client of another one.
    environment.pop("WORKBENCH_MLFLOW_PLUGIN", None)
    say(f"MLflow on http://{host}:{port} (it takes a few seconds to start; ctrl-C ends it).")
    code = run_until_interrupted([*command, *extra], environment, invocation.project.root)
    if code:
        click.get_current_context().exit(1)


def _check_port(host: str, port: int) -> None:
    """Raise BusyError when something listens there already."""
    import socket

    from store.errors import BusyError, UsageError

    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError as error:
        raise UsageError(f"port {port} needs more rights than you have", "Choose one above 1023.") from error
    except socket.gaierror as error:
        raise UsageError(f"no such address {host!r}", "127.0.0.1 is this machine.") from error
    except OSError as error:
        raise BusyError(
            f"{host}:{port} can't be listened on ({error.strerror})", "Choose another --port."
        ) from error


def run_until_interrupted(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
    """Run a command in a session of its own and end all of it with this process.

    Returns its exit code; a ctrl-C or SIGTERM ends the command first and then goes on as KeyboardInterrupt.
    """
    import signal
    import subprocess

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    process: subprocess.Popen[bytes] | None = None
    kept = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        process = subprocess.Popen(command, env=dict(environment), cwd=folder, start_new_session=True)
        return process.wait()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        if process is not None:
            _end_session(process)


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to every process of the session, SIGKILL to those that stay."""
    import os
    import signal
    import time
    from contextlib import suppress

    deadline = time.monotonic() + GRACE_S
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
