"""The MLflow store is away for a while: nothing is begun in its place, and no run says RUNNING for ever."""

from __future__ import annotations

import pytest

from pipelines.job_queue import JobQueue
from pipelines.launch import train
from pipelines.request import TrainEvent, TrainRequest
from pipelines.retrain import queue_training
from pipelines.settings import PipelineSettings
from pipelines.unfinished_runs import UnfinishedRuns, unfinished
from store.errors import StorageError
from store.jobs import add_job, list_jobs, update_job
from store.journal import read_events
from store.layout import Layout
from store.tracking import open_runs, resolve_uri
from tests.conftest import until

pytestmark = pytest.mark.slow


def request(layout: Layout) -> TrainRequest:
    settings = {"data": "t.csv", "target": "y", "estimator": "decision_tree", "split": {"cv_folds": 0}}
    return TrainRequest("p", PipelineSettings.model_validate(settings), "mlruns", layout, reason="because")


def test_trainings_wait_for_a_store_that_is_away_and_end_their_runs_once_it_is_back(layout: Layout) -> None:
    mlruns, away = layout.root / "mlruns", layout.root / "elsewhere"
    (layout.root / "t.csv").write_text("a,y\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(60)), "utf-8")

    def take_away(event: TrainEvent) -> None:
        if event.run_id is not None and mlruns.exists():
            mlruns.rename(away)

    with pytest.raises(StorageError):
        train(request(layout), on_event=take_away)
    (failed,) = list_jobs(layout)
    assert failed.state == "failed"
    assert list(unfinished(layout)) == [failed.run_id]
    (event,) = read_events(layout, what="training_failed")
    assert (event.details["wanted"], event.details["trigger"]) == ("because", "manual")
    UnfinishedRuns(layout, pause_s=0.0).step()
    assert unfinished(layout), "its store is still away"
    away.rename(mlruns)
    runs = UnfinishedRuns(layout, pause_s=0.0)

    def is_finished() -> bool:
        runs.step()
        return not unfinished(layout)

    until(is_finished)
    (run,) = open_runs(resolve_uri("mlruns", layout.root), layout).list()
    assert run.status == "FAILED"


def test_no_empty_store_is_made_where_trainings_were_logged_before(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = add_job(layout, "p", state="running")
    update_job(layout, known.id, state="done", run_id="r")
    queue = JobQueue(layout, lambda job: request(layout))
    job = queue_training(request(layout))
    queue.step()
    until(lambda: queue.running is None)
    again, failed, _ = list_jobs(layout)
    assert failed.id == job.id
    assert "is away" in str(failed.error)
    assert not (layout.root / "mlruns").exists()
    queue.step()
    assert queue.running is None
    assert f"{layout.root / 'mlruns'} to be there again" in queue.put_off["p"]
    (layout.root / "mlruns").mkdir()
    begun: list[str] = []
    monkeypatch.setattr("pipelines.job_queue.train", lambda request, job_id, **_: begun.append(job_id))
    queue.step()
    until(lambda: begun == [again.id])
    queue.stop()
