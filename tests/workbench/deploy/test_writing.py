"""Files of a target on stdout, in a file or in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.errors import UsageError
from workbench.deploy.writing import as_text, write

TWO = {"a.yml": "a: 1\n", "deep/b.yml": "b: 2\n"}
ONE = {".github/workflows/model.yml": "on: push\n"}


def test_one_file_is_printed_as_it_is_and_several_under_their_names() -> None:
    assert as_text(ONE) == "on: push\n"
    assert as_text(TWO) == "# ---- a.yml\na: 1\n\n# ---- deep/b.yml\nb: 2\n"


def test_a_single_file_takes_the_name_given_or_its_own_place_in_a_folder(tmp_path: Path) -> None:
    assert write(ONE, tmp_path / "mine.yml") == [tmp_path / "mine.yml"]
    assert write(ONE, tmp_path) == [tmp_path / ".github/workflows/model.yml"]
    new = tmp_path / "new"
    assert write(ONE, new, is_folder=True) == [new / ".github/workflows/model.yml"]


def test_several_files_are_laid_out_in_a_folder(tmp_path: Path) -> None:
    write(TWO, tmp_path / "out")
    assert (tmp_path / "out/deep/b.yml").read_text() == "b: 2\n"
    with pytest.raises(UsageError, match="is a file"):
        write(TWO, tmp_path / "out/a.yml")


def test_nothing_is_written_where_one_file_would_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/b.yml").write_text("mine\n")
    with pytest.raises(UsageError, match="exists already"):
        write(TWO, tmp_path)
    assert not (tmp_path / "a.yml").exists()
    write(TWO, tmp_path, force=True)
    assert (tmp_path / "deep/b.yml").read_text() == "b: 2\n"


def test_what_is_there_already_word_for_word_is_no_conflict(tmp_path: Path) -> None:
    write(TWO, tmp_path)
    write(TWO, tmp_path)
