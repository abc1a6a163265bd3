"""What a job tells while it runs, and the wish to end it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from store.errors import NotFoundError
from store.job_progress import (
    PROGRESS_FILE,
    JobProgress,
    cancel_words,
    read_log,
    read_progress,
    request_cancel,
    write_progress,
)
from store.jobs import add_job, get_job, update_job
from store.journal import read_events
from store.layout import Layout

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_time_left_goes_on_between_two_writes(layout: Layout) -> None:
    assert read_progress(layout, "x") is None
    progress = JobProgress(2, 7, "Preparing", "9 rows", 0.4, None, 30.0, NOW, {"Starting": 1.0})
    write_progress(layout, "x", progress)  # there is no folder: that costs the progress alone
    assert read_progress(layout, "x") is None
    (layout.jobs / "x").mkdir(parents=True)
    write_progress(layout, "x", progress)
    assert read_progress(layout, "x", NOW) == progress
    later = read_progress(layout, "x", NOW + timedelta(seconds=12))
    assert later is not None
    assert later.time_left_s == 18.0
    (layout.jobs / "x" / PROGRESS_FILE).write_text("{torn")
    assert read_progress(layout, "x") is None


def test_a_log_is_read_on_from_where_it_was_left(layout: Layout) -> None:
    assert read_log(layout, "x") == ("", 0)
    folder = layout.jobs / "x"
    folder.mkdir(parents=True)
    (folder / "log").write_bytes(b"one\n\xff")
    assert read_log(layout, "x") == ("one\n\ufffd", 5)
    with (folder / "log").open("ab") as log:
        log.write(b"two\n")
    assert read_log(layout, "x", 5) == ("two\n", 9)
    assert read_log(layout, "x", 500) == ("", 9)


def test_a_queued_job_is_cancelled_at_once_and_a_running_one_is_asked(layout: Layout) -> None:
    queued, running = add_job(layout, "p"), add_job(layout, "q", state="running")
    assert request_cancel(layout, queued.id, who="ada", reason="no").state == "cancelled"
    assert get_job(layout, queued.id).error == "cancelled by ada: no"
    assert request_cancel(layout, running.id, who="ada").state == "running"
    assert cancel_words(layout, running.id) == "cancelled by ada"
    update_job(layout, running.id, state="done")
    assert request_cancel(layout, running.id).state == "done"
    assert [event.details["job"] for event in read_events(layout, what="job_cancelled")] == [
        queued.id,
        running.id,
    ]
    with pytest.raises(NotFoundError):
        request_cancel(layout, "nothing")
