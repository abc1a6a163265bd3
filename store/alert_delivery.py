"""Which channel has been told of which alert: so that several hosts tell it once, and a crash loses nothing.

A channel is told by one host at a time, which holds a lease. What has been told is noted after it was
delivered: a host that dies in between has it told again.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from store.alerts import SEVERITIES, Alert, Severity, alert_of, state_at
from store.layout import Layout
from store.state import connect

What = Literal["raised", "worse", "repeated", "cleared", "over"]
"""`over`: raised and cleared before the channel could be told of it."""

_HOUR = timedelta(hours=1)
_FIRST_RETRY_S = 5.0
_LAST_RETRY_S = 900.0


@dataclass(frozen=True)
class Notice:
    """Something that a channel has to be told."""

    alert: Alert
    what: What


@dataclass(frozen=True)
class Rules:
    """What a channel wants to hear, and how often."""

    severity: Severity = "warning"
    repeat: timedelta | None = timedelta(hours=4)
    cleared: bool = True
    pause: timedelta = timedelta(seconds=30)
    max_per_hour: int = 20


@dataclass(frozen=True)
class Claim:
    """The right to tell a channel these notices, until the lease ends."""

    channel: str
    host: str
    notices: tuple[Notice, ...]
    settled: tuple[Notice, ...]
    """What needs no telling any more, to be noted together with the others."""
    seen: int


@dataclass(frozen=True)
class ChannelState:
    """How telling a channel goes: `failures` in a row, and the last one's reason."""

    channel: str
    failures: int
    error: str | None
    retry_at: datetime | None
    last_sent_at: datetime | None


def claim(layout: Layout, channel: str, host: str, rules: Rules, *, lease_s: float) -> Claim | None:
    """What `channel` is to be told now, for this host to do; None where nothing is due or another does it."""
    now = datetime.now(UTC)
    with connect(layout) as connection:
        # Most calls find nothing: they don't ask for the lock of writers.
        if not _due(connection, channel, rules, now)[0]:
            return None
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        due, settled, seen = _due(connection, channel, rules, now)
        if not due:
            return None
        row = connection.execute("SELECT * FROM alert_channels WHERE channel = ?", (channel,)).fetchone()
        if row is None:
            _add_channel(connection, channel, seen)
        elif _is_waiting(row, due, rules, now):
            return None
        connection.execute(
            "UPDATE alert_channels SET claimed_by = ?, claimed_until = ? WHERE channel = ?",
            (host, _text(now + timedelta(seconds=lease_s)), channel),
        )
        return Claim(channel, host, tuple(due), tuple(settled), seen)


def delivered(layout: Layout, claimed: Claim) -> None:
    """Note that the notices were told."""
    now = datetime.now(UTC)
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for notice in (*claimed.notices, *claimed.settled):
            is_end = notice.what in ("cleared", "over")
            connection.execute(
                "INSERT OR REPLACE INTO alert_told (channel, alert_id, severity, at, is_end)"
                " VALUES (?, ?, ?, ?, ?)",
                (claimed.channel, notice.alert.id, notice.alert.worst, _text(now), is_end),
            )
        row = connection.execute(
            "SELECT sent FROM alert_channels WHERE channel = ?", (claimed.channel,)
        ).fetchone()
        sent = [*_sent(row["sent"], now), _text(now)]
        connection.execute(
            "UPDATE alert_channels SET seen_seq = max(seen_seq, ?), sent = ?, failures = 0, error = NULL,"
            " retry_at = NULL, claimed_until = NULL WHERE channel = ?",
            (claimed.seen, json.dumps(sent), claimed.channel),
        )


def failed(layout: Layout, claimed: Claim, error: str, *, retry_after_s: float | None = None) -> ChannelState:
    """Note why the notices could not be told; they are due again after 5 s, 10 s, … 15 min."""
    now = datetime.now(UTC)
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(
            "SELECT * FROM alert_channels WHERE channel = ?", (claimed.channel,)
        ).fetchone()
        failures = row["failures"] + 1
        wait_s = min(_LAST_RETRY_S, max(_FIRST_RETRY_S * 2 ** min(failures - 1, 20), retry_after_s or 0.0))
        connection.execute(
            "UPDATE alert_channels SET failures = ?, error = ?, retry_at = ?, claimed_until = NULL"
            " WHERE channel = ?",
            (failures, error[:500], _text(now + timedelta(seconds=wait_s)), claimed.channel),
        )
    return next(state for state in channel_states(layout) if state.channel == claimed.channel)


