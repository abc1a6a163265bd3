"""Changes to production ask first."""

from __future__ import annotations

import sys

from store.errors import UsageError, WorkbenchError
from workbench.output import is_terminal, say


class DeclinedError(WorkbenchError):
    """The person said no."""


def confirm(question: str, *, yes: bool) -> None:
    """Return when the answer is yes, given by `--yes` or typed.

    Raises UsageError where nobody can be asked, DeclinedError on any answer but yes.
    """
    if yes:
        return
    if not is_terminal(sys.stdin):
        raise UsageError(f"{question} Nobody can be asked here", "Say so with --yes.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        say()
    if answer.strip().lower() not in ("y", "yes"):
        raise DeclinedError("nothing was changed")
