from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from pipelines.drift.files import compare_files
from pipelines.drift.report import DriftReport
from store.errors import DataError

RNG = np.random.default_rng(4)
N = 1500


def table(n: int = N, *, shift: float = 0.0, seed: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "age": rng.normal(40 + shift, 8, n),
        "visits": rng.poisson(4, n),
        "country": rng.choice(["FR", "DE", "IT"], n, p=[0.5, 0.3, 0.2]),
        "member": rng.random(n) < 0.4,
    }


@pytest.fixture
def compare(tmp_path: Path) -> Any:
    def compare(reference: dict[str, Any], current: dict[str, Any], **options: Any) -> DriftReport:
        paths = [tmp_path / "reference.parquet", tmp_path / "current.parquet"]
        for path, columns in zip(paths, (reference, current), strict=True):
            parquet.write_table(pa.table(columns), path)
        return compare_files(*paths, **options)

    return compare


def severities(report: DriftReport) -> dict[str, str]:
    return {one.name: one.severity for one in report.features}


def test_the_same_data_is_no_drift(compare: Any) -> None:
    report = compare(table(), table(seed=2))
    assert set(severities(report).values()) == {"ok"}
    assert not report.drifted
    assert (report.reference_rows, report.current_rows) == (N, N)


def test_what_drifted_comes_first(compare: Any) -> None:
    report = compare(table(), table(shift=16, seed=2))
    found = report.as_json()
    assert found["drifted"] is True
    assert found["features"][0]["name"] == "age"
    assert found["features"][0]["severity"] == "critical"
    assert found["features"][0]["reference"]["mean"] == pytest.approx(40, abs=1)
    json.dumps(found, allow_nan=False)


def test_text_formats_say_the_same(compare: Any, tmp_path: Path) -> None:
    reference, current = table(), table(shift=5, seed=2)
    wanted = compare(reference, current)
    paths = []
    for name, columns in (("r.csv", reference), ("c.csv", current)):
        arrow_csv.write_csv(pa.table(columns), tmp_path / name)
        paths.append(tmp_path / name)
    from_csv = compare_files(*paths)
    lines = []
    for name, columns in (("r.jsonl", reference), ("c.jsonl", current)):
        rows = pa.table(columns).to_pylist()
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        lines.append(tmp_path / name)
    from_lines = compare_files(*lines)
    effects = [one.effect for one in wanted.features]
    for report in (from_csv, from_lines):
        assert severities(report) == severities(wanted)
        assert [one.effect for one in report.features] == pytest.approx(effects, abs=1e-12)


def test_a_column_gone_and_a_column_new(compare: Any) -> None:
    current = table(seed=2)
    current["bonus"] = current.pop("age")
    report = compare(table(), current)
    gone = next(one for one in report.features if one.name == "age")
    assert gone.severity == "critical"
    assert gone.reason == "the column is gone"
    assert [(check.kind, check.feature) for check in report.checks] == [("new_column", "bonus")]


def test_a_column_that_became_text(compare: Any) -> None:
    current = table(seed=2)
    current["age"] = [f"about {value:.0f}" for value in current["age"]]
    report = compare(table(), current)
    assert severities(report)["age"] == "critical"
    assert (
        next(one for one in report.features if one.name == "age").reason
        == "the column was numeric and is text"
    )


def test_numbers_written_as_text_are_compared_as_numbers(compare: Any) -> None:
    current = table(seed=2)
    current["age"] = [str(value) for value in current["age"]]
    report = compare(table(), current)
    assert severities(report)["age"] == "ok"
    assert [check.kind for check in report.checks] == ["type_changed"]


