"""Two sets of rows told apart by all columns together, where each column alone looks as it did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.drift.files import compare_files
from pipelines.drift.joint import LEAST_ROWS, MAX_ROWS, JointColumn, chosen_rows, joint_drift
from pipelines.drift.joint_files import joint_of_files

Write = Callable[[str, float, int], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file in which `a` and `b` go together as told, with everything that may be in a column."""

    def rows(name: str, together: float, seed: int) -> Path:
        rng = np.random.default_rng(seed)
        a = rng.normal(size=500)
        b = together * a + np.sqrt(1 - together**2) * rng.normal(size=500)
        lines = ["a,b,kind,when,only_" + name]
        for place, (one, other) in enumerate(zip(a, b, strict=True)):
            left = "" if place % 17 == 0 else "inf" if place % 41 == 0 else f"{one:.6f}"
            kind = "" if place % 13 == 0 else rng.choice(["x", "y"])
            lines.append(f"{left},{other:.6f},{kind},2026-0{seed}-01T00:{place % 60:02}:00,1")
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return rows


def test_columns_that_go_together_otherwise_are_told_apart_though_none_drifted(write: Write) -> None:
    reference, current = write("was", 0.0, 1), write("now", 0.9, 2)
    alone = compare_files(reference, current, ignore=["when", "only_was"])
    assert not any(one.flagged for one in alone.features)
    found = joint_of_files(reference, current)
    assert found.auc is not None and found.low is not None and found.high is not None  # noqa: PT018
    assert found.p_value is not None
    assert 0.7 < found.low < found.auc < found.high < 1
    assert found.p_value < 1e-6
    assert {name for name, _ in found.features[:2]} == {"a", "b"}
    assert found.left_out == ("when", "only_was", "only_now")
    assert "most of all by" in found.sentence
    assert found.as_json() == joint_of_files(reference, current).as_json()


def test_rows_of_one_kind_are_not(write: Write) -> None:
    found = joint_of_files(write("was", 0.5, 1), write("same", 0.5, 3))
    assert found.auc is not None
    assert found.p_value is not None
    assert found.p_value > 0.05
    assert abs(found.auc - 0.5) < 0.06
    assert "don't tell the two apart" in found.sentence


def test_a_column_that_gives_every_row_away() -> None:
    column = JointColumn("unit", "categorical", ["m"] * LEAST_ROWS, ["ft"] * LEAST_ROWS)
    found = joint_drift([column])
    assert (found.auc, found.low, found.high) == (1.0, 1.0, 1.0)


def test_columns_without_a_value_and_with_one_say_nothing() -> None:
    nothing, same = [None] * LEAST_ROWS, [7.0] * LEAST_ROWS
    found = joint_drift(
        [JointColumn("n", "numeric", nothing, nothing), JointColumn("s", "numeric", same, same)]
    )
    assert found.auc == 0.5


def test_too_few_rows_and_no_columns_are_said() -> None:
    few = joint_drift([JointColumn("x", "numeric", np.arange(1000.0), np.arange(50.0))])
    assert few.auc is None
    assert few.note == "50 of 200 rows in the window"
    assert joint_drift([]).sentence == "Not judged: no column is on both sides."


def test_rows_beyond_the_cap_are_drawn_the_same_way_each_time() -> None:
    chosen = chosen_rows(3 * MAX_ROWS)
    assert len(np.unique(chosen)) == MAX_ROWS
    assert np.array_equal(chosen, chosen_rows(3 * MAX_ROWS))
    assert len(chosen_rows(10)) == 10
