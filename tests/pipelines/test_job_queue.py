"""The queue of trainings: forked jobs, their limits and ends, and what becomes of those that were cut off."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import supervision
from pipelines.job_mending import settle_jobs
from pipelines.job_queue import JobQueue
from pipelines.request import TrainRequest
from pipelines.retrain import queue_training, retry_job
from pipelines.settings import PipelineSettings
from store.alerts import list_alerts
from store.errors import BusyError, StorageError, UsageError
from store.job_progress import read_log, read_progress, request_cancel
from store.jobs import Job, add_job, get_job, list_jobs, update_job
from store.layout import Layout
from store.runs import RunStore
from store.tracking import open_runs, resolve_uri
from tests.conftest import until

pytestmark = pytest.mark.slow

MODULES = {
    "good": "import os\nprint('forked by', os.getppid())\ndef features(frame):\n    return frame\n",
    "exits": "import sys\ndef features(frame):\n    sys.exit(0)\n",
    "binary": "import os\ndef features(frame):\n    os.write(1, b'\\xff\\x00\\x1b[2J')\n    return frame\n",
    "endless": (
        "import time\n"
        "def features(frame):\n"
        "    while True:\n"
        "        try:\n"
        "            time.sleep(0.02)\n"
        "        except BaseException:\n"
        "            pass\n"
    ),
    "hungry": (
        "import time\n"
        "def features(frame):\n"
        "    eaten = []\n"
        "    while True:\n"
        "        eaten.append(b'x' * 20_000_000)\n"
        "        time.sleep(0.02)\n"
    ),
    # The rows for training are seen before the run begins, those of a fold after it.
    "held": (
        "import time\n"
        "def features(frame):\n"
        "    while len(frame) < 48:\n"
        "        time.sleep(0.02)\n"
        "    return frame\n"
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = Layout.of(tmp_path_factory.mktemp("queue")).ensure()
    (layout.root / "t.csv").write_text("a,y\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(60)), "utf-8")
    for name, code in MODULES.items():
        (layout.root / f"{name}.py").write_text(code, "utf-8")
    return layout


@pytest.fixture(scope="module")
def queue(project: Layout) -> Iterator[JobQueue]:
    def no_request(job: Job) -> TrainRequest:
        raise AssertionError(f"{job.id} was queued with its settings")

    queue = JobQueue(project, no_request)
    yield queue
    queue.stop()


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "GRACE_S", 0.5)


def request(layout: Layout, name: str, **limits: Any) -> TrainRequest:
    settings = PipelineSettings.model_validate(
        {
            "data": "t.csv",
            "target": "y",
            "module": f"{name}.py",
            "estimator": "decision_tree",
            "split": {"cv_folds": 2 if name == "held" else 0},
            "limits": limits,
        }
    )
    return TrainRequest(name, settings, "mlruns", layout, reason="because")


def runs(layout: Layout) -> RunStore:
    return open_runs(resolve_uri("mlruns", layout.root), layout)


def ended(queue: JobQueue, job: Job, layout: Layout) -> Job:
    queue.step()
    until(lambda: queue.running is None)
    return get_job(layout, job.id)


def alerts(layout: Layout, pipeline: str) -> list[str]:
    return [alert.message for alert in list_alerts(layout) if alert.key == f"job_failed:{pipeline}"]


def test_the_next_job_is_forked_from_what_the_first_one_imported(project: Layout, queue: JobQueue) -> None:
    first = ended(queue, queue_training(request(project, "good")), project)
    server = queue.server_pid
    second = ended(queue, queue_training(request(project, "good")), project)
    assert (first.state, second.state) == ("done", "refused")
    assert (first.trigger, first.reason) == ("manual", "because")
    assert queue.server_pid == server
    progress = read_progress(project, second.id)
    assert progress is not None
    assert (progress.share, progress.time_left_s, progress.step) == (1.0, 0.0, 7)
    assert f"forked by {server}\n" in read_log(project, second.id)[0]
    run = runs(project).get(str(second.run_id))
    assert (run.tags["workbench.trigger"], run.tags["workbench.reason"]) == ("manual", "because")


def test_code_that_prints_bytes_trains(project: Layout, queue: JobQueue) -> None:
    job = ended(queue, queue_training(request(project, "binary")), project)
    assert job.state == "done"
    text, offset = read_log(project, job.id)
    assert "\ufffd\x00\x1b[2J" in text
    assert read_log(project, job.id, offset) == ("", offset)


@pytest.mark.parametrize(
    ("name", "limits", "error"),
    [
        ("exits", {}, "SystemExit"),
        ("endless", {"time": 1}, "longer than 1 s (limits.time)"),
        ("hungry", {"memory_mb": 600, "nice": 3}, "more than 600 (limits.memory_mb)"),
    ],
)
def test_code_that_goes_wrong_fails_only_its_job(
    project: Layout, queue: JobQueue, name: str, limits: dict[str, Any], error: str
) -> None:
    job = ended(queue, queue_training(request(project, name, **limits)), project)
    assert job.state == "failed"
    assert job.error is not None
    assert error in job.error
    assert alerts(project, name)
    assert "RUNNING" not in {run.status for run in runs(project).list()}


def test_a_running_job_is_cancelled_from_elsewhere_and_tried_again(project: Layout, queue: JobQueue) -> None:
    job = queue_training(request(project, "held"))
    with pytest.raises(BusyError, match="queued already"):
        queue_training(request(project, "held"))
    queue.step()
    running = until(lambda: (found := get_job(project, job.id)).run_id and found)
    with pytest.raises(UsageError, match="is running"):
        retry_job(project, job.id)
    request_cancel(project, job.id, who="ada", reason="wrong data")
    until(lambda: queue.running is None)
    cancelled = get_job(project, job.id)
    assert cancelled.state == "cancelled"
    assert "cancelled by ada: wrong data" in str(cancelled.error)
    assert runs(project).get(running.run_id).status == "KILLED"
    assert alerts(project, "held") == []
    again = retry_job(project, job.id)
    assert (again.state, again.trigger, again.reason) == ("queued", "retry", "because")
    assert request_cancel(project, again.id).state == "cancelled"
    queue.step()
    assert queue.running is None


def test_a_job_whose_processes_were_killed_leaves_no_run_running_and_is_queued_again(
    project: Layout, queue: JobQueue
) -> None:
    job = queue_training(request(project, "held"))
    queue.step()
    running = until(
        lambda: (found := get_job(project, job.id)).run_id and found.pid not in (None, os.getpid()) and found
    )
    # As a power cut leaves it: the row and the run say running, and nobody is there.
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: queue.running is None)
    assert runs(project).get(running.run_id).status == "FAILED"
    dead = add_job(project, "held", state="running", trigger="new_data", reason="one file")
    update_job(project, dead.id, run_id=running.run_id)
    assert [one.id for one in settle_jobs(project)] == [dead.id]
    (again,) = list_jobs(project, states=("queued",))
    assert (again.pipeline, again.trigger, again.reason) == ("held", "new_data", "one file")
    request_cancel(project, again.id)


def test_what_can_pass_is_tried_again_later(layout: Layout) -> None:
    def away(job: Job) -> TrainRequest:
        raise StorageError("the store is away")

    queue = JobQueue(layout, away)
    add_job(layout, "p", trigger="schedule", reason="weekly")
    queue.step()
    until(lambda: queue.running is None)
    again, failed = list_jobs(layout)
    assert (failed.state, again.state, again.reason) == ("failed", "queued", "weekly")
    queue.step()
    assert queue.running is None
    assert list_alerts(layout) == []
    queue.stop()


def test_the_process_that_jobs_are_forked_from_ends_when_idle(
    project: Layout, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(queue, queue_training(request(project, "exits")), project)
    pid = queue.server_pid
    assert pid is not None
    monkeypatch.setattr("pipelines.job_queue.IDLE_S", 0.0)
    queue.step()
    assert queue.server_pid is None
    assert not Path(f"/proc/{pid}").exists()
