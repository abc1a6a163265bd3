from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Input

from workbench.tui.widgets.table import Column, Sort, TableFilter, TableState, VirtualTable
from workbench.tui.widgets.table.chooser import ColumnChooser
from workbench.tui.widgets.table.messages import TableMessage

Drive = Callable[..., None]


@dataclass(frozen=True)
class Run:
    id: str
    name: str
    rmse: float | None = None
    depth: int | None = None
    note: str = ""


COLUMNS: list[Column[Run]] = [
    Column("name", "name", width=12),
    Column("rmse", "rmse", align="right", width=8),
    Column("depth", "depth", align="right", width=8, descending_first=True),
    Column("note", "note", width=30),
]


def runs(count: int = 100) -> list[Run]:
    return [Run(f"r{number}", f"run-{number}", rmse=float(count - number)) for number in range(count)]


class RecordingTable(VirtualTable[Run]):
    """A table that says what of it is sent."""

    sent: list[Region]

    def refresh(self, *regions: Region, **options: Any) -> Any:
        self.sent = [*getattr(self, "sent", []), *(regions or (Region(0, 0, 999, 999),))]
        return super().refresh(*regions, **options)


class TableApp(App[None]):
    def __init__(self, rows: list[Run] | None = None, columns: list[Column[Run]] | None = None) -> None:
        super().__init__()
        self.told: list[Message] = []
        self.first_rows = runs() if rows is None else rows
        self.table = RecordingTable(columns or COLUMNS)

    def compose(self) -> ComposeResult:
        yield self.table
        yield TableFilter(self.table, interpret=interpret)

    def on_mount(self) -> None:
        self.table.set_rows(self.first_rows)
        self.table.focus()

    def on_event_told(self, message: TableMessage) -> None:
        self.told.append(message)

    on_row_highlighted = on_row_selected = on_marks_changed = on_sort_changed = on_event_told
    on_columns_changed = on_filter_changed = on_event_told

    def of_kind(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.told if isinstance(message, kind)]


def interpret(text: str) -> Callable[[Run], bool] | None:
    if not text.startswith("rmse <"):
        return None
    try:
        limit = float(text.removeprefix("rmse <"))
    except ValueError:
        raise ValueError("a number is missing") from None
    return lambda run: run.rmse is not None and run.rmse < limit


def lines(table: VirtualTable[Any]) -> list[str]:
    return [table.render_line(y).text for y in range(table.size.height)]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["down"], "r1"),
        (["j", "j"], "r2"),
        (["down", "down", "up"], "r1"),
        (["j", "j", "k", "k", "k"], "r0"),
        (["end"], "r99"),
        (["G", "home"], "r0"),
        (["G", "g"], "r0"),
        (["G", "down"], "r99"),
        (["pagedown"], "r21"),
        (["ctrl+f", "ctrl+f"], "r42"),
        (["pagedown", "pageup"], "r0"),
        (["ctrl+f", "ctrl+b"], "r0"),
        (["ctrl+d"], "r10"),
        (["G", "ctrl+u"], "r89"),
    ],
)
def test_keys_move_the_cursor(drive: Drive, keys: list[str], expected: str) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await pilot.pause()
        assert app.table.cursor_id == expected
        cursor_lines = [line for line in lines(app.table) if line.startswith("▸")]
        assert len(cursor_lines) == 1
        assert f"run-{expected[1:]} " in cursor_lines[0]
        assert app.of_kind(VirtualTable.RowHighlighted)[-1].row_id == expected

    drive(app, script)


