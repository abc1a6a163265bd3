from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store import predictions as predictions_module
from store.errors import UsageError
from store.feedback import Receipt, give_feedback
from store.fold import fold
from store.ids import new_prediction_ids
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog
from store.predictions import PredictionReader
from store.settings import StoreSettings
from tests.store.conftest import Shell


@pytest.fixture
def reader(layout: Layout) -> PredictionReader:
    return PredictionReader(layout, timeout_s=0.2)


def test_folded_and_spooled_rows_are_read_as_one(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    old = log_bikes(log, rows=2)
    log.append_feedback([(old[0], 1.0, None)])
    fold(layout)
    new = log_bikes(log, rows=3)
    log.append_feedback([(old[0], 2.0, None), (new[0], 3.0, None)])

    rows = reader.recent(limit=10).records()
    assert {row["prediction_id"] for row in rows} == {*old, *new}
    labels = {row["prediction_id"]: row["actual_label"] for row in rows}
    assert (labels[old[0]], labels[new[0]], labels[new[1]]) == ("2", "3", None)
    (count,) = reader.counts()
    assert (count.model, count.version, count.predictions, count.labelled) == ("bikes", 3, 5, 2)
    assert count.first_at <= count.last_at <= datetime.now(UTC)
    assert reader.note is None


def test_reading_makes_no_file(tmp_path: Path) -> None:
    reader = PredictionReader(Layout.of(tmp_path))

    assert reader.recent().rows == []
    assert reader.counts() == []
    assert reader.known_ids(["a"]) == set()
    assert reader.query("SELECT count(*) FROM predictions").rows == [(0,)]
    assert list(tmp_path.iterdir()) == []


def test_a_reader_leaves_the_file_as_it_is(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    log_bikes(log)
    fold(layout)
    before = layout.predictions.read_bytes()
    reader.query("SELECT * FROM bikes")

    assert layout.predictions.read_bytes() == before
    assert not layout.predictions.with_name("predictions.duckdb.wal").exists()


def test_while_somebody_holds_the_file_the_spool_is_served_and_the_holder_named(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    (folded,) = log_bikes(log)
    log.close()
    fold(layout)
    (spooled,) = log_bikes(log)

    with Shell(layout.predictions) as shell:
        table = reader.recent()
        assert [row["prediction_id"] for row in table.records()] == [spooled]
        assert table.note
        assert f"process {shell.process.pid}" in table.note
        # What can't be looked up is believed if it looks like ours; its label is kept either way.
        assert reader.known_ids([folded, spooled, "order-7"]) == {folded, spooled}

    assert reader.known_ids([folded, spooled, "order-7"]) == {folded, spooled}
    assert reader.note is None
    assert len(reader.recent().rows) == 2


def test_recent_predictions_of_one_model_or_version(
    log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)
    for hour, model, version in ((3, "bikes", 1), (1, "bikes", 2), (2, "other", 1)):
        log_bikes(log, model=model, version=version, predicted_at=start + timedelta(hours=hour))

    def seen(**which: Any) -> list[tuple[str, int]]:
        return [(row["model"], row["version"]) for row in reader.recent(**which).records()]

    assert seen() == [("bikes", 1), ("other", 1), ("bikes", 2)]
    assert seen(model="bikes") == [("bikes", 1), ("bikes", 2)]
    assert seen(model="bikes", version=2) == [("bikes", 2)]
    assert seen(limit=1) == [("bikes", 1)]
    assert reader.recent(limit=1).records()[0]["predicted_at"] == start + timedelta(hours=3)


def test_known_ids_follow_rows_from_the_spool_into_the_file(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    ids = log_bikes(log, rows=3)
    assert reader.known_ids([*ids, "x"]) == set(ids)
    ids += log_bikes(log, rows=2)
    assert reader.known_ids([*ids, "x"]) == set(ids)
    log.close()
    fold(layout)
    assert reader.known_ids([*ids, "x"]) == set(ids)


def test_feedback_says_what_is_known(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    (known,) = log_bikes(log)

    assert give_feedback(log, reader, [], lambda *_: None) == Receipt(0, 0)
    receipt = give_feedback(log, reader, [(known, 40.0, None), ("nobody", 1, None)], lambda *_: None)
    assert (receipt.accepted, receipt.unknown, receipt.unknown_ids) == (1, 1, ("nobody",))
    assert reader.query("SELECT prediction_id, actual FROM feedback").rows == [(known, 40.0)]


@pytest.mark.parametrize("is_folded", [False, True])
def test_labels_are_held_against_the_classes_of_the_version_that_predicted(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader, is_folded: bool
) -> None:
    classifier = log_bikes(
        log, rows=4, model="churn", version=2, predictions=["no"] * 4, classes=("no", "yes")
    )
    (regression,) = log_bikes(log)
    if is_folded:
        log.close()
        fold(layout)
        log = PredictionLog(layout, StoreSettings())
    assert reader.origins([classifier[0], regression, "x"]) == {
        classifier[0]: ("churn", 2),
        regression: ("bikes", 3),
    }
    labels = ["yes", "maybe", "No", 1]
    items = [(one, label, None) for one, label in zip(classifier, labels, strict=True)]
    items += [(regression, 17.5, None), ("nobody", "maybe", None)]
    classes = {("churn", 2): ("no", "yes")}
    receipt = give_feedback(log, reader, items, lambda *origin: classes.get(origin))
    assert (receipt.accepted, receipt.unknown, receipt.unexpected) == (5, 1, 3)
    assert (receipt.unexpected_labels, receipt.expected_classes) == (("maybe", "No", "1"), ("no", "yes"))
    log.close()


def test_the_latest_label_wins_even_when_it_is_no_number(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    (prediction_id,) = log_bikes(log)
    log.append_feedback([(prediction_id, 1.0, None)])
    fold(layout)
    log.append_feedback([(prediction_id, "broken sensor", None)])

    query = "SELECT label, actual FROM labels"
    assert reader.query(query).rows == [("broken sensor", None)]
    fold(layout)
    assert reader.query(query).rows == [("broken sensor", None)]
    assert reader.query("SELECT count(*) FROM feedback").rows == [(2,)]


@pytest.mark.parametrize("folded", [True, False])
def test_a_model_has_a_view_with_its_columns_by_name(
    folded: bool, layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    (prediction_id,) = log_bikes(log, numeric=[[0.25, None]], categorical=[["fall"]])
    log.append_feedback([(prediction_id, 40.0, None)])
    if folded:
        fold(layout)

    table = reader.query("SELECT temp, season, hum, prediction, actual FROM bikes")
    assert table.records() == [
        {"temp": 0.25, "season": "fall", "hum": None, "prediction": 41.5, "actual": 40.0}
    ]


def test_the_views_are_there_for_any_duckdb_client(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    import duckdb

    log_bikes(log)
    fold(layout)
    with duckdb.connect(str(layout.predictions), read_only=True) as connection:
        assert connection.execute("SELECT temp, season FROM bikes").fetchall() == [(0.5, "spring")]


@pytest.mark.parametrize("folded", [True, False])
def test_any_names_of_models_and_columns_work(
    folded: bool, layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    names = ("prediction", "Version", 'say "x"', "Größe ü", "a'b", "temp", "TEMP", "", "p.q; --")
    schema = FeatureSchema(names, ("numeric",) * len(names))
    for model in ("predictions", 'Ünï cødé\'s "model"', "Bikes", "bikes"):
        log_bikes(log, model=model, schema=schema, numeric=[list(range(len(names)))], categorical=[[]])
    if folded:
        fold(layout)

    tables = {row[0] for row in reader.query("SHOW TABLES").rows}
    assert {"model_predictions", 'Ünï cødé\'s "model"', "Bikes", "model_bikes"} <= tables
    row = reader.query('SELECT * FROM "model_predictions"').records()[0]
    assert row["feature_prediction"] == 0
    assert row["feature_Version"] == 1
    assert [row[name] for name in ('say "x"', "Größe ü", "a'b", "temp")] == [2, 3, 4, 5]
    assert row["feature_TEMP"] == 6
    assert row["p.q; --"] == 8


def test_names_that_duckdb_or_the_reader_need_are_no_views(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    """A model may be called like the catalog that SHOW TABLES reads, or like the spool's rows."""
    for model in ("duckdb_tables", "SPOOLED_predictions", "sqlite_master", "added", "main", "log"):
        log_bikes(log, model=model)
    for _ in range(2):
        tables = {row[0] for row in reader.query("SHOW TABLES").rows}
        assert {"model_duckdb_tables", "model_SPOOLED_predictions", "added", "main", "log"} <= tables
        assert len(reader.query("FROM model_duckdb_tables").rows) == 1
        assert len(reader.query("FROM added").rows) == 1
        fold(layout)


def test_versions_with_different_columns_share_a_view(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    log_bikes(log)
    fold(layout)
    schema = FeatureSchema(("temp", "season", "wind"), ("numeric", "numeric", "numeric"))
    log_bikes(log, version=4, schema=schema, numeric=[[0.75, 2.0, 9.0]], categorical=[[]])

    rows = reader.query("SELECT version, temp, season, hum, wind FROM bikes ORDER BY version").rows
    assert rows == [(3, 0.5, "spring", 81.0, None), (4, 0.75, "2.0", None, 9.0)]


def test_a_thousand_features_are_no_problem(
    layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    schema = FeatureSchema(tuple(f"f{i}" for i in range(3_000)), ("numeric",) * 3_000)
    log_bikes(log, model="wide", schema=schema, numeric=[[float(i) for i in range(3_000)]], categorical=[[]])
    fold(layout)

    assert reader.query("SELECT f0, f2999 FROM wide").rows == [(0.0, 2999.0)]


def test_a_spool_too_large_is_read_from_its_newest_end(
    log: PredictionLog, log_bikes: Any, reader: PredictionReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [log_bikes(log)[0] for _ in range(50)]
    monkeypatch.setattr(predictions_module, "MAX_SPOOL_BYTES", 2_000)

    table = reader.recent()
    shown = [row["prediction_id"] for row in table.records()]
    assert shown == ids[::-1][: len(shown)]
    assert 0 < len(shown) < 50
    assert table.note
    assert "not shown" in table.note


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO log.feedback VALUES ('a', 'b', 1, now()::TIMESTAMP, NULL)",
        "DROP TABLE log.predictions",
        "CREATE TABLE x (a INT)",
        "COPY (SELECT 1) TO 'FILE'",
        "WITH x AS (COPY (SELECT 1) TO 'FILE') SELECT 1",
        "SELECT (WITH x AS (COPY (SELECT 1) TO 'FILE') SELECT 1)",
        "FROM (DESCRIBE (WITH x AS (COPY (SELECT 1) TO 'FILE') SELECT 1))",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'FILE'",
        "EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'FILE'",
        "explain /* x */ analyze WITH x AS (COPY (SELECT 1) TO 'FILE') SELECT 1",
        "SELECT 1; COPY (SELECT 1) TO 'FILE'",
        "FROM query('WITH x AS (COPY (SELECT 1) TO ''FILE'') SELECT 1')",
        "FROM enable_logging(storage = 'file', storage_path = 'FILE')",
        "EXPORT DATABASE 'FILE'",
        "ATTACH 'FILE' AS other",
        "SET memory_limit = '1GB'",
        "PRAGMA enable_profiling",
        "CALL force_checkpoint()",
        "CHECKPOINT log",
        "INSTALL httpfs",
        "LOAD httpfs",
        "VACUUM",
        "PREPARE x AS SELECT 1",
    ],
)
def test_nothing_can_be_written_by_sql(
    sql: str, tmp_path: Path, layout: Layout, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    log_bikes(log)
    fold(layout)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    with pytest.raises(UsageError):
        reader.query(sql.replace("FILE", str(tmp_path / "written")))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("SELECT 1 + 1 AS two;", (2,)),
        ("WITH x AS (SELECT 41 AS n) SELECT n + 1 FROM x", (42,)),
        (
            "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 3) FROM t",
            (1,),
        ),
        ("VALUES (1), (2)", (1,)),
        ("SELECT 1 UNION SELECT 1", (1,)),
        ("-- a comment\nFROM range(1)", (0,)),
        ("SELECT query FROM (SELECT 'a word' AS query)", ("a word",)),
    ],
)
def test_any_question_can_be_asked(sql: str, first: tuple[Any, ...], reader: PredictionReader) -> None:
    assert reader.query(sql).rows[0] == first


def test_the_log_is_described_and_explained(
    log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    log_bikes(log)

    assert ("numeric", "DOUBLE[]") in {row[:2] for row in reader.query("DESCRIBE predictions").rows}
    assert reader.query("SUMMARIZE bikes").rows
    assert reader.query("EXPLAIN SELECT 1").rows
    assert reader.query("EXPLAIN ANALYZE SELECT count(*) FROM bikes").rows


def test_local_files_can_be_joined(
    tmp_path: Path, log: PredictionLog, log_bikes: Any, reader: PredictionReader
) -> None:
    log_bikes(log)
    (tmp_path / "names.csv").write_text("season,name\nspring,Frühling\n")

    query = f"SELECT name FROM bikes JOIN '{tmp_path / 'names.csv'}' USING (season)"
    assert reader.query(query).rows == [("Frühling",)]


def test_nothing_is_fetched_from_the_network(reader: PredictionReader) -> None:
    with pytest.raises(UsageError, match="httpfs"):
        reader.query("FROM 'http://localhost:1/x.parquet'")


def test_wrong_sql_is_explained_in_one_line(reader: PredictionReader) -> None:
    for sql in ("SELEC 1", "SELECT nope FROM predictions", "FROM nowhere", "", ";", "-- nothing"):
        with pytest.raises(UsageError) as caught:
            reader.query(sql)
        assert "\n" not in str(caught.value)
        assert caught.value.hint


def test_a_limit_cuts_the_answer(reader: PredictionReader) -> None:
    assert len(reader.query("FROM range(1000)", limit=10).rows) == 10


def test_many_threads_may_ask_at_once(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ids = log_bikes(log, rows=4)
    fold(layout)
    reader = PredictionReader(layout, timeout_s=30)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(reader.known_ids, [ids[0], new_prediction_ids(1)[0]]) for _ in range(12)]
        counted = [pool.submit(reader.counts) for _ in range(6)]

    assert all(answer.result() == {ids[0]} for answer in asked)
    assert all(answer.result()[0].predictions == 4 for answer in counted)
