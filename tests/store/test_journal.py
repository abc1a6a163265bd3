from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import StorageError
from store.journal import JournalTail, append_event, check_journal, current_user, read_events
from store.layout import Layout
from tests.conftest import UNHURRIED_IN_ONE_FIXTURE

Start = Callable[..., "subprocess.Popen[str]"]
APPEND = """
import sys
from pathlib import Path
from store.journal import append_event
from store.layout import Layout
layout = Layout.of(Path(sys.argv[1]))
count = int(sys.argv[2])
number = 0
while number != count:
    append_event(layout, "trained", model=sys.argv[3], to=str(number))
    print(number, flush=True)
    number += 1
"""


def test_an_event_says_who_what_when_and_why(layout: Layout) -> None:
    before = datetime.now(UTC)
    append_event(
        layout, "promoted", model="m", from_="1", to="2", reason="better", details={"role": "champion"}
    )
    (event,) = read_events(layout)
    assert (event.who, event.what, event.model, event.from_, event.to, event.reason) == (
        current_user(), "promoted", "m", "1", "2", "better"
    )  # fmt: skip
    assert before - timedelta(seconds=1) <= event.at <= datetime.now(UTC) + timedelta(seconds=1)
    shape = event.as_json()
    assert shape["role"] == "champion"
    assert {"at", "who", "what", "model", "from", "to", "reason"} <= set(shape)
    assert shape["at"].endswith("Z")


def test_events_are_chosen_by_model_kind_and_number(layout: Layout) -> None:
    for number in range(5):
        append_event(layout, "trained", model="a" if number % 2 else "b", to=str(number))
    append_event(layout, "intent", model="a")
    append_event(layout, "gate", model="a", to="5")
    assert [event.to for event in read_events(layout, model="a")] == ["1", "3", "5"]
    assert [event.to for event in read_events(layout, what="trained")] == ["0", "1", "2", "3", "4"]
    assert [event.to for event in read_events(layout, limit=2)] == ["4", "5"]
    assert read_events(layout, limit=0) == []
    assert len(read_events(layout, what="intent")) == 1


def test_a_project_without_a_journal_has_no_events_and_no_problems(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)
    assert read_events(layout) == []
    assert check_journal(layout) == []
    assert not layout.state.exists()


def test_an_edited_a_lost_and_a_garbage_line_are_found(layout: Layout) -> None:
    for number in range(6):
        append_event(layout, "trained", to=str(number))
    lines = layout.journal.read_text().splitlines(keepends=True)
    edited = [lines[0], lines[1].replace('"to": "1"', '"to": "9"'), lines[2], lines[4], "garbage\n"]
    layout.journal.write_text("".join(edited))
    problems = check_journal(layout)
    assert len(problems) == 3
    assert "line 2 was changed" in problems[0]
    assert "line 4 doesn't follow" in problems[1]
    assert "line 5 is no event" in problems[2]
    assert [event.to for event in read_events(layout)] == ["0", "9", "2", "4"]


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_reported_then_mended_by_the_next_event(layout: Layout, cut: int) -> None:
    append_event(layout, "trained", to="0")
    append_event(layout, "trained", to="1")
    layout.journal.write_bytes(layout.journal.read_bytes()[:-cut])
    assert "torn" in check_journal(layout)[0]
    assert [event.to for event in read_events(layout)] == ["0"]
    append_event(layout, "trained", to="2")
    assert check_journal(layout) == []
    assert [event.to for event in read_events(layout)] == ["0", "2"]


def test_many_processes_append_to_one_chain(layout: Layout, start_python: Start) -> None:
    children = [start_python(APPEND, layout.root, 25, f"m{number}") for number in range(4)]
    for child in children:
        assert child.communicate(timeout=120)[1] == ""
    assert check_journal(layout) == []
    for number in range(4):
        events = read_events(layout, model=f"m{number}")
        assert [event.to for event in events] == [str(count) for count in range(25)]


def test_events_acknowledged_before_a_kill_are_there_and_the_chain_is_whole(
    layout: Layout, start_python: Start
) -> None:
    for round_ in range(5):
        child = start_python(APPEND, layout.root, -1, f"m{round_}")
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(round_ * 3 + 2)]
        child.send_signal(signal.SIGKILL)
        child.communicate()
        stored = [event.to for event in read_events(layout, model=f"m{round_}")]
        assert stored[: len(acknowledged)] == [line.strip() for line in acknowledged]
    append_event(layout, "trained")
    assert check_journal(layout) == []


def test_a_tail_reads_what_was_added_and_survives_a_new_file(layout: Layout) -> None:
    tail = JournalTail(layout.journal)
    assert list(tail.read()) == []
    append_event(layout, "trained", to="0")
    assert [event.to for event in tail.read()] == ["0"]
    append_event(layout, "trained", to="1")
    assert [event.to for event in tail.read()] == ["0", "1"]
    layout.journal.unlink()
    append_event(layout, "trained", to="new")
    assert [event.to for event in tail.read()] == ["new"]


@settings(max_examples=30, suppress_health_check=UNHURRIED_IN_ONE_FIXTURE)
@given(
    reason=st.text(st.characters(exclude_categories=["Cs"])),
    details=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("aé\n\u2028"),
    ),
)
def test_any_text_comes_back(layout: Layout, reason: str, details: dict[str, object]) -> None:
    own = {"at", "who", "what", "model", "from", "to", "reason", "prev", "hash"}
    details = {key: value for key, value in details.items() if key not in own}
    append_event(layout, "gate", reason=reason, details=details)
    event = read_events(layout)[-1]
    assert event.reason == reason
    assert dict(event.details) == details
    assert check_journal(layout) == []


def test_values_json_does_not_know_become_text(layout: Layout) -> None:
    append_event(layout, "gate", reason="\udcff", details={"path": Path("a/b"), "pair": (1, 2)})
    event = read_events(layout)[-1]
    assert event.details == {"path": "a/b", "pair": [1, 2]}
    assert check_journal(layout) == []
    json.loads(layout.journal.read_text())


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / ".workbench").write_text("")
    with pytest.raises(StorageError, match=r"\.workbench"):
        append_event(Layout.of(tmp_path), "trained")
