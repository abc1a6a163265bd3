"""Reading the spool: what the lines of a segment are, and which of them are whole.

A line is eight hexadecimal digits of CRC-32, a space, the payload and a newline. A payload that has newlines
itself is a head, which has none, a newline, and a block of any bytes; then `+` and the block's length in
hexadecimal stand before the space.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zlib_ng.zlib_ng import crc32

SUFFIX = ".seg"
_LONGEST_LENGTH = 8
"""Digits of a block's length."""


def frame(payload: bytes) -> bytes:
    """`payload` as a line of the spool."""
    head = payload.find(b"\n")
    length = b"" if head < 0 else b"+%x" % (len(payload) - head - 1)
    return b"".join((b"%08x%b " % (crc32(payload), length), payload, b"\n"))


def frame_pieces(origin: bytes, text: bytes, *block: Any) -> list[Any]:
    """The same of a payload in pieces: its head in two, and the newline and the arrays after it."""
    checksum = crc32(text, crc32(origin))
    if not block:
        return [b"%08x " % checksum, origin, text, b"\n"]
    parts = [memoryview(part).cast("B") for part in block]
    for part in parts:
        checksum = crc32(part, checksum)
    length = sum(map(len, parts)) - 1
    return [b"%08x+%x " % (checksum, length), origin, text, *parts, b"\n"]


@dataclass
class Chunk:
    """A part of a segment: the good payloads, where it ends, and what lies damaged between them."""

    start: int
    end: int
    payloads: list[bytes] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)


def list_segments(folder: Path) -> list[Path]:
    """The segments, oldest first."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []
    return [folder / name for name in names]


def read_chunks(
    path: Path, start: int = 0, *, chunk_bytes: int = 4 << 20, whole: bool = False
) -> Iterator[Chunk]:
    """Yield the segment's lines from byte `start` on, some megabytes at a time.

    Only complete lines are read, unless the segment is `whole` (its writer is gone): then an incomplete
    last line counts as damaged. After damage the next line that is whole counts again, wherever it begins.
    A segment that vanishes meanwhile simply ends.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        rest = b""
        while True:
            read = file.read(chunk_bytes)
            is_last = whole and not read
            data = rest + read
            payloads, damaged, end = _lines(data, is_last=is_last)
            rest = data[end:]
            if end:
                yield Chunk(start, start + end, payloads, damaged)
                start += end
            if not read:
                return


def _lines(data: bytes, *, is_last: bool) -> tuple[list[bytes], list[bytes], int]:
    """The good payloads in `data`, the damaged stretches, and where what isn't complete yet begins."""
    payloads: list[bytes] = []
    damaged: list[bytes] = []
    position = 0
    damaged_from = -1
    while position < len(data):
        newline = data.find(b"\n", position)
        if newline < 0:
            if not is_last:
                break
            newline = len(data)
        payload, end = _line(data, position, newline)
        if end > len(data) and not is_last:
            break
        if payload is not None:
            if damaged_from >= 0:
                damaged.append(data[damaged_from : position - 1])
                damaged_from = -1
            payloads.append(payload)
            position = end
            continue
        if damaged_from < 0:
            damaged_from = position
        position = min(newline + 1, len(data))
    if damaged_from >= 0:
        damaged.append(data[damaged_from:position].removesuffix(b"\n"))
    return payloads, damaged, position


def _line(data: bytes, start: int, newline: int) -> tuple[bytes | None, int]:
    """The payload of the line at `start`, None where it is damaged, and where the line after it begins.

    Beyond the end of `data`: the line isn't complete.
    """
    begin, last = start + 9, newline
    try:
        if data[start + 8 : begin] == b"+":
            space = data.index(b" ", begin, newline)
            length = int(data[begin:space], 16) if space - begin <= _LONGEST_LENGTH else -1
            if length < 0:
                return None, newline + 1
            begin, last = space + 1, newline + 1 + length
        elif data[start + 8 : begin] != b" " or newline < begin:
            return None, newline + 1
        expected = int(data[start : start + 8], 16)
    except ValueError:
        return None, newline + 1
    if data[last : last + 1] != b"\n":
        return None, max(newline, last) + 1
    payload = data[begin:last]
    return (payload if crc32(payload) == expected else None), last + 1


def lock_if_complete(path: Path) -> int | None:
    """A descriptor that locks a segment whose writer is gone; None while it may still grow."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
