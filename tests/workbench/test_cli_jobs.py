"""`workbench jobs` and `workbench train --queue`, in process."""

from __future__ import annotations

from store.jobs import add_job, update_job
from store.layout import Layout


def test_a_training_is_queued_shown_cancelled_and_tried_again(workbench, project):
    queued = workbench("train", "churn", "--queue", "--set", "params.C=2", "--reason", "later", "--json").json
    assert (queued["state"], queued["trigger"], queued["reason"]) == ("queued", "manual", "later")
    again = workbench("train", "churn", "--queue")
    assert again.code == 1
    assert "queued already" in again.err
    assert workbench("jobs", "retry", queued["id"]).code == 2

    cancelled = workbench("jobs", "cancel", queued["id"], "--reason", "changed my mind", "--json").json
    assert cancelled["state"] == "cancelled"
    assert cancelled["error"].endswith("changed my mind")
    twice = workbench("jobs", "cancel", queued["id"])
    assert (twice.code, twice.out) == (2, "")

    retried = workbench("jobs", "retry", queued["id"])
    assert retried.code == 0
    assert "Nobody watches this project" in retried.err
    assert [job["trigger"] for job in workbench("jobs", "list", "--json").json] == ["retry", "manual"]
    shown = workbench("jobs", "show", queued["id"], "--json").json
    assert shown["progress"] is None


def test_a_log_shows_without_what_could_harm_a_terminal(workbench, project):
    layout = Layout.of(project).ensure()
    job = add_job(layout, "churn", state="running")
    (layout.jobs / job.id).mkdir(parents=True)
    (layout.jobs / job.id / "log").write_bytes(b"one\n\x1b[2Jtwo\xff\n")
    update_job(layout, job.id, state="failed", error="it broke")
    result = workbench("jobs", "log", job.id, "--follow")
    assert result.code == 0
    assert result.out.startswith("one\n")
    assert "\x1b" not in result.out
    assert "is failed: it broke" in result.err
