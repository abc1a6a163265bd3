"""Times by the clock: cron expressions in a time zone, each persisted until it was served.

What is due is remembered in the project's state, so that a machine that was off catches up once. A moment is
served late rather than never, and several missed ones count as one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from store.layout import Layout
from store.state_notes import keep_note, notes

_PREFIX = "schedule:"


def check_cron(expression: str) -> str:
    """The expression as it is; raises ValueError where it is none, or never comes."""
    from cronsim import CronSim, CronSimError

    if len(expression.split()) != 5:
        raise ValueError('a schedule has five fields: minute, hour, day, month, weekday, as in "0 3 * * 1"')
    try:
        next(CronSim(expression, datetime.now(UTC)))
    except CronSimError as error:
        raise ValueError(f"{expression!r} is no cron expression: {error}") from error
    except StopIteration:
        raise ValueError(f"{expression!r} never comes") from None
    return expression


def check_timezone(name: str) -> str:
    """The name as it is; raises ValueError where no time zone has it."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no time zone {name!r}; names are those of IANA, as in Europe/Berlin") from None
    return name


def next_time(expression: str, timezone: str, after: datetime) -> datetime:
    """The first moment of the schedule after `after`, in UTC.

    When clocks change, what falls into the hour that is left out comes right after it, and what falls into
    the hour that comes twice comes once, as Debian's cron does it.
    """
    from cronsim import CronSim

    moment: datetime = next(CronSim(expression, after.astimezone(ZoneInfo(timezone))))
    return moment.astimezone(UTC)


def occasion(expression: str, due: datetime) -> str:
    """One moment of a schedule in words: the reason of a job, which no other moment has."""
    return f"schedule {expression}, due {due:%Y-%m-%d %H:%M} UTC"


class Schedules:
    """The schedules of a project and when each is due next."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._due: dict[str, tuple[str, datetime]] = {}

    def due(
        self,
        name: str,
        expression: str,
        timezone: str,
        now: datetime,
        is_done: Callable[[datetime], bool] = lambda moment: False,
    ) -> datetime | None:
        """The moment that waits to be served; None where none does. It stays due until `served`.

        `is_done` tells of a moment that was served although nobody noted it: a crash came in between, or the
        clock was set back and the moment came once more.
        """
        what = f"{expression} {timezone}"
        known = self._due.get(name) or self._read(name)
        if known is None or known[0] != what:
            known = self._keep(name, what, next_time(expression, timezone, now))
        elif known[1] - now > timedelta(minutes=1):
            # A clock that was ahead for a while must not put the schedule off for as long.
            earliest = next_time(expression, timezone, now)
            if earliest < known[1]:
                known = self._keep(name, what, earliest)
        while known[1] <= now and is_done(known[1]):
            known = self._keep(name, what, next_time(expression, timezone, known[1]))
        self._due[name] = known
        return known[1] if known[1] <= now else None

    def next_due(self, name: str) -> datetime | None:
        """When the schedule comes next, or since when it waits; None where nobody has asked for it."""
        known = self._due.get(name)
        return None if known is None else known[1]

    def served(self, name: str, expression: str, timezone: str, now: datetime) -> None:
        """What was due is done; the next one comes after `now`."""
        self._due[name] = self._keep(name, f"{expression} {timezone}", next_time(expression, timezone, now))

    def _read(self, name: str) -> tuple[str, datetime] | None:
        return read_schedules(self._layout).get(name)

    def _keep(self, name: str, what: str, due: datetime) -> tuple[str, datetime]:
        keep_note(self._layout, _PREFIX + name, json.dumps({"what": what, "due": due.isoformat()}))
        return what, due


def read_schedules(layout: Layout) -> dict[str, tuple[str, datetime]]:
    """By name (`retrain:PIPELINE`, `score:PIPELINE`): expression and time zone, and when it is due next."""
    found = {}
    for name, value in notes(layout, _PREFIX).items():
        content = json.loads(value)
        found[name] = (content["what"], datetime.fromisoformat(content["due"]))
    return found
