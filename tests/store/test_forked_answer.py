"""An answer from a forked process, or word that there is none."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from store.forked_answer import NoAnswerError, in_a_fork

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def test_it_answers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def work() -> bytes:
        sys.modules["only_there"] = sys
        (tmp_path / "pid").write_text(str(os.getpid()))
        return b"x" * 1_000_000

    assert in_a_fork(work) == b"x" * 1_000_000
    assert "only_there" not in sys.modules
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_process_that_ends_early_has_no_answer() -> None:
    with pytest.raises(NoAnswerError):
        in_a_fork(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(NoAnswerError):
        in_a_fork(lambda: [][0])
    with pytest.raises(NoAnswerError):
        in_a_fork(lambda: lambda: None)  # nothing that can be sent