def test_nulls_times_and_dictionaries(compare: Any) -> None:
    def columns(seed: int, gap: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        numbers = [None if i % gap == 0 else float(v) for i, v in enumerate(rng.normal(0, 1, N))]
        return {
            "x": pa.array(numbers),
            "when": pa.array(
                np.datetime64("2026-01-01T00:00", "ms") + rng.integers(0, 9000, N).astype("timedelta64[m]")
            ),
            "who": pa.array(rng.choice(["a", "b"], N)).dictionary_encode(),
            "nothing": pa.nulls(N),
        }

    same = compare(columns(1, 10), columns(2, 10))
    assert set(severities(same).values()) == {"ok"}
    more = compare(columns(1, 10), columns(2, 2))
    found = next(one for one in more.features if one.name == "x")
    assert found.effect_of == "missing"
    assert found.severity == "critical"
    assert found.current.missing == pytest.approx(0.5)


def test_one_row_and_no_rows(compare: Any) -> None:
    for n in (0, 1):
        report = compare(table(), {name: values[:n] for name, values in table(seed=2).items()})
        assert report.severity == "insufficient"
        assert report.current_rows == n
        assert not report.drifted
        json.dumps(report.as_json(), allow_nan=False)


def test_a_new_category_among_too_few_rows_is_told_and_is_no_verdict(compare: Any) -> None:
    few = {name: values[:3] for name, values in table(seed=2).items()}
    few["country"] = np.array(["ES", "FR", "FR"])
    report = compare(table(), few)
    assert [check.kind for check in report.checks] == ["new_categories"]
    assert report.severity == "insufficient"


def test_times_written_as_numbers_are_told(compare: Any) -> None:
    seconds = np.arange(N) * 3600 + 1_767_225_600
    reference = {**table(), "at": seconds.astype("datetime64[s]")}
    report = compare(reference, {**table(seed=2), "at": seconds})
    (changed,) = [check for check in report.checks if check.kind == "type_changed"]
    assert changed.message == "at was datetime and is numeric"
    assert severities(report)["at"] == "ok"


def test_values_out_of_the_references_range(compare: Any) -> None:
    current = table(seed=2)
    current["age"][:60] = 400.0
    report = compare(table(), current)
    check = next(check for check in report.checks if check.kind == "out_of_range")
    assert (check.feature, check.count) == ("age", 60)
    assert check.message.startswith("60 of 1,500 values of age are outside all of the reference (")
    constant = compare({**table(), "age": np.ones(N)}, table(seed=2))
    assert "(always 1)" in next(check.message for check in constant.checks if check.feature == "age")


def test_copied_rows(compare: Any) -> None:
    current = {name: np.tile(values[:300], 5) for name, values in table(seed=2).items()}
    report = compare(table(), current)
    check = next(check for check in report.checks if check.kind == "duplicates")
    assert check.share == pytest.approx(0.8)


def test_new_categories_are_named(compare: Any) -> None:
    current = table(seed=2)
    current["country"] = np.where(RNG.random(N) < 0.1, "ES", current["country"])
    report = compare(table(), current)
    assert severities(report)["country"] in ("warning", "critical")
    assert any("'ES'" in check.message for check in report.checks)


def test_predictions_and_target(compare: Any) -> None:
    def judged(seed: int, wrong: float) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, N)
        return {**table(seed=seed), "said": np.where(rng.random(N) < wrong, 1 - truth, truth), "was": truth}

    report = compare(judged(1, 0.05), judged(2, 0.30), predictions="said", target="was")
    assert "said" not in severities(report)
    assert report.prediction is not None
    assert report.prediction.severity == "ok"
    accuracy = next(one for one in report.performance if one["metric"] == "accuracy")
    assert accuracy["value"] == pytest.approx(0.70, abs=0.04)
    assert accuracy["reference"] == pytest.approx(0.95, abs=0.02)
    assert accuracy["dropped"]


def test_broken_files_are_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    parquet.write_table(pa.table(table()), good)
    bad.write_bytes(good.read_bytes()[:500])
    with pytest.raises(DataError, match=r"bad\.parquet"):
        compare_files(good, bad)
    with pytest.raises(DataError, match="column 'nosuch'"):
        compare_files(good, good, target="nosuch")


def test_no_heavy_library_is_loaded(tmp_path: Path) -> None:
    """The report starts in a fraction of a second because of what it doesn't import."""
    path = tmp_path / "a.parquet"
    columns = table()
    columns["when"] = np.datetime64("2026-01-01", "ms") + np.arange(N).astype("timedelta64[h]")
    columns["gaps"] = pa.array([None, 1.5] * (N // 2))
    parquet.write_table(pa.table(columns), path)
    code = (
        "import sys; from workbench.cli import execute\n"
        f"path = {str(path)!r}\n"
        "assert execute(['report', '--reference', path, '--current', path, '--json']) == 0\n"
        "heavy = {'pandas', 'sklearn', 'scipy', 'mlflow', 'duckdb', 'pydantic', 'textual'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ},
        check=True,
    )
    assert done.stderr.strip().endswith("loaded: []")
    assert json.loads(done.stdout)["drifted"] is False
