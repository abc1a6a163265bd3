"""How values read on the screen. Missing is "—" and NaN is "NaN": neither is ever shown as zero."""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo

MISSING = "—"


def current_time() -> datetime:
    """The moment that times are shown in relation to."""
    return datetime.now(UTC)


def plain(value: object) -> str:
    """Any value as a person would write it: four significant digits, local time, yes and no."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return moment(value)
    return str(value)


def number(value: object, digits: int = 4) -> str:
    """A number in `digits` significant digits, scientific only where it is very large or small."""
    if value is None:
        return MISSING
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size and (size < 1e-4 or size >= 1e9):
        return f"{value:.{digits - 1}e}"
    if size >= 10.0 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def moment(value: object, *, now: datetime | None = None, zone: tzinfo | None = None) -> str:
    """The time of day if it is today in `zone` (local if none), else the date; naive times count as UTC."""
    if value is None:
        return MISSING
    if not isinstance(value, datetime):
        return str(value)
    local = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(zone)
    today = (now or current_time()).astimezone(zone)
    if local.date() == today.date():
        return local.strftime("%H:%M:%S")
    if local.year == today.year:
        return local.strftime("%d %b %H:%M")
    return local.strftime("%Y-%m-%d")


def duration(seconds: object) -> str:
    """Seconds in the two largest units that say something: 950 ms, 12.4 s, 3 m 05 s, 2 h 10 m, 4 d 3 h."""
    if seconds is None:
        return MISSING
    if not isinstance(seconds, (int, float)) or math.isnan(seconds):
        return str(seconds)
    if seconds < 0:
        return "−" + duration(-seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def percent(share: object, digits: int = 0) -> str:
    """A share between 0 and 1 as a percentage."""
    if share is None:
        return MISSING
    if not isinstance(share, (int, float)):
        return str(share)
    return "NaN" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def age(value: object, *, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that says something: now, 5 min, 3 h, 12 d, 4 mo, 2 y."""
    if value is None:
        return MISSING
    if not isinstance(value, datetime):
        return str(value)
    then = value if value.tzinfo else value.replace(tzinfo=UTC)
    seconds = ((now or current_time()) - then).total_seconds()
    for size, unit in ((31_557_600, "y"), (2_629_800, "mo"), (86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"
