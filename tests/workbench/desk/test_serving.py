"""A real server, started, watched, asked and ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store.errors import UsageError, WorkbenchError
from store.keys import create_key
from store.layout import Layout
from workbench.desk import try_one
from workbench.desk.loopback import UnreachableError, ask
from workbench.desk.place import find_place
from workbench.desk.recent import RecentPredictions
from workbench.desk.serving import ServingDesk, last_lines

DEADLINE_S = 90.0


@pytest.fixture
def serving(project: Path) -> Iterator[Any]:
    """The desk of a project whose server takes a free port; a server that still runs is ended."""
    from workbench.desk.desk import open_desk

    with (project / "workbench.toml").open("a") as settings:
        settings.write("\n[serve]\nport = 0\nreload_seconds = 0.1\n")
    desk = ServingDesk(open_desk(find_place(project)))
    yield desk
    desk.stop()


def wait_for(condition: Callable[[], Any]) -> Any:
    ends_at = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends_at:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE_S} s")


def test_off_is_a_state_and_no_error(serving: ServingDesk) -> None:
    state = serving.look()
    assert state.server is None
    assert state.can_start
    assert state.models == ()


def test_a_bare_store_of_runs_cannot_be_served(tmp_path: Path) -> None:
    from workbench.desk.desk import open_desk

    (tmp_path / "elsewhere" / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "elsewhere" / "mlruns" / "0" / "meta.yaml").write_text("name: Default\nexperiment_id: '0'\n")
    serving = ServingDesk(open_desk(find_place(tmp_path / "elsewhere" / "mlruns")))
    assert not serving.look().can_start
    with pytest.raises(UsageError, match="needs a project"):
        serving.start()


@pytest.mark.slow
def test_a_server_is_started_asked_and_stopped(
    serving: ServingDesk, add_model: Callable[..., str], project: Path
) -> None:
    add_model()
    server = serving.start()
    state = serving.look()
    assert state.server == server
    assert state.is_ours
    assert [(row.name, row.version, row.status, row.is_default) for row in state.models] == [
        ("churn", 1, "serving", True)
    ]

    form = try_one.form_for(server.url, "churn")
    assert [(field.name, field.text, field.hint) for field in form.fields] == [
        ("age", "42", "number 0 … 120"),
        ("orders", "5", "number"),
    ]
    create_key(Layout.of(project), "shop")
    wait_for(lambda: ask(server.url, "/models/churn/drift").status == 401)
    assert [field.text for field in try_one.form_for(server.url, "churn").fields] == ["", ""]
    form = try_one.form_for(server.url, "churn", serving.key())
    assert [field.text for field in form.fields] == ["42", "5"]
    answer = try_one.predict(server.url, form, {"age": "42", "orders": "7"})
    assert (answer.model, answer.version, answer.prediction) == ("churn", 1, "1")
    assert answer.is_logged
    with pytest.raises(try_one.FormError) as refused:
        try_one.predict(server.url, form, {"age": "130", "orders": "7"})
    assert list(refused.value.errors) == ["age"]
    assert "120" in refused.value.errors["age"]

    state = serving.look()
    assert (state.counters.total.rows, state.counters.total.invalid) == (1, 1)
    assert state.latency.p99_ms is not None
    recent = RecentPredictions(Layout.of(project))
    (row,) = wait_for(lambda: recent.read().rows)
    assert (row.model, str(row.prediction), dict(row.features)) == (
        "churn",
        "1",
        {"age": 42.0, "orders": 7.0},
    )
    assert recent.read() is recent.read()

    assert serving.stop()
    assert serving.look().server is None
    assert not serving.stop()
    assert any("churn version 1 is in service" in line for line in serving.log())


@pytest.mark.slow
def test_a_server_started_elsewhere_is_watched_and_a_dead_one_is_seen(
    serving: ServingDesk, add_model: Callable[..., str], project: Path
) -> None:
    from serve import control
    from store import background

    add_model()
    server = control.start_background(project)
    assert serving.start() == server
    state = serving.look()
    assert state.server == server
    assert not state.is_ours
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: serving.look().server is None)
    if (child := background._children.pop(server.pid, None)) is not None:
        child.wait()


@pytest.mark.slow
def test_detaching_leaves_it_running(serving: ServingDesk, add_model: Callable[..., str]) -> None:
    add_model()
    serving.start()
    serving.detach()
    state = serving.look()
    assert state.server is not None
    assert not state.is_ours


@pytest.mark.slow
def test_a_version_that_cannot_be_loaded_is_told_beside_the_one_that_answers(
    serving: ServingDesk, add_model: Callable[..., str], make_run: Callable[..., str], workbench: Any
) -> None:
    add_model()
    serving.start()
    broken = make_run("broken", has_model=True)
    assert workbench("models", "register", broken).code == 0
    assert workbench("models", "promote", "churn", "2", "--yes").code == 0
    (row,) = wait_for(lambda: [row for row in serving.look().models if row.problem])
    assert (row.name, row.version, row.status) == ("churn", 1, "old")
    assert row.problem.startswith("v2: ")


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(serving: ServingDesk, project: Path) -> None:
    settings = project / "workbench.toml"
    settings.write_text(settings.read_text().replace("port = 0", 'port = 0\nhost = "256.1.1.1"'))
    with pytest.raises(WorkbenchError, match="256"):
        serving.start()


def test_nobody_answering_is_an_error_in_words() -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        ask("http://127.0.0.1:9", "/metrics")


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("".join(f"line {number}\n" for number in range(20_000)))
    assert last_lines(log, 3) == ("line 19997", "line 19998", "line 19999")
    assert last_lines(tmp_path / "none.log", 3) == ()
