"""A search on a real Dask cluster: a scheduler and two workers that know nothing of this product."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from pipelines import metrics
from pipelines.dask_workers import DaskWorkers
from pipelines.fitting import Fitter
from pipelines.search import Candidate, SearchResult, parameter_names, search
from pipelines.search_settings import SearchSettings
from pipelines.search_workers import LocalWorkers
from pipelines.user_module import UserModule, load_user_module
from store.errors import TrainingError

pytestmark = pytest.mark.slow

MODULE = "def features(frame):\n    return frame.assign(ab=frame['a'] * frame['b'])\n"
SETTINGS = SearchSettings.model_validate({"params": {"C": [0.001, 0.1, 1.0, 10.0]}, "cv": 3})
GENERATOR = np.random.default_rng(5)
X = pd.DataFrame(GENERATOR.normal(size=(200, 2)), columns=list("ab"))
Y = (X["a"] * X["b"] > 0).to_numpy().astype(int)


class Cluster:
    """A scheduler on loopback and its workers, as processes that can't import this product."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "block.py").write_text(
            "import sys\n"
            "for name in ('pipelines', 'store', 'serve', 'workbench'):\n"
            "    sys.modules[name] = None\n"
        )
        self.processes: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.readers: list[threading.Thread] = []
        self.address = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")

    def add_worker(self) -> None:
        options = (
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--preload",
            str(self.folder / "block.py"),
        )
        self._start("worker", self.address, "--local-directory", str(self.folder), *options)
        self.workers.append(self.processes[-1])

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
        for process in self.processes:
            process.wait()
        for reader in self.readers:
            reader.join()

    def _start(self, *arguments: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        self.processes.append(process)
        assert process.stderr is not None
        sign = (
            rb"Scheduler at:\s*(tcp://\S+)"
            if arguments[0] == "scheduler"
            else rb"Registered to:\s*(tcp://\S+)"
        )
        for line in process.stderr:
            if found := re.search(sign, line):
                self.readers.append(threading.Thread(target=drain, args=(process.stderr,), daemon=True))
                self.readers[-1].start()
                return found[1].decode()
        raise AssertionError(f"dask {arguments[0]} ended")


def drain(pipe: IO[bytes]) -> None:
    with pipe:
        pipe.read()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        cluster.add_worker()
        cluster.add_worker()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def user(tmp_path: Path) -> UserModule:
    path = tmp_path / "mine.py"
    path.write_text(MODULE)
    return load_user_module(path, "demo")


def pipeline_of(user: UserModule) -> Pipeline:
    return Pipeline([("features", FunctionTransformer(user.features)), ("model", LogisticRegression())])


def run(pipeline: Pipeline, workers: Any, on_fit: Any = None) -> SearchResult:
    def ignore(*_: object) -> None:
        return None

    return search(
        SETTINGS,
        pipeline,
        X,
        Y,
        Y,
        list(KFold(3).split(X)),
        task="binary",
        classes=(0, 1),
        metric=metrics.find("accuracy", "binary"),
        fitter=Fitter(None, None),
        workers=workers,
        seed=0,
        on_fit=on_fit or ignore,
        on_end=ignore,
    )


def test_the_results_are_those_of_this_machine_even_when_a_worker_is_killed(
    cluster: Cluster, user: UserModule
) -> None:
    pipeline = pipeline_of(user)
    names = parameter_names(pipeline, SETTINGS.params)
    here = run(pipeline, LocalWorkers(pipeline, X, Y, names))
    victim = cluster.workers[1]

    def kill_one(candidate: Candidate, done: int, total: int) -> None:
        if victim.poll() is None:
            victim.send_signal(signal.SIGKILL)
            victim.wait()

    with DaskWorkers(cluster.address, pipeline, X, Y, names, modules=user.modules) as workers:
        there = run(pipeline, workers, kill_one)
    assert victim.returncode == -signal.SIGKILL
    assert [c.scores for c in there.candidates] == [c.scores for c in here.candidates]
    assert there.best.params == here.best.params


def test_a_cluster_that_cannot_be_used_is_named_before_anything_is_sent(
    user: UserModule, tmp_path: Path
) -> None:
    pipeline = pipeline_of(user)
    names = parameter_names(pipeline, SETTINGS.params)
    with (
        pytest.raises(TrainingError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"),
        DaskWorkers("tcp://127.0.0.1:1", pipeline, X, Y, names),
    ):
        pass
    lonely = Cluster(tmp_path)
    try:
        with (
            pytest.raises(TrainingError, match="has no workers"),
            DaskWorkers(lonely.address, pipeline, X, Y, names),
        ):
            pass
    finally:
        lonely.end()
