"""features.py, its test and .gitignore: honest, working, formatted, and about the user's own columns."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from workbench.starter.code_files import (
    IGNORED,
    ExampleColumn,
    features_test_text,
    features_text,
    gitignore_lines,
)

SHOP = [
    ExampleColumn("age", "numeric", (20, 40, 60)),
    ExampleColumn("orders", "numeric", (1, 5, 9)),
    ExampleColumn("avg_order_value", "numeric", (9.99, 25.0, None)),
    ExampleColumn("plan", "categorical", ("basic", "pro", None)),
]
AWKWARD = [
    ExampleColumn('Größe "L", 5\' – ' + "sehr " * 14, "numeric", (1.5, 2.5, None)),
    ExampleColumn("an unusually long name of a column, as surveys have them, isn't it?", "categorical",
                  ("one of the longer answers", 'said "no"', None)),
    ExampleColumn("back\\slash\n", "boolean", (True, False, True)),
    ExampleColumn("the moment at which the first order was placed", "datetime",
                  ("2024-01-01 10:00:00", "2024-01-01 11:00:00", None)),
    ExampleColumn("day", "datetime", ("2024-01-01", "2024-01-02", None)),
]  # fmt: skip
ONE_DATE = [ExampleColumn("at", "datetime", ("2024-01-01", "2024-01-02", None))]
ONE_NUMBER = [ExampleColumn("x", "numeric", (1.0, 2.0, 3.0))]
ONE_WORD = [ExampleColumn("word", "categorical", ("a", "b", "a"))]
EVERY = pytest.mark.parametrize("columns", [[], SHOP, AWKWARD, ONE_DATE, ONE_NUMBER, ONE_WORD])


def with_example(text: str) -> str:
    """features.py with its example switched on."""
    return text.replace("    # For example:\n", "").replace("    # ", "    ")


@EVERY
def test_code_is_formatted_as_ruff_does(columns: list[ExampleColumn], tmp_path: Path) -> None:
    (tmp_path / "features.py").write_text(features_text(columns), "utf-8")
    (tmp_path / "test_features.py").write_text(features_test_text(columns), "utf-8")
    for command in (["format", "--diff"], ["check", "--select", "F,I,B"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@EVERY
def test_features_pass_their_frame_through(columns: list[ExampleColumn]) -> None:
    module: dict[str, object] = {}
    exec(features_text(columns), module)
    frame = pd.DataFrame({"x": [1]})
    assert module["features"](frame) is frame  # type: ignore[operator]


@EVERY
@pytest.mark.parametrize("switched_on", [False, True])
def test_the_written_test_passes_with_and_without_the_example(
    columns: list[ExampleColumn], switched_on: bool, tmp_path: Path
) -> None:
    text = features_text(columns)
    (tmp_path / "features.py").write_text(with_example(text) if switched_on else text, "utf-8")
    (tmp_path / "tests").mkdir()
    test = tmp_path / "tests" / "test_features.py"
    test.write_text(features_test_text(columns), "utf-8")
    module: dict[str, object] = {"__file__": str(test), "__name__": "test_features"}
    exec(compile(test.read_text("utf-8"), str(test), "exec"), module)
    for name, check in module.items():
        if name.startswith("test_"):
            check()  # type: ignore[operator]


def test_the_example_is_the_one_people_know_when_the_columns_are_theirs() -> None:
    text = with_example(features_text(SHOP))
    module: dict[str, object] = {}
    exec(text, module)
    frame = pd.DataFrame({"age": [20, 70], "orders": [2, 3], "avg_order_value": [10.0, 5.0]})
    result = module["features"](frame)  # type: ignore[operator]
    assert list(result["total_spend"]) == [20.0, 15.0]
    assert list(result["age_group"]) == ["young", "elderly"]


def test_the_written_test_catches_features_that_drop_rows(tmp_path: Path) -> None:
    text = features_text(SHOP).replace("return frame\n", "return frame.dropna()\n")
    (tmp_path / "features.py").write_text(text, "utf-8")
    module: dict[str, object] = {"__file__": str(tmp_path / "tests" / "t.py")}
    exec(features_test_text(SHOP), module)
    with pytest.raises(AssertionError):
        module["test_every_row_is_kept"]()  # type: ignore[operator]


def test_gitignore_lists_what_is_missing_only() -> None:
    assert gitignore_lines().split() == list(IGNORED)
    assert gitignore_lines("/mlruns\n.workbench\n__pycache__/\n.venv/\n.pytest_cache\n") == ""
    assert gitignore_lines("secrets.env").startswith("\nmlruns/\n")


def test_code_is_python_whatever_the_column_is_called() -> None:
    columns = [ExampleColumn(name, "numeric", (1, 2, 3)) for name in ('"', "'", "\\", "\n", "{x}", "é", "")]
    ast.parse(features_text(columns))
    ast.parse(features_test_text(columns))
