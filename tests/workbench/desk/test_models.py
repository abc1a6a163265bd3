"""Registered models as snapshots: roles, verdicts, where a version comes from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from store.errors import NotFoundError
from store.journal import append_event
from workbench.desk.models import ModelsDesk
from workbench.desk.words import what_happened

pytestmark = pytest.mark.usefixtures("versions")


def test_versions_are_listed_newest_first_with_their_roles(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 2)
    models_desk.registry.promote("churn", 3, to="challenger")
    (model,) = models_desk.models()
    assert [(row.number, row.role) for row in model.versions] == [
        (3, "challenger"),
        (2, "champion"),
        (1, ""),
    ]


def test_the_metrics_that_say_most_are_named(models_desk: ModelsDesk) -> None:
    (model,) = models_desk.models()
    assert model.metric_names == ("roc_auc",)


def test_nothing_is_read_again_while_nothing_changes(models_desk: ModelsDesk) -> None:
    before = models_desk.models()
    assert models_desk.models() is before
    models_desk.registry.promote("churn", 1)
    assert models_desk.models() is not before


def test_a_verdict_is_what_the_journal_says(models_desk: ModelsDesk, versions: list[str]) -> None:
    append_event(
        models_desk.layout, "gate", model="churn", details={"run_id": versions[1], "accepted": False}
    )
    (model,) = models_desk.models()
    assert [row.gate_accepted for row in model.versions] == [None, False, None]


def test_a_verdict_the_journal_does_not_know_is_read_from_the_run(
    models_desk: ModelsDesk, versions: list[str], keep_verdict: Callable[..., None]
) -> None:
    keep_verdict(versions[2], accepted=True)
    (model,) = models_desk.models()
    assert [row.gate_accepted for row in model.versions] == [True, None, None]


def test_details_have_every_number_of_the_verdict(
    models_desk: ModelsDesk, versions: list[str], keep_verdict: Callable[..., None]
) -> None:
    keep_verdict(versions[1], accepted=True)
    details = models_desk.details("churn", 2)
    assert details.verdict is not None
    assert [(rule.rule, rule.value, rule.needed) for rule in details.verdict.rules] == [
        ("roc_auc better by", 0.02, "≥ 0.005")
    ]
    assert details.verdict.rows == 60


def test_a_verdict_that_cannot_be_read_is_a_problem_in_words(
    models_desk: ModelsDesk, versions: list[str], project: Path
) -> None:
    (folder,) = project.glob(f"mlruns/*/{versions[0]}/artifacts")
    (folder / "gate.json").write_text("{}")
    details = models_desk.details("churn", 1)
    assert details.verdict is None
    assert details.verdict_problem is not None
    assert "gate.json" in details.verdict_problem


def test_the_lineage_names_run_data_and_commit(models_desk: ModelsDesk, make_run: Callable[..., str]) -> None:
    run_id = make_run(
        "pinned",
        has_model=True,
        tags={
            "workbench.dataset": "ea9fdcfcabdf67024fa3",
            "mlflow.source.git.commit": "0123456789abcdef",
            "workbench.git_dirty": "true",
        },
    )
    made = models_desk.registry.register("churn", run_id=run_id)
    facts = {fact.label: fact for fact in models_desk.details("churn", made.version).lineage}
    assert facts["run"].value == f"pinned ({run_id[:8]})"
    assert facts["data"].value == "ea9fdcfcabdf"
    assert facts["git commit"].value == "0123456789, with changes not committed"
    assert facts["git commit"].tone == "warning"


def test_a_version_whose_run_is_gone_says_so(
    models_desk: ModelsDesk, versions: list[str], project: Path
) -> None:
    (folder,) = project.glob(f"mlruns/*/{versions[0]}")
    shutil.rmtree(folder)
    details = models_desk.details("churn", 1)
    assert details.run is None
    assert details.lineage[0].value == f"{versions[0][:8]} is gone"


def test_the_history_tells_what_happened_to_the_model(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 1, reason="first")
    what = [(event.what, event.reason) for event in models_desk.details("churn", 1).history]
    assert what == [("registered", None)] * 3 + [("promoted", "first")]


def test_an_unknown_version_is_not_found(models_desk: ModelsDesk) -> None:
    with pytest.raises(NotFoundError, match="no version 9"):
        models_desk.details("churn", 9)


def test_events_are_put_in_words(models_desk: ModelsDesk) -> None:
    layout = models_desk.layout
    append_event(layout, "gate", model="churn", details={"accepted": False})
    append_event(layout, "rolled_back", model="churn")
    models_desk.registry.promote("churn", 1, to="challenger")
    words = [what_happened(event) for event in models_desk.registry.history("churn")]
    assert words[3:] == ["gate refused", "rolled back", "promoted (challenger)"]
