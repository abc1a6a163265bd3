from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.journal import Event
from store.registry import ModelVersion
from store.standing import Past, Standing, adopt, in_step

START = datetime(2026, 1, 1, tzinfo=UTC)


def version(number: int, stage: str = "None", *aliases: str, updated: int = 0) -> ModelVersion:
    at = START + timedelta(seconds=updated)
    return ModelVersion("m", number, aliases, stage, None, "", None, START, updated_at=at)


def event(what: str, champion: int | None, **details: object) -> Event:
    return Event(START, "ann", what, "m", details={"champion": champion, "challenger": None, **details})


def past(*events: Event) -> Past:
    result = Past()
    for item in events:
        result.add(item)
    return result


CHAMPION_1 = version(1, "Production", "champion")


@pytest.mark.parametrize(
    ("known", "versions", "champion"),
    [
        pytest.param(
            None, [version(1, "Production"), version(3, "Production")], 3, id="only stages: the highest"
        ),
        pytest.param(
            None, [version(1, "None", "champion"), version(2, "Production")], 1, id="the alias first"
        ),
        pytest.param(None, [version(1), version(2, "Staging")], None, id="nobody"),
        pytest.param(1, [CHAMPION_1, version(2)], 1, id="nothing changed"),
        pytest.param(1, [version(1, "Production"), version(2, "None", "champion")], 2, id="the alias moved"),
        pytest.param(
            1, [version(1, "Archived", "champion"), version(2, "Production")], 2, id="the stage moved"
        ),
        pytest.param(
            3, [version(1, "Production"), version(3, "Production", "champion")], 1, id="a lower one staged"
        ),
        pytest.param(
            9,
            [
                version(1, "Production", updated=5),
                version(2, "Production", updated=4),
                version(9, "None", "champion"),
            ],
            1,
            id="several staged: the latest",
        ),
        pytest.param(1, [version(1, "Archived", "champion")], None, id="demoted"),
        pytest.param(1, [version(1, "Production")], None, id="the alias taken away"),
        pytest.param(1, [version(2)], None, id="deleted"),
    ],
)
def test_whatever_somebody_else_changed_decides(
    known: int | None, versions: list[ModelVersion], champion: int | None
) -> None:
    assert adopt(Standing(known) if known else None, versions).champion == champion


def test_a_reader_keeps_a_champion_whose_stage_alone_is_gone() -> None:
    versions = [version(1, "Archived", "champion")]
    assert adopt(Standing(1), versions, demote=False).champion == 1


def test_a_challenger_that_became_champion_is_no_challenger() -> None:
    versions = [version(1, "Staging", "challenger", "champion")]
    assert adopt(Standing(None, 1), versions) == Standing(1, None)


versions_lists = st.lists(
    st.tuples(
        st.sampled_from(("None", "Staging", "Production", "Archived")),
        st.sets(st.sampled_from(("champion", "challenger", "blue"))),
    ),
    max_size=5,
).map(lambda rows: [version(number, stage, *sorted(names)) for number, (stage, names) in enumerate(rows, 1)])


@given(versions=versions_lists, known=st.none() | st.builds(Standing, st.integers(1, 5), st.none()))
def test_once_in_step_nothing_is_left_to_adopt(versions: list[ModelVersion], known: Standing | None) -> None:
    standing = adopt(known, versions)
    settled = in_step(standing, versions)
    assert adopt(standing, settled) == standing
    assert in_step(standing, settled) == settled
    assert [item.version for item in settled if item.stage == "Production"] == [
        item.version for item in settled if "champion" in item.aliases
    ]
    assert {item.version for item in settled if "blue" in item.aliases} == {
        item.version for item in versions if "blue" in item.aliases
    }


def test_the_stack_of_champions_follows_promotions_and_rollbacks() -> None:
    history = past(event("promoted", 1), event("promoted", 2), event("promoted", 3))
    assert history.earlier_champion(3, [1, 2, 3]) == 2
    assert history.earlier_champion(3, [1, 3]) == 1
    history.add(event("rolled_back", 2))
    assert history.earlier_champion(2, [1, 2, 3]) == 1
    history.add(event("external", 3))
    assert history.earlier_champion(3, [1, 2, 3]) == 2
    history.add(event("archived", None, version=3))
    assert history.earlier_champion(None, [1, 2, 3]) == 2


def test_the_same_version_may_be_champion_twice() -> None:
    history = past(event("promoted", 1), event("promoted", 2), event("promoted", 1), event("promoted", 1))
    assert history.champions == [1, 2, 1]
    assert history.earlier_champion(1, [1, 2]) == 2


def test_a_version_promoted_again_is_not_put_away_any_more() -> None:
    history = past(event("promoted", 1), event("archived", None, version=1), event("promoted", 1))
    history.add(event("promoted", 2))
    assert history.earlier_champion(2, [1, 2]) == 1


def test_an_intent_is_unfinished_until_its_commit() -> None:
    intent = Event(START, "ann", "intent", "m", details={"id": "x", "champion": 2})
    history = past(event("promoted", 1), intent)
    assert history.unfinished == [intent]
    assert history.standing == Standing(1)
    history.add(event("promoted", 2, intent="x"))
    assert (history.unfinished, history.standing) == ([], Standing(2))
