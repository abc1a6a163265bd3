"""The text of features.py, its test and .gitignore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.starter.literals import PYTHON_WIDTH, python_items, python_value

IGNORED = ("mlruns/", ".workbench/", "__pycache__/", ".pytest_cache/", ".venv/")
"""What no project wants in git: the runs, the project's state, caches, the environment."""


@dataclass(frozen=True)
class ExampleColumn:
    """A feature with three typical values: what the templates need to speak of the user's own data."""

    name: str
    kind: str
    values: tuple[Any, ...]


def gitignore_lines(existing: str = "") -> str:
    """What to append to a .gitignore that says `existing` so far; empty where it lacks nothing."""
    have = {line.strip().strip("/") for line in existing.splitlines()}
    missing = [line for line in IGNORED if line.strip("/") not in have]
    gap = "\n" if missing and existing and not existing.endswith("\n") else ""
    return gap + "".join(f"{line}\n" for line in missing)


def features_text(columns: Sequence[ExampleColumn]) -> str:
    """A features.py that passes its frame through, with an example in the user's own column names."""
    example = "".join(f"    # {line}\n" for line in _example(columns))
    return f'''"""Features of your own, computed from the raw columns before the model sees them.

Switched on by `module = "features.py"` in workbench.toml. From then on each model carries
a copy of this file, so a prediction goes through the same code as the training did.
"""

import pandas as pd


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns to learn from.

    Training calls this with many rows, the server often with one: a row's features may
    depend on that row only. The target is not among the columns.
    """
    # For example:
{example}    return frame
'''


def features_test_text(columns: Sequence[ExampleColumn]) -> str:
    """A test of features.py on rows like the user's; passes as long as features() is sound."""
    rows = _sample_rows(columns)
    return f'''"""Checks of features.py; run with: python -m pytest"""

import importlib.util
from pathlib import Path

import pandas as pd
from pandas.testing import assert_frame_equal

FEATURES = Path(__file__).resolve().parents[1] / "features.py"


def load_features():
    # By path, because a project's folder is not on sys.path when models are trained.
    spec = importlib.util.spec_from_file_location("project_features", FEATURES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.features


def sample():
    """Three invented rows in the shape of the data; add the cases that matter to you."""
{rows}

def test_every_row_is_kept():
    result = load_features()(sample())
    assert len(result) == len(sample())


def test_the_frame_passed_in_is_left_alone():
    frame = sample()
    load_features()(frame)
    assert_frame_equal(frame, sample())


def test_a_row_alone_gives_the_same_features_as_among_others():
    features = load_features()
    together = features(sample())
    for row in range(len(sample())):
        alone = features(sample().iloc[[row]])
        assert_frame_equal(alone, together.iloc[[row]], check_dtype=False)
'''


def _sample_rows(columns: Sequence[ExampleColumn]) -> str:
    if not columns:
        return '    return pd.DataFrame({"number": [1.0, 2.5, None], "word": ["a", "b", "a"]})\n'
    dates = [python_value(column.name) for column in columns if column.kind == "datetime"]
    lines = ["    frame = pd.DataFrame(" if dates else "    return pd.DataFrame(", "        {"]
    for column in columns:
        items = [_sample_value(value) for value in column.values]
        lines += python_items(f"{python_value(column.name)}: ", items, indent=12, suffix=",")
    lines += ["        }", "    )"]
    if dates:
        lines += python_items("for column in ", dates, indent=4, suffix=":")
        lines += ["        frame[column] = pd.to_datetime(frame[column])", "    return frame"]
    return "\n".join(lines) + "\n"


def _sample_value(value: Any) -> str:
    return "None" if value is None else python_value(value)


def _example(columns: Sequence[ExampleColumn]) -> list[str]:
    """Lines that derive features from these columns, as someone who knows the data might start."""
    by_name = {column.name: column for column in columns}
    numeric = [column for column in columns if column.kind == "numeric"]
    lines = ["frame = frame.copy()"]
    age = next((c for c in numeric if c.name.lower() in ("age", "alter", "edad", "idade", "âge")), None)
    if age:
        lines += [
            "groups = [0, 25, 45, 65, 100]",
            'names = ["young", "adult", "senior", "elderly"]',
            f"{_cell(f'{age.name}_group')} = pd.cut({_cell(age.name)}, groups, labels=names).astype(object)",
        ]
    product = _product(by_name, numeric)
    if product:
        left, right, name = product
        lines += _assign(name, left, "*", right)
    elif not age and len(numeric) == 1:
        only = numeric[0].name
        lines += _assign(f"{only}_squared", only, "*", only)
    moment = next((c for c in columns if c.kind == "datetime"), None)
    if moment and len(lines) < 4:
        lines += [
            f"moment = pd.to_datetime({_cell(moment.name)})",
            f"{_cell(f'{moment.name}_weekday')} = moment.dt.day_of_week",
        ]
    if len(lines) == 1:
        word = next((c.name for c in columns if c.kind in ("categorical", "text")), None)
        name, source = (f"{word}_length", word) if word else ("word_length", "word")
        lines.append(f"{_cell(name)} = {_cell(source)}.astype(str).str.len()")
    return lines


def _product(
    by_name: Mapping[str, ExampleColumn], numeric: Sequence[ExampleColumn]
) -> tuple[str, str, str] | None:
    if {"orders", "avg_order_value"} <= by_name.keys():
        return "orders", "avg_order_value", "total_spend"
    if len(numeric) < 2:
        return None
    left, right = numeric[-2].name, numeric[-1].name
    return left, right, f"{left}_times_{right}"


def _assign(name: str, left: str, operator: str, right: str) -> list[str]:
    line = f"{_cell(name)} = {_cell(left)} {operator} {_cell(right)}"
    if len(line) <= PYTHON_WIDTH - 6:
        return [line]
    return [f"left = {_cell(left)}", f"right = {_cell(right)}", f"{_cell(name)} = left {operator} right"]


def _cell(column: str) -> str:
    return f"frame[{python_value(column)}]"
