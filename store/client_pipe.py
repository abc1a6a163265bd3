"""Messages between a process and the child that has MLflow's client: pickled, each behind its length.

Both ends are our own and nobody else has the pipe, so unpickling runs nothing that isn't ours.
"""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from store import errors
from store.errors import StorageError, WorkbenchError

_LENGTH = struct.Struct("!Q")
_ONE_READ = 1 << 20

Part = Literal["runs", "models"]


@dataclass(frozen=True)
class Call:
    """A method of the run store or the registry's backend, to be called in the child."""

    number: int
    part: Part
    method: str
    arguments: Sequence[Any]
    named: Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """An error as words: what a library raises can't always be unpickled elsewhere."""

    kind: str
    message: str
    hint: str | None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        if isinstance(error, WorkbenchError):
            return cls(type(error).__name__, error.message, error.hint)
        first_line = str(error).strip().partition("\n")[0]
        return cls(StorageError.__name__, f"{type(error).__name__}: {first_line}", None)

    def as_error(self) -> WorkbenchError:
        kind = getattr(errors, self.kind, StorageError)
        return (
            WorkbenchError(self.message, self.hint)
            if kind is WorkbenchError
            else kind(self.message, self.hint)
        )


@dataclass(frozen=True)
class Reply:
    """The answer to the call of that number."""

    number: int
    value: Any = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Farewell:
    """The child ends because nobody asked for a while; what was sent since it hasn't read."""


Message = Call | Reply | Farewell


def send(descriptor: int, message: Message) -> None:
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    remaining = memoryview(_LENGTH.pack(len(content)) + content)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def receive(descriptor: int) -> Any:
    """The next message; raises EOFError when the other end is gone."""
    (length,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size))
    return pickle.loads(_exactly(descriptor, length))


def _exactly(descriptor: int, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        piece = os.read(descriptor, min(_ONE_READ, length - len(content)))
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)
