"""Text laid out in columns for the width there is."""

from __future__ import annotations

import pytest

from workbench.tui.widgets.page import grid

ROWS = [
    [(text, "") for text in row]
    for row in (
        ("07:05:07", "promoted (challenger)", "warning → critical", "it was decided upon"),
        ("07:05:08", "promoted", "", ""),
    )
]


def test_the_last_column_wraps_beside_the_others_where_there_is_room() -> None:
    lines = grid(ROWS, 65).plain.splitlines()
    assert [line.rstrip() for line in lines] == [
        "07:05:07  promoted (challenger)  warning → critical  it was",
        " " * 53 + "decided upon",
        "07:05:08  promoted",
    ]


@pytest.mark.parametrize("cells", [44, 53, 60])
def test_where_there_is_next_to_none_it_goes_below_in_one_piece(cells: int) -> None:
    lines = grid(ROWS, cells).plain.splitlines()
    assert lines == [
        "07:05:07  promoted (challenger)  warning → critical",
        "  it was decided upon",
        "07:05:08  promoted",
    ]
