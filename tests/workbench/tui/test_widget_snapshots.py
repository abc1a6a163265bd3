"""How table and chart look. After a change that is meant: pytest --snapshot-update, and look at them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.containers import Horizontal

from workbench.tui.widgets.chart import Chart, ChartData, Mark, Series, Threshold
from workbench.tui.widgets.table import Column, Sort, VirtualTable

SIZES = [(80, 24), (120, 36), (200, 60)]
STATUS = {"done": ("● done", "success"), "running": ("◐ 62 %", "accent"), "gate": ("✗ gate", "error")}


@dataclass(frozen=True)
class Run:
    id: str
    name: str
    status: str
    rmse: float | None
    depth: int | None
    curve: tuple[float, ...]


def runs() -> list[Run]:
    statuses = ("done", "done", "running", "gate")
    names = ("rf-depth12", "gbm-lr05 [b]not bold[/]", "日本語の名前", "ridge\n\x1b[31m")
    return [
        Run(
            id=str(n),
            name=names[n % 4],
            status=statuses[n % 4],
            rmse=None if n % 4 == 2 else math.nan if n % 7 == 3 else 40 + n * 1.37,
            depth=None if n % 4 == 3 else n % 13,
            curve=tuple(math.exp(-step / (4 + n % 5)) for step in range(12)),
        )
        for n in range(84)
    ]


COLUMNS: list[Column[Run]] = [
    Column("name", "name", flex=1, min_width=12),
    Column(
        "status", "status", format=lambda value: STATUS[value][0], style=lambda _, value: STATUS[value][1]
    ),
    Column("rmse", "rmse", align="right", style=lambda _, value: "muted" if value is None else None),
    Column("depth", "max_depth", align="right"),
    Column("curve", "curve", sparkline=True),
]


class Tables(App[None]):
    CSS = "VirtualTable { border: round $primary; }"

    def compose(self) -> ComposeResult:
        self.table = VirtualTable(COLUMNS)
        yield self.table

    def on_mount(self) -> None:
        self.table.set_rows(runs())
        self.table.sort_by(Sort("rmse", descending=True))
        self.table.set_marks({"0", "5", "80"})
        self.table.focus()


class Charts(App[None]):
    def compose(self) -> ComposeResult:
        x = range(400)
        curves = [
            Series(
                name, x, [math.nan if 150 < at < 170 else math.exp(-at / (60 + 40 * n)) + n / 9 for at in x]
            )
            for n, name in enumerate(("rf-depth12", "gbm-lr05", "ridge"))
        ]
        hours = [1_795_219_200 + 900 * n for n in range(96)]
        effect = [0.04 + max(0, n - 50) / 160 + 0.01 * math.sin(n) for n in range(96)]
        band = [[value + side for value in effect] for side in (-0.03, 0.03)]
        with Horizontal():
            yield Chart(ChartData(series=curves, x_title="step"))
            yield Chart(
                ChartData(
                    series=[Series("temp", hours, effect, low=band[0], high=band[1])],
                    thresholds=[Threshold(0.25, "critical", "error"), Threshold(0.1, "warning")],
                    marks=[Mark(hours[20], "v3 deployed")],
                    x_kind="time",
                    y_range=(0, None),
                ),
                zone=UTC,
            )


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x36", "200x60"])
class TestLooks:
    def test_table(self, snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
        assert snap_compare(Tables(), terminal_size=size, press=["down", "down", "right", "right"])

    def test_chart(self, snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
        assert snap_compare(Charts(), terminal_size=size, press=["tab", "end", *["left"] * 40])


def test_column_chooser(snap_compare: Callable[..., bool]) -> None:
    app: App[Any] = Tables()
    assert snap_compare(app, press=["C", "j", "space"])


def test_without_colour(snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(Charts(), press=["end"])
