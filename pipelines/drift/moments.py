"""Times as people read them; the counts have seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

_DAY = 86_400.0


def moment_text(seconds: float) -> str:
    """A day, with the time of day where it is not midnight: `2026-05-04`, `2026-05-04 14:05`."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return f"{seconds:.4g}"
    return f"{moment:%Y-%m-%d}" if seconds % _DAY == 0 else f"{moment:%Y-%m-%d %H:%M}"


def days_of(edges: list[float]) -> list[float]:
    """The edges of bins at the days they lie in, where those are days apart."""
    if len(edges) > 1 and min(b - a for a, b in pairwise(edges)) < _DAY:
        return edges
    return [edge // _DAY * _DAY for edge in edges]
