"""One helper for the prediction log, though there are several workers: a process between them and it.

The desk folds the log every few seconds, as a single server does for itself, and looks predictions up for
whichever worker asks. A question is a connection: JSON in, JSON out. So neither side's death upsets the
other.
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serve.clerk import read_origins, write_origins
from store.errors import WorkbenchError

if TYPE_CHECKING:
    from serve.clerk import Clerk
    from store.fold import FoldReport
    from store.predictions import Origin

log = logging.getLogger("workbench.serve")

FOLD_SECONDS = 3.0
LOOK_SECONDS = 1.0
"""Where the helper has to be started first, which takes a second or more: a row is folded within five."""
ANSWER_SECONDS = 60.0
"""How long a worker waits for an answer."""


class ClerkDesk:
    """The socket that questions come to, in a folder of its own. Make it before forking."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="workbench-clerk-"))
        self.address = str(self.folder / "desk")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.address)
        self._listener.listen(64)

    def keep(self, clerk: Clerk, is_over: Callable[[], bool]) -> None:
        """Fold and answer until it is over; what was asked before that is answered."""
        folding = FoldingLog()
        next_fold = time.monotonic() + FOLD_SECONDS
        self._listener.setblocking(False)
        while not is_over():
            wait_s = min(max(0.0, next_fold - time.monotonic()), 0.5)
            with contextlib.suppress(InterruptedError):
                if select.select([self._listener], [], [], wait_s)[0]:
                    self._answer(clerk)
            if time.monotonic() >= next_fold:
                folding.fold(clerk)
                next_fold = time.monotonic() + folding.pause_s(clerk)
        clerk.close()

    def close(self) -> None:
        self._listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answer(self, clerk: Clerk) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(ANSWER_SECONDS)
            try:
                asked = json.loads(_read_all(connection))
                answer: dict[str, Any] = write_origins(clerk.origins(asked["ids"]))
            except (OSError, ValueError, KeyError):
                return  # who asked is gone, or was killed in the middle of it
            except WorkbenchError as error:
                answer = {"error": str(error)}
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(answer).encode())


class FoldingLog:
    """Folds, and says what stands in the way once."""

    def __init__(self) -> None:
        self._said: str | None = None
        self._said_beside: str | None = None

    def pause_s(self, clerk: Clerk) -> float:
        """How long until the next time; to look at nothing new costs nothing."""
        return LOOK_SECONDS if clerk.pid is None and self._said is None else FOLD_SECONDS

    def fold(self, clerk: Clerk) -> None:
        """Fold what is new; never raises."""
        try:
            report: FoldReport = clerk.fold()
            trouble = report.skipped
            for torn in report.torn:
                log.warning("a torn line in the prediction log was left out: %s", torn)
        except WorkbenchError as error:
            trouble = str(error)
        except Exception as error:
            log.exception("folding the prediction log failed")
            trouble = str(error)
        if clerk.is_closing:
            return
        if trouble is not None and trouble != self._said:
            log.warning("predictions stay in the spool until a fold succeeds: %s", trouble)
        self._said = trouble
        try:
            clerk.look_beside()
        except Exception as error:
            if str(error) != self._said_beside:
                log.warning("watching for drift failed: %s", error)
            self._said_beside = str(error)


class RemoteClerk:
    """A worker's way to the desk; it has of a clerk what answering needs."""

    def __init__(self, address: str) -> None:
        self._address = address

    def origins(self, ids: Collection[str]) -> dict[str, Origin | None]:
        """As `Clerk.origins`."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_SECONDS)
                connection.connect(self._address)
                connection.sendall(json.dumps({"ids": list(ids)}).encode())
                connection.shutdown(socket.SHUT_WR)
                answer = json.loads(_read_all(connection))
        except (OSError, ValueError) as error:
            raise WorkbenchError(
                f"the helper for the prediction log does not answer: {error}",
                "It is started again at once; the server's log has its last words.",
            ) from error
        if "error" in answer:
            raise WorkbenchError(answer["error"])
        return read_origins(answer)


def _read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))
