"""Scoring by the clock: a job like a training, and each row logged once wherever it is killed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.job_process import Starter
from pipelines.job_queue import JobQueue
from pipelines.launch import train
from pipelines.request import TrainRequest
from pipelines.scheduled_scoring import ScheduledScoring
from pipelines.schedules import Schedules
from pipelines.score_request import ScoreRequest
from pipelines.score_settings import ScoreSettings
from pipelines.settings import LimitSettings, PipelineSettings
from store.alerts import list_alerts
from store.fold import fold
from store.job_progress import read_progress, request_cancel
from store.jobs import Job, get_job, list_jobs, update_job
from store.journal import read_events
from store.layout import Layout
from store.predictions import PredictionReader
from store.settings import StoreSettings
from tests.conftest import until

pytestmark = pytest.mark.slow

NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
SCORE = {"input": "in", "output": "out", "cron": "* * * * *"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, forked: Starter) -> Layout:
    layout = Layout.of(tmp_path_factory.mktemp("scoring")).ensure()
    (layout.root / "t.csv").write_text("a,y\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(60)), "utf-8")
    settings = {"data": "t.csv", "target": "y", "estimator": "decision_tree", "split": {"cv_folds": 0}}
    train(TrainRequest("p", PipelineSettings.model_validate(settings), "mlruns", layout), start=forked)
    (layout.root / "in").mkdir()
    return layout


def request(layout: Layout, **limits: Any) -> ScoreRequest:
    settings = ScoreSettings.model_validate(SCORE)
    limit = LimitSettings.model_validate(limits)
    return ScoreRequest("p", "p", settings, layout, StoreSettings(), "mlruns", limits=limit)


def enter(layout: Layout, name: str, rows: int) -> None:
    (layout.root / "in" / name).write_text("a\n" + "".join(f"{n % 7}\n" for n in range(rows)), "utf-8")


def logged(layout: Layout) -> list[str]:
    fold(layout)
    query = PredictionReader(layout).query("SELECT prediction_id FROM predictions ORDER BY ALL")
    return [row[0] for row in query.rows]


def answered(layout: Layout) -> list[str]:
    ids: list[str] = []
    for path in (layout.root / "out").glob("*.csv"):
        with path.open(newline="") as file:
            ids += [row["prediction_id"] for row in csv.DictReader(file)]
    return sorted(ids)


KILLED = """
import json, os, sys
import numpy, pandas, sklearn.tree  # before the forks
from pipelines import score, score_files
from pipelines.score_request import ScoreRequest

request = ScoreRequest.from_json(json.loads(sys.argv[1]))
score.CHUNK_ROWS = 10
real = score_files.move_all
die = lambda *arguments, **options: os._exit(9)

def midway(number, files, words, share):
    if words.endswith(" 30 rows"):
        os._exit(9)

def half(moves):
    real(moves[:1])
    os._exit(9)

def keep_all_but_the_end(layout, pipeline, name, entry):
    if "moves" not in entry:
        os._exit(9)
    keep(layout, pipeline, name, entry)

keep = score_files._keep
points = [
    lambda: score_files.score_files(request, "j", on_progress=midway),
    lambda: setattr(score_files, "move_all", die),
    lambda: setattr(score_files, "move_all", half),
    lambda: setattr(score_files, "append_event", die),
    lambda: setattr(score_files, "_keep", keep_all_but_the_end),
]
for point in points:
    pid = os.fork()
    if pid == 0:
        point()
        score_files.score_files(request, "j")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(len(score_files.score_files(request, "j")))
"""


def test_rows_are_logged_once_wherever_a_scoring_is_killed(project: Layout) -> None:
    enter(project, "x.csv", 100)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(request(project).as_json())],
        capture_output=True,
        text=True,
        check=True,
        cwd=project.root,
    )
    # Killed five times; behind the second time all that is left to do is what was decided then.
    assert done.stdout.split() == ["9"] * 5 + ["0"], done.stderr
    assert len(answered(project)) == 100
    assert logged(project) == answered(project)
    assert [event.details["rows"] for event in read_events(project, what="scored")] == [100]
    assert [path.name for path in (project.root / "out").iterdir()] == ["x.csv"]


def ended(queue: JobQueue, job: Job, layout: Layout) -> Job:
    queue.step()
    until(lambda: queue.running is None)
    return get_job(layout, job.id)


def no_training(job: Job) -> TrainRequest:
    raise AssertionError(job.id)


def test_the_clock_queues_a_job_that_is_limited_cancelled_and_done(project: Layout) -> None:
    limits: dict[str, Any] = {"memory_mb": 20}
    queue = JobQueue(project, no_training, make_scoring=lambda job: request(project, **limits))
    wanted = {"p": PipelineSettings.model_validate({"data": "t.csv", "target": "y", "score": SCORE})}
    clock = ScheduledScoring(project, Schedules(project))
    assert clock.step(wanted, NOON) == []
    assert clock.step(wanted, NOON + timedelta(minutes=1)) == [], "no file is new"
    enter(project, "y.csv", 40)
    (greedy,) = clock.step(wanted, NOON + timedelta(minutes=3))
    assert (greedy.kind, greedy.reason) == ("score", "schedule * * * * *, due 2026-03-02 12:02 UTC")
    assert clock.step(wanted, NOON + timedelta(minutes=4)) == [], "one at a time"
    before = len(logged(project))

    greedy = ended(queue, greedy, project)
    assert greedy.state == "failed"
    assert "more than 20 (limits.memory_mb)" in str(greedy.error)
    assert [alert.key for alert in list_alerts(project) if alert.is_live] == ["score_failed:p"]

    limits.clear()
    (again,) = clock.step(wanted, NOON + timedelta(minutes=4))
    queue.step()
    request_cancel(project, again.id, who="ada")
    until(lambda: queue.running is None)
    assert get_job(project, again.id).state == "cancelled"
    assert len(logged(project)) == before

    (last,) = clock.step(wanted, NOON + timedelta(minutes=5))
    last = ended(queue, last, project)
    assert (last.state, last.version) == ("done", 1)
    progress = read_progress(project, last.id)
    assert progress is not None
    assert (progress.share, progress.text) == (1.0, "40 rows of 1 file")
    assert len(logged(project)) == before + 40
    assert not [alert for alert in list_alerts(project) if alert.is_live]
    queue.stop()


def test_a_moment_of_the_clock_is_scored_once_although_nobody_noted_it(layout: Layout) -> None:
    wanted = {"p": PipelineSettings.model_validate({"data": "t.csv", "target": "y", "score": SCORE})}
    (layout.root / "in").mkdir()
    enter(layout, "x.csv", 1)
    ScheduledScoring(layout, Schedules(layout)).step(wanted, NOON)

    class Forgetful(Schedules):
        def served(self, *_: Any) -> None:
            """As killed before it."""

    later = NOON + timedelta(minutes=1)
    (job,) = ScheduledScoring(layout, Forgetful(layout)).step(wanted, later)
    update_job(layout, job.id, state="done")
    assert ScheduledScoring(layout, Schedules(layout)).step(wanted, later) == []
    assert len(list_jobs(layout)) == 1
