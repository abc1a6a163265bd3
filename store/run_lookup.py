"""Which run a person means: a full id, the beginning of one, or a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from store.errors import NotFoundError

SHORTEST_PREFIX = 4


def choose_run(asked: str, named: Iterable[tuple[str, str]]) -> str:
    """The id among (id, name) pairs that `asked` stands for.

    Raises NotFoundError naming the candidates where several fit, else the nearest name.
    """
    known = list(named)
    ids = {run_id for run_id, _ in known}
    if asked in ids:
        return asked
    by_prefix = [run_id for run_id in sorted(ids) if run_id.startswith(asked.lower())]
    fitting = by_prefix if len(asked) >= SHORTEST_PREFIX else []
    by_name = sorted(run_id for run_id, name in known if name == asked and asked)
    candidates = by_name or fitting
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = dict(known)
        shown = ", ".join(f"{run_id[:12]} ({names[run_id]})" for run_id in candidates[:5])
        more = f" and {len(candidates) - 5} more" if len(candidates) > 5 else ""
        raise NotFoundError(f"{asked!r} is {len(candidates)} runs: {shown}{more}", "Give more of the id.")
    if by_prefix:
        raise NotFoundError(
            f"{asked!r} is too short for a run", f"Give at least {SHORTEST_PREFIX} characters."
        )
    names_or_ids = {name for _, name in known if name} or {run_id[:12] for run_id in ids}
    raise NotFoundError(f"no run {asked!r}", nearest_hint(asked, names_or_ids))


def nearest_hint(asked: str, known: Iterable[str]) -> str:
    """`Did you mean …?` for the nearest known word, else what there is."""
    words = sorted(word for word in known if word)
    close = difflib.get_close_matches(asked, words, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    if not words:
        return "There are none yet."
    return f"There are: {', '.join(words[:8])}{', …' if len(words) > 8 else ''}."
