"""`workbench runs`: what was tried, and how it is kept in order."""

from __future__ import annotations

import csv
import io
import json

import pytest


@pytest.fixture
def three(make_run):
    """Three runs of `churn`, oldest first."""
    return [
        make_run(
            f"try-{depth}",
            params={"max_depth": depth, "seed": 42},
            metrics={"roc_auc": auc, "rmse": 1 - auc, "train_samples": 48},
            tags={"team": "blue"},
        )
        for depth, auc in ((3, 0.90), (5, 0.95), (8, 0.93))
    ]


def test_list_names_the_versions_made_from_a_run(workbench, three, project):
    (folder,) = (project / "mlruns").glob(f"*/{three[0]}/artifacts")
    (folder / "model").mkdir()
    (folder / "model" / "MLmodel").write_text("flavors: {}\n")
    workbench("models", "register", three[0], "--name", "churn")
    rows = workbench("runs", "list", "--json").json
    assert {row["run_id"]: row["versions"] for row in rows} == {
        three[0]: [{"model": "churn", "version": 1, "aliases": []}], three[1]: [], three[2]: [],
    }  # fmt: skip


def test_list_has_the_stable_shape_newest_first(workbench, three):
    rows = workbench("runs", "list", "--json").json
    assert [row["run_id"] for row in rows] == three[::-1]
    newest = rows[0]
    assert {
        "run_id",
        "name",
        "experiment",
        "status",
        "started_at",
        "params",
        "metrics",
        "tags",
    } <= newest.keys()
    assert (newest["name"], newest["experiment"], newest["status"]) == ("try-8", "churn", "FINISHED")
    assert newest["started_at"].endswith("Z")
    assert newest["params"] == {"max_depth": "8", "seed": "42"}
    assert newest["metrics"]["roc_auc"] == 0.93
    assert newest["tags"]["team"] == "blue"


def test_runs_below_others_are_counted_until_they_are_asked_for(workbench, three, make_run):
    below = [make_run(f"c-{n}", tags={"mlflow.parentRunId": three[0]}) for n in range(2)]
    listed = workbench("runs", "list")
    assert "c-1" not in listed.out
    assert listed.err == "2 runs are below these; --children shows them.\n"
    (row,) = (line for line in listed.out.splitlines() if "try-3" in line)
    assert row.split()[2] == "2"
    rows = workbench("runs", "list", "--json").json
    assert {row["run_id"]: row["children"] for row in rows} == dict(zip(three, (2, 0, 0), strict=True))
    everything = workbench("runs", "list", "--children", "--json").json
    assert {row["run_id"] for row in everything} == {*three, *below}
    assert "c-1" in workbench("runs", "list", "--children").out
    nothing = workbench("runs", "list", "-f", "attributes.run_name = 'c-1'")
    assert (nothing.code, nothing.out) == (0, "")
    assert "--children" in nothing.err
    assert workbench("runs", "list", "--columns", "name,children").out.split()[-1] in ("2", "—")
    assert len(workbench("runs", "export").out.splitlines()) == 6


def test_the_default_table_fits_80_columns_and_wide_ones_show_more(workbench, three, monkeypatch):
    narrow = workbench("runs", "list").out
    assert max(map(len, narrow.splitlines())) <= 80
    assert "try-5" in narrow
    assert "0.95" in narrow
    assert "team" not in narrow
    monkeypatch.setenv("COLUMNS", "200")
    assert "max_depth" in workbench("runs", "list").out


def test_filter_order_and_limit_are_mlflows(workbench, three):
    result = workbench(
        "runs", "list", "--filter", "metrics.roc_auc > 0.91", "--order-by", "metrics.rmse ASC", "--json"
    )
    assert [row["run_id"] for row in result.json] == [three[1], three[2]]
    assert len(workbench("runs", "list", "--limit", "1", "--json").json) == 1
    assert workbench("runs", "list", "--experiment", "churn", "--json").json != []


def test_a_filter_that_mlflow_would_refuse_is_wrong_usage(workbench, three):
    result = workbench("runs", "list", "--filter", "metrics.roc_auc >")
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_columns_can_be_chosen(workbench, three):
    lines = workbench("runs", "list", "--columns", "name,metrics.rmse,params.max_depth").out.splitlines()
    assert lines[0].split() == ["name", "metrics.rmse", "params.max_depth"]
    assert lines[1].split() == ["try-8", "0.07", "8"]
    assert workbench("runs", "list", "--columns", "nam").code == 2


def test_no_runs_is_no_error_and_says_what_to_do(workbench, project):
    result = workbench("runs", "list")
    assert (result.code, result.out) == (0, "")
    assert "workbench train" in result.err
    assert workbench("runs", "list", "--json").json == []


def test_an_unknown_experiment_is_not_found(workbench, three):
    assert workbench("runs", "list", "--experiment", "chrn").code == 1


def test_show_by_id_prefix_and_name(workbench, three):
    for name in (three[0], three[0][:8], "try-3"):
        shown = workbench("runs", "show", name, "--json").json
        assert shown["run_id"] == three[0]
    assert {"artifacts", "gate", "versions", "params", "metrics", "tags"} <= shown.keys()
    text = workbench("runs", "show", "try-3").out
    for expected in ("max_depth", "roc_auc", "0.9", "team", "blue", "FINISHED"):
        assert expected in text


