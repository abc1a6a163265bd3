"""Data files are read whatever their dialect, and what is wrong with one is said with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data import find_files, load_data, read_chunks, read_table
from pipelines.delimited import sniff_delimiter
from store.errors import DataError


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^"])
def test_any_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in (("a", "b c", "ü"), ("1", "x", "2.5"), ("3", "y", "4")))
    frame = read_table(write(tmp_path, "t.csv", text))
    assert list(frame.columns) == ["a", "b c", "ü"]
    assert frame["ü"].tolist() == [2.5, 4.0]


def test_quotes_bom_and_gzip_are_understood(tmp_path: Path) -> None:
    text = '﻿name;note\n"Meier; Anna";"says ""hi""\nand leaves"\nBo;\n'
    for name, content in (("a.csv", text.encode()), ("a.csv.gz", gzip.compress(text.encode()))):
        frame = read_table(write(tmp_path, name, content))
        assert frame["name"].tolist() == ["Meier; Anna", "Bo"]
        assert frame["note"].iloc[0] == 'says "hi"\nand leaves'
        assert frame["note"].isna().tolist() == [False, True]


def test_other_encodings_are_read(tmp_path: Path) -> None:
    for encoding in ("latin-1", "utf-16"):
        frame = read_table(write(tmp_path, f"{encoding}.csv", "stadt,n\nMünchen,1\n".encode(encoding)))
        assert frame["stadt"].tolist() == ["München"]


def test_dates_numbers_and_gaps_get_their_types(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, "t.csv", "day,n,x\n2011-01-01,1,NA\n2011-01-02,,2.5\n"))
    assert frame["day"].dtype.kind == "M"
    assert frame["n"].tolist()[0] == 1.0
    assert frame["x"].isna().tolist() == [True, False]


def test_a_late_word_turns_a_column_of_numbers_into_text(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "a,b\n" + "1,1\n" * 400_000 + "x,1\n")
    frame = read_table(path)
    assert frame["a"].iloc[-1] == "x"
    assert frame["a"].iloc[0] == "1"


def test_parquet_and_json_lines_are_read(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    frame.to_parquet(tmp_path / "t.parquet")
    lines = write(tmp_path, "t.jsonl", '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n')
    for path in (tmp_path / "t.parquet", lines):
        read = read_table(path)
        assert read["a"].tolist() == [1, 2]
        assert read["b"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "is empty"),
        ("blank.csv", "\n\n", "is empty"),
        ("header.csv", "a,b\n", "header line only"),
        ("long.csv", "a,b\n1,2\n1,2,3\n", "line 3 of .* has 3 fields, the header has 2"),
        ("short.csv", "a,b,c\n1,2,3\n1,2\n", "line 3 of .* has 2 fields, the header has 3"),
        ("quoted.csv", 'a,b\n1,"x\ny"\n3,4,5\n', "line 4 of"),
        ("binary.csv", bytes(range(256)) * 10, "binary"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
        ("sheet.csv", b"PK\x03\x04" + b"x" * 100, "spreadsheet or archive"),
        ("twice.csv", "a,a\n1,2\n", "several columns named 'a'"),
        ("cut.csv.gz", gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:40], "cannot be decompressed"),
        ("broken.parquet", b"PAR1" + b"x" * 50, "not a whole Parquet file"),
        ("wrong.parquet", b"a,b\n1,2\n", "not a Parquet file"),
        ("text.jsonl", '{"a": 1}\nhello\n', "line 2 of .* is not JSON"),
        ("list.jsonl", "[1, 2]\n", "line 1 of .* is not a JSON object"),
        ("nested.jsonl", '{"a": {"b": 1}}\n', "lists or objects"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path)
    assert name in caught.value.message
    assert caught.value.hint
    with pytest.raises(DataError):
        list(read_chunks(path, 10))


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(DataError, match="cannot read"):
        load_data([folder], tmp_path)


def test_chunks_hold_the_same_rows_as_the_whole(tmp_path: Path) -> None:
    import pandas as pd

    rows = "".join(f'{n},"text\nof {n}"\n' for n in range(1000))
    path = write(tmp_path, "t.csv", f"n,note\n{rows}")
    chunks = list(read_chunks(path, 300))
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100]
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), read_table(path))


def test_a_limit_reads_the_first_rows_only(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "n\n" + "".join(f"{n}\n" for n in range(100)) + "a,b,c\n")
    assert read_table(path, limit=5)["n"].tolist() == [0, 1, 2, 3, 4]


def test_files_are_found_by_name_folder_and_pattern(tmp_path: Path) -> None:
    for name in ("data/b.csv", "data/a.csv", "data/notes.md", "data/.hidden.csv"):
        write(tmp_path, name, "a\n1\n")
    for data in ("data", "data/*.csv", "data/**/*.csv"):
        assert [path.name for path in find_files(data, tmp_path)][-2:] == ["a.csv", "b.csv"]
    assert [path.name for path in find_files("data/a.csv", tmp_path)] == ["a.csv"]


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "customers.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"customer\.csv.*Did you mean .*customers\.csv"):
        find_files("customer.csv", tmp_path)
    with pytest.raises(DataError, match="no data file matches"):
        find_files("*.parquet", tmp_path)


def test_files_are_stacked_and_named_by_their_content(tmp_path: Path) -> None:
    first, second = write(tmp_path, "1.csv", "a,b\n1,x\n"), write(tmp_path, "2.csv", "b,a\ny,2.5\n")
    loaded = load_data([first, second], tmp_path)
    assert loaded.frame["a"].tolist() == [1.0, 2.5]
    assert [file.path for file in loaded.files] == ["1.csv", "2.csv"]
    assert load_data([first, second], tmp_path).digest == loaded.digest
    second.write_text("b,a\ny,2.6\n")
    assert load_data([first, second], tmp_path).digest != loaded.digest


def test_files_with_other_columns_are_refused(tmp_path: Path) -> None:
    files = [write(tmp_path, "1.csv", "a,b\n1,2\n"), write(tmp_path, "2.csv", "a,c\n1,2\n")]
    with pytest.raises(DataError, match="lacks 'b' and has 'c' besides"):
        load_data(files, tmp_path)


def test_a_column_of_words_and_numbers_in_different_files_is_text(tmp_path: Path) -> None:
    files = [write(tmp_path, "1.csv", "a\n1\n"), write(tmp_path, "2.csv", "a\nx\n")]
    assert load_data(files, tmp_path).frame["a"].tolist() == ["1", "x"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-(10**9), 10**9), st.text("abc ,;|\"'ü", max_size=8)), min_size=1, max_size=20
    ),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_what_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], delimiter: str
) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("n", "text"), *rows])
    frame = read_table(path)
    assert frame["n"].tolist() == [number for number, _ in rows]


def test_decimal_commas_do_not_pass_for_delimiters() -> None:
    assert sniff_delimiter("a;b\n1,5;2,5\n1,5;3,5\n") == ";"
