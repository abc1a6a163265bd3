"""What a table tells: the target that is missing or misspelt, roles of columns, order in time, warnings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from store.errors import DataError, UsageError
from workbench.starter.inspection import (
    SAMPLED_ROWS,
    Inspection,
    check_target,
    inspect_data,
    likely_target,
    named_like_target,
    read_columns,
    read_sample,
)


def inspected(frame: pd.DataFrame, target: str = "churned") -> Inspection:
    return inspect_data(frame, target, source="customers.csv")


def roles(inspection: Inspection) -> dict[str, str]:
    return {column.name: column.role for column in inspection.columns}


def test_every_column_has_a_kind_a_role_and_a_reason(customers: pd.DataFrame) -> None:
    inspection = inspected(customers)
    assert inspection.task == "binary"
    assert roles(inspection) == {
        "customer_id": "id",
        "age": "feature",
        "orders": "feature",
        "avg_order_value": "feature",
        "visits": "feature",
        "days_since_last": "feature",
        "plan": "feature",
        "newsletter": "feature",
        "country": "left out",
        "signed_up": "feature",
        "churned": "target",
    }
    assert all(column.reason for column in inspection.columns)
    kinds = {column.name: column.kind for column in inspection.columns}
    assert (kinds["newsletter"], kinds["signed_up"], kinds["country"]) == ("boolean", "datetime", "constant")


def test_a_time_series_is_seen_by_its_order(customers: pd.DataFrame) -> None:
    in_order = customers.sort_values("signed_up", ignore_index=True)
    assert not inspected(customers).is_in_time_order
    inspection = inspected(in_order)
    assert inspection.is_in_time_order
    assert roles(inspection)["signed_up"] == "time"


def test_rows_in_order_whose_last_lack_a_class_are_not_split_by_time(customers: pd.DataFrame) -> None:
    in_order = customers.sort_values("signed_up", ignore_index=True)
    in_order["churned"] = (in_order.index < 200).astype(int)
    inspection = inspected(in_order)
    assert not inspection.is_in_time_order
    assert inspection.time_column == "signed_up"


def test_a_target_that_is_not_named_lists_the_columns_and_the_likely_one(customers: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match=r"It has: customer_id, age, .*churned\. Likely: --target churned"):
        check_target(list(customers.columns), None, "customers.csv")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("churnd", "churned"), ("Churned", "churned"), ("AGE ", "age"), ("country", "country")],
)
def test_a_misspelt_target_names_the_nearest(customers: pd.DataFrame, given: str, meant: str) -> None:
    columns = list(customers.columns)
    if given in columns:
        assert check_target(columns, given, "f") == meant
        return
    with pytest.raises(UsageError, match=f"Did you mean --target {meant}"):
        check_target(columns, given, "f")


def test_a_column_with_spaces_is_quoted_for_the_shell() -> None:
    with pytest.raises(UsageError, match="--target 'has churned'"):
        check_target(["a", "has churned"], None, "f")


def test_a_wide_table_does_not_flood_the_screen() -> None:
    with pytest.raises(UsageError) as caught:
        check_target([f"column_{i}" for i in range(1000)], None, "f")
    assert "and 975 more" in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["target", "a"], "target"),
        (["Label", "a"], "Label"),
        (["y", "x"], "y"),
        (["has churned", "a"], "has churned"),
        (["a", "b"], "b"),
    ],
)
def test_the_likely_target(columns: list[str], expected: str) -> None:
    assert likely_target(columns) == expected


def test_a_column_is_not_named_like_a_target_by_being_last() -> None:
    assert named_like_target(["a", "b"]) is None


def test_a_target_nothing_can_be_learnt_from_is_refused(customers: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"'country' of customers\.csv is 'NL' in every row"):
        inspected(customers, "country")
    customers["ones"] = 1
    with pytest.raises(DataError, match=r"'ones' of customers\.csv is 1 in every row"):
        inspected(customers, "ones")
    customers["empty"] = np.nan
    with pytest.raises(DataError, match="has no values"):
        inspected(customers, "empty")


def test_what_training_will_refuse_is_said_beforehand(customers: pd.DataFrame) -> None:
    customers["churned"] = customers["churned"].map({0: "no", 1: "yes"})
    customers.loc[3, "churned"] = "maybe"
    customers.loc[4, "churned"] = None
    warnings = " ".join(inspected(customers).warnings)
    assert "churned is missing in 1 of 300 rows: training refuses" in warnings
    assert "one row only (maybe)" in warnings


def test_rare_classes_and_few_rows_are_said(customers: pd.DataFrame) -> None:
    customers["churned"] = (customers.index < 6).astype(int)
    assert "only 2.0% of the rows are 1" in inspected(customers).warnings[0]
    assert "20 rows are few" in inspected(customers.head(20)).warnings[0]


def test_examples_carry_nobodys_name_but_the_usual_categories(customers: pd.DataFrame) -> None:
    customers["surname"] = [f"{a}{b}" for a in "abcdefghijklmno" for b in "abcdefghijklmnopqrst"]
    examples = {column.name: column.example.values for column in inspected(customers).columns}
    assert examples["surname"] == ("one", "two", "one")
    assert set(examples["plan"]) == {"basic", "pro", "team"}
    assert examples["visits"][2] is None
    assert all(isinstance(value, float) for value in examples["age"])


def test_files_of_one_pipeline_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    with pytest.raises(DataError, match="differ in their columns: y, z"):
        read_sample([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_a_sorted_file_too_large_to_guess_from_whole_shows_all_its_classes(tmp_path: Path) -> None:
    path = tmp_path / "sorted.csv"
    with path.open("w") as file:
        file.write("x,label\n")
        for label in ("a", "b", "c"):
            file.writelines(f"{i % 977},{label}\n" for i in range(SAMPLED_ROWS))
    frame, is_sample = read_sample([path])
    assert (len(frame), is_sample) == (SAMPLED_ROWS, True)
    inspection = inspect_data(
        frame, "label", source="sorted.csv", read_all=lambda names: read_columns([path], names)
    )
    assert (inspection.task, inspection.rows) == ("multiclass", 3 * SAMPLED_ROWS)
    assert inspection.sampled_rows == SAMPLED_ROWS
