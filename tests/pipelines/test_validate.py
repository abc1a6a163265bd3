"""What is found about a data file before anything learns from it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.blocks import read_blocks
from pipelines.settings import PipelineSettings
from pipelines.summary import FileSummary, summarize
from pipelines.validate import DataSoFar, Report, judge
from store.errors import DataError, SettingsError

HEADER = "temp,city,when,rentals\n"
GOOD = HEADER + "".join(
    f"{10 + i % 20},{'Köln' if i % 2 else 'Bonn'},2024-01-{i + 1:02d},{i * 3}\n" for i in range(28)
)

Check = Callable[..., Report]


def pipeline(**settings: Any) -> PipelineSettings:
    return PipelineSettings.model_validate({"data": "data", "target": "rentals", **settings})


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Judges a text as a file `new.csv`, by a good file that came before it."""

    def run(
        text: str | bytes, *, before: str | None = GOOD, name: str = "new.csv", **settings: Any
    ) -> Report:
        wanted = pipeline(**settings)
        so_far = DataSoFar()
        if before is not None:
            first = tmp_path / "before.csv"
            first.write_text(before, "utf-8")
            so_far.add(summarize(first, wanted).columns)
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return judge(name, summarize(path, wanted), so_far, wanted)

    return run


def test_a_file_like_the_others_is_valid(check: Check) -> None:
    report = check(GOOD)
    assert report.is_valid
    assert report.findings == ()


def test_a_word_among_numbers_is_named_with_file_line_and_value(check: Check) -> None:
    lines = GOOD.splitlines(keepends=True)
    lines[4] = lines[4].replace("13,", "oops,", 1)
    report = check("".join(lines))
    assert not report.is_valid
    assert report.reason is not None
    for part in ("new.csv", "line 5", "'temp'", "'oops'"):
        assert part in report.reason


def test_numbers_written_as_text_are_numbers(check: Check) -> None:
    assert check(GOOD.replace("10,Bonn", '" 10.5 ",Bonn').replace("11,K", '"1,100",K', 1)).is_valid


def test_line_numbers_hold_across_quoted_line_breaks_and_blank_lines(check: Check) -> None:
    text = HEADER + '1,"a\nb",2024-01-01,1\n\n2,c,2024-01-02,2\noops,d,2024-01-03,3\n'
    assert "line 6" in str(check(text, before=GOOD).reason)


def test_a_lone_file_with_few_words_in_a_number_column_is_warned_of(check: Check) -> None:
    lines = [f"{i},{i}\n" for i in range(40)]
    lines[7] = "?,7\n"
    report = check("a,rentals\n" + "".join(lines), before=None)
    assert report.is_valid
    assert [finding.check for finding in report.warnings] == ["type"]
    assert "line 9" in report.warnings[0].message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("temp,", "Temp ,"), ("lacks column 'temp'", "'Temp'", "renamed")),
        (("temp,city,", "temp,town,"), ("lacks column 'city'", "'town'", "renamed")),
        ((",rentals", ",rental_count"), ("lacks the target 'rentals'", "'rental_count'")),
    ],
)
def test_missing_columns_are_named_with_what_they_may_be_called_by_now(
    check: Check, change: tuple[str, str], words: tuple[str, ...]
) -> None:
    report = check(GOOD.replace(*change))
    message = " ".join(finding.message for finding in report.errors)
    for word in words:
        assert word in message


def test_an_extra_column_is_an_error(check: Check) -> None:
    text = "".join(f"{line},x\n" for line in GOOD.splitlines()).replace("rentals,x", "rentals,mood")
    assert "'mood'" in str(check(text).reason)


@pytest.mark.parametrize(
    ("rule", "line", "demand"),
    [
        ({"min": 12}, "line 2", "at least 12"),
        ({"max": 12}, "line 5", "at most 12"),
        ({"values": [10, 11]}, "line 4", "one of 10, 11"),
    ],
)
def test_broken_column_rules_say_where(check: Check, rule: dict[str, Any], line: str, demand: str) -> None:
    report = check(GOOD, columns={"temp": rule})
    assert line in str(report.reason)
    assert demand in str(report.reason)


def test_null_rules_and_shares(check: Check) -> None:
    text = GOOD.replace("Bonn", "", 3)
    assert "may not be missing" in str(check(text, columns={"city": {"null": False}}).reason)
    assert check(text, validate={"max_null_share": 0.2}).is_valid
    assert "10.7%" in str(check(text, validate={"max_null_share": 0.1}).reason)


