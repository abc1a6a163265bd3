"""A process that has imported what every training needs, and forks one for each job.

Its one argument is a socket's descriptor. A request is a line of JSON with three descriptors (the job's
standard input, output and error); the answers are {"pid"} and, when a job has ended, {"ended", "code"}. It
ends when whoever started it is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any

from pipelines import job

_LONGEST_REQUEST = 1 << 20


def main(descriptor: int) -> None:
    """Serve until the other side closes the socket."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=descriptor)
    _preload()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([connection.fileno(), wake_read], [], [])
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            _tell_ended(connection)
        if connection.fileno() in ready:
            content, descriptors, _, _ = socket.recv_fds(connection, _LONGEST_REQUEST, 3)
            if not content:
                return
            request = json.loads(content)
            pid = os.fork()
            if pid == 0:
                connection.close()
                signal.set_wakeup_fd(-1)
                os.close(wake_read)
                os.close(wake_write)
                _become_job(request, descriptors)
            for each in descriptors:
                os.close(each)
            _send(connection, {"pid": pid})


def _preload() -> None:
    job.import_libraries()
    for name in (
        "mlflow",
        "mlflow.entities",
        "mlflow.models",
        "mlflow.sklearn",
        "mlflow.tracking",
        "pipelines.recorder",
        "pipelines.training",
    ):
        importlib.import_module(name)


def _tell_ended(connection: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _send(connection, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n")


def _become_job(request: dict[str, Any], descriptors: list[int]) -> None:
    """Turn this fork into the job's process; never returns."""
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        os.closerange(3, max(descriptors) + 1)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        import numpy as np

        # Forks would share the numbers of code that sets no seed.
        np.random.seed()
        code = job.main([request["folder"]])
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
