"""Answers wait in memory, then on disk, and leave in the order in which they came."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.outbox import Outbox


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.integers(-3, 40_000), max_size=60))
def test_what_goes_in_comes_out_in_order(steps: list[int]) -> None:
    """Numbers above zero are sizes to put, others say how often to take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serve.outbox.IN_MEMORY_BYTES", 50_000)
        outbox = Outbox(None)
        sent, taken = b"", b""
        for number, step in enumerate(steps):
            if step > 0:
                piece = bytes([number % 256]) * step
                assert outbox.put(piece)
                sent += piece
            else:
                taken += b"".join(outbox.take() for _ in range(-step))
        while piece := outbox.take():
            taken += piece
        assert taken == sent
        outbox.close()


def test_no_file_has_a_name_and_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(tmp_path)
    big = b"x" * 1_000_000
    assert all(outbox.put(big) for _ in range(3))
    assert list(tmp_path.iterdir()) == []
    usage = namedtuple("usage", "total used free")(100 << 30, 91 << 30, 9 << 30)
    monkeypatch.setattr("serve.outbox.shutil.disk_usage", lambda _path: usage)
    assert not outbox.put(big)
    total = 0
    while piece := outbox.take():
        total += len(piece)
    assert total == 3_000_000
    assert outbox.put(big)  # there is room in memory again
    outbox.close()
    assert outbox.put(big)
    assert outbox.take() == b""
