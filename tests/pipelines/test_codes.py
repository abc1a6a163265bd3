"""Codes with leading zeros stay what they are, wherever a file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.columns import infer_kinds, infer_task, to_numbers
from pipelines.data import load_data, read_chunks, read_table
from pipelines.prepare import prepare
from pipelines.settings import PipelineSettings
from pipelines.summary import summarize
from pipelines.validate import DataSoFar, judge

ZIPS = ["02139", "90210", "", "10001"]
ROWS = "".join(f"{ZIPS[i % 4]},{i * 7 % 50},0.{i % 9 + 1},{'yn'[i % 2]}\n" for i in range(40))
HEADER = "zip,age,share,churned\n"


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("02139", "categorical"),
        ('"02139"', "categorical"),
        (" 02139", "categorical"),
        ("00049170123456789012345", "categorical"),
        ("0.5", "numeric"),
        ("0", "numeric"),
        ("-02", "numeric"),
        ("00.5", "numeric"),
    ],
)
@pytest.mark.parametrize("place", [0, 30])
def test_a_leading_zero_makes_a_column_of_codes(tmp_path: Path, cell: str, kind: str, place: int) -> None:
    values = [str(n % 17 + 1) for n in range(40)]
    values[place] = cell
    path = tmp_path / "t.csv"
    path.write_text("a;x\n" + "".join(f"{n % 5};{value}\n" for n, value in enumerate(values)))
    frame = read_table(path)
    assert infer_kinds(frame)["x"].kind == kind
    assert infer_kinds(frame, ["x"])["x"].kind == "numeric"
    assert infer_kinds(frame)["a"].kind == "numeric"
    if kind == "categorical":
        assert frame["x"].str.strip().tolist() == [value.strip('" ') for value in values]


def test_training_reads_codes_as_text_unless_a_rule_speaks_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEADER + ROWS)
    frame = load_data([path], tmp_path).frame
    wanted = {"data": "t.csv", "target": "churned"}
    as_codes = prepare(PipelineSettings.model_validate(wanted), frame, has_features_function=False)
    assert as_codes.kinds["zip"].reason == "3 different codes with leading zeros, such as 02139"
    assert set(as_codes.frame["zip"].dropna()) == {"02139", "90210", "10001"}
    rule = {"columns": {"zip": {"min": 0}}}
    as_numbers = prepare(PipelineSettings.model_validate(wanted | rule), frame, has_features_function=False)
    assert set(as_numbers.frame["zip"].dropna()) == {2139.0, 90210.0, 10001.0}
    # What `predict` makes of the same text for a model that takes a number.
    numbers = to_numbers(frame["zip"])
    assert numbers is not None
    assert set(numbers.dropna()) == {2139.0, 90210.0, 10001.0}


def test_parts_of_a_file_agree_with_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEADER + ROWS)
    whole = read_table(path)["zip"].fillna("").tolist()
    parts = [value for chunk in read_chunks(path, 3) for value in chunk["zip"]]
    assert [
        value if isinstance(value, str) else "" if value != value else f"{value:.0f}" for value in parts
    ] == whole


def test_codes_among_numbers_so_far_are_kept_out_with_the_value_that_tells(tmp_path: Path) -> None:
    settings = PipelineSettings.model_validate({"data": "t", "target": "churned"})
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(HEADER + ROWS.replace("02139", "12139"))
    second.write_text(HEADER + ROWS.replace("02139,0,", "77777,0,"))
    so_far = DataSoFar()
    so_far.add(summarize(first, settings).columns)
    report = judge("second.csv", summarize(second, settings), so_far, settings)
    assert "second.csv line 6: column 'zip' holds '02139', a code with a leading zero" in str(report.reason)
    numbers = PipelineSettings.model_validate(
        {"data": "t", "target": "churned", "columns": {"zip": {"min": 0}}}
    )
    assert judge("second.csv", summarize(second, numbers), so_far, numbers).is_valid
    codes = DataSoFar()
    codes.add(summarize(second, settings).columns)
    assert codes.kinds["zip"] == "text"
    assert judge("first.csv", summarize(first, settings), codes, settings).is_valid


def test_a_target_of_codes_has_classes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,code\n" + "".join(f"{n},{'01' if n % 3 else '10'}\n" for n in range(60)))
    assert infer_task(read_table(path)["code"])[0] == "binary"
