"""What a promotion, rollback or archiving would change, and that it then does exactly that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from store.errors import NotFoundError, UsageError
from workbench.desk.model_changes import Change, carry_out, done, plan
from workbench.desk.models import ModelsDesk

pytestmark = pytest.mark.usefixtures("versions")


def rows_of(change: Change) -> dict[str, tuple[str, str]]:
    return {row.what: (row.before, row.after) for row in change.rows}


def standing(desk: ModelsDesk) -> tuple[int | None, int | None]:
    model = desk.registry.model("churn")
    return model.champion, model.challenger


def test_a_promotion_shows_roles_stages_and_metrics_before_and_after(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 1)
    models_desk.registry.promote("churn", 2, to="challenger")
    change = plan(models_desk, "promote", "churn", 2)
    assert change.question == "Promote churn v2 to champion?"
    assert rows_of(change) == {
        "champion": ("v1", "v2"),
        "challenger": ("v2", "—"),
        "stage of v2": ("Staging", "Production"),
        "stage of v1": ("Production", "Archived"),
        "roc_auc": ("0.9", "0.95"),
    }
    assert next(row.tone for row in change.rows if row.what == "roc_auc") == "success"


def test_planning_changes_nothing(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 1)
    plan(models_desk, "promote", "churn", 2)
    assert standing(models_desk) == (1, None)


def test_what_was_planned_is_carried_out_and_its_reason_kept(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 1)
    change = plan(models_desk, "promote", "churn", 2)
    carry_out(models_desk, change, "it is better")
    assert standing(models_desk) == (2, None)
    assert models_desk.registry.history("churn")[-1].reason == "it is better"
    assert done(change) == "churn v2 is champion"


def test_a_challenger_leaves_production_as_it_is(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 1)
    change = plan(models_desk, "challenger", "churn", 3)
    assert rows_of(change) == {"challenger": ("—", "v3"), "stage of v3": ("None", "Staging")}
    assert "Nothing in production changes." in change.notes
    carry_out(models_desk, change)
    assert standing(models_desk) == (1, 3)


def test_a_rollback_names_the_champion_before(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 1)
    models_desk.registry.promote("churn", 2)
    change = plan(models_desk, "rollback", "churn", 0)
    assert change.question == "Roll churn back to v1?"
    assert rows_of(change)["champion"] == ("v2", "v1")
    carry_out(models_desk, change)
    assert standing(models_desk) == (1, None)


def test_a_rollback_without_an_earlier_champion_says_so(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 1)
    with pytest.raises(NotFoundError, match="no earlier champion"):
        plan(models_desk, "rollback", "churn", 0)


def test_archiving_the_champion_warns_that_nothing_is_left(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 2)
    change = plan(models_desk, "archive", "churn", 2)
    assert rows_of(change) == {"champion": ("v2", "—"), "stage of v2": ("Production", "Archived")}
    assert any("Nothing of churn will be in production" in note for note in change.notes)
    carry_out(models_desk, change)
    assert standing(models_desk) == (None, None)
    assert models_desk.registry.version("churn", 2).stage == "Archived"


def test_a_refused_version_is_promoted_only_with_that_said(
    models_desk: ModelsDesk, versions: list[str], keep_verdict: Callable[..., None]
) -> None:
    keep_verdict(versions[2], accepted=False)
    assert "The gate refused v3." in plan(models_desk, "promote", "churn", 3).notes
    assert "No gate has judged v1." in plan(models_desk, "promote", "churn", 1).notes


@pytest.mark.parametrize(("champion", "kind", "order"), [(1, "promote", (1, 3)), (3, "rollback", (3, 1))])
def test_what_both_did_on_the_same_rows_is_said_beside_what_each_did_on_its_own(
    models_desk: ModelsDesk,
    versions: list[str],
    keep_verdict: Callable[..., None],
    champion: int,
    kind: Literal["promote", "rollback"],
    order: tuple[int, int],
) -> None:
    values = {1: 89.614, 3: 67.794}
    keep_verdict(
        versions[2], accepted=True, metric="rmse", champion_value=values[1], challenger_value=values[3]
    )
    models_desk.registry.promote("churn", 1)
    models_desk.registry.promote("churn", champion)
    shown = ", ".join(f"v{version} {values[version]:.4g}" for version in order)
    notes = plan(models_desk, kind, "churn", 3).notes
    assert f"rmse on the same 60 held-out rows: {shown}." in notes


def test_versions_that_the_gate_never_compared_are_not_said_to_be(
    models_desk: ModelsDesk, versions: list[str], keep_verdict: Callable[..., None]
) -> None:
    keep_verdict(versions[2], accepted=True, metric="rmse", champion_value=2.0, challenger_value=1.0)
    models_desk.registry.promote("churn", 2)
    assert not [note for note in plan(models_desk, "promote", "churn", 3).notes if "same" in note]


@pytest.mark.parametrize(
    ("kind", "version", "words"),
    [
        ("promote", 1, "champion already"),
        ("challenger", 1, "is the champion"),
        ("challenger", 2, "challenger already"),
        ("archive", 3, "archived already"),
    ],
)
def test_what_is_so_already_is_refused_in_words(
    models_desk: ModelsDesk, kind: str, version: int, words: str
) -> None:
    models_desk.registry.promote("churn", 1)
    models_desk.registry.promote("churn", 2, to="challenger")
    models_desk.registry.archive("churn", 3)
    with pytest.raises(UsageError, match=words):
        plan(models_desk, kind, "churn", version)  # type: ignore[arg-type]


def test_a_change_is_not_carried_out_when_somebody_was_quicker(models_desk: ModelsDesk) -> None:
    models_desk.registry.promote("churn", 1)
    change = plan(models_desk, "promote", "churn", 2)
    models_desk.registry.promote("churn", 3)
    with pytest.raises(UsageError, match="changed meanwhile: v3 is champion"):
        carry_out(models_desk, change)
    assert standing(models_desk) == (3, None)
