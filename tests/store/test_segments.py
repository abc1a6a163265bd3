from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.segments import Chunk, frame, frame_pieces, read_chunks

# Some are a line of text, some have a block, and a block may look like lines itself.
payloads = st.one_of(
    st.binary(min_size=1, max_size=100),
    st.binary(max_size=20).map(lambda head: head.replace(b"\n", b" ") + b"\n" + frame(b"inner") * 2),
    st.builds(lambda head, block: head + b"\n" + block, st.just(b"{}"), st.binary(max_size=100)),
)
few = st.lists(payloads, min_size=1, max_size=20)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool") / "a.seg"


def read(path: Path, chunk_bytes: int = 4 << 20) -> list[Chunk]:
    return [*read_chunks(path, chunk_bytes=chunk_bytes, whole=True)]


def payloads_of(chunks: list[Chunk]) -> list[bytes]:
    return [payload for chunk in chunks for payload in chunk.payloads]


def ends_of(lines: list[bytes]) -> list[int]:
    return [*itertools.accumulate(len(frame(line)) for line in lines)]


@given(few, st.integers(1, 64))
def test_what_was_framed_comes_back(path: Path, lines: list[bytes], chunk_bytes: int) -> None:
    path.write_bytes(b"".join(map(frame, lines)))
    chunks = read(path, chunk_bytes)

    assert payloads_of(chunks) == lines
    assert [chunk.damaged for chunk in chunks] == [[]] * len(chunks)


@given(st.binary(max_size=20), st.binary(max_size=20), st.lists(st.binary(max_size=20), max_size=3))
def test_pieces_make_the_same_line(origin: bytes, text: bytes, parts: list[bytes]) -> None:
    head = [piece.replace(b"\n", b"") for piece in (origin, text)]
    block = [b"\n", *parts] if parts else []

    assert b"".join(frame_pieces(*head, *block)) == frame(b"".join([*head, *block]))


@given(few, st.data())
def test_a_segment_torn_anywhere_yields_the_lines_before(
    path: Path, lines: list[bytes], data: st.DataObject
) -> None:
    content, ends = b"".join(map(frame, lines)), ends_of(lines)
    cut = data.draw(st.integers(0, len(content)))
    chunk_bytes = data.draw(st.integers(1, 64))
    path.write_bytes(content[:cut])
    n_whole = sum(end <= cut for end in ends)
    growing = [*read_chunks(path, chunk_bytes=chunk_bytes)]
    ended = read(path, chunk_bytes)

    assert payloads_of(growing) == lines[:n_whole]
    assert not any(chunk.damaged for chunk in growing)
    assert max((chunk.end for chunk in growing), default=0) == (ends[n_whole - 1] if n_whole else 0)
    assert payloads_of(ended)[:n_whole] == lines[:n_whole]
    assert any(chunk.damaged for chunk in ended) == (cut not in (0, *ends))
    assert max((chunk.end for chunk in ended), default=0) == cut


@given(few, st.integers(1, 64))
def test_reading_continues_where_a_chunk_ended(path: Path, lines: list[bytes], chunk_bytes: int) -> None:
    path.write_bytes(b"".join(map(frame, lines)))
    found: list[bytes] = []
    start = 0
    while chunk := next(read_chunks(path, start, chunk_bytes=chunk_bytes), None):
        assert chunk.start == start
        found += chunk.payloads
        start = chunk.end

    assert found == lines


@given(few, st.data())
def test_a_changed_bit_costs_only_its_own_line(path: Path, lines: list[bytes], data: st.DataObject) -> None:
    content = bytearray(b"".join(map(frame, lines)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    hit = next(number for number, end in enumerate(ends_of(lines)) if place < end)
    found = payloads_of(read(path))

    assert found[:hit] == lines[:hit]
    # Where the line's own newline is gone, the next one has no beginning.
    lost = 2 if place == ends_of(lines)[hit] - 1 else 1
    rest = lines[hit + lost :]
    assert found[len(found) - len(rest) :] == rest


@given(st.binary(max_size=100).filter(lambda data: not data.endswith(b"\n")))
def test_garbage_is_no_line(path: Path, garbage: bytes) -> None:
    path.write_bytes(frame(b"one") + garbage + b"\n" + frame(b"two"))
    chunks = read(path)

    assert payloads_of(chunks) == [b"one", b"two"]
    assert b"\n".join(piece for chunk in chunks for piece in chunk.damaged) == garbage


def test_a_length_beyond_the_end_does_not_hide_the_lines_after_it(path: Path) -> None:
    path.write_bytes(b"00000000+ffffff {}\n" + frame(b"two"))

    assert payloads_of([*read_chunks(path)]) == []  # its block may still come
    (chunk,) = read(path)
    assert (chunk.payloads, chunk.damaged) == ([b"two"], [b"00000000+ffffff {}"])


def test_a_start_within_a_block_finds_the_next_line(path: Path) -> None:
    block = random.Random(3).randbytes(2_000)
    path.write_bytes(frame(b"{}\n" + block) + frame(b"two"))
    (chunk,) = read_chunks(path, 500)

    assert chunk.payloads == [b"two"]
    assert len(chunk.damaged) == 1
