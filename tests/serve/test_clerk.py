"""The log's helper: there while there is work, gone soon after, and never what a server's end waits for."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from serve import clerk as clerks
from serve.clerk import Clerk
from store.database import reading
from store.errors import WorkbenchError
from store.fold import fold
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.settings import StoreSettings

SCHEMA = FeatureSchema(("a", "b"), ("numeric", "numeric"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path).ensure()


def log_rows(layout: Layout, n_rows: int) -> None:
    log = PredictionLog(layout, StoreSettings())
    for _ in range(n_rows // 1_000):
        log.append(
            model="two",
            version=1,
            schema=SCHEMA,
            prediction_ids=new_prediction_ids(1_000),
            predicted_at=datetime.now(UTC),
            predictions=[1] * 1_000,
            probability=[0.5] * 1_000,
            probabilities=None,
            classes=(0, 1),
            numeric=[[0.5, 1.5]] * 1_000,
            categorical=[[]] * 1_000,
            latency_ms=1.0,
            role="champion",
            request_id="r",
        )
    log.close()


def folded(layout: Layout) -> int:
    """Rows in the DuckDB file itself."""
    with reading(layout) as (connection, unread):
        if unread is not None:
            return 0
        return int(connection.execute("SELECT count(*) FROM log.predictions").fetchall()[0][0])


def test_what_is_left_is_folded_at_the_end(layout: Layout) -> None:
    log_rows(layout, 1_000)
    clerk = Clerk(layout, StoreSettings())
    clerk.close(60)
    assert folded(layout) == 1_000
    with pytest.raises(WorkbenchError, match="stopping"):
        clerk.fold()


def test_a_fold_that_is_cut_short_loses_and_doubles_nothing(layout: Layout, wait_until: Any) -> None:
    log_rows(layout, 30_000)
    clerk = Clerk(layout, StoreSettings())
    failures: list[WorkbenchError] = []

    def fold_in_thread() -> None:
        try:
            clerk.fold()
        except WorkbenchError as error:
            failures.append(error)

    thread = threading.Thread(target=fold_in_thread)
    thread.start()
    wait_until(lambda: clerk.pid is not None, "the helper")
    clerk.hurry()
    clerk.close(0.0)
    thread.join(60)
    assert not thread.is_alive()
    assert clerk.pid is None
    assert failures
    fold(layout)
    assert folded(layout) == 30_000


def test_it_is_let_go_when_idle_and_kept_where_it_is_needed_again_and_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerks, "IDLE_SECONDS", 0.0)
    clerk = Clerk(layout, StoreSettings())
    log_rows(layout, 1_000)
    assert clerk.fold().predictions == 1_000
    assert clerk.pid is not None
    clerk.fold()  # of what it left, which is nothing
    clerk.fold()
    assert clerk.pid is None
    clerk.fold()
    assert clerk.pid is None
    monkeypatch.setattr(clerks, "IDLE_SECONDS", 30.0)
    for patience in (30.0, 60.0):
        clerk._idle_s = 15.0 if patience == 30.0 else clerk._idle_s
        log_rows(layout, 1_000)
        clerk.fold()
        assert clerk._idle_s == patience
        clerk._end()
    clerk.close()