def channel_states(layout: Layout) -> list[ChannelState]:
    """How telling goes, of each channel that was ever told something."""
    if not layout.state_db.exists():
        return []
    with connect(layout) as connection:
        rows = connection.execute("SELECT * FROM alert_channels ORDER BY channel").fetchall()
    found = []
    for row in rows:
        sent = json.loads(row["sent"])
        found.append(
            ChannelState(
                row["channel"],
                row["failures"],
                row["error"],
                _moment(row["retry_at"]),
                _moment(sent[-1]) if sent else None,
            )
        )
    return found


def _due(
    connection: sqlite3.Connection, channel: str, rules: Rules, now: datetime
) -> tuple[list[Notice], list[Notice], int]:
    """What to tell, what has settled itself, and the newest change that this takes account of."""
    seen = int(connection.execute("SELECT coalesce(max(seq), 0) FROM alert_changes").fetchone()[0])
    row = connection.execute("SELECT seen_seq FROM alert_channels WHERE channel = ?", (channel,)).fetchone()
    values: dict[str, Any] = {
        "channel": channel,
        "now": _text(now),
        "seen": seen if row is None else row["seen_seq"],
    }
    # Live ones; those told of and over since; those that came and went since the channel was last told.
    rows = connection.execute(
        f"SELECT a.*, {state_at('a.')} AS state_now, t.severity AS told_severity, t.at AS told_at"
        " FROM alerts a LEFT JOIN alert_told t ON t.alert_id = a.id AND t.channel = :channel"
        " WHERE a.cleared_at IS NULL OR (t.alert_id IS NOT NULL AND NOT t.is_end)"
        " OR (t.alert_id IS NULL AND a.id IN (SELECT alert_id FROM alert_changes WHERE seq > :seen))"
        " ORDER BY a.since, a.id",
        values,
    ).fetchall()
    due: list[Notice] = []
    settled: list[Notice] = []
    for one in rows:
        alert = alert_of(one)
        told_at, told = _moment(one["told_at"]), one["told_severity"]
        what = _what(alert, told, told_at, rules, now)
        if what is None:
            continue
        silenced_until = _moment(one["silenced_until"])
        was_silenced = silenced_until is not None and silenced_until > (alert.cleared_at or now)
        is_quiet = was_silenced or (what in ("cleared", "over") and not rules.cleared)
        (settled if is_quiet else due).append(Notice(alert, what))
    return due, settled, seen


def _what(
    alert: Alert, told: Severity | None, told_at: datetime | None, rules: Rules, now: datetime
) -> What | None:
    if SEVERITIES.index(alert.worst) < SEVERITIES.index(rules.severity):
        return None
    if not alert.is_live:
        return "over" if told_at is None else "cleared"
    if alert.state != "open":
        return None
    if told_at is None or told is None:
        return "raised"
    if SEVERITIES.index(alert.worst) > SEVERITIES.index(told):
        return "worse"
    return "repeated" if rules.repeat is not None and now - told_at >= rules.repeat else None


def _is_waiting(row: sqlite3.Row, due: list[Notice], rules: Rules, now: datetime) -> bool:
    """Whether another host is at it, a failure is to be waited out, or too much was told of late."""
    claimed_until, retry_at = _moment(row["claimed_until"]), _moment(row["retry_at"])
    if (claimed_until is not None and claimed_until > now) or (retry_at is not None and retry_at > now):
        return True
    sent = _sent(row["sent"], now)
    if len(sent) >= rules.max_per_hour:
        return True
    is_urgent = any(
        notice.what in ("raised", "worse") and notice.alert.severity == "critical" for notice in due
    )
    return bool(sent) and not is_urgent and now - datetime.fromisoformat(sent[-1]) < rules.pause


def _add_channel(connection: sqlite3.Connection, channel: str, seen: int) -> None:
    connection.execute(
        "INSERT INTO alert_channels (channel, seen_seq, sent, failures) VALUES (?, ?, '[]', 0)",
        (channel, seen),
    )


def _sent(text: str, now: datetime) -> list[str]:
    """When messages were sent within the last hour."""
    return [at for at in json.loads(text) if now - datetime.fromisoformat(at) < _HOUR]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
