"""Predictions of a batch beside a server's: judged apart, and never out of sight."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from store.errors import NotFoundError
from store.slices import Key
from workbench.logged_roles import LoggedRole, chosen_role, with_other_roles

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CHAMPION, BATCH = Key("bikes", 3), Key("bikes", 3, "batch")
BOTH = [LoggedRole(BATCH, 2000, NOON), LoggedRole(CHAMPION, 50, NOON)]


def a_report(key: Key, rows: int = 100, note: str | None = None) -> dict[str, Any]:
    return {"model": key.model, "version": key.version, "role": key.role, "current_rows": rows, "note": note}


def test_a_version_is_shown_in_its_own_role_unless_it_has_answered_in_another_only() -> None:
    assert chosen_role(CHAMPION, BOTH, None) == CHAMPION
    assert chosen_role(CHAMPION, BOTH[:1], None) == BATCH
    assert chosen_role(CHAMPION, [], None) == CHAMPION
    assert chosen_role(CHAMPION, [LoggedRole(Key("bikes", 2, "batch"), 5, NOON)], None) == CHAMPION


def test_a_role_is_as_asked_for_or_an_error_that_names_those_there_are() -> None:
    assert chosen_role(CHAMPION, BOTH, "batch") == BATCH
    assert chosen_role(CHAMPION, [], "champion") == CHAMPION
    with pytest.raises(NotFoundError, match="has answered nothing as challenger") as error:
        chosen_role(CHAMPION, BOTH, "challenger")
    assert error.value.hint == "There are predictions of: batch, champion."
    with pytest.raises(NotFoundError):
        chosen_role(CHAMPION, [], "batch")


def test_a_report_says_what_else_there_is() -> None:
    report = with_other_roles(a_report(CHAMPION, note="compared with July"), BOTH)
    assert report["note"] == "compared with July; 2,000 predictions as batch are judged apart: --role batch"
    assert [one["role"] for one in report["roles"]] == ["batch", "champion"]
    assert with_other_roles(a_report(BATCH), BOTH[:1])["note"] is None
    empty = with_other_roles(a_report(BATCH, rows=0), BOTH[:1])
    assert (
        empty["note"] == "the latest prediction is of 2026-05-04 12:00 UTC: --window 7d reaches further back"
    )
