"""Answers of many rows are made in parts, say the same as in one, and wait on disk where memory is short."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.large_answers import LARGE_BYTES, LargeAnswer, as_large
from serve.outbox import PIECE_BYTES, Memory, Outbox
from serve.problems import Problem


def sent(answer: LargeAnswer) -> tuple[dict[bytes, bytes], list[bytes]]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(answer({"type": "http"}, None, send))  # type: ignore[arg-type]
    assert [bool(message.get("more_body")) for message in messages[1:-1]] == [True] * (len(messages) - 2)
    return dict(messages[0]["headers"]), [message["body"] for message in messages[1:]]


@pytest.mark.parametrize("in_memory", [0, 300_000, 10_000_000])
def test_a_large_answer_is_sent_piece_by_piece_from_memory_or_disk(tmp_path: Path, in_memory: int) -> None:
    memory = Memory(in_memory)
    parts = [bytes([65 + number]) * 100_001 for number in range(9)]
    answer = LargeAnswer(iter(parts), "application/json")
    answer.keep(Outbox(tmp_path, memory))
    assert list(tmp_path.iterdir()) == []
    headers, pieces = sent(answer)
    assert b"".join(pieces) == b"".join(parts)
    assert int(headers[b"content-length"]) == 9 * 100_001
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert memory.take(in_memory)  # all of it was given back
    assert not memory.take(1)


def test_an_answer_nobody_waited_for_gives_its_memory_back(tmp_path: Path) -> None:
    memory = Memory(200_000)
    answer = LargeAnswer([b"x" * 150_000], None)
    answer.keep(Outbox(tmp_path, memory))
    assert not memory.take(100_000)
    del answer
    assert memory.take(200_000)


def test_where_nothing_has_room_it_is_a_503(tmp_path: Path) -> None:
    answer = LargeAnswer([b"x" * 1000], None)
    with pytest.raises(Problem) as refused:
        answer.keep(Outbox(tmp_path / "missing", Memory(10)))
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"]


def test_an_answer_of_another_kind_keeps_its_status_and_headers(tmp_path: Path) -> None:
    from starlette.responses import Response

    assert as_large(Response(b"x" * LARGE_BYTES)) is None
    large = as_large(Response(b"x" * (LARGE_BYTES + 1), 201, {"X-Own": "1"}, media_type="text/plain"))
    assert large is not None
    large.keep(Outbox(tmp_path, Memory(0)))
    headers, pieces = sent(large)
    assert headers[b"x-own"] == b"1"
    assert headers[b"content-length"] == str(LARGE_BYTES + 1).encode()
    assert sum(map(len, pieces)) == LARGE_BYTES + 1


def test_many_rows_are_answered_as_few_are(server: Any) -> None:
    rows = np.random.default_rng(1).normal(size=(20_000, 4)).round(3)
    body = rows.tolist()
    for model in ("two", "three"):
        whole = server.post(f"/models/{model}/predict", body).json()["predictions"]
        parts = [
            server.post(f"/models/{model}/predict", body[i : i + 4_000]).json()
            for i in range(0, 20_000, 4_000)
        ]
        few = [row for part in parts for row in part["predictions"]]
        own = {"prediction_id", "latency_ms"}
        assert [{k: v for k, v in row.items() if k not in own} for row in whole] == [
            {k: v for k, v in row.items() if k not in own} for row in few
        ]
        assert len({row["prediction_id"] for row in whole}) == 20_000
        table = server.post(f"/models/{model}/predict", body, headers={"Accept": "text/csv"}).text
        read = list(csv.DictReader(io.StringIO(table)))
        assert [row["prediction"] for row in read] == [str(row["prediction"]) for row in whole]
