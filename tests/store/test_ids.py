from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from store import ids
from store.ids import ID_LENGTH, is_prediction_id, new_prediction_ids


def test_ids_of_one_process_sort_by_the_order_they_were_made_in() -> None:
    made = [identifier for _ in range(500) for identifier in new_prediction_ids(3)]

    assert made == sorted(made)
    assert len(set(made)) == 1500
    assert {len(identifier) for identifier in made} == {ID_LENGTH}


def test_ids_stay_in_order_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_prediction_ids(1)[0]
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_000_000_000)

    assert new_prediction_ids(1)[0] > before


def test_threads_never_share_an_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [i for batch in pool.map(new_prediction_ids, [100] * 200) for i in batch]

    assert len(set(made)) == 20_000


def _send_ids(pipe: object) -> None:
    pipe.send(new_prediction_ids(5_000))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_processes_never_share_an_id() -> None:
    context = multiprocessing.get_context("fork")
    children = []
    for _ in range(4):
        ours, theirs = context.Pipe()
        child = context.Process(target=_send_ids, args=(theirs,))
        child.start()
        children.append((child, ours))
    made = new_prediction_ids(5_000)
    for child, pipe in children:
        made += pipe.recv()
        child.join(30)

    assert len(set(made)) == 25_000


def test_an_id_of_ours_is_recognised() -> None:
    assert is_prediction_id(new_prediction_ids(1)[0])
    assert not is_prediction_id("")
    assert not is_prediction_id("order-4711")
    assert not is_prediction_id("v" * ID_LENGTH)  # in the year 3084
    assert not is_prediction_id("ü" * ID_LENGTH)


def test_an_id_begins_with_its_time() -> None:
    first = new_prediction_ids(1)[0]
    deadline = time.monotonic() + 5
    while new_prediction_ids(1)[0][:9] == first[:9]:
        assert time.monotonic() < deadline
        os.sched_yield() if hasattr(os, "sched_yield") else None

    assert new_prediction_ids(1)[0][:9] > first[:9]
