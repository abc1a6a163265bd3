"""Files that come to a watched folder, in every way files come; real files, events and child processes."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.admission import admit, examine
from pipelines.data_files import scan, watch_base
from pipelines.job_mending import settle_jobs
from pipelines.retrain import decide_on_new_data, request_retrain
from pipelines.settings import PipelineSettings, RetrainSettings
from pipelines.watch import Watch
from pipelines.watch_hints import Hints, file_system
from pipelines.watch_loop import WatchLoop
from pipelines.whole import is_being_written
from store.alerts import list_alerts
from store.errors import DataError
from store.jobs import get_job, list_jobs, update_job
from store.journal import read_events
from store.layout import Layout
from store.ledger import DataFile, find_file, get_file, list_files, note_trained, release

ROWS = "a,y\n" + "".join(f"{i},{i % 7}\n" for i in range(50))
DEADLINE_S = 90.0


@pytest.fixture
def data(layout: Layout) -> Path:
    folder = layout.root / "data"
    folder.mkdir()
    return folder


def settings(**more: Any) -> PipelineSettings:
    return PipelineSettings.model_validate({"data": "data", "target": "y", **more})


def state(layout: Layout, name: str) -> str | None:
    file = find_file(layout, "p", f"data/{name}")
    return None if file is None or file.gone_at is not None else file.state


def until(condition: Callable[[], Any], what: str = "") -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"it never came to this: {what or condition}")


@pytest.fixture
def watching(layout: Layout, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchLoop]:
    """A watcher in a thread that validates and trains nothing, and looks where events tell it to."""
    monkeypatch.setattr("pipelines.watch.SCAN_S", 3_600.0)
    pipelines = {"p": settings(retrain={"on_new_data": False})}
    loop = WatchLoop(layout, lambda: pipelines, lambda job: pytest.fail("nothing asked for a training"))
    thread = threading.Thread(target=loop.run)
    thread.start()
    until(lambda: loop.watch.pipelines and not loop.watch.pipelines["p"].is_first)
    yield loop
    loop.stop()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


@pytest.fixture
def look(layout: Layout, data: Path) -> Iterator[Callable[[], list[str]]]:
    """Looks twice at the folder and says which files are new; no events."""
    watch = Watch(layout, lambda: None)
    watch.configure({"p": settings()})

    def run() -> list[str]:
        for _ in range(2):
            watch._is_hinted = True
            watch.look()
            time.sleep(0.28)
        watch._is_hinted = True
        watch.look()
        return [path.name for path in watch.to_examine("p")]

    yield run
    watch.close()


def test_files_are_seen_validated_and_known_however_they_come(
    watching: WatchLoop, layout: Layout, data: Path
) -> None:
    """Renamed in, moved in with a folder, in pieces, copied, replaced; and names that are none."""
    root = layout.root
    (root / "x.csv").write_text(ROWS)
    (root / "x.csv").rename(data / "renamed.csv")
    until(lambda: state(layout, "renamed.csv"))
    (root / "new/deep").mkdir(parents=True)
    (root / "new/deep/in.csv").write_text(ROWS + "1,1\n")
    (root / "new").rename(data / "new")
    for name in ("a.csv.tmp", "b.csv.part", "c.crdownload", ".hidden.csv", "d.csv~", "~$e.csv"):
        (data / name).write_text(ROWS + name)
    (data / "broken.csv").symlink_to("/nowhere/at/all.csv")
    (data / "gone.csv").write_text(ROWS + "2,2\n")
    (data / "gone.csv").unlink()
    with (data / "slow.csv").open("w") as file:
        for piece in range(4):
            file.write(ROWS if piece == 0 else f"{piece},{piece}\n")
            file.flush()
            time.sleep(0.4)
        assert state(layout, "slow.csv") is None
    for name in ("renamed.csv", "new/deep/in.csv", "slow.csv"):
        until(lambda name=name: state(layout, name) == "ready", name)
    assert get_file(layout, "data/slow.csv").rows == 53
    (data / "copy.csv").write_text(ROWS)
    until(lambda: state(layout, "copy.csv") == "duplicate")
    assert {file.path for file in list_files(layout)} == {
        "data/copy.csv",
        "data/new/deep/in.csv",
        "data/renamed.csv",
        "data/slow.csv",
    }
    (data / "renamed.csv").unlink()
    until(lambda: state(layout, "copy.csv") == "ready", "the copy takes the place of what has gone")
    (data / "slow.csv").write_text("a,y\n1,1\noops,2\n")
    until(lambda: state(layout, "slow.csv") == "quarantined")
    until(lambda: [alert.kind for alert in list_alerts(layout, states=("open",))] == ["quarantined"])
    (data / "slow.csv").write_text(ROWS + "8,8\n")
    until(lambda: state(layout, "slow.csv") == "ready")
    until(lambda: not list_alerts(layout, states=("open",)), "the alert is over with its cause")


def test_without_events_a_file_is_whole_when_it_is_still(look: Callable[[], list[str]], data: Path) -> None:
    (data / "still.csv").write_text(ROWS)
    with (data / "open.csv").open("w") as file:
        file.write(ROWS)
        file.flush()
        assert look() == ["still.csv"]
    assert look() == ["open.csv", "still.csv"]


def test_a_file_that_may_not_be_read_stays_new_and_is_told_of(
    layout: Layout, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "a.csv"
    path.write_text(ROWS)
    real_open = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:  # the permission bits don't hold for root
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        examine(layout, "p", settings(), [path])
    file = get_file(layout, "data/a.csv")
    assert (file.state, file.reason) == ("new", "data/a.csv cannot be read: Permission denied")
    examine(layout, "p", settings(), [path])
    assert state(layout, "a.csv") == "ready"


def test_a_file_replaced_while_it_is_read_is_not_judged(
    layout: Layout, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import admission

    path = data / "a.csv"
    path.write_text(ROWS)
    real = admission.summarize

    def replace_it(*arguments: Any) -> Any:
        summary = real(*arguments)
        (data / "other").write_text(ROWS + "9,9\n")
        (data / "other").replace(path)
        return summary

    with monkeypatch.context() as patch:
        patch.setattr(admission, "summarize", replace_it)
        (result,) = examine(layout, "p", settings(), [path])
    assert (result.state, result.reason) == (None, "data/a.csv changed while it was read")
    examine(layout, "p", settings(), [path])
    assert get_file(layout, "data/a.csv").rows == 51


def enter(layout: Layout, data: Path, **contents: str) -> dict[str, DataFile]:
    """Write files and examine them; their ledger entries by name."""
    for name, content in contents.items():
        (data / f"{name}.csv").write_text(content)
    examine(layout, "p", settings(), [data / f"{name}.csv" for name in contents])
    return {Path(file.path).stem: file for file in list_files(layout, with_reports=True)}


def test_one_word_in_one_file_of_a_folder_keeps_that_file_out_of_training(layout: Layout, data: Path) -> None:
    files = enter(layout, data, a=ROWS, b="a,y\n1,2\noops,3\n", c=ROWS + "1,1\n")
    assert {name: file.state for name, file in files.items()} == {
        "a": "ready",
        "b": "quarantined",
        "c": "ready",
    }
    allowed, notes, is_lenient = admit(layout, "p", settings(), sorted(data.iterdir()))
    assert [path.name for path in allowed] == ["a.csv", "c.csv"]
    assert not is_lenient
    for part in ("data/b.csv", "line 3", "'oops'"):
        assert part in notes[0]
    assert (data / "b.csv").exists()
    events = read_events(layout, what="data_quarantined")
    assert events[0].details["paths"] == ["data/b.csv"]
    with pytest.raises(DataError, match="line 3"):
        admit(layout, "p", settings(), [data / "b.csv"])


def test_a_released_file_trains_and_the_release_is_on_record(layout: Layout, data: Path) -> None:
    bad = enter(layout, data, a=ROWS, b="a,y\n1,2\noops,3\n")["b"]
    released = release(layout, bad, "the sensor says so", who="ada")
    assert (released.state, released.is_released) == ("ready", True)
    allowed, _, is_lenient = admit(layout, "p", settings(), sorted(data.iterdir()))
    assert len(allowed) == 2
    assert is_lenient
    (event,) = read_events(layout, what="data_released")
    assert (event.who, event.reason, event.details["path"]) == ("ada", "the sensor says so", "data/b.csv")


def test_the_ledger_knows_files_by_content(layout: Layout, data: Path) -> None:
    a = enter(layout, data, a=ROWS)["a"]
    note_trained(layout, "p", [(a.path, a.sha256 or "")], "run1")
    watch = Watch(layout, lambda: None)
    watch.configure({"p": settings()})

    def look() -> None:
        for _ in range(3):
            watch._is_hinted = True
            watch.look()
            time.sleep(0.28)

    os.utime(data / "a.csv")  # touched
    look()
    assert state(layout, "a.csv") == "new"
    examine(layout, "p", settings(), watch.to_examine("p"))
    assert state(layout, "a.csv") == "trained"
    (data / "a.csv").rename(data / "b.csv")  # renamed
    look()
    examine(layout, "p", settings(), watch.to_examine("p"))
    assert (state(layout, "a.csv"), state(layout, "b.csv")) == (None, "trained")
    watch.close()


def test_a_burst_is_one_job_and_the_limits_hold(layout: Layout, data: Path) -> None:
    enter(layout, data, a=ROWS, b=ROWS + "1,1\n")
    plain = RetrainSettings()
    assert decide_on_new_data(layout, "p", RetrainSettings(on_new_data=False)).reason is None
    assert "min_new_rows" in str(decide_on_new_data(layout, "p", RetrainSettings(min_new_rows=500)).waits_for)
    decision = decide_on_new_data(layout, "p", plain)
    assert decision.reason == "2 new files with 101 rows: data/a.csv, data/b.csv"
    job = request_retrain(layout, "p", trigger="new_data", reason=decision.reason)
    assert job is not None
    assert request_retrain(layout, "p", trigger="new_data", reason="again") is None
    assert [file.state for file in list_files(layout)] == ["queued", "queued"]
    update_job(layout, job.id, state="running")
    update_job(layout, job.id, state="failed", error="no luck")
    settle_jobs(layout)
    assert [file.state for file in list_files(layout)] == ["ready", "ready"]
    assert decide_on_new_data(layout, "p", plain).reason is None, "what failed is not tried again alone"
    enter(layout, data, c=ROWS + "3,3\n")
    assert "min" not in str(decide_on_new_data(layout, "p", plain).reason)
    waits = decide_on_new_data(layout, "p", RetrainSettings(cooldown=600))
    assert waits.reason is None
    assert 500 < (waits.wait_s or 0) <= 600
    assert "max_per_day" in str(decide_on_new_data(layout, "p", RetrainSettings(max_per_day=1)).waits_for)


def test_a_clock_put_back_holds_up_no_training(layout: Layout, data: Path) -> None:
    from datetime import UTC, datetime, timedelta

    enter(layout, data, a=ROWS)
    job = request_retrain(layout, "p", trigger="new_data", reason="new")
    assert job is not None
    update_job(layout, job.id, state="running")
    update_job(layout, job.id, state="done")
    enter(layout, data, b=ROWS + "1,1\n")
    strict = RetrainSettings(cooldown=600, max_per_day=1)
    now = datetime.now(UTC)
    assert decide_on_new_data(layout, "p", strict, now + timedelta(seconds=1)).wait_s is not None
    assert decide_on_new_data(layout, "p", strict, now - timedelta(days=2)).reason is not None
    assert decide_on_new_data(layout, "p", strict, now + timedelta(days=2)).reason is not None


def test_a_job_whose_process_died_is_queued_again_but_not_for_ever(layout: Layout, data: Path) -> None:
    enter(layout, data, a=ROWS)
    request_retrain(layout, "p", trigger="new_data", reason="new")
    for _ in range(3):
        (job,) = list_jobs(layout, states=("queued",))
        assert get_file(layout, "data/a.csv").job_id == job.id
        update_job(layout, job.id, state="running", pid=1)
        assert [failed.id for failed in settle_jobs(layout)] == [job.id]
        assert get_job(layout, job.id).error == "its process died"
    assert list_jobs(layout, states=("queued", "running")) == []
    assert state(layout, "a.csv") == "ready"


def test_a_file_that_kills_its_examiner_is_quarantined(
    layout: Layout, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import watch_loop

    (data / "a.csv").write_text(ROWS)
    (data / "deadly.csv").write_text(ROWS + "1,1\n")
    real = watch_loop.run_child

    def run(layout: Layout, name: str, wanted: Any, paths: Any, **options: Any) -> str | None:
        safe = [path for path in paths if path.name != "deadly.csv"]
        problem = real(layout, name, wanted, safe, **options) if safe else None
        return problem if len(safe) == len(paths) else "it was ended (code -9)"

    monkeypatch.setattr(watch_loop, "run_child", run)
    monkeypatch.setattr("pipelines.watch_loop._DEADLY", 2)
    pipelines = {"p": settings(retrain={"on_new_data": False})}
    loop = WatchLoop(layout, lambda: pipelines, lambda job: pytest.fail("nothing asked for a training"))
    loop.run_once()
    assert (state(layout, "a.csv"), state(layout, "deadly.csv")) == ("ready", "quarantined")
    assert "ended (code -9)" in str(get_file(layout, "data/deadly.csv").reason)


def test_a_task_that_fails_stops_no_other(layout: Layout, data: Path) -> None:
    from pipelines.watch_loop import Task

    (data / "a.csv").write_text(ROWS)

    def fail() -> None:
        raise RuntimeError("broken")

    pipelines = {"p": settings(retrain={"on_new_data": False})}
    task = Task("monitor", 0.0, fail)
    loop = WatchLoop(layout, lambda: pipelines, lambda job: pytest.fail("no training"), tasks=[task])
    loop.run_once()
    assert state(layout, "a.csv") == "ready"
    assert task.problem == "RuntimeError: broken"
    assert [alert.kind for alert in list_alerts(layout, states=("open",))] == ["watcher"]


def test_whoever_writes_a_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    if is_being_written(path) is None:
        pytest.skip("this system doesn't tell")
    assert is_being_written(path) is False
    with path.open("a"):
        assert is_being_written(path) is True
    with path.open():
        assert is_being_written(path) is False


def test_silent_file_systems_are_told_by_their_type(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"root / ext4 rw 0 0\nhost:/x {tmp_path}/with\\040space nfs4 rw 0 0\n")
    folder = tmp_path / "with space" / "data"
    folder.mkdir(parents=True)
    assert file_system(folder, mounts) == "nfs4"
    assert file_system(tmp_path, mounts) == "ext4"


def test_a_folder_whose_events_fail_to_come_is_polled(tmp_path: Path) -> None:
    hints = Hints(lambda: None)
    hints.follow({(tmp_path, True)})
    assert hints.has_events(tmp_path, True)
    hints.note_missed(tmp_path, True)
    hints.note_missed(tmp_path, True)
    assert not hints.has_events(tmp_path, True)
    assert hints.folders()[0]["why_not"] == "changes came without events"
    hints.close()


def test_the_folder_to_watch_follows_from_the_setting(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert watch_base("folder", tmp_path) == (tmp_path / "folder", True)
    assert watch_base("folder/a.csv", tmp_path) == (tmp_path / "folder", False)
    assert watch_base("folder/*.csv", tmp_path) == (tmp_path / "folder", False)
    assert watch_base("folder/**/*.csv", tmp_path) == (tmp_path / "folder", True)
    assert watch_base("later", tmp_path) == (tmp_path / "later", True)


def test_a_scan_finds_what_training_finds(layout: Layout, data: Path) -> None:
    from pipelines.data_files import find_files

    for name in ("b.csv", "a.parquet", "sub/c.jsonl", ".git/d.csv", "e.txt.gz", "f.xlsx"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_text("x")
    for pattern in ("data", "data/*.csv", "data/**/*", "data/b.csv"):
        assert sorted(scan(pattern, layout.root)) == [str(path) for path in find_files(pattern, layout.root)]
    assert len(scan("data", layout.root)) == 4
    shutil.rmtree(data)
    assert scan("data", layout.root) == {}
