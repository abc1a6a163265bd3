"""The audit trail and the logs as the UI asks for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from store.journal import append_event
from store.layout import Layout
from workbench.desk.events import EventsDesk


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path).ensure()


def test_only_what_was_added_is_new(layout: Layout) -> None:
    desk = EventsDesk(layout)
    assert desk.trail() == ()
    append_event(layout, "promoted", model="churn", from_=1, to=2, reason="better")
    append_event(layout, "intent", model="churn")
    first = desk.trail()
    assert [(row.what, row.change, row.reason) for row in first] == [("promoted", "1 → 2", "better")]
    assert desk.trail() is first
    append_event(layout, "gate", model="churn", details={"accepted": False})
    second = desk.trail()
    assert second[0] is first[0]
    assert [row.what for row in second] == ["promoted", "gate refused"]


def test_a_journal_put_in_place_by_a_restore_is_read_anew(layout: Layout, tmp_path: Path) -> None:
    desk = EventsDesk(layout)
    for number in range(3):
        append_event(layout, "registered", model="churn", to=number)
    assert len(desk.trail()) == 3
    other = Layout.of(tmp_path / "other").ensure()
    append_event(other, "archived", model="spend")
    other.journal.replace(layout.journal)
    assert [row.what for row in desk.trail()] == ["archived"]


def test_the_log_is_that_of_every_process_the_newest_line_last(layout: Layout) -> None:
    desk = EventsDesk(layout)
    assert desk.log() == ()
    (layout.run / "server.log").write_text("Serving on …\nWARNING: slow\n")
    job = layout.jobs / "20260101-000000-abcdef"
    job.mkdir()
    (job / "log").write_bytes(b"fitting \xff\nTraceback (most recent call last)\n")
    os.utime(job / "log", (0, 0))  # files written in the same tick have the same time
    lines = desk.log()
    assert {line.source for line in lines} == {"server", "job abcdef"}
    assert [line.tone for line in lines if line.source == "server"] == [None, "warning"]
    assert "error" in {line.tone for line in lines}
    assert desk.log() is lines
    with (layout.run / "server.log").open("a") as log:
        log.write("more\n")
    assert desk.log()[-1].text == "more"


def test_of_a_huge_log_the_end_is_read(layout: Layout) -> None:
    (layout.run / "server.log").write_text("".join(f"line {number}\n" for number in range(200_000)))
    lines = EventsDesk(layout).log()
    assert len(lines) == 5_000
    assert lines[-1].text == "line 199999"
