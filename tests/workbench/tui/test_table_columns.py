from __future__ import annotations

from typing import Any

from workbench.tui.widgets.table.columns import Arrangement, Column

COLUMNS: list[Column[Any]] = [
    Column("name", "name"),
    Column("rmse", "rmse", align="right"),
    Column("note", "note", hidden=True),
    Column("curve", "curve", sparkline=True),
]


def keys(arrangement: Arrangement) -> list[str]:
    return [column.key for column in arrangement.shown(COLUMNS)]


def test_a_value_comes_from_an_attribute_a_key_or_a_function() -> None:
    assert Column[Any]("real", "").get(3) == 3
    assert Column[Any]("a", "").get({"a": 1}) == 1
    assert Column[Any]("b", "").get({"a": 1}) is None
    assert Column[Any]("x", "", value=len).get("four") == 4


def test_texts_are_searched_and_numbers_and_curves_are_not() -> None:
    assert [column.is_searchable for column in COLUMNS] == [True, False, True, False]
    assert Column[Any]("x", "", align="right", searchable=True).is_searchable


def test_hidden_columns_are_shown_when_chosen() -> None:
    arrangement = Arrangement.of(COLUMNS)
    assert keys(arrangement) == ["name", "rmse", "curve"]
    assert keys(arrangement.toggled("note")) == ["name", "rmse", "note", "curve"]
    assert keys(arrangement.toggled("note").toggled("note")) == ["name", "rmse", "curve"]


def test_the_last_column_cannot_be_hidden() -> None:
    arrangement = Arrangement.of(COLUMNS)
    for key in ("name", "rmse", "curve", "note"):
        arrangement = arrangement.toggled(key)
    assert len(keys(arrangement)) >= 1
    alone = Arrangement(order=("name",))
    assert alone.toggled("name") == alone


def test_a_column_moves_past_those_that_are_shown() -> None:
    arrangement = Arrangement.of(COLUMNS)
    assert keys(arrangement.moved("rmse", 1)) == ["name", "curve", "rmse"]
    assert keys(arrangement.moved("curve", -1)) == ["name", "curve", "rmse"]
    assert keys(arrangement.moved("curve", -9)) == ["curve", "name", "rmse"]
    assert arrangement.moved("curve", 1) == arrangement
    assert arrangement.moved("note", 1) == arrangement


def test_a_width_is_chosen_and_given_back() -> None:
    arrangement = Arrangement.of(COLUMNS).resized("name", 30)
    assert arrangement.widths == {"name": 30}
    assert arrangement.resized("name", 0).widths == {"name": 3}
    assert arrangement.resized("name", None).widths == {}


def test_a_choice_outlives_columns_that_come_and_go() -> None:
    chosen = Arrangement.of(COLUMNS).toggled("name").toggled("note").moved("rmse", 2).resized("rmse", 9)
    assert keys(chosen) == ["note", "curve", "rmse"]
    before_there_are_metrics = Arrangement(chosen.order, widths=chosen.widths, chosen=chosen.chosen).adapted(
        COLUMNS[:1]
    )
    assert keys(before_there_are_metrics) == ["name"], "the last one is shown in spite of the choice"
    again = before_there_are_metrics.adapted(COLUMNS)
    assert keys(again) == ["note", "curve", "rmse"]
    assert again.widths == {"rmse": 9}


def test_a_new_column_comes_in_after_its_neighbour() -> None:
    arrangement = Arrangement.of(COLUMNS[1:]).adapted(COLUMNS)
    assert keys(arrangement) == ["name", "rmse", "curve"]
    assert keys(Arrangement.of((COLUMNS[0], COLUMNS[3])).adapted(COLUMNS)) == ["name", "rmse", "curve"]


def test_a_column_that_nobody_decided_about_comes_into_sight_when_it_has_something_to_say() -> None:
    quiet, telling = Column[Any]("curve", "", hidden=True), Column[Any]("curve", "")
    arrangement = Arrangement.of((COLUMNS[0], quiet))
    assert "curve" not in keys(arrangement)
    assert "curve" in keys(arrangement.adapted((COLUMNS[0], telling)))
    decided = arrangement.toggled("curve").toggled("curve")
    assert "curve" not in keys(decided.adapted((COLUMNS[0], telling)))


def test_columns_that_are_away_keep_their_places_when_others_are_moved() -> None:
    arrangement = Arrangement.of(COLUMNS).adapted((COLUMNS[0], COLUMNS[3]))
    assert keys(arrangement.moved("curve", -1)) == ["curve", "name"]
    assert keys(arrangement.ordered(["curve", "name"]).adapted(COLUMNS)) == ["curve", "rmse", "name"]


def test_a_choice_that_would_hide_everything_shows_everything() -> None:
    all_hidden = Arrangement(order=("name",), chosen={"name": False})
    assert all_hidden.adapted(COLUMNS[:1]).hidden == frozenset()