def test_enter_selects_the_row(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("down", "enter")
        await pilot.pause()
        (selected,) = app.of_kind(VirtualTable.RowSelected)
        assert (selected.row_id, selected.row.name, selected.control) == ("r1", "run-1", app.table)

    drive(app, script)


def test_space_marks_and_unmarks(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("space", "down", "down", "space")
        await pilot.pause()
        assert app.table.marks == {"r0", "r2"}
        assert [run.id for run in app.table.marked_rows] == ["r0", "r2"]
        assert lines(app.table)[1].startswith(" ◆ run-0")
        assert lines(app.table)[-1].startswith("2 marked")
        await pilot.press("space")
        assert app.table.marks == {"r0"}
        await pilot.pause()
        assert [message.marks for message in app.of_kind(VirtualTable.MarksChanged)] == [
            {"r0"},
            {"r0", "r2"},
            {"r0"},
        ]

    drive(app, script)


@pytest.mark.parametrize(
    ("keys", "marked"),
    [
        (["shift+down", "shift+down"], {"r0", "r1", "r2"}),
        (["J", "J"], {"r0", "r1", "r2"}),
        (["down", "down", "K"], {"r1", "r2"}),
        (["down", "shift+up"], {"r0", "r1"}),
        (["ctrl+a"], {"r0", "r1", "r2", "r3"}),
        (["space", "asterisk"], {"r1", "r2", "r3"}),
        (["ctrl+a", "u"], set()),
    ],
)
def test_keys_mark_many_rows(drive: Drive, keys: list[str], marked: set[str]) -> None:
    app = TableApp(runs(4))

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        assert app.table.marks == marked

    drive(app, script)


def test_marks_end_with_their_rows_and_outlive_everything_else(drive: Drive) -> None:
    app = TableApp(runs(4))

    async def script(pilot: Pilot[None]) -> None:
        app.table.set_marks({"r0", "r3", "not here yet"})
        app.table.set_rows(runs(4)[:3])
        assert app.table.marks == {"r0", "not here yet"}
        app.table.set_filter("run-2")
        app.table.sort_by(Sort("name"))
        assert app.table.marks == {"r0", "not here yet"}

    drive(app, script)


def test_s_sorts_by_the_current_column_then_the_other_way_then_not(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("right", "right", "s")
        assert app.table.current_column == "rmse"
        await pilot.pause()
        assert app.table.sorts == (Sort("rmse"),)
        assert app.table.shown_rows[0].id == "r99"
        assert "rmse ↑" in lines(app.table)[0]
        await pilot.press("s")
        assert app.table.sorts == (Sort("rmse", descending=True),)
        await pilot.press("s")
        await pilot.pause()
        assert app.table.sorts == ()
        assert len(app.of_kind(VirtualTable.SortChanged)) == 3
        await pilot.press("l", "s")
        assert app.table.sorts == (Sort("depth", descending=True),)
        await pilot.press("h", "S")
        assert app.table.sorts == (Sort("depth", descending=True), Sort("rmse"))

    drive(app, script)


def test_a_column_that_is_not_sortable_is_not_sorted(drive: Drive) -> None:
    app = TableApp(columns=[Column("name", "name", sortable=False), *COLUMNS[1:]])

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("right", "s")
        assert app.table.current_column == "name"
        assert app.table.sorts == ()

    drive(app, script)


def test_the_cursor_stays_on_its_row_through_sorts_and_refreshes(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("pagedown", "pagedown", "up")
        line = (app.table.cursor_index or 0) - round(app.table.scroll_y)
        app.table.set_rows([Run("new", "new"), *runs()])
        await pilot.pause()
        assert app.table.cursor_id == "r41"
        assert (app.table.cursor_index or 0) - round(app.table.scroll_y) == line
        app.table.sort_by(Sort("rmse"))
        await pilot.pause()
        assert app.table.cursor_id == "r41"
        assert any(text.startswith("▸  run-41 ") for text in lines(app.table))
        app.table.set_rows(run for run in runs() if run.id != "r41")
        assert app.table.cursor_id != "r41"
        app.table.set_rows(runs())
        assert app.table.cursor_id == "r41"
        app.table.set_rows([])
        assert app.table.cursor_id is None
        await pilot.press("down", "enter", "space", "s", "G")
        app.table.set_rows(runs())
        assert app.table.cursor_id == "r41"

    drive(app, script)


def test_at_rest_and_with_equal_rows_nothing_is_sent(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.pause()
        app.table.sent = []
        app.table.set_rows(runs())
        await pilot.pause()
        assert app.table.sent == []

    drive(app, script)


def test_one_cell_that_changed_sends_one_part_of_one_line(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        app.table.sent = []
        changed = runs()
        changed[3] = replace(changed[3], rmse=98.5)
        app.table.set_rows(changed)
        await pilot.pause()
        (region,) = app.table.sent
        assert (region.y, region.height) == (4, 1)
        assert region.width <= 4

    drive(app, script)


def test_moving_the_cursor_sends_two_lines(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("down")
        await pilot.pause()
        app.table.sent = []
        await pilot.press("down")
        await pilot.pause()
        assert {region.y for region in app.table.sent} == {2, 3}

    drive(app, script)


def test_more_rows_send_the_new_line_and_the_status(drive: Drive) -> None:
    app = TableApp(runs(5))

    async def script(pilot: Pilot[None]) -> None:
        app.table.sent = []
        app.table.set_rows([*runs(5), Run("new", "new")])
        await pilot.pause()
        assert {region.y for region in app.table.sent} == {6, 23}

    drive(app, script)


def test_a_filter_is_typed_kept_and_cleared(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("pagedown", "slash", *"RUN-9")
        await pilot.pause()
        assert isinstance(app.focused, Input)
        assert app.table.filter_text == "RUN-9"
        assert app.table.row_count == 11
        assert "11 of 100 shown" in lines(app.table)[-1]
        assert app.of_kind(VirtualTable.FilterChanged)[-1].shown == 11
        await pilot.press("enter")
        await pilot.pause()
        assert app.focused is app.table
        assert app.table.row_count == 11
        await pilot.press("down", "escape")
        await pilot.pause()
        assert app.table.filter_text == ""
        assert app.table.row_count == 100
        assert not app.query_one(TableFilter).display

    drive(app, script)


def test_after_a_filter_the_cursor_is_back_on_its_row(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("down", "down", "down", "slash", *"run-99")
        await pilot.pause()
        assert app.table.cursor_id == "r99"
        await pilot.press("escape")
        await pilot.pause()
        assert app.table.cursor_id == "r3"
        assert app.focused is app.table

    drive(app, script)


def test_a_filter_that_matches_nothing_says_so(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        app.table.set_filter("[bold]nothing[/]")
        await pilot.pause()
        assert "nothing matches “[bold]nothing[/]”" in lines(app.table)[1]
        app.table.set_rows([])
        app.table.set_filter("")
        await pilot.pause()
        assert "nothing here yet" in lines(app.table)[1]

    drive(app, script)


def test_an_outside_filter_is_typed_and_its_mistakes_are_shown(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"rmse < 3")
        await pilot.pause()
        assert [run.rmse for run in app.table.shown_rows] == [2.0, 1.0]
        await pilot.press("x")
        await pilot.pause()
        assert [run.rmse for run in app.table.shown_rows] == [2.0, 1.0]
        assert app.table.save_state().filter == "rmse < 3"
        problem = app.query_one(".-problem")
        assert "a number is missing" in str(problem.render())

    drive(app, script)


@pytest.mark.parametrize(
    ("keys", "titles"),
    [
        (["right", "right", "minus"], ["name", "depth", "note"]),
        (["dollar_sign", "minus"], ["name", "rmse", "depth"]),
        (["right", "right", "right_curly_bracket"], ["name", "depth", "rmse", "note"]),
        (["right", "right", "L"], ["name", "depth", "rmse", "note"]),
        (["right", "right", "H"], ["rmse", "name", "depth", "note"]),
        (["right", "right", "shift+left", "shift+right"], ["name", "rmse", "depth", "note"]),
    ],
)
def test_keys_hide_and_move_columns(drive: Drive, keys: list[str], titles: list[str]) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await pilot.pause()
        assert lines(app.table)[0].split() == titles
        assert app.of_kind(VirtualTable.ColumnsChanged)

    drive(app, script)


def test_keys_resize_a_column_and_give_it_back_its_width(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("right", "greater_than_sign", "greater_than_sign")
        assert app.table.arrangement.widths == {"name": 16}
        await pilot.pause()
        await pilot.press("less_than_sign")
        await pilot.pause()
        assert app.table.arrangement.widths == {"name": 14}
        await pilot.press("equals_sign")
        assert app.table.arrangement.widths == {}

    drive(app, script)


def test_columns_scroll_while_the_first_stays(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        assert lines(app.table)[0].split() == ["name", "rmse", "depth", "note", "›"]
        await pilot.press("dollar_sign")
        await pilot.pause()
        assert lines(app.table)[0].split() == ["name", "‹", "note", "›"]
        assert all(line[3:].startswith("run-") for line in lines(app.table)[1:-1])
        await pilot.press("0")
        await pilot.pause()
        assert lines(app.table)[0].split()[:2] == ["name", "rmse"]
        assert app.table.current_column == "name"

    drive(app, script, size=(44, 12))


def test_columns_are_chosen_in_a_dialog(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("C")
        await pilot.pause()
        assert isinstance(app.screen, ColumnChooser)
        await pilot.press("j", "space", "j", "shift+up", "shift+up", "enter")
        await pilot.pause()
        assert app.table.arrangement.order == ("depth", "name", "rmse", "note")
        assert app.table.arrangement.hidden == {"rmse"}
        assert lines(app.table)[0].split() == ["depth", "name", "note"]
        await pilot.press("C")
        await pilot.pause()
        await pilot.press("r", "escape")
        await pilot.pause()
        assert app.table.arrangement.hidden == {"rmse"}
        await pilot.press("C")
        await pilot.pause()
        await pilot.press("r", "enter")
        await pilot.pause()
        assert lines(app.table)[0].split() == ["name", "rmse", "depth", "note"]

    drive(app, script)


def test_a_click_moves_a_double_click_selects_and_the_gutter_marks(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.click(app.table, offset=(10, 4))
        assert app.table.cursor_id == "r3"
        await pilot.click(app.table, offset=(1, 6))
        assert app.table.marks == {"r5"}
        await pilot.click(app.table, offset=(10, 8), control=True)
        assert app.table.marks == {"r5", "r7"}
        await pilot.click(app.table, offset=(10, 9), shift=True)
        assert app.table.marks == {"r5", "r7", "r8"}
        assert not app.of_kind(VirtualTable.RowSelected)
        await pilot.click(app.table, offset=(10, 2), times=2)
        await pilot.pause()
        assert [message.row_id for message in app.of_kind(VirtualTable.RowSelected)] == ["r1"]

    drive(app, script)


def test_a_click_on_a_title_sorts(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.click(app.table, offset=(20, 0))
        assert app.table.sorts == (Sort("rmse"),)
        await pilot.click(app.table, offset=(20, 0))
        assert app.table.sorts == (Sort("rmse", descending=True),)
        await pilot.click(app.table, offset=(5, 0), shift=True)
        assert app.table.sorts == (Sort("rmse", descending=True), Sort("name"))

    drive(app, script)


def test_titles_are_dragged_to_resize_and_to_move(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.mouse_down(app.table, offset=(15, 0))
        await pilot.hover(app.table, offset=(18, 0))
        await pilot.mouse_up(app.table, offset=(18, 0))
        assert app.table.arrangement.widths == {"name": 15}
        assert app.table.sorts == ()
        await pilot.mouse_down(app.table, offset=(5, 0))
        await pilot.mouse_up(app.table, offset=(24, 0))
        await pilot.pause()
        assert lines(app.table)[0].split() == ["rmse", "name", "depth", "note"]
        assert app.table.sorts == ()

    drive(app, script)


def test_the_wheel_scrolls_rows_and_with_shift_columns(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        wheel = pilot._post_mouse_events
        from textual import events

        await wheel([events.MouseScrollDown], app.table, offset=(5, 5))
        await pilot.pause()
        assert lines(app.table)[1][3:].startswith("run-3 ")
        assert app.table.cursor_id == "r0"
        await wheel([events.MouseScrollUp], app.table, offset=(5, 5))
        await pilot.pause()
        assert lines(app.table)[1].startswith("▸  run-0 ")
        await wheel([events.MouseScrollDown], app.table, offset=(5, 5), shift=True)
        await pilot.pause()
        assert "rmse" not in lines(app.table)[0]
        await wheel([events.MouseScrollLeft], app.table, offset=(5, 5))
        await pilot.pause()
        assert "rmse" in lines(app.table)[0]
        await wheel([events.MouseScrollRight], app.table, offset=(5, 5))
        await pilot.pause()
        assert "rmse" not in lines(app.table)[0]

    drive(app, script, size=(44, 12))


def test_the_scrollbar_is_dragged(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        assert [line.endswith("▐") for line in lines(app.table)[1:6]] == [True, True, True, True, False]
        await pilot.mouse_down(app.table, offset=(79, 2))
        await pilot.hover(app.table, offset=(79, 22))
        await pilot.pause()
        assert lines(app.table)[22].endswith("▐")
        assert "run-99" in lines(app.table)[22]
        await pilot.mouse_up(app.table, offset=(79, 22))
        await pilot.hover(app.table, offset=(79, 2))
        await pilot.pause()
        assert "run-99" in lines(app.table)[22]
        assert app.table.cursor_id == "r0"

    drive(app, script)


def test_a_state_is_restored_before_the_rows_come(drive: Drive) -> None:
    saved: list[TableState] = []
    app = TableApp()

    async def change(pilot: Pilot[None]) -> None:
        await pilot.press("right", "right", "s", "minus", "down", "down", "space")
        app.table.set_filter("run-1")
        await pilot.press("down")
        saved.append(TableState.from_json(app.table.save_state().to_json()))

    drive(app, change)
    later = TableApp([])

    async def restore(pilot: Pilot[None]) -> None:
        later.table.restore_state(saved[0])
        assert later.table.save_state() == saved[0]
        later.table.set_rows(runs())
        await pilot.pause()
        assert later.table.save_state() == saved[0]
        assert later.table.cursor_id == saved[0].cursor

    drive(later, restore)


def test_columns_that_come_later_keep_what_was_chosen(drive: Drive) -> None:
    app = TableApp(columns=COLUMNS[:2])

    async def script(pilot: Pilot[None]) -> None:
        app.table.sort_by(Sort("rmse"))
        await pilot.press("right", "greater_than_sign")
        app.table.set_columns(COLUMNS)
        await pilot.pause()
        assert lines(app.table)[0].split() == ["name", "rmse", "↑", "depth", "note"]
        assert app.table.arrangement.widths == {"name": 14}
        app.table.set_columns(COLUMNS[:1])
        assert app.table.sorts == ()

    drive(app, script)


def test_a_row_can_be_gone_to(drive: Drive) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        assert app.table.move_cursor("r70")
        await pilot.pause()
        assert app.table.cursor_row == runs()[70]
        assert not app.table.move_cursor("odd")
        assert any(line.startswith("▸  run-70") for line in lines(app.table))

    drive(app, script)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (10, 3), (300, 5)])
def test_any_size_can_be_drawn(drive: Drive, size: tuple[int, int]) -> None:
    app = TableApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("down", "G", "right", "s", "pagedown")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert any(line.startswith("▸") for line in lines(app.table))

    drive(app, script, size=size)


def test_keys_have_ids_that_a_keymap_can_change() -> None:
    ids = [binding.id for binding in VirtualTable.BINDINGS]  # type: ignore[union-attr]
    assert all(ids)
    assert len(set(ids)) == len(ids)
