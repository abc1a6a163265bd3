"""A virtual table: tens of thousands of rows, sorted, filtered, marked and followed by their ids."""

from __future__ import annotations

from workbench.tui.widgets.table.columns import Arrangement, Column
from workbench.tui.widgets.table.filter_bar import TableFilter
from workbench.tui.widgets.table.order import Sort
from workbench.tui.widgets.table.state import TableState
from workbench.tui.widgets.table.widget import VirtualTable

__all__ = ["Arrangement", "Column", "Sort", "TableFilter", "TableState", "VirtualTable"]
