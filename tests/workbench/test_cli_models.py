"""`workbench models`: what is in production, and how it changes."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _registered(versions):
    return versions


def champion(workbench):
    return workbench("models", "show", "churn", "--json").json["champion"]


def test_show_has_the_stable_shape(workbench, versions):
    workbench("models", "promote", "churn", "2", "--yes")
    shown = workbench("models", "show", "churn", "--json").json
    assert {"name", "champion", "challenger", "versions"} <= shown.keys()
    assert (shown["name"], shown["champion"], shown["challenger"]) == ("churn", 2, None)
    second = next(version for version in shown["versions"] if version["version"] == 2)
    assert second["aliases"] == ["champion"]
    assert second["stage"] == "Production"
    assert second["run_id"] == versions[1]
    assert second["metrics"]["roc_auc"] == 0.95
    assert second["created_at"].endswith("Z")


def test_list_and_show_print_tables(workbench):
    workbench("models", "promote", "churn", "2", "--yes")
    assert "churn" in workbench("models", "list").out
    shown = workbench("models", "show", "churn").out
    assert "champion" in shown
    assert "roc_auc 0.95" in shown
    assert "roc_auc" in workbench("models", "show", "churn", "champion").out


def test_one_version_is_named_by_number_alias_stage_or_latest(workbench):
    workbench("models", "promote", "churn", "2", "--yes")
    for which, expected in {"1": 1, "champion": 2, "Production": 2, "latest": 3}.items():
        assert workbench("models", "show", "churn", which, "--json").json["version"] == expected


def test_promote_shows_before_and_after_and_what_undoes_it(workbench):
    workbench("models", "promote", "churn", "1", "--yes")
    result = workbench("models", "promote", "churn", "2", "--yes", "--reason", "better on every segment")
    assert result.code == 0
    assert "champion 1 → 2" in result.err
    assert "roc_auc 0.9\n" in result.err
    assert "roc_auc 0.95" in result.err
    assert "rollback churn" in result.err
    assert result.out == "churn: promoted, 1 → 2\n"
    assert champion(workbench) == 2


def test_promote_answers_with_json(workbench):
    result = workbench("models", "promote", "churn", "1", "--yes", "--json")
    assert (result.json["model"], result.json["from"], result.json["to"]) == ("churn", None, 1)
    assert result.json["event"]["what"] == "promoted"


def test_promotion_without_a_terminal_needs_yes(workbench):
    result = workbench("models", "promote", "churn", "2")
    assert result.code == 2
    assert "--yes" in result.err
    assert champion(workbench) is None


def test_making_a_challenger_asks_nothing(workbench):
    result = workbench("models", "promote", "churn", "3", "--to", "challenger")
    assert result.code == 0
    assert workbench("models", "show", "churn", "--json").json["challenger"] == 3


def test_staging_is_the_challenger(workbench):
    workbench("models", "promote", "churn", "3", "--to", "staging")
    shown = workbench("models", "show", "churn", "3", "--json").json
    assert (shown["aliases"], shown["stage"]) == (["challenger"], "Staging")


def test_without_a_version_the_challenger_is_promoted_else_the_latest(workbench):
    workbench("models", "promote", "churn", "2", "--to", "challenger")
    workbench("models", "promote", "churn", "--yes")
    assert champion(workbench) == 2
    workbench("models", "promote", "churn", "--yes")
    assert champion(workbench) == 3


def test_promoting_the_champion_changes_nothing(workbench):
    workbench("models", "promote", "churn", "2", "--yes")
    events = len(workbench("events", "--json").json)
    result = workbench("models", "promote", "churn", "2", "--yes")
    assert result.code == 0
    assert "already" in result.err
    assert len(workbench("events", "--json").json) == events


def test_best_promotes_the_version_of_the_best_run(workbench):
    result = workbench("models", "promote", "churn", "--best", "roc_auc", "--yes", "--json")
    assert result.json["to"] == 2
    assert result.json["event"]["metric"] == "roc_auc"


def test_best_knows_that_less_of_an_error_is_better(workbench):
    result = workbench("models", "promote", "churn", "--best", "log_loss", "--yes", "--json")
    assert result.json["to"] == 2


def test_best_registers_a_run_that_is_no_version_yet(workbench, make_run):
    run_id = make_run("late", metrics={"roc_auc": 0.99}, has_model=True)
    result = workbench(
        "models", "promote", "churn", "--best", "roc_auc", "--experiment", "churn", "--to", "staging"
    )
    assert result.code == 0, result.err
    version = workbench("models", "show", "churn", "challenger", "--json").json
    assert version["version"] == 4
    assert version["run_id"] == run_id
    assert version["description"] == f"Promoted from run {run_id} | roc_auc=0.9900"


def test_best_can_make_the_first_version_of_a_model(workbench, make_run):
    make_run("first", experiment="scratch", metrics={"f1": 0.5}, has_model=True)
    args = ("models", "promote", "newborn", "--best", "f1", "--experiment", "scratch")
    assert workbench(*args).code == 2
    assert workbench("models", "show", "newborn").code == 1
    assert workbench(*args, "--yes", "--json").json["to"] == 1


def test_best_by_a_metric_that_no_run_has_names_those_there_are(workbench):
    result = workbench("models", "promote", "churn", "--best", "auc", "--yes")
    assert result.code == 1
    assert "roc_auc" in result.err


def test_rollback_shows_what_will_be_restored_and_walks_back(workbench):
    for version in "123":
        workbench("models", "promote", "churn", version, "--yes")
    assert workbench("models", "rollback", "churn").code == 2
    result = workbench("models", "rollback", "churn", "--yes", "--reason", "errors at night")
    assert "champion 3 → 2" in result.err
    assert "workbench models promote churn 3 undoes it" in result.err
    assert result.out == "churn: rolled back, 3 → 2\n"
    assert workbench("models", "rollback", "churn", "--yes", "--json").json["to"] == 1
    nothing_left = workbench("models", "rollback", "churn", "--yes")
    assert nothing_left.code == 1
    assert "no earlier champion" in nothing_left.err


def test_archiving_the_champion_asks_and_another_version_does_not(workbench):
    workbench("models", "promote", "churn", "2", "--yes")
    assert workbench("models", "archive", "churn", "2").code == 2
    assert champion(workbench) == 2
    assert workbench("models", "archive", "churn", "1").code == 0
    assert workbench("models", "show", "churn", "1", "--json").json["stage"] == "Archived"
    assert workbench("models", "archive", "churn", "2", "--yes").code == 0
    assert champion(workbench) is None


def test_history_says_who_did_what_when_and_why(workbench):
    workbench("models", "promote", "churn", "2", "--yes", "--reason", "release day")
    events = workbench("models", "history", "churn", "--json").json
    promoted = events[-1]
    assert {"at", "who", "what", "model", "from", "to", "reason"} <= promoted.keys()
    assert (promoted["what"], promoted["to"], promoted["reason"]) == ("promoted", "2", "release day")
    assert "release day" in workbench("models", "history", "churn").out


def test_a_model_that_does_not_exist_is_one_line_with_the_nearest(workbench):
    for args in (
        ("show", "chrn"),
        ("history", "chrn"),
        ("promote", "chrn", "1", "--yes"),
        ("rollback", "chrn"),
    ):
        result = workbench("models", *args)
        assert result.code == 1
        assert result.err.startswith("workbench: ")
        assert result.err.count("\n") == 1
        assert "churn" in result.err


def test_a_run_of_no_pipeline_needs_a_name(workbench, make_run):
    run_id = make_run("odd", experiment="scratch", has_model=True)
    refused = workbench("models", "register", run_id)
    assert refused.code == 2
    assert "--name" in refused.err
    named = workbench("models", "register", run_id, "--name", "odd", "--description", "by hand", "--json")
    assert (named.json["name"], named.json["version"]) == ("odd", 1)
    assert named.json["description"] == "by hand"


def test_version_and_best_together_are_wrong_usage(workbench):
    assert workbench("models", "promote", "churn", "1", "--best", "roc_auc").code == 2
    assert workbench("models", "promote", "churn", "1", "--experiment", "churn").code == 2


def test_validate_says_which_versions_would_serve(workbench, add_model):
    add_model()
    (row,) = workbench("models", "validate", "--json").json
    assert (row["name"], row["is_valid"], row["problem"]) == ("churn", True, None)
    assert row["row_ms"] > 0
    result = workbench("models", "validate", "churn", "--json")
    assert result.code == 1
    assert [row["version"] for row in result.json if row["is_valid"]] == [row["version"]]
    assert all(row["problem"] and row["hint"] for row in result.json if not row["is_valid"])
    shown = workbench("models", "validate", "churn", "1")
    assert shown.code == 1
    assert "NO" in shown.out
    assert "1 of 1 versions would not serve" in shown.err