def test_rules_across_columns_are_conditions_in_sql(check: Check) -> None:
    report = check(GOOD, validate={"rules": ["temp < 25 or city = 'Bonn'"]})
    assert "line 17" in str(report.reason)
    assert check(GOOD, validate={"rules": ["temp >= 10"]}).is_valid
    with pytest.raises(SettingsError, match="can't be checked"):
        check(GOOD, validate={"rules": ["no such condition"]})


def test_rules_reach_no_file(check: Check, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        check(GOOD, validate={"rules": [f"(SELECT count(*) FROM read_csv('{tmp_path / 'before.csv'}')) > 0"]})


def test_the_target_must_be_there_in_every_row(check: Check) -> None:
    text = GOOD.replace(",2024-01-03,6\n", ",2024-01-03,\n")
    assert "line 4" in str(check(text).reason)
    assert "target 'rentals' is missing in 1 of 28" in str(check(text).reason)


def test_infinite_values_are_errors(check: Check) -> None:
    assert "infinite" in str(check(GOOD.replace("11,Köln", "inf,Köln", 1)).reason)


def test_what_is_only_strange_is_a_warning(check: Check) -> None:
    text = GOOD.replace("Bonn", "Oslo").replace("10,", "9000,", 1) + GOOD.splitlines()[1] + "\n" * 2
    text += text.splitlines()[2] + "\n"
    report = check(text, time_column="when")
    assert report.is_valid
    assert {finding.check for finding in report.warnings} == {"categories", "range", "duplicates", "order"}


def test_on_failure_warn_lets_pass_what_a_training_can_use(check: Check) -> None:
    report = check(GOOD.replace("11,Köln", "oops,Köln", 1), validate={"on_failure": "warn"})
    assert report.is_valid
    assert [finding.check for finding in report.warnings] == ["type"]
    assert not check(GOOD.replace(",rentals", ",other"), validate={"on_failure": "warn"}).is_valid


def test_of_files_that_come_at_once_most_are_right() -> None:
    def summary(*values: Any) -> FileSummary:
        import pyarrow as pa

        from pipelines.blocks import Block
        from pipelines.tally import ColumnTally, count

        tally = ColumnTally()
        column = pa.chunked_array([pa.array(values)])
        count(tally, column, Block(pa.table({"x": column}), 0))
        return FileSummary(len(values), {"x": tally})

    settings = PipelineSettings(data="data", target="x")
    bad, good = summary("oops", "1", "2"), summary(1, 2, 3)
    so_far = DataSoFar.by_majority([bad, good, good])
    assert not judge("bad", bad, so_far, settings).is_valid
    assert judge("good", good, so_far, settings).is_valid


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "jsonl"])
def test_every_format_gives_the_same_summary(suffix: str, tmp_path: Path, customers: Any) -> None:
    path = tmp_path / f"file.{suffix}"
    if suffix == "parquet":
        customers.to_parquet(path)
    elif suffix == "jsonl":
        customers.to_json(path, orient="records", lines=True)
    else:
        customers.to_csv(path, index=False)
    summary = summarize(path, pipeline())
    age = summary.columns["age"]
    assert summary.rows == 300
    assert (age.low, age.high, age.numbers) == (customers["age"].min(), customers["age"].max(), 300)
    assert summary.columns["income"].kind == "number"
    assert summary.columns["größe"].missing == int(customers["größe"].isna().sum())
    assert summary.columns["city"].categories == customers["city"].value_counts().to_dict()
    assert summary.columns["member"].kind == "boolean"
    assert FileSummary.from_json(summary.as_json()).columns == summary.columns


def test_blocks_join_to_the_whole_whatever_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    rows = [f'{i},"line\nbreak {i}",{i / 7}' for i in range(500)]
    path.write_text("\ufeffn,text,x\n" + "\n".join(rows) + "\n", "utf-8")
    monkeypatch.setattr("pipelines.blocks.BLOCK_BYTES", 700)
    blocks = list(read_blocks(path))
    assert len(blocks) > 5
    assert [n for block in blocks for n in block.table["n"].to_pylist()] == list(range(500))
    assert blocks[5].line(1) == 2 + 2 * blocks[5].table["n"][1].as_py()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"a,b\n", "header line only"),
        (b"a,b\n1,2\n1,2,3\n", "line 3"),
        (gzip.compress(b"a,b\n1,2\n" * 400, mtime=0)[:-20], "decompressed"),
        (bytes(range(256)) * 20, "binary"),
    ],
)
def test_what_is_no_table_is_said_to_be_none(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        summarize(path, pipeline())


def test_other_encodings_are_read(check: Check, tmp_path: Path) -> None:
    for encoding in ("cp1252", "utf-16"):
        path = tmp_path / "old.csv"
        path.write_bytes(GOOD.encode(encoding))
        assert summarize(path, pipeline()).columns["city"].categories == {"Bonn": 14, "Köln": 14}
