"""A line for each request: who asked for what, when, and how it was answered."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from serve.settings import ServeSettings

log = logging.getLogger("workbench.serve")

ROTATE_BYTES = 10_000_000
KEPT_FILES = 5
BODY_BYTES = 4_096
"""How much of a body is repeated where the settings ask for bodies."""
_FLUSH_S = 0.25
_FLUSH_LINES = 500


class AccessLog:
    """Lines wait a quarter of a second at most, and are written together. Each process may have one on the
    same file: whole lines are appended, and whoever finds it full renames it, under a lock.
    """

    def __init__(
        self, path: Path | None, *, style: Literal["json", "plain"] = "json", has_bodies: bool = False
    ) -> None:
        self._path = path
        self._is_json = style == "json"
        self.has_bodies = has_bodies
        self._lines: list[bytes] = []
        self._descriptor: int | None = None
        self._is_flushing = False
        self._problem: str | None = None

    def write(
        self,
        *,
        request_id: str,
        client: str,
        key: str | None,
        method: str,
        path: str,
        status: int,
        took_ms: float,
        sent: int,
        body: bytes | None = None,
    ) -> None:
        """Note a request that was answered; `sent` are the bytes of its answer."""
        entry: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": request_id,
            "client": client,
            "key": key,
            "method": method,
            "path": path[:500].encode("utf-8", "replace").decode(),
            "status": status,
            "ms": round(took_ms, 3),
            "bytes": sent,
        }
        if body is not None:
            entry["body"] = body.decode("utf-8", "replace")
        self._lines.append(orjson.dumps(entry) + b"\n" if self._is_json else _plain_line(entry))
        if len(self._lines) >= _FLUSH_LINES:
            self.flush()
        elif not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what waits; a disk that is full loses lines, and says so once."""
        self._is_flushing = False
        lines, self._lines = b"".join(self._lines), []
        if not lines:
            return
        try:
            descriptor = sys.stderr.fileno() if self._path is None else self._opened(self._path)
            while lines:
                lines = lines[os.write(descriptor, lines) :]
            self._problem = None
        except (OSError, ValueError) as error:
            if str(error) != self._problem:
                log.warning("the access log can't be written: %s", error)
            self._problem = str(error)

    def close(self) -> None:
        self.flush()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self, path: Path) -> int:
        """The file to append to; another one after it was renamed or grew too large."""
        if self._descriptor is not None:
            status = os.fstat(self._descriptor)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == status.st_ino and status.st_size < ROTATE_BYTES:
                    return self._descriptor
            if status.st_size >= ROTATE_BYTES:
                self._rotate(path, self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor

    @staticmethod
    def _rotate(path: Path, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # given up when it is closed
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino != os.fstat(descriptor).st_ino:
                return  # somebody else did
            for number in range(KEPT_FILES - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(f"{path.name}.{number}").replace(
                        path.with_name(f"{path.name}.{number + 1}")
                    )
            path.replace(path.with_name(f"{path.name}.1"))


class Record:
    """What is noted of one request while it is answered."""

    def __init__(self, access_log: AccessLog, client: str, scope: Scope) -> None:
        self._log = access_log
        self._client = client
        self._scope = scope
        self._started = time.perf_counter()
        self._status = 0
        self._sent = 0
        self._body = bytearray()

    def watching(self, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """The same two, with what passes through them noted."""

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
            elif message["type"] == "http.response.body":
                self._sent += len(message.get("body", b""))
            await send(message)

        async def watched_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(self._body) < BODY_BYTES:
                self._body += message.get("body", b"")[: BODY_BYTES - len(self._body)]
            return message

        return (watched_receive if self._log.has_bodies else receive), watched_send

    def write(self) -> None:
        """Note it; status 499 where the client was gone before it had an answer."""
        key = self._scope["key"]
        self._log.write(
            request_id=self._scope["request_id"],
            client=self._client,
            key=key.name if key is not None else None,
            method=self._scope["method"],
            path=self._scope["path"],
            status=self._status or 499,
            took_ms=(time.perf_counter() - self._started) * 1000,
            sent=self._sent,
            body=bytes(self._body) if self._log.has_bodies else None,
        )


def open_access_log(settings: ServeSettings, root: Path) -> AccessLog | None:
    """The access log that the settings ask for; a file is relative to `root`."""
    where = settings.access_log
    if where in ("", "off"):
        return None
    path = None if where == "stderr" else root / where
    return AccessLog(path, style=settings.access_log_format, has_bodies=settings.access_log_bodies)


def _plain_line(entry: dict[str, Any]) -> bytes:
    line = (
        f"{entry['at']} {entry['client'] or '-'} {entry['key'] or '-'} "
        f"{_printable(entry['method'])} {_printable(entry['path'])} "
        f"{entry['status']} {entry['bytes']} {entry['ms']}ms {entry['request_id']}"
    )
    if "body" in entry:
        line += f" {_printable(entry['body'])}"
    return line.encode() + b"\n"


def _printable(text: str) -> str:
    """Text on one line, without what a terminal would act on."""
    return "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in text)
