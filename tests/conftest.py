"""Projects whose store MLflow itself writes to, and child processes, for the tests of every room."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Threads of OpenMP that spin while they wait make parallel tests many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from store.file_registry import FileRegistry
from store.file_runs import FileRunStore
from store.layout import Layout
from store.moved import local_path
from store.tracking import tracking_environment

# The first example of a test imports numpy and pyarrow, and other tests run at the same time: how long one
# takes says nothing.
UNHURRIED = [HealthCheck.too_slow]
UNHURRIED_IN_ONE_FIXTURE = [*UNHURRIED, HealthCheck.function_scoped_fixture]
"""For tests whose examples share a fixture on purpose."""
settings.register_profile("shared machine", deadline=None, suppress_health_check=UNHURRIED)
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """Children react to ctrl-C and to a lost terminal also where the tests run in a shell's background."""
    ignored = [one for one in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_IGN]
    for one in ignored:
        signal.signal(one, signal.SIG_DFL)
    yield
    for one in ignored:
        signal.signal(one, signal.SIG_IGN)


def until(condition: Callable[[], Any], deadline_s: float = 90.0) -> Any:
    """What `condition` answers as soon as that is true of something."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it never came to this")


@dataclass(frozen=True)
class MlflowProject:
    """A project whose store plain MLflow and ours share."""

    layout: Layout
    uri: str
    client: Any

    @property
    def root(self) -> Path:
        return self.layout.root

    @property
    def mlruns(self) -> Path:
        return self.root / "mlruns"

    @property
    def runs(self) -> FileRunStore:
        return FileRunStore(self.mlruns)

    @property
    def registry(self) -> FileRegistry:
        return FileRegistry(self.mlruns, self.layout)

    def experiment(self, name: str = "cancer") -> str:
        found = self.client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self.client.create_experiment(name))

    def log_run(
        self,
        name: str = "run",
        *,
        experiment: str = "cancer",
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        models: Sequence[str] = (),
    ) -> str:
        """A finished run, logged by MLflow's client, with a logged model of each name."""
        from mlflow.entities import LoggedModelOutput

        experiment_id = self.experiment(experiment)
        run_id = str(self.client.create_run(experiment_id, run_name=name, tags=dict(tags or {})).info.run_id)
        for key, value in (params or {}).items():
            self.client.log_param(run_id, key, value)
        for key, number in (metrics or {}).items():
            self.client.log_metric(run_id, key, number)
        for model_name in models:
            model = self.client.create_logged_model(experiment_id, model_name, source_run_id=run_id)
            folder = local_path(model.artifact_location)
            assert folder is not None
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "MLmodel").write_text("flavors: {}\n")
            self.client.finalize_logged_model(model.model_id, "READY")
            self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        self.client.set_terminated(run_id)
        return run_id

    def with_versions(self, count: int, name: str = "cancer") -> FileRegistry:
        """The registry, with so many versions of one model in it."""
        run_id = self.log_run(metrics={"roc_auc": 0.9}, models=["model"])
        for _ in range(count):
            self.registry.register(name, run_id=run_id)
        return self.registry

    def stages(self, name: str = "cancer") -> dict[int, tuple[str, tuple[str, ...]]]:
        """Stage and aliases of each version, as MLflow sees them."""
        return {
            int(item.version): (
                item.current_stage,
                tuple(self.client.get_model_version(name, item.version).aliases),
            )
            for item in self.client.search_model_versions(f"name = '{name}'")
        }


def _open_mlflow_project(patch: pytest.MonkeyPatch, root: Path, uri: str | None = None) -> MlflowProject:
    address = uri or (root / "mlruns").as_uri()
    for variable, value in tracking_environment(address).items():
        patch.setenv(variable, value)
    import mlflow

    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    return MlflowProject(Layout.of(root), address, mlflow.MlflowClient(address, address))


@pytest.fixture
def open_mlflow_project(monkeypatch: pytest.MonkeyPatch) -> Callable[..., MlflowProject]:
    """Makes a project at a folder, for which MLflow's globals are set as `workbench env` would."""
    return partial(_open_mlflow_project, monkeypatch)


@pytest.fixture(scope="module")
def open_shared_mlflow_project() -> Iterator[Callable[..., MlflowProject]]:
    """As `open_mlflow_project`, for a project that the tests of a module share."""
    with pytest.MonkeyPatch.context() as patch:
        yield partial(_open_mlflow_project, patch)


@pytest.fixture
def mlflow_project(tmp_path: Path, open_mlflow_project: Callable[..., MlflowProject]) -> MlflowProject:
    return open_mlflow_project(tmp_path)


@pytest.fixture
def start_python(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts a child process that runs a piece of Python."""

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env=dict(os.environ),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts trainings as a watcher's queue does: forked from one process that has imported everything, which
    is seconds less for each than a new interpreter (which is what `train` starts by itself)."""
    from pipelines.forked import Forks

    forks = Forks(tmp_path_factory.mktemp("forked") / "server.log")
    yield forks
    forks.close()
