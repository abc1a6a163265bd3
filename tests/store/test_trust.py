"""The list of trust: what is on it from the start, and what people add."""

from __future__ import annotations

from pathlib import Path

from store.journal import read_events
from store.layout import Layout
from store.trust import SKOPS_TYPES, is_trusted, trust, trusted_values


def test_reviewed_types_are_trusted_without_a_project() -> None:
    assert is_trusted(None, "type", "sklearn.tree._tree.Tree")
    assert not is_trusted(None, "type", "os.system")
    assert trusted_values(None, "code") == frozenset()


def test_the_reviewed_types_are_those_of_scikit_learn_numpy_and_the_standard_library() -> None:
    packages = {name.partition(".")[0] for name in SKOPS_TYPES}
    known = {
        "_loss",
        "builtins",
        "collections",
        "datetime",
        "functools",
        "numpy",
        "pipelines",
        "scipy",
        "sklearn",
    }
    assert packages <= known
    dangerous = {
        "eval",
        "exec",
        "compile",
        "open",
        "system",
        "getattr",
        "load",
        "loads",
        "__import__",
        "memmap",
    }
    assert not {name.rpartition(".")[2] for name in SKOPS_TYPES} & dangerous


def test_a_trusted_value_is_journalled_once_with_who_and_why(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path).ensure()
    for _ in range(2):
        trust(layout, "code", "abc", who="ada@host", reason="read it")
    assert is_trusted(layout, "code", "abc")
    assert not is_trusted(layout, "model", "abc")
    (event,) = read_events(layout, what="trusted")
    assert (event.who, event.reason) == ("ada@host", "read it")
    assert event.details == {"kind": "code", "value": "abc"}


def test_looking_makes_no_file(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)
    assert not is_trusted(layout, "type", "x.y")
    assert not layout.state.exists()
