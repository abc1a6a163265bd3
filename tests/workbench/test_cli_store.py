"""`workbench store sql` and `workbench feedback`: the prediction log from the command line."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime

import pytest

from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.profile import build_profile
from store.references import publish_reference
from store.settings import StoreSettings
from workbench.cli.feedback import read_items


@pytest.fixture
def logged(project):
    """Ids of three logged predictions of `churn` version 1."""
    schema = FeatureSchema(("age", "plan"), ("numeric", "categorical"))
    ids = new_prediction_ids(3)
    log = PredictionLog(Layout.of(project).ensure(), StoreSettings())
    assert log.append(
        model="churn",
        version=1,
        schema=schema,
        prediction_ids=ids,
        predicted_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        predictions=[0, 1, 1],
        probability=[0.2, 0.8, 0.9],
        probabilities=None,
        classes=(0, 1),
        numeric=[[31.0], [52.0], [None]],
        categorical=[["pro"], ["free"], ["pro"]],
        latency_ms=1.5,
    )
    log.close()
    return ids


def test_sql_as_json_is_a_list_of_rows(workbench, logged):
    rows = workbench("store", "sql", "SELECT prediction_id, age, plan FROM churn ORDER BY 1", "--json").json
    assert [row["prediction_id"] for row in rows] == logged
    assert [row["age"] for row in rows] == [31.0, 52.0, None]
    assert rows[0]["plan"] == "pro"


def test_sql_as_csv(workbench, logged):
    result = workbench("store", "sql", "SELECT plan, count(*) AS n FROM churn GROUP BY 1 ORDER BY 1", "--csv")
    assert list(csv.DictReader(io.StringIO(result.out))) == [
        {"plan": "free", "n": "1"},
        {"plan": "pro", "n": "2"},
    ]


def test_sql_as_a_table_says_how_many_rows(workbench, logged):
    result = workbench("store", "sql", "SELECT model, version FROM predictions")
    assert result.out.splitlines()[0].split() == ["model", "version"]
    assert result.err == "3 rows\n"


def test_sql_from_stdin(workbench, logged, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS one"))
    assert workbench("store", "sql", "-", "--json").json == [{"one": 1}]


@pytest.mark.parametrize(
    "query", ["SELEKT 1", "SELECT nothing FROM predictions", "DROP TABLE predictions", ""]
)
def test_wrong_or_writing_sql_is_one_line(workbench, logged, query):
    result = workbench("store", "sql", query)
    assert result.code in (1, 2)
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err


def test_both_forms_at_once_are_wrong_usage(workbench, logged):
    assert workbench("store", "sql", "SELECT 1", "--json", "--csv").code == 2


def write_csv(path, rows):
    path.write_text("prediction_id,actual\n" + "".join(f"{row}\n" for row in rows))
    return path


def labels(workbench):
    query = "SELECT prediction_id, actual, label, observed_at FROM feedback ORDER BY prediction_id"
    return workbench("store", "sql", query, "--json").json


def test_feedback_from_csv_counts_accepted_and_unknown(workbench, logged, tmp_path):
    file = write_csv(tmp_path / "truth.csv", [f"{logged[0]},0", f"{logged[1]},1", "nobody,1"])
    result = workbench("feedback", file, "--json")
    assert result.code == 0, result.err
    assert result.json == {"accepted": 2, "unknown": 1}
    assert [row["actual"] for row in labels(workbench) if row["prediction_id"] in logged] == [0.0, 1.0]


def test_feedback_that_is_no_class_of_the_model_is_kept_and_told(workbench, logged, project, tmp_path):
    layout = Layout.of(project)
    file = write_csv(tmp_path / "truth.csv", [f"{logged[0]},0", f"{logged[1]},churned", f"{logged[2]},2"])
    assert workbench("feedback", file, "--json").json == {"accepted": 3, "unknown": 0}  # nobody knows better
    profile = build_profile({}, {}, [0, 1, 1], task="binary", classes=[0, 1])
    publish_reference(layout, "churn", 1, profile)
    result = workbench("feedback", file, "--json")
    assert result.json == {"accepted": 3, "unknown": 0, "unexpected": 2}
    assert (
        "2 are kept, but no class of the model that predicted: 'churned', '2'; there are: 0, 1." in result.err
    )
    assert result.code == 0


def test_feedback_from_json_lines_with_timestamps(workbench, logged, tmp_path):
    file = tmp_path / "truth.jsonl"
    rows = [
        {"prediction_id": logged[0], "actual": 1, "timestamp": "2026-03-02T08:00:00Z"},
        {"prediction_id": logged[1], "actual": "yes"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert (
        workbench("feedback", file).out == "2 labels accepted, 0 for predictions that are not in the log.\n"
    )
    stored = labels(workbench)
    assert stored[0]["observed_at"].startswith("2026-03-02T08:00:00")
    assert (stored[1]["label"], stored[1]["actual"], stored[1]["observed_at"]) == ("yes", None, None)


def test_feedback_from_a_json_list_a_semicolon_file_and_gzip(workbench, logged, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"prediction_id": logged[0], "actual": 1}], indent=2))
    (tmp_path / "b.csv").write_text(f"\ufeffprediction_id;actual;note\n{logged[1]};0;late\n")
    with gzip.open(tmp_path / "c.csv.gz", "wt") as file:
        file.write(f"actual,prediction_id\n1,{logged[2]}\n")
    for name in ("a.json", "b.csv", "c.csv.gz"):
        assert workbench("feedback", tmp_path / name, "--json").json == {"accepted": 1, "unknown": 0}


def test_feedback_from_parquet(workbench, logged, tmp_path):
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "labels.parquet"
    columns = {
        "prediction_id": [logged[0], "nobody"],
        "actual": pa.array([decimal.Decimal("1.00"), decimal.Decimal("0.00")], pa.decimal128(5, 2)),
        "timestamp": pa.array([1_772_000_000_000_000_123, None], pa.timestamp("ns", "UTC")),
    }
    pq.write_table(pa.table(columns), file)
    assert workbench("feedback", str(file), "--json").json == {"accepted": 1, "unknown": 1}
    rows = workbench("store", "sql", "SELECT label, observed_at FROM labels", "--json").json
    assert rows == [{"label": "1", "observed_at": "2026-02-25T06:13:20.000Z"}]

    pq.write_table(pa.table({"prediction_id": ["a", "b"], "actual": [1.0, float("nan")]}), file)
    assert "row 2 has no label" in workbench("feedback", str(file)).err
    pq.write_table(pa.table({"id": ["a"]}), file)
    assert "no column prediction_id" in workbench("feedback", str(file)).err
    file.write_bytes(b"PAR1 and then nothing")
    assert "can't be read as Parquet" in workbench("feedback", str(file)).err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "empty"),
        ("id,actual\na,1\n", "prediction_id"),
        ("prediction_id,actual\na,1,2\n", "line 2"),
        ("prediction_id,actual\na,\n", "line 2"),
        ('{"prediction_id": "a", "actual": 1}\n{oops\n', "line 2"),
        ('{"prediction_id": "a"}\n', "actual"),
        ('{"prediction_id": "a", "actual": 1, "timestamp": "soon"}\n', "timestamp"),
        ("[1, 2]\n", "prediction_id"),
        (f'prediction_id,actual\n"{"x" * 200_000},1\n', "field"),
    ],
)
def test_a_bad_feedback_file_is_one_line_that_says_where(workbench, project, tmp_path, content, expected):
    (tmp_path / "truth.txt").write_text(content)
    result = workbench("feedback", tmp_path / "truth.txt")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert expected in result.err


def test_the_mark_that_spreadsheets_begin_with_is_no_part_of_a_name_on_stdin_either():
    assert [*read_items(io.StringIO("\ufeffprediction_id,actual\na,1\n"), "-")] == [("a", 1, None)]


def test_binary_and_missing_feedback_files(workbench, project, tmp_path):
    (tmp_path / "truth.csv").write_bytes(b"\x80\x81\xff\x00")
    assert workbench("feedback", tmp_path / "truth.csv").err.count("\n") == 1
    missing = workbench("feedback", tmp_path / "none.csv")
    assert (missing.code, missing.err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("churn", "none.csv"), "none.csv"),
        (("chrn", "data/customers.csv"), "churn"),
        (("churn", "data/customers.csv"), "no champion"),
        (("churn/9", "data/customers.csv"), "9"),
        (("churn@challenger", "data/customers.csv"), "challenger"),
        (("churn/1", "data/customers.csv"), "model.skops"),
    ],
)
def test_predicting_with_what_is_not_there_is_one_line(workbench, versions, args, expected):
    result = workbench("predict", *args)
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1
    assert expected in result.err
