from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store import spool
from store.segments import frame, frame_pieces, list_segments, lock_if_complete, read_chunks
from store.spool import SpoolWriter


def contents(folder: Path, *, whole: bool = False) -> list[bytes]:
    return [
        p for segment in list_segments(folder) for c in read_chunks(segment, whole=whole) for p in c.payloads
    ]


def test_a_writer_holds_its_segment_until_it_closes(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append([frame(b"one")])
    (segment,) = list_segments(tmp_path)

    assert lock_if_complete(segment) is None
    writer.close()
    descriptor = lock_if_complete(segment)
    assert descriptor is not None
    os.close(descriptor)


def test_long_lines_in_pieces_and_short_ones_follow_each_other(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    long = [b"{}", b"", b"\n", bytes(100_000)]
    writer.append(frame_pieces(*long), [("schema", frame(b"schema"))])
    writer.append(frame_pieces(b"short", b""))
    writer.append([piece for _ in range(200) for piece in frame_pieces(*long)])
    writer.close()

    assert contents(tmp_path) == [b"schema", b"".join(long), b"short", *[b"".join(long)] * 200]


def test_nothing_is_made_before_the_first_line(tmp_path: Path) -> None:
    SpoolWriter(tmp_path / "spool").close()

    assert not (tmp_path / "spool").exists()


def test_a_segment_ends_when_it_is_large_or_old(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, rotate_bytes=100)
    for _ in range(4):
        writer.append([frame(b"x" * 60)])
    writer.close()
    assert len(list_segments(tmp_path)) == 2

    writer = SpoolWriter(tmp_path / "old", rotate_seconds=0.0)
    for _ in range(3):
        writer.append([frame(b"x")])
    writer.close()
    assert len(list_segments(tmp_path / "old")) == 3


def test_a_declaration_is_in_every_segment_once(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, rotate_bytes=50)
    for _ in range(4):
        writer.append([frame(b"x" * 30)], [("schema", frame(b"schema"))])
    writer.close()

    for segment in list_segments(tmp_path):
        assert [p for c in read_chunks(segment) for p in c.payloads].count(b"schema") == 1


def test_threads_append_whole_lines(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, durability="fsync", rotate_bytes=4_000)
    wanted = [f"line {number}".encode() * 5 for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda payload: writer.append([frame(payload)]), wanted))
    writer.close()

    assert sorted(contents(tmp_path)) == sorted(wanted)


def test_one_flush_serves_all_threads_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is busy with one flush, what others append meanwhile shares the next."""
    import threading

    flushes: list[int] = []
    entered, release = threading.Event(), threading.Event()

    def slow_flush(descriptor: int) -> None:
        flushes.append(descriptor)
        entered.set()
        assert release.wait(60)

    monkeypatch.setattr(spool, "flush_to_disk", slow_flush)
    writer = SpoolWriter(tmp_path, durability="fsync")
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(writer.append, [frame(b"first")])
        assert entered.wait(60)
        others = [pool.submit(writer.append, [frame(b"other")]) for _ in range(8)]
        wait_until(lambda: len(contents(tmp_path)) == 9)
        assert not any(other.done() for other in others)
        release.set()
        for future in (first, *others):
            future.result(20)

    assert len(flushes) == 2
    writer.close()


def test_a_failed_flush_fails_all_that_waited_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing_flush(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    writer = SpoolWriter(tmp_path, durability="fsync")
    writer.append([frame(b"kept")])
    with monkeypatch.context() as patched:
        patched.setattr(spool, "flush_to_disk", failing_flush)
        with pytest.raises(OSError, match="Input/output"):
            writer.append([frame(b"doubtful")])
    writer.append([frame(b"after")])
    writer.close()


def test_a_line_cut_short_by_a_full_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append([frame(b"before")])
    real_write = os.write
    calls: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data[:10])

    with monkeypatch.context() as patched:
        patched.setattr(spool.os, "write", write)
        with pytest.raises(OSError, match="No space"):
            writer.append([frame(b"too long for the disk")])
    writer.append([frame(b"after")])
    writer.close()

    (segment,) = list_segments(tmp_path)
    assert segment.read_bytes() == frame(b"before") + frame(b"after")


def test_a_reserve_of_the_disk_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = os.statvfs(tmp_path)
    monkeypatch.setattr(spool.os, "statvfs", lambda _: full)
    full = os.statvfs_result((4096, 4096, 100_000, 9_000, 9_000, *disk[5:10]))
    writer = SpoolWriter(tmp_path)

    with pytest.raises(OSError, match="only 36 MB free"):
        writer.append([frame(b"one")])
    full = os.statvfs_result((4096, 4096, 100_000, 11_000, 11_000, *disk[5:10]))
    writer.append([frame(b"two")])
    writer.close()

    assert contents(tmp_path) == [b"two"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_writes_to_a_segment_of_its_own(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append([frame(b"parent")])
    child = os.fork()
    if child == 0:
        try:
            writer.append([frame(b"child")])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    writer.append([frame(b"parent again")])

    segments = list_segments(tmp_path)
    assert len(segments) == 2
    assert lock_if_complete(segments[0]) is None
    assert sorted(contents(tmp_path)) == [b"child", b"parent", b"parent again"]
    writer.close()


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from store.segments import frame\n"
        "from store.spool import SpoolWriter\n"
        "writer = SpoolWriter(Path(sys.argv[1]))\n"
        "n = 0\n"
        "while True:\n"
        "    writer.append([frame(b'%d' % n)])\n"
        "    sys.stdout.buffer.write(b'%d\\n' % n); sys.stdout.flush(); n += 1\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    seen = [child.stdout.readline() for _ in range(200)]
    child.kill()
    seen += child.stdout.readlines()
    child.wait(90)
    child.stdout.close()

    acknowledged = [line.strip() for line in seen if line.endswith(b"\n")]
    assert len(acknowledged) >= 200
    assert set(acknowledged) <= set(contents(tmp_path, whole=True))


def wait_until(condition: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "it never came to this"
        time.sleep(0.002)
