"""Logs of processes and jobs that would grow for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from store.bounded_logs import cut_middle, empty_when_full, prune_jobs, rotate
from store.jobs import add_job, update_job
from store.layout import Layout

PRINTS = """
import os, sys
from pathlib import Path
from store.bounded_logs import rotate

path = Path(sys.argv[1])
for number in range(5):
    print(f"line {number}", flush=True)
    os.write(2, b"x" * 90 + b"\\n")
    rotate(path, most_bytes=250)
"""


def test_a_process_goes_on_printing_to_the_log_that_follows(tmp_path: Path) -> None:
    log = tmp_path / "watch.log"
    with log.open("ab") as output:
        subprocess.run([sys.executable, "-c", PRINTS, str(log)], stdout=output, stderr=output, check=True)
    before, present = (tmp_path / "watch.log.1").read_text(), log.read_text()
    assert [line for line in (before + present).splitlines() if "line" in line] == [
        f"line {number}" for number in range(5)
    ]
    assert max(len(before), len(present)) < 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["watch.log", "watch.log.1"]


def test_a_log_with_room_and_one_that_is_not_there_are_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    assert not rotate(log)
    log.write_text("short")
    assert not rotate(log)
    assert not cut_middle(log)
    assert not cut_middle(tmp_path / "none")
    assert log.read_text() == "short"


def test_all_who_append_to_a_log_go_on_where_it_was_emptied(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as parent, log.open("ab", buffering=0) as child:
        parent.write(b"one\n" * 100)
        child.write(b"two\n")
        assert not empty_when_full(log, most_bytes=1_000)
        assert empty_when_full(log, most_bytes=400)
        child.write(b"three\n")
        parent.write(b"four\n")
    assert log.read_text() == "three\nfour\n"
    assert (tmp_path / "server.log.1").read_text() == "one\n" * 100 + "two\n"
    assert not empty_when_full(tmp_path / "none")


def test_a_job_that_prints_without_end_keeps_its_beginning_and_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab") as output:  # as the job's process has it open
        output.write(b"first\n" + b"the same again\n" * 400_000 + b"last\n")
        output.flush()
        assert cut_middle(log, most_bytes=3_000_000)
        output.write(b"and on\n")
    lines = log.read_text().splitlines()
    assert (lines[0], lines[-2:]) == ("first", ["last", "and on"])
    assert log.stat().st_size < 2_100_000
    assert any(line.endswith("bytes were cut out here …") for line in lines)


def test_folders_of_old_jobs_go_and_their_rows_stay(layout: Layout) -> None:
    jobs = [add_job(layout, "p", job_id=f"20260101-00000{number}-abc") for number in range(6)]
    for job in jobs:
        (layout.jobs / job.id).mkdir(parents=True)
        (layout.jobs / job.id / "log").write_text("words")
    for job in jobs[:5]:
        update_job(layout, job.id, state="running")
        update_job(layout, job.id, state="done")
    assert prune_jobs(layout, kept=10) == 0
    assert prune_jobs(layout, kept=2) == 3
    assert sorted(path.name for path in layout.jobs.iterdir()) == [job.id for job in jobs[3:]]
    assert prune_jobs(layout, kept=2) == 0
