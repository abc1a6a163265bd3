"""Alerts: what is wrong now, one for each cause, until it is over."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from store.errors import BusyError, NotFoundError, StorageError, UsageError
from store.journal import append_event, current_user, format_time
from store.layout import Layout
from store.state import connect

Severity = Literal["watch", "warning", "critical"]
AlertState = Literal["open", "acknowledged", "silenced", "cleared"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
STATES: tuple[AlertState, ...] = get_args(AlertState)
LIVE: tuple[AlertState, ...] = ("open", "acknowledged", "silenced")

_LONGEST_MESSAGE = 1000


_COLUMNS = (
    *("id", "key", "kind", "model", "version", "feature", "severity", "worst", "message", "since"),
    *("last_seen", "cleared_at", "who", "silenced_until", "details"),
)


@dataclass(frozen=True)
class Alert:
    """Something that is wrong, or was.

    `key` names the cause: as long as it lasts there is one alert of that key. `who` acknowledged or
    silenced it, `severity` is that of now, `worst` the worst of its life.
    """

    id: str
    key: str
    kind: str
    model: str | None
    version: int | None
    feature: str | None
    severity: Severity
    state: AlertState
    message: str
    since: datetime
    last_seen: datetime
    cleared_at: datetime | None = None
    who: str | None = None
    silenced_until: datetime | None = None
    worst: Severity = "watch"
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        return self.state != "cleared"

    def as_json(self) -> dict[str, Any]:
        """The alert as `alerts list --json` prints it and webhooks send it."""
        return {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "feature": self.feature,
            "kind": self.kind,
            "severity": self.severity,
            "state": self.state,
            "message": self.message,
            "since": format_time(self.since),
            "last_seen": format_time(self.last_seen),
            "cleared_at": None if self.cleared_at is None else format_time(self.cleared_at),
            "silenced_until": None if self.silenced_until is None else format_time(self.silenced_until),
            "who": self.who,
            "key": self.key,
            "details": dict(self.details),
        }


def raise_alert(
    layout: Layout,
    key: str,
    *,
    kind: str,
    severity: Severity,
    message: str,
    model: str | None = None,
    version: int | None = None,
    feature: str | None = None,
    details: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Alert:
    """Say that something is wrong; raised again while it lasts, it stays the same alert.

    The journal notes a new alert and one that is worse than it ever was; the latter is open again even if
    somebody had acknowledged it. With `quiet`, a disk that is full, read-only or locked loses the alert
    instead of raising StorageError or BusyError: for callers who have something more important to do.
    """
    _check_severity(severity)
    now = datetime.now(UTC)
    wanted = Alert(
        id="",
        key=key,
        kind=kind,
        model=model,
        version=version,
        feature=feature,
        severity=severity,
        state="open",
        worst=severity,
        message=message[:_LONGEST_MESSAGE],
        since=now,
        last_seen=now,
        details=dict(details or {}),
    )
    try:
        with connect(layout) as connection:
            connection.execute("BEGIN IMMEDIATE")
            return _raise(connection, layout, wanted)
    except (StorageError, BusyError):
        if not quiet:
            raise
        return wanted


def clear_alert(
    layout: Layout, key: str, *, reason: str | None = None, who: str | None = None, quiet: bool = False
) -> Alert | None:
    """Say that the cause is over; None where there was no alert of it. `quiet` as in `raise_alert`."""
    if not layout.state_db.exists():
        return None
    try:
        if not _has_live(layout, key):
            return None  # without the lock of a writer: most calls end here
        now = datetime.now(UTC)
        with connect(layout) as connection:
            connection.execute("BEGIN IMMEDIATE")
            found = _live(connection, key, now)
            if found is None:
                return None
            connection.execute(
                "UPDATE alerts SET state = 'cleared', cleared_at = ? WHERE id = ?", (_text(now), found.id)
            )
            _note(connection, found.id, "cleared", now)
            append_event(
                layout, "alert_cleared", who=who, model=found.model, reason=reason, details=_in_journal(found)
            )
            return replace(found, state="cleared", cleared_at=now)
    except (StorageError, BusyError):
        if not quiet:
            raise
        return None


def acknowledge(layout: Layout, alert: str, who: str | None = None) -> Alert:
    """Note that somebody has seen it: it is not repeated until it becomes worse or comes back."""
    who = who or current_user()
    now = datetime.now(UTC)
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        found = _find(connection, alert, now)
        _check_live(found)
        connection.execute(
            "UPDATE alerts SET state = 'acknowledged', who = ?, silenced_until = NULL WHERE id = ?",
            (who, found.id),
        )
        connection.execute("DELETE FROM alert_silences WHERE key = ?", (found.key,))
        append_event(layout, "alert_acknowledged", who=who, model=found.model, details=_in_journal(found))
        return replace(found, state="acknowledged", who=who, silenced_until=None)


def silence(layout: Layout, alert: str, until: datetime, who: str | None = None) -> Alert:
    """Keep quiet about its cause until then, also if it goes and comes back; a past time ends the silence."""
    who = who or current_user()
    now = datetime.now(UTC)
    until = until.astimezone(UTC)
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        found = _find(connection, alert, now)
        connection.execute("DELETE FROM alert_silences WHERE key = ? OR until <= ?", (found.key, _text(now)))
        if until > now:
            connection.execute("INSERT INTO alert_silences VALUES (?, ?, ?)", (found.key, _text(until), who))
        if found.is_live:
            state = "silenced" if until > now else "open"
            connection.execute(
                "UPDATE alerts SET state = ?, who = ?, silenced_until = ? WHERE id = ?",
                (state, who, _text(until), found.id),
            )
        append_event(
            layout,
            "alert_silenced",
            who=who,
            model=found.model,
            details={**_in_journal(found), "until": format_time(until)},
        )
        return _find(connection, found.id, now)


def list_alerts(
    layout: Layout,
    *,
    states: Collection[AlertState] | None = None,
    model: str | None = None,
    limit: int | None = None,
) -> list[Alert]:
    """Alerts in these states (`LIVE` are all but the cleared ones; any unless given), newest first."""
    if not layout.state_db.exists():
        return []
    now = datetime.now(UTC)
    conditions, values = ["1"], dict[str, Any](now=_text(now), limit=-1 if limit is None else limit)
    if states is not None:
        values.update({f"state{position}": state for position, state in enumerate(states)})
        names = ", ".join(f":state{position}" for position in range(len(states)))
        conditions.append(f"{_STATE} IN ({names})")
    if model is not None:
        conditions.append("model = :model")
        values["model"] = model
    with connect(layout) as connection:
        rows = connection.execute(
            f"SELECT *, {_STATE} AS state_now FROM alerts WHERE {' AND '.join(conditions)}"
            " ORDER BY since DESC, id LIMIT :limit",
            values,
        ).fetchall()
    return [alert_of(row) for row in rows]


def get_alert(layout: Layout, alert: str) -> Alert:
    """The alert with this id, unique beginning of one, or key (its newest); raises NotFoundError."""
    if not layout.state_db.exists():
        raise _unknown(alert)
    with connect(layout) as connection:
        return _find(connection, alert, datetime.now(UTC))


def _raise(connection: sqlite3.Connection, layout: Layout, wanted: Alert) -> Alert:
    now = wanted.last_seen
    before = _live(connection, wanted.key, now)
    details = json.dumps(dict(wanted.details), default=str, ensure_ascii=False)
    if before is None:
        quiet_until = connection.execute(
            "SELECT until, who FROM alert_silences WHERE key = ? AND until > ?", (wanted.key, _text(now))
        ).fetchone()
        state = "open" if quiet_until is None else "silenced"
        until, who = (None, None) if quiet_until is None else tuple(quiet_until)
        new_id = secrets.token_hex(4)
        connection.execute(
            "INSERT INTO alerts (id, key, kind, model, version, feature, severity, worst, state, message,"
            " since, last_seen, who, silenced_until, details)"
            f" VALUES ({', '.join('?' * 15)})",
            (
                *(new_id, wanted.key, wanted.kind, wanted.model, wanted.version, wanted.feature),
                *(
                    wanted.severity,
                    wanted.severity,
                    state,
                    wanted.message,
                    _text(now),
                    _text(now),
                    who,
                    until,
                    details,
                ),
            ),
        )
        what = "raised"
    else:
        new_id = before.id
        is_worse = SEVERITIES.index(wanted.severity) > SEVERITIES.index(before.worst)
        what = "worse" if is_worse else ""
        connection.execute(
            "UPDATE alerts SET last_seen = ?, severity = ?, message = ?, details = ?, version = ?"
            " WHERE id = ?",
            (_text(now), wanted.severity, wanted.message, details, wanted.version, before.id),
        )
        if is_worse:
            connection.execute("UPDATE alerts SET worst = ? WHERE id = ?", (wanted.severity, before.id))
        if is_worse and before.state == "acknowledged":
            connection.execute("UPDATE alerts SET state = 'open', who = NULL WHERE id = ?", (before.id,))
    after = _find(connection, new_id, now)
    if what:
        _note(connection, new_id, what, now)
        append_event(
            layout,
            "alert_raised",
            who="workbench",
            model=after.model,
            from_=None if before is None else before.worst,
            to=after.severity,
            reason=after.message,
            details=_in_journal(after),
        )
    return after


def _note(connection: sqlite3.Connection, alert_id: str, what: str, now: datetime) -> None:
    """What those who deliver alerts read, in the transaction that it is about."""
    connection.execute(
        "INSERT INTO alert_changes (alert_id, what, at) VALUES (?, ?, ?)", (alert_id, what, _text(now))
    )


def _has_live(layout: Layout, key: str) -> bool:
    with connect(layout) as connection:
        query = "SELECT 1 FROM alerts WHERE key = ? AND cleared_at IS NULL"
        return connection.execute(query, (key,)).fetchone() is not None


def _live(connection: sqlite3.Connection, key: str, now: datetime) -> Alert | None:
    row = connection.execute(
        f"SELECT *, {_STATE} AS state_now FROM alerts WHERE key = :key AND cleared_at IS NULL",
        {"key": key, "now": _text(now)},
    ).fetchone()
    return None if row is None else alert_of(row)


def _find(connection: sqlite3.Connection, alert: str, now: datetime) -> Alert:
    rows = connection.execute(
        f"SELECT *, {_STATE} AS state_now FROM alerts"
        " WHERE key = :alert OR substr(id, 1, length(:alert)) = :alert"
        " ORDER BY id = :alert DESC, key = :alert DESC, cleared_at IS NULL DESC, since DESC LIMIT 2",
        {"alert": alert, "now": _text(now)},
    ).fetchall()
    if not rows or not alert:
        raise _unknown(alert)
    if len(rows) > 1 and alert not in (rows[0]["id"], rows[0]["key"]):
        raise NotFoundError(
            f"several alerts begin with {alert!r}", "Give more of its id: workbench alerts list."
        )
    return alert_of(rows[0])


def state_at(prefix: str = "") -> str:
    """SQL for an alert's state at `:now`: a silence that has run out is over without anybody writing so."""
    return (
        f"CASE WHEN {prefix}state = 'silenced' AND {prefix}silenced_until <= :now"
        f" THEN 'open' ELSE {prefix}state END"
    )


_STATE = state_at()


def alert_of(row: sqlite3.Row) -> Alert:
    """The alert of a row of the table with `state_now`; further columns are ignored."""
    values = {name: row[name] for name in _COLUMNS}
    values["state"] = row["state_now"]
    for name in ("since", "last_seen", "cleared_at", "silenced_until"):
        values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
    if values["state"] != "silenced":
        values["silenced_until"] = None
    values["details"] = json.loads(values["details"])
    return Alert(**values)


def _in_journal(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.id,
        "kind": alert.kind,
        "severity": alert.severity,
        "version": alert.version,
        "feature": alert.feature,
    }


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _check_live(alert: Alert) -> None:
    if not alert.is_live:
        raise UsageError(f"alert {alert.id} is over already", "See what is open: workbench alerts list.")


def _check_severity(severity: str) -> None:
    if severity not in SEVERITIES:
        raise UsageError(f"no severity {severity!r}", f"There are {', '.join(SEVERITIES)}.")


def _unknown(alert: str) -> NotFoundError:
    return NotFoundError(f"no alert {alert!r}", "See them with: workbench alerts list.")
