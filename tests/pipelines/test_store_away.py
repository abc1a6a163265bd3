"""The MLflow store is away for a while: nothing is begun in its place, and no run says RUNNING for ever."""

from __future__ import annotations

import json
import time

import pytest

from pipelines.job_queue import JobQueue
from pipelines.launch import train
from pipelines.request import TrainEvent, TrainRequest
from pipelines.retrain import queue_training
from pipelines.settings import PipelineSettings
from pipelines.unfinished_runs import UnfinishedRuns, finish_run, unfinished
from store.errors import StorageError
from store.file_runs import FileRunStore
from store.jobs import add_job, list_jobs, update_job
from store.journal import read_events
from store.layout import Layout
from store.state_notes import keep_note
from store.tracking import open_runs, resolve_uri
from tests.conftest import MlflowProject, until

pytestmark = pytest.mark.slow


MODULE = """
import time
from pathlib import Path
from sklearn.tree import DecisionTreeClassifier

class Patient(DecisionTreeClassifier):
    def fit(self, X, y):
        while not Path("elsewhere").exists():
            time.sleep(0.02)
        return super().fit(X, y)

def build(params):
    return Patient(**params)
"""


def request(layout: Layout, **more: object) -> TrainRequest:
    settings = {
        "data": "t.csv",
        "target": "y",
        "estimator": "decision_tree",
        "split": {"cv_folds": 0},
        **more,
    }
    return TrainRequest("p", PipelineSettings.model_validate(settings), "mlruns", layout, reason="because")


def test_trainings_wait_for_a_store_that_is_away_and_end_their_runs_once_it_is_back(layout: Layout) -> None:
    mlruns, away = layout.root / "mlruns", layout.root / "elsewhere"
    (layout.root / "patient.py").write_text(MODULE, "utf-8")
    (layout.root / "t.csv").write_text("a,y\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(60)), "utf-8")

    def take_away(event: TrainEvent) -> None:
        # The run has begun, and its process waits for this before it writes on: MLflow, writing in this very
        # moment, would make the folder anew.
        if event.run_id is not None and not away.exists():
            mlruns.rename(away)

    with pytest.raises(StorageError):
        train(request(layout, module="patient.py", estimator=None), on_event=take_away)
    (failed,) = list_jobs(layout)
    assert failed.state == "failed"
    assert list(unfinished(layout)) == [failed.run_id]
    (event,) = read_events(layout, what="training_failed")
    assert (event.details["wanted"], event.details["trigger"]) == ("because", "manual")
    UnfinishedRuns(layout, pause_s=0.0).step()
    assert unfinished(layout), "its store is still away"
    away.rename(mlruns)
    UnfinishedRuns(layout, pause_s=0.0).step()
    assert not unfinished(layout)
    (run,) = open_runs(resolve_uri("mlruns", layout.root), layout).list()
    assert run.status == "FAILED"


class Server:
    """A store as one that has no files here: what ends a run is a process with MLflow's client."""

    def __init__(self, runs: FileRunStore) -> None:
        self.get = runs.get


def test_a_run_of_a_database_or_a_server_is_ended_by_a_process_of_its_own(
    mlflow_project: MlflowProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, client = mlflow_project.layout, mlflow_project.client
    monkeypatch.setattr("pipelines.unfinished_runs.open_runs", lambda *_: Server(mlflow_project.runs))
    now, later = (client.create_run(mlflow_project.experiment()).info.run_id for _ in range(2))
    finish_run(layout, mlflow_project.uri, now, "KILLED")
    if mlflow_project.runs.get(now).status == "RUNNING":  # a machine that takes a minute for it
        assert list(unfinished(layout)) == [now]
    note = {"status": "FAILED", "uri": mlflow_project.uri, "at": time.time()}
    keep_note(layout, f"run.unfinished:{later}", json.dumps(note))
    runs = UnfinishedRuns(layout, pause_s=0.0)

    def is_finished() -> bool:
        runs.step()
        return not unfinished(layout)

    until(is_finished)
    assert [mlflow_project.runs.get(run_id).status for run_id in (now, later)] == ["KILLED", "FAILED"]


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
