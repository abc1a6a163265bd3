"""The table's keys. Each has an id, by which a person's keymap can change it."""

from __future__ import annotations

from textual.binding import Binding, BindingType


def _key(keys: str, action: str, description: str, name: str, show: bool = False) -> Binding:
    return Binding(keys, action, description, show=show, id=f"table.{name}")


TABLE_KEYS: list[BindingType] = [
    _key("down,j", "move(1)", "Next row", "down"),
    _key("up,k", "move(-1)", "Previous row", "up"),
    _key("pagedown,ctrl+f", "page(1)", "Page down", "page_down"),
    _key("pageup,ctrl+b", "page(-1)", "Page up", "page_up"),
    _key("ctrl+d", "page(0.5)", "Half a page down", "half_down"),
    _key("ctrl+u", "page(-0.5)", "Half a page up", "half_up"),
    _key("home,g", "first", "First row", "first"),
    _key("end,G", "last", "Last row", "last"),
    _key("left,h", "column(-1)", "Previous column", "left"),
    _key("right,l", "column(1)", "Next column", "right"),
    _key("0,circumflex_accent", "column(-10000)", "First column", "first_column"),
    _key("dollar_sign", "column(10000)", "Last column", "last_column"),
    _key("enter", "select", "Open", "open", show=True),
    _key("space", "mark", "Mark", "mark", show=True),
    _key("shift+down,J", "mark_and_move(1)", "Mark downwards", "mark_down"),
    _key("shift+up,K", "mark_and_move(-1)", "Mark upwards", "mark_up"),
    _key("ctrl+a", "mark_all", "Mark all shown", "mark_all"),
    _key("asterisk", "invert_marks", "Invert marks", "invert_marks"),
    _key("u", "unmark_all", "Unmark all", "unmark_all"),
    _key("s", "sort", "Sort", "sort", show=True),
    _key("S", "sort_ties", "Sort ties by this column, too", "sort_ties"),
    _key("slash", "filter", "Filter", "filter", show=True),
    _key("C", "choose_columns", "Columns", "columns", show=True),
    _key("minus", "hide_column", "Hide column", "hide_column"),
    _key("left_curly_bracket,shift+left,H", "shift_column(-1)", "Move column left", "column_left"),
    _key("right_curly_bracket,shift+right,L", "shift_column(1)", "Move column right", "column_right"),
    _key("less_than_sign", "resize_column(-2)", "Narrower column", "narrower"),
    _key("greater_than_sign", "resize_column(2)", "Wider column", "wider"),
    _key("equals_sign", "reset_column", "Column's own width", "own_width"),
    _key("escape", "back", "Clear the filter", "back"),
]
