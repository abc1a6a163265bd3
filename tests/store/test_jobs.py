from __future__ import annotations

from pathlib import Path

import pytest

from store.errors import NotFoundError, UsageError
from store.jobs import add_job, get_job, list_jobs, update_job
from store.layout import Layout


def test_a_job_goes_from_queued_to_done(layout: Layout) -> None:
    job = add_job(layout, "bikes", trigger="schedule", reason="weekly", who="ada")
    assert (job.state, job.started_at, job.who) == ("queued", None, "ada")

    job = update_job(layout, job.id, state="running", pid=123)
    assert job.started_at is not None
    assert not job.is_finished

    job = update_job(layout, job.id, state="done", run_id="abc", version=4)
    assert (job.state, job.run_id, job.version, job.pid) == ("done", "abc", 4, 123)
    assert job.ended_at is not None
    assert get_job(layout, job.id) == job


def test_the_first_final_state_wins(layout: Layout) -> None:
    job = add_job(layout, "bikes", state="running")
    update_job(layout, job.id, state="cancelled")

    late = update_job(layout, job.id, state="done", run_id="abc")

    assert (late.state, late.run_id) == ("cancelled", "abc")


def test_jobs_are_listed_newest_first_and_filtered(layout: Layout) -> None:
    first = add_job(layout, "bikes")
    second = add_job(layout, "cancer", state="running")
    third = add_job(layout, "bikes", state="running")

    assert [job.id for job in list_jobs(layout)] == [third.id, second.id, first.id]
    assert [job.id for job in list_jobs(layout, pipeline="bikes")] == [third.id, first.id]
    assert [job.id for job in list_jobs(layout, states=("queued",))] == [first.id]
    assert [job.id for job in list_jobs(layout, limit=1)] == [third.id]


def test_the_json_shape(layout: Layout) -> None:
    shape = add_job(layout, "bikes").as_json()

    assert {"id", "pipeline", "state", "trigger", "reason", "run_id", "created_at"} <= shape.keys()
    assert shape["created_at"].endswith("Z")


def test_a_job_is_found_by_the_beginning_of_its_id(layout: Layout) -> None:
    job = add_job(layout, "bikes", job_id="20260701-120000-abc")
    add_job(layout, "bikes", job_id="20260702-120000-abc")

    assert get_job(layout, "20260701") == job
    with pytest.raises(NotFoundError, match="several"):
        get_job(layout, "2026")
    with pytest.raises(NotFoundError, match="no job"):
        get_job(layout, "2027")


def test_asking_for_jobs_makes_no_file(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)

    assert list_jobs(layout) == []
    with pytest.raises(NotFoundError):
        get_job(layout, "x")
    assert not layout.state.exists()


def test_what_does_not_exist_is_refused(layout: Layout) -> None:
    with pytest.raises(UsageError, match="no job state"):
        add_job(layout, "bikes", state="sleeping")  # type: ignore[arg-type]
    job = add_job(layout, "bikes")
    with pytest.raises(TypeError, match="pipeline"):
        update_job(layout, job.id, pipeline="other")
    with pytest.raises(NotFoundError):
        update_job(layout, "nope", state="done")
