"""Changes to production ask first."""

from __future__ import annotations

import io
import sys

import pytest

from store.errors import UsageError
from workbench.confirm import DeclinedError, confirm


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n", " Yes \n"])
def test_yes_is_yes(monkeypatch, capsys, answer):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    confirm("Promote?", yes=False)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Promote? [y/N] ")


@pytest.mark.parametrize("answer", ["\n", "n\n", "yep\n", ""])
def test_anything_else_is_no(monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    with pytest.raises(DeclinedError) as caught:
        confirm("Promote?", yes=False)
    assert caught.value.exit_code == 1


def test_without_a_terminal_it_needs_yes(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError, match="--yes") as caught:
        confirm("Promote?", yes=False)
    assert caught.value.exit_code == 2
    confirm("Promote?", yes=True)
