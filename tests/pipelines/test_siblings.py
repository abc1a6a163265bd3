"""A user's module imports what lies beside it, and each version keeps its own."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest

from pipelines.siblings import find_siblings, named_back, renamed
from pipelines.user_module import load_user_module
from store.errors import UserCodeError

FRAME = pd.DataFrame({"age": [20, 60]})
MODULE = """\
import helpers
from helpers import (
    double as twice,
)

def features(frame):
    import later as afterwards, json
    frame["x"] = twice(frame["age"]) + helpers.SHIFT + afterwards.NOTHING
    return frame

if __name__ == "__main__":
    import plots
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MODULE, "utf-8")
    (tmp_path / "helpers.py").write_text("import deeper\nSHIFT = deeper.SHIFT\ndouble = deeper.double\n")
    (tmp_path / "deeper.py").write_text("SHIFT = 1\n\ndef double(values):\n    return values * 2\n")
    (tmp_path / "later.py").write_text("NOTHING = 0\n")
    (tmp_path / "json.py").write_text("raise RuntimeError('hides what Python has')\n")
    (tmp_path / "plots.py").write_text("raise RuntimeError('not for the model')\n")
    return tmp_path


def test_two_versions_of_the_files_live_beside_each_other(folder: Path) -> None:
    before = load_user_module(folder / "mine.py", "demo")
    assert sorted(name.rpartition("__")[2] for name in before.siblings) == ["deeper", "helpers", "later"]
    (folder / "deeper.py").write_text("SHIFT = 100\n\ndef double(values):\n    return values * 2\n")
    after = load_user_module(folder / "mine.py", "demo")
    assert before.name != after.name
    for user, expected in ((before, [41, 121]), (after, [140, 220])):
        assert user.features is not None
        assert user.features(FRAME.copy())["x"].tolist() == expected
        assert pickle.loads(pickle.dumps(user.features)) is user.features


def test_what_travels_is_turned_back_into_what_was_written(folder: Path) -> None:
    source = (folder / "mine.py").read_bytes()
    names = {stem: f"wb_demo_0__{stem}" for stem in find_siblings(folder / "mine.py", source)}
    assert sorted(names) == ["deeper", "helpers", "later"]
    travels = renamed(source, names)
    assert b"import wb_demo_0__helpers as helpers\nfrom wb_demo_0__helpers import (\n" in travels
    assert b"    import wb_demo_0__later as afterwards, json\n" in travels
    assert travels.count(b"\n") == source.count(b"\n")
    assert named_back(travels, "wb_demo_0") == source


def test_a_folder_is_refused_and_the_line_in_a_file_beside_is_named(folder: Path) -> None:
    (folder / "helpers.py").write_text("SHIFT = 1 / 0\n")
    with pytest.raises(UserCodeError, match=r"helpers\.py, line 1, cannot be loaded: ZeroDivisionError"):
        load_user_module(folder / "mine.py", "demo")
    (folder / "parts").mkdir()
    (folder / "helpers.py").write_text("\nfrom parts.first import double\n")
    with pytest.raises(UserCodeError, match="imports the folder parts beside it; only single files"):
        load_user_module(folder / "mine.py", "demo")
