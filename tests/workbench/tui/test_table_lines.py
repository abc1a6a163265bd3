from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from workbench.tui.widgets.table.columns import Column
from workbench.tui.widgets.table.layout import fit_widths, natural_width, place
from workbench.tui.widgets.table.lines import (
    TableStyles,
    draw_header,
    draw_message,
    draw_row,
    draw_status,
)
from workbench.tui.widgets.table.order import Sort

STYLES = TableStyles(cursor=Style(bold=True), tones={"error": Style(color="red")})
COLUMNS: list[Column[Any]] = [
    Column("name", "name", width=8),
    Column(
        "rmse", "rmse", align="right", width=8, style=lambda row, value: "error" if value is None else None
    ),
]


def layout(columns: list[Column[Any]] = COLUMNS, cells: int = 30, skipped: int = 0) -> Any:
    widths = {column.key: natural_width(column, []) for column in columns}
    return place(columns, fit_widths(columns, widths, {}, cells), cells, skipped)


def test_cursor_and_mark_are_glyphs() -> None:
    row = {"name": "rf", "rmse": 41.2}
    assert draw_row(row, layout(), STYLES).text == "   rf            41.2          "
    assert draw_row(row, layout(), STYLES, has_cursor=True).text.startswith("▸  rf")
    assert draw_row(row, layout(), STYLES, is_marked=True).text.startswith(" ◆ rf")
    assert draw_row(row, layout(), STYLES, has_cursor=True, is_marked=True).text.startswith("▸◆ rf")


def test_the_scrollbar_is_the_last_cell() -> None:
    row = {"name": "rf", "rmse": 41.2}
    assert draw_row(row, layout(), STYLES, has_thumb=True).text == "   rf            41.2         ▐"


def test_missing_and_nan_are_told_apart() -> None:
    assert "—" in draw_row({"name": "a", "rmse": None}, layout(), STYLES).text
    assert "NaN" in draw_row({"name": "a", "rmse": math.nan}, layout(), STYLES).text


def test_a_cell_has_a_style_of_its_own_over_the_rows() -> None:
    line = draw_row({"name": "a", "rmse": None}, layout(), STYLES, has_cursor=True)
    styles = {segment.text.strip(): segment.style for segment in line if segment.text.strip()}
    assert styles["—"] == Style(bold=True, color="red")
    assert styles["▸  a"] == Style(bold=True)


def test_an_unknown_tone_is_no_tone() -> None:
    columns: list[Column[Any]] = [Column("name", "name", style=lambda row, value: "no such style!")]
    assert "rf" in draw_row({"name": "rf"}, layout(columns), STYLES).text


def test_a_row_may_have_a_tone() -> None:
    line = draw_row({"name": "a", "rmse": 1.0}, layout(), STYLES, tone="error")
    assert {segment.style for segment in line} == {Style(color="red")}


def test_neighbours_of_one_style_are_one_segment() -> None:
    assert len(list(draw_row({"name": "a", "rmse": 1.0}, layout(), STYLES))) == 1


def test_titles_show_how_rows_are_sorted() -> None:
    assert draw_header(layout(), STYLES).text.split() == ["name", "rmse"]
    assert draw_header(layout(), STYLES, [Sort("rmse")]).text.split() == ["name", "rmse", "↑"]
    both = draw_header(layout(), STYLES, [Sort("rmse", descending=True), Sort("name")]).text.split()
    assert both == ["name", "↑²", "rmse", "↓¹"]


def test_titles_hint_at_columns_out_of_sight() -> None:
    columns: list[Column[Any]] = [Column(name, name, width=6) for name in ("one", "two", "three", "four")]
    assert draw_header(layout(columns, 24), STYLES).text.endswith("›")
    assert "‹" in draw_header(layout(columns, 40, skipped=1), STYLES).text
    assert not draw_header(layout(columns, 40, skipped=1), STYLES).text.endswith("›")


def test_a_sparkline_column_draws_bars() -> None:
    columns: list[Column[Any]] = [Column("curve", "curve", sparkline=True, width=8)]
    assert "▁▂▃▄▅▆▇█" in draw_row({"curve": range(8)}, layout(columns), STYLES).text
    assert "—" in draw_row({"curve": None}, layout(columns), STYLES).text


def test_the_status_line_keeps_its_right_end() -> None:
    assert draw_status("2 marked", "1–9 of 84", 30, Style()).text == "2 marked ─────────── 1–9 of 84"
    assert draw_status("", "1–9 of 84", 14, Style()).text == "──── 1–9 of 84"
    assert draw_status("2 marked", "1–9 of 84", 8, Style()).cell_length == 8


def test_an_empty_table_says_why() -> None:
    assert [line.text.strip() for line in draw_message("no runs yet", 30, Style())] == ["no runs yet"]
    said = draw_message("make one: workbench profile bikes/3 --data FILE", 30, Style())
    assert [line.text.strip() for line in said] == ["make one: workbench profile", "bikes/3 --data FILE"]
    assert {line.cell_length for line in said} == {30}


@given(st.text(), st.text(), st.integers(1, 60))
def test_any_text_makes_lines_of_exactly_their_width(name: str, title: str, cells: int) -> None:
    columns: list[Column[Any]] = [Column("name", title, flex=1), Column("rmse", title, align="right")]
    for line in (
        draw_row({"name": name, "rmse": name}, layout(columns, max(4, cells)), STYLES),
        draw_header(layout(columns, max(4, cells)), STYLES, [Sort("name")], "name"),
        draw_status(name, title, cells, Style()),
        *draw_message(name, cells, Style()),
    ):
        assert cell_len(line.text) == line.cell_length
        assert line.text.isprintable()
    assert draw_row({"name": name}, layout(columns, 40), STYLES).cell_length == 41
