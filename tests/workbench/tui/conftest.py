"""What tests of the terminal UI share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from textual import _wait
from textual.app import App
from textual.pilot import Pilot

Script = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def messages_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pilot takes an app for idle when its process has used no CPU for 20 ms. One that was not given any,
    on a busy machine, has not: what messages lead to one another is seen to before the test goes on."""

    async def wait_for_idle(*arguments: Any, **options: Any) -> None:
        await _wait.wait_for_idle(*arguments, **options)
        for _ in range(100):
            await asyncio.sleep(0)

    monkeypatch.setattr("textual.pilot.wait_for_idle", wait_for_idle)
    monkeypatch.setattr("textual.app.wait_for_idle", wait_for_idle)


@pytest.fixture
def drive() -> Callable[..., None]:
    """Runs an app without a terminal and lets a script press its keys."""

    def run(app: App[Any], script: Script, size: tuple[int, int] = (80, 24)) -> None:
        async def session() -> None:
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                await script(pilot)

        asyncio.run(session())

    return run


async def _settle(pilot: Pilot[Any], deadline_s: float = 90.0) -> None:
    """Wait until every question to the desk is answered and shown."""
    from workbench.tui.frame.asking import Asking

    app = pilot.app
    ends_at = time.monotonic() + deadline_s
    while True:
        await app.workers.wait_for_complete()
        await pilot.pause()
        asking = [node for node in (app, *app.screen_stack) if isinstance(node, Asking) and node._waiting()]
        if not asking and not any(not worker.is_finished for worker in app.workers):
            return
        assert time.monotonic() < ends_at, f"still asking: {asking}"


@pytest.fixture
def settle() -> Callable[..., Awaitable[None]]:
    """Awaits whatever was asked in workers, and its being shown."""
    return _settle


@pytest.fixture
def shown(settle: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Refreshes the screen until it shows what is waited for: a look that was on its way before may still
    tell how it was, and one that asks a busy server may come back without an answer."""

    async def wait(pilot: Pilot[Any], condition: Callable[[], Any], deadline_s: float = 90.0) -> None:
        ends_at = time.monotonic() + deadline_s
        await settle(pilot)
        while not condition():
            assert time.monotonic() < ends_at, "it never came to this"
            await pilot.press("f5")
            await settle(pilot)

    return wait


@pytest.fixture
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[datetime]:
    """It is noon on 2 May 2026, in UTC, as far as what is shown goes."""
    from workbench.tui.widgets import formats

    now = datetime(2026, 5, 2, 12, tzinfo=UTC)
    monkeypatch.setattr(formats, "current_time", lambda: now)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield now
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def settled() -> Callable[[Pilot[Any]], Awaitable[None]]:
    """Waits until the desk is open and every question of the app and its screens is answered."""

    async def wait(pilot: Pilot[Any]) -> None:
        app = pilot.app
        deadline = time.monotonic() + 90
        quiet = 0
        is_partial = False
        while quiet < 3:
            assert time.monotonic() < deadline, "the app never came to rest"
            await app.workers.wait_for_complete()
            await pilot.pause(0.02)
            screens = [app, *app.screen_stack]
            is_open = app.desk is not None or app.place.is_empty
            is_quiet = is_open and all(getattr(each, "is_settled", True) for each in screens)
            if is_quiet and is_partial:  # read in parts on a busy machine: ask for the rest
                getattr(app.screen, "look", lambda: None)()
                is_quiet = False
            is_partial = is_open and not getattr(getattr(app.desk, "runs", None), "is_complete", True)
            quiet = quiet + 1 if is_quiet and not is_partial else 0

    return wait


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with five runs of two experiments, with fixed ids, times and values."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = tmp_path / "shop"
    root.mkdir()
    (root / "workbench.toml").write_text(
        '[project]\nname = "shop"\n\n[pipelines.churn]\ndata = "data"\ntarget = "churned"\n'
    )
    for experiment_id, name in (("101", "churn"), ("102", "spend")):
        write_experiment(root, experiment_id, name)
    write_run(root, "101", "a" * 32, "tree", minute=0, params={"max_depth": 3}, metrics={"roc_auc": 0.90})
    write_run(root, "101", "b" * 32, "forest", minute=1, params={"max_depth": 8}, metrics={"roc_auc": 0.95})
    write_run(
        root,
        "101",
        "c" * 32,
        "boosting",
        minute=2,
        params={"max_depth": 5},
        metrics={"roc_auc": 0.93, "log_loss": 0.21},
        history={"log_loss": [0.9, 0.6, 0.4, 0.3, 0.21]},
    )
    write_run(root, "102", "d" * 32, "ridge", minute=3, params={"alpha": 1.0}, metrics={"rmse": 61.0})
    write_run(root, "102", "e" * 32, "lasso [bold]", minute=4, params={"alpha": 0.1}, metrics={"rmse": 58.5})
    return root


def write_experiment(root: Path, experiment_id: str, name: str) -> None:
    folder = root / "mlruns" / experiment_id
    folder.mkdir(parents=True)
    (folder / "meta.yaml").write_text(
        f"artifact_location: {folder.as_uri()}\ncreation_time: 1700000000000\n"
        f"experiment_id: '{experiment_id}'\nlast_update_time: 1700000000000\n"
        f"lifecycle_stage: active\nname: {name}\n"
    )


def write_run(
    root: Path,
    experiment_id: str,
    run_id: str,
    name: str,
    *,
    minute: int,
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    history: Mapping[str, list[float]] | None = None,
) -> None:
    """A finished run with a model, as MLflow's file store lays it out."""
    folder = root / "mlruns" / experiment_id / run_id
    for part in ("params", "metrics", "tags", "artifacts/model"):
        (folder / part).mkdir(parents=True)
    begin = 1_700_000_000_000 + 60_000 * minute
    for key, value in params.items():
        (folder / "params" / key).write_text(str(value))
    for key, value in metrics.items():
        points = (history or {}).get(key, [value])
        lines = [f"{begin + 1000 * step} {point} {step}\n" for step, point in enumerate(points)]
        (folder / "metrics" / key).write_text("".join(lines))
    (folder / "tags" / "mlflow.runName").write_text(name)
    (folder / "artifacts" / "model" / "MLmodel").write_text(f"flavors: {{}}\nrun_id: {run_id}\n")
    (folder / "artifacts" / "notes.txt").write_text(f"what {name} showed\n")
    (folder / "meta.yaml").write_text(
        f"artifact_uri: {(folder / 'artifacts').as_uri()}\nend_time: {begin + 2000}\n"
        f"experiment_id: '{experiment_id}'\nlifecycle_stage: active\nrun_id: {run_id}\n"
        f"run_name: '{name}'\nrun_uuid: {run_id}\nstart_time: {begin}\nstatus: 3\nuser_id: ann\n"
    )
