"""The registry when processes are killed on their way, and when many work on it at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from store.journal import check_journal

if TYPE_CHECKING:
    from tests.conftest import MlflowProject

Start = Callable[..., "subprocess.Popen[str]"]


DIE_AT_STEP = """
import os, signal, sys, traceback
from pathlib import Path
from store.file_registry import FileRegistry
from store.layout import Layout

def change(step):
    left = step
    def counted(call):
        def counting(*args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return counting
    for name in ("replace", "rename", "fsync", "unlink", "write"):
        setattr(os, name, counted(getattr(os, name)))
    root = Path(sys.argv[1])
    registry = FileRegistry(root / "mlruns", Layout.of(root))
    if sys.argv[2] == "promote":
        registry.promote("cancer", int(sys.argv[3]), who="ann", reason="why")
    else:
        registry.register("cancer", run_id=sys.argv[3], who="ann", reason="why")

for line in sys.stdin:  # each change in a process of its own, without the time to start one
    child = os.fork()
    if child == 0:
        try:
            change(int(line))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def kill_at_every_step(
    project: MlflowProject, after: Callable[[], None], method: str, *arguments: object
) -> int:
    """Run a change in children, the nth killed before its nth step; returns how many steps there are."""
    command = [sys.executable, "-c", DIE_AT_STEP, str(project.root), method, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as forker:
        assert forker.stdin is not None
        assert forker.stdout is not None
        for step in range(200):
            print(step, file=forker.stdin, flush=True)
            ended = int(forker.stdout.readline())
            if ended not in (0, -signal.SIGKILL):
                pytest.fail(forker.communicate()[1])
            after()
            if ended == 0:
                forker.communicate()
                return step
    pytest.fail("the change never came to its end")


@pytest.mark.slow
def test_a_promotion_killed_between_any_two_steps_settles(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(2)
    registry.promote("cancer", 1)

    def check() -> None:
        shown = registry.model("cancer").champion
        registry.settle()
        champion = registry.model("cancer").champion
        assert (shown, champion) in ((1, 1), (1, 2), (2, 2))
        seen = mlflow_project.stages()
        assert {version for version, (stage, _) in seen.items() if stage == "Production"} == {champion}
        assert {version for version, (_, aliases) in seen.items() if "champion" in aliases} == {champion}
        assert registry.settle() == []
        if champion == 2:
            event = registry.history("cancer")[-1]
            assert (event.what, event.who, event.reason) == ("promoted", "ann", "why")
            assert registry.rollback("cancer").to_version == 1

    assert kill_at_every_step(mlflow_project, check, "promote", 2) > 10
    assert {event.what for event in registry.history("cancer")} == {"registered", "promoted", "rolled_back"}
    assert check_journal(mlflow_project.layout) == []


@pytest.mark.slow
def test_a_registration_killed_between_any_two_steps_settles(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(1)
    run_id = registry.version("cancer", 1).run_id

    def check() -> None:
        registry.settle()
        numbers = sorted(mlflow_project.stages())
        registered = [event for event in registry.history("cancer") if event.what == "registered"]
        assert [event.details["registered"] for event in registered] == [[number] for number in numbers]
        assert {event.who for event in registered[1:]} <= {"ann"}

    assert kill_at_every_step(mlflow_project, check, "register", run_id) > 5
    assert registry.settle() == []
    assert {event.what for event in registry.history("cancer")} == {"registered"}


def test_four_processes_registering_and_promoting_lose_nothing(
    mlflow_project: MlflowProject, start_python: Start
) -> None:
    run_id = mlflow_project.log_run(models=["model"])
    code = """
    import sys
    from pathlib import Path
    from store.file_registry import FileRegistry
    from store.layout import Layout
    root = Path(sys.argv[1])
    registry = FileRegistry(root / "mlruns", Layout.of(root))
    for _ in range(8):
        version = registry.register("cancer", run_id=sys.argv[2], reason=sys.argv[3])
        registry.promote("cancer", version.version, reason=sys.argv[3])
        print(version.version)
    """
    children = [start_python(code, mlflow_project.root, run_id, f"by {number}") for number in range(4)]
    mine: dict[int, str] = {}
    for number, child in enumerate(children):
        output, errors = child.communicate(timeout=120)
        assert errors == ""
        mine |= {int(line): f"by {number}" for line in output.split()}
    assert sorted(mine) == list(range(1, 33))
    registry = mlflow_project.registry
    for what in ("registered", "promoted"):
        events = [event for event in registry.history("cancer") if event.what == what]
        assert {int(event.to or 0): event.reason for event in events} == mine
    seen = mlflow_project.stages()
    assert sorted(seen) == sorted(mine)
    champion = registry.model("cancer").champion
    assert [version for version, (stage, _) in seen.items() if stage == "Production"] == [champion]
    assert registry.settle() == []
    assert check_journal(mlflow_project.layout) == []


def test_a_reader_sees_a_champion_at_every_moment_of_many_promotions(
    mlflow_project: MlflowProject, start_python: Start
) -> None:
    registry = mlflow_project.with_versions(2)
    registry.promote("cancer", 1)
    child = start_python(
        """
        import sys
        from pathlib import Path
        from store.file_registry import FileRegistry
        from store.layout import Layout
        root = Path(sys.argv[1])
        registry = FileRegistry(root / "mlruns", Layout.of(root))
        for number in range(30):
            registry.promote("cancer", 2 - number % 2)
        """,
        mlflow_project.root,
    )
    seen: set[int | None] = set()
    while child.poll() is None:
        model = registry.model("cancer")
        assert model.problem is None
        seen.add(model.champion)
    assert child.communicate()[1] == ""
    assert seen == {1, 2}
    assert registry.settle() == []


@pytest.mark.slow
def test_readers_and_writers_live_with_plain_mlflow_changing_the_same_model(
    mlflow_project: MlflowProject, start_python: Start
) -> None:
    registry = mlflow_project.with_versions(2)
    registry.promote("cancer", 1)
    run_id = registry.version("cancer", 1).run_id
    child = start_python(
        """
        import sys
        from mlflow import MlflowClient
        client = MlflowClient()

        def register():
            for _ in range(20):  # MLflow gives up when others take the next number three times
                try:
                    return client.create_model_version("cancer", f"runs:/{sys.argv[1]}/model", sys.argv[1])
                except Exception as error:
                    problem = error
            raise problem

        print("go", flush=True)
        for number in range(60):
            client.set_registered_model_alias("cancer", "champion", str(number % 2 + 1))
            if number % 6 == 0:
                register()
        """,
        run_id,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    ours = 0
    while child.poll() is None:
        assert registry.model("cancer").champion in (1, 2)
        if ours < 10:
            assert registry.register("cancer", run_id=str(run_id)).version > 2
            ours += 1
    _, errors = child.communicate()  # MLflow may say there that it took the next free version
    assert child.returncode == 0, errors
    registry.settle()
    seen = mlflow_project.stages()
    assert sorted(seen) == list(range(1, 2 + ours + 10 + 1))
    champion = registry.model("cancer").champion
    assert [version for version, (stage, _) in seen.items() if stage == "Production"] == [champion]
    assert check_journal(mlflow_project.layout) == []