def test_show_prints_the_gates_verdict(workbench, make_run, project):
    run_id = make_run("judged")
    rule = {
        "rule": "roc_auc",
        "value": 0.9,
        "needed": "≥ 0.955",
        "passed": False,
        "decides": True,
        "note": "",
    }
    verdict = {"accepted": False, "reasons": ["not better by 0.005"], "rules": [rule], "champion_version": 2}
    artifacts = next(project.glob(f"mlruns/*/{run_id}/artifacts"))
    (artifacts / "gate.json").write_text(json.dumps(verdict))
    text = workbench("runs", "show", "judged").out
    assert "refused" in text
    assert "not better by 0.005" in text
    assert workbench("runs", "show", "judged", "--json").json["gate"]["accepted"] is False


def test_an_unknown_run_is_one_line(workbench, three):
    result = workbench("runs", "show", "try-4")
    assert result.code == 1
    assert result.err.startswith("workbench: ")
    assert result.err.count("\n") == 1


def test_compare_shows_differences_with_deltas_and_marks_the_better(workbench, three):
    text = workbench("runs", "compare", "try-3", "try-5").out
    assert "max_depth" in text
    assert "seed" not in text
    assert "★ 0.95 (+0.05)" in text
    assert "★ 0.05 (−0.05)" in text
    assert "seed" in workbench("runs", "compare", "try-3", "try-5", "--all").out


def test_compare_as_json(workbench, three):
    compared = workbench("runs", "compare", "try-3", "try-5", "try-8", "--json").json
    assert compared["baseline"] == three[0]
    rows = {row["key"]: row for row in compared["rows"]}
    assert rows["max_depth"]["values"] == ["3", "5", "8"]
    assert rows["roc_auc"]["best"] == 1
    assert rows["rmse"]["best"] == 1
    assert rows["roc_auc"]["deltas"][1] == pytest.approx(0.05)


def test_comparing_a_run_with_itself_is_wrong_usage(workbench, three):
    assert workbench("runs", "compare", "try-3").code == 2
    assert workbench("runs", "compare", "try-3", three[0]).code == 2


def test_tag_note_and_rename(workbench, three):
    assert workbench("runs", "tag", "try-3", "owner=ann", "why=a=b").code == 0
    assert workbench("runs", "note", "try-3", "a first look").code == 0
    assert workbench("runs", "rename", "try-3", "baseline").code == 0
    shown = workbench("runs", "show", three[0], "--json").json
    assert shown["name"] == "baseline"
    assert (shown["tags"]["owner"], shown["tags"]["why"]) == ("ann", "a=b")
    assert "a first look" in workbench("runs", "show", three[0]).out


def test_a_tag_without_a_value_is_wrong_usage_and_sets_nothing(workbench, three):
    assert workbench("runs", "tag", "try-3", "a=1", "b").code == 2
    assert "a" not in workbench("runs", "show", "try-3", "--json").json["tags"]


def test_delete_asks_and_restore_brings_back(workbench, three):
    refused = workbench("runs", "delete", "try-3")
    assert refused.code == 2
    assert "--yes" in refused.err
    deleted = workbench("runs", "delete", "try-3", "try-5", "--yes", "--reason", "noise")
    assert deleted.code == 0
    assert f"runs restore {three[0][:8]} {three[1][:8]}" in deleted.err
    assert [row["name"] for row in workbench("runs", "list", "--json").json] == ["try-8"]
    assert len(workbench("runs", "list", "--deleted", "--json").json) == 2
    assert workbench("runs", "restore", three[0][:8]).code == 0
    assert len(workbench("runs", "list", "--json").json) == 2
    events = workbench("events", "--json").json
    assert [event["what"] for event in events] == ["run_deleted", "run_deleted", "run_restored"]
    assert (events[0]["run_id"], events[0]["reason"]) == (three[0], "noise")


def test_deleting_names_the_versions_made_from_the_run(workbench, versions):
    result = workbench("runs", "delete", versions[0], "--yes")
    assert "churn version 1" in result.err


def test_export_writes_every_param_metric_and_tag(workbench, three, tmp_path):
    rows = list(csv.DictReader(io.StringIO(workbench("runs", "export").out)))
    assert len(rows) == 3
    assert rows[0]["params.max_depth"] == "8"
    assert rows[0]["metrics.roc_auc"] == "0.93"
    assert rows[0]["tags.team"] == "blue"
    workbench("runs", "export", "--output", tmp_path / "runs.json")
    assert len(json.loads((tmp_path / "runs.json").read_text())) == 3


def test_a_broken_run_is_a_flagged_row(workbench, three, project):
    meta = next(project.glob(f"mlruns/*/{three[0]}/meta.yaml"))
    meta.write_text("")
    rows = workbench("runs", "list", "--json").json
    assert [row["problem"] is not None for row in rows] == [False, False, True]
    assert "BROKEN" in workbench("runs", "list").out
