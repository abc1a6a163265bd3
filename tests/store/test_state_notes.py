"""Values by key that the project keeps."""

from __future__ import annotations

from store.layout import Layout
from store.state_notes import drop_note, keep_note, notes


def test_notes_are_found_by_the_beginning_of_their_keys(layout: Layout) -> None:
    keep_note(layout, "schedule:retrain:a", "1")
    keep_note(layout, "schedule:score:a", "2")
    keep_note(layout, "schedules", "3")
    keep_note(layout, "schedule:score:a", "4")
    assert notes(layout, "schedule:") == {"retrain:a": "1", "score:a": "4"}
    drop_note(layout, "schedule:retrain:a")
    drop_note(layout, "schedule:of nobody")
    assert notes(layout, "schedule:") == {"score:a": "4"}


def test_characters_that_sql_patterns_know_mean_themselves(layout: Layout) -> None:
    keep_note(layout, "a%:x", "1")
    assert notes(layout, "a_:") == {}
    assert notes(layout, "a%:") == {"x": "1"}


def test_looking_makes_no_file(layout: Layout) -> None:
    assert notes(layout, "") == {}
    assert not layout.state_db.exists()
