from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.table.columns import Arrangement
from workbench.tui.widgets.table.order import Sort
from workbench.tui.widgets.table.state import TableState

STATES = st.builds(
    TableState,
    sorts=st.lists(st.builds(Sort, st.text(), st.booleans())).map(tuple),
    arrangement=st.one_of(
        st.none(),
        st.builds(
            Arrangement,
            order=st.lists(st.text(), unique=True).map(tuple),
            chosen=st.dictionaries(st.text(), st.booleans()),
            widths=st.dictionaries(st.text(), st.integers(1, 99)),
        ),
    ),
    marks=st.frozensets(st.text()),
    cursor=st.one_of(st.none(), st.text()),
    column=st.one_of(st.none(), st.text()),
    filter=st.text(),
)


@given(STATES)
def test_a_state_comes_back_from_json(state: TableState) -> None:
    assert TableState.from_json(json.loads(json.dumps(state.to_json()))) == state


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)
FIELDS = ("sort", "marks", "cursor", "column", "filter", "columns", "order", "chosen", "widths")


@given(st.one_of(JSON, st.dictionaries(st.sampled_from(FIELDS), JSON)))
def test_what_cannot_be_read_is_left_out(data: object) -> None:
    assert isinstance(TableState.from_json(data), TableState)
