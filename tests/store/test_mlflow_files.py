from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from store.mlflow_files import (
    BrokenFileError,
    dump_meta,
    from_ms,
    parse_flat,
    read_meta,
    read_metrics,
    read_points,
    read_values,
    to_ms,
    write_value,
)

TRICKY = st.sampled_from(
    ("", "null", "~", "true", "No", "1", "01", "0x1f", "1.5", "1e3", ".inf", "12:30:45", "2024-01-01", "a: b",
     "a #b", "- a", "'", '"', "a\nb", "a\\b", " a ", "é", "@x", "%x", "0b" + "1" * 30, "1" * 32, "0" * 32,
     "12e" + "4" * 29, "f" * 32, "file:///a b", "file:///tmp/x", "a" * 200, "word " * 40, "=",
     "<<", "[]", "{}")
)  # fmt: skip
VALUES = TRICKY | st.text(max_size=40) | st.integers() | st.none() | st.just([]) | st.just({})
META_KEYS = st.sampled_from(("run_id", "run_name", "artifact_uri", "status", "tags", "end_time", "user_id"))


@given(st.dictionaries(META_KEYS, VALUES, min_size=1))
def test_the_fast_path_reads_what_yaml_reads_or_leaves_it_to_yaml(meta: dict[str, Any]) -> None:
    text = dump_meta(meta)
    parsed = parse_flat(text)
    assert parsed is None or parsed == yaml.safe_load(text)


@given(
    st.lists(
        st.sampled_from(("a: ", "b: ", "yes", "1", "0", "'", ":", " ", "\n", "x", "[]", "#", "-")),
        max_size=12,
    )
)
def test_the_fast_path_never_invents_a_meaning(parts: list[str]) -> None:
    text = "".join(parts) + "\n"
    parsed = parse_flat(text)
    assert parsed is None or parsed == yaml.safe_load(text)


def test_the_fast_path_takes_a_usual_run() -> None:
    meta = {
        "artifact_uri": "file:///home/ann/p/mlruns/881756243898344570/2cef89cc0d7240babdf10b8575ca20ed/artifacts",
        "end_time": 1795295189305,
        "entry_point_name": "",
        "experiment_id": "881756243898344570",
        "lifecycle_stage": "active",
        "run_id": "2cef89cc0d7240babdf10b8575ca20ed",
        "run_name": "gentle-fox-12",
        "status": 3,
        "tags": [],
        "user_id": "root",
    }
    assert parse_flat(dump_meta(meta)) == meta


@pytest.mark.parametrize("content", [b"", b"name: 'cut", b"- a\n", b"\xff\xfe", b"a: [1, 2", b"text"])
def test_a_broken_meta_file_says_what_is_wrong(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "meta.yaml"
    path.write_bytes(content)
    os.utime(path, (0, 0))
    with pytest.raises(BrokenFileError, match=r"meta\.yaml"):
        read_meta(path)


def test_the_latest_value_is_by_step_then_time_then_value(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("5 0.1 0\n3 0.2 1\n3 0.3 1\n1 nan 0\n")
    (tmp_path / "old").write_text("5 0.1\n")
    (tmp_path / "data").write_text("5 0.4 7 name digest\n")
    assert read_metrics(tmp_path) == ({"a": 0.3, "old": 0.1, "data": 0.4}, [])
    assert read_points(tmp_path / "data") == [(5, 0, 0.4)]


@pytest.mark.parametrize("content", ["", "5\n", "5 x 0\n", "5 0.1 0 extra\n"])
def test_a_broken_metric_is_named_and_the_others_are_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "good").write_text("1 2.0 0\n")
    (tmp_path / "bad").write_text(content)
    os.utime(tmp_path / "bad", (0, 0))
    metrics, problems = read_metrics(tmp_path)
    assert metrics == {"good": 2.0}
    assert len(problems) == 1
    assert "bad" in problems[0]


def test_keys_with_slashes_are_files_in_folders(tmp_path: Path) -> None:
    write_value(tmp_path, "tags", "team/owner", "ann\n")
    assert read_values(tmp_path / "tags") == ({"team/owner": "ann\n"}, [])
    assert [path.name for path in tmp_path.iterdir()] == ["tags"]


def test_times_are_exact_to_the_millisecond() -> None:
    for milliseconds in (0, 1795295189305, 1795295189306, 1795295189999):
        at = from_ms(milliseconds)
        assert at is not None
        assert to_ms(at) == milliseconds
    assert from_ms(1795295189305) == datetime(2026, 11, 21, 21, 6, 29, 305000, tzinfo=UTC)
    assert from_ms(None) is None
    assert from_ms("1") is None
    assert from_ms(10**20) is None
