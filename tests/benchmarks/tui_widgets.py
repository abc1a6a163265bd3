"""What the terminal UI's table and chart cost, beside Textual's DataTable (and plotext, if installed).

    python tests/benchmarks/tui_widgets.py

Medians of CPU time in one process, so that other load matters little; every figure comes from the same run.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import math
import random
import statistics
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import process_time

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import DataTable

from workbench.tui.widgets.chart import ChartData, ChartView, Series
from workbench.tui.widgets.chart.plot import draw_chart
from workbench.tui.widgets.chart.series import prepared
from workbench.tui.widgets.chart.styles import ChartStyles
from workbench.tui.widgets.table import Column, Sort, TableFilter, VirtualTable

ROWS, COLUMNS = 10_000, 15
SIZE = (160, 48)
ROUNDS = 15


@dataclass(frozen=True)
class Row:
    id: str
    name: str
    values: tuple[float | None, ...]


def make_rows() -> list[Row]:
    generator = random.Random(7)
    return [
        Row(
            id=f"run{place}",
            name=f"{generator.choice(('rf-depth', 'gbm-lr', 'ridge-'))}{generator.randrange(100)}",
            values=tuple(generator.choice((None, generator.random() * 100)) for _ in range(COLUMNS - 1)),
        )
        for place in range(ROWS)
    ]


def metric(place: int) -> Column[Row]:
    return Column(f"m{place}", f"metric{place}", value=lambda row: row.values[place], align="right")


class Ours(App[None]):
    def compose(self) -> ComposeResult:
        self.table: VirtualTable[Row] = VirtualTable(
            [Column("name", "name"), *(metric(place) for place in range(COLUMNS - 1))]
        )
        yield self.table
        yield TableFilter(self.table)


class Theirs(App[None]):
    def compose(self) -> ComposeResult:
        self.table: DataTable[str] = DataTable(cursor_type="row")
        yield self.table

    def on_mount(self) -> None:
        self.table.add_columns("name", *(f"metric{place}" for place in range(COLUMNS - 1)))


async def milliseconds(step: Callable[[], Awaitable[object]]) -> float:
    start = process_time()
    await step()
    return (process_time() - start) * 1000


async def key_costs(pilot: Pilot[None], keys: list[str]) -> list[float]:
    async def press(key: str) -> None:
        await pilot.press(key)
        await pilot.pause()

    return [await milliseconds(lambda key=key: press(key)) for key in keys]  # type: ignore[misc]


async def measure_table(rows: list[Row]) -> dict[str, tuple[float, float]]:
    ours: dict[str, float] = {}
    theirs: dict[str, float] = {}
    app = Ours()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()

        async def fill() -> None:
            app.table.set_rows(rows)
            await pilot.pause()

        async def fill_fresh() -> None:
            app.table.set_rows([Row(row.id, row.name, row.values) for row in rows])
            await pilot.pause()

        ours["fill 10,000 × 15"] = await milliseconds(fill)
        refreshed = [await milliseconds(fill_fresh) for _ in range(5)]
        ours["refresh with equal rows"] = statistics.median(refreshed)
        app.table.focus()
        ours["arrow down"] = statistics.median(await key_costs(pilot, ["down"] * 30))
        ours["page down"] = statistics.median(await key_costs(pilot, ["pagedown"] * ROUNDS))
        await pilot.press("right", "right")

        async def sort(descending: bool) -> None:
            app.table.sort_by(Sort("m0", descending))
            await pilot.pause()

        sorts = [await milliseconds(lambda way=way: sort(way)) for way in (False, True) * 3]  # type: ignore[misc]
        ours["sort by a number"] = statistics.median(sorts)
        await pilot.press("slash")
        while not app.table._rows.prepare_filter(0):
            await pilot.pause(0.01)
        ours["type in the filter"] = statistics.median(await key_costs(pilot, list("rf-dep")))
    peer = Theirs()
    async with peer.run_test(size=SIZE) as pilot:
        await pilot.pause()

        async def fill_peer() -> None:
            for row in rows:
                numbers = ("—" if value is None else f"{value:.4g}" for value in row.values)
                peer.table.add_row(row.name, *numbers, key=row.id)
            await pilot.pause()

        theirs["fill 10,000 × 15"] = await milliseconds(fill_peer)
        peer.table.focus()
        theirs["arrow down"] = statistics.median(await key_costs(pilot, ["down"] * 30))
        theirs["page down"] = statistics.median(await key_costs(pilot, ["pagedown"] * ROUNDS))

        async def sort_peer() -> None:
            peer.table.sort(peer.table.ordered_columns[1].key)
            await pilot.pause()

        theirs["sort by a number"] = statistics.median([await milliseconds(sort_peer) for _ in range(3)])
    return {what: (cost, theirs.get(what, math.nan)) for what, cost in ours.items()}


def measure_chart() -> dict[str, tuple[float, float]]:
    generator = random.Random(7)
    x = list(range(2000))
    curves = [[math.exp(-at / (300 + 90 * k)) + generator.random() * 0.1 for at in x] for k in range(5)]
    data = ChartData(series=[Series(f"run {k}", x, y) for k, y in enumerate(curves)])
    styles, view = ChartStyles(), ChartView()

    def cold() -> None:
        prepared.cache_clear()
        fresh = ChartData(series=[Series(series.name, series.x, series.y) for series in data.series])
        draw_chart(fresh, view, styles, *SIZE)

    def plotext_once() -> None:
        plotext = importlib.import_module("plotext")
        plotext.clear_figure()
        plotext.plotsize(*SIZE)
        for y in curves:
            plotext.plot(x, y, marker="braille")
        plotext.build()

    has_peer = importlib.util.find_spec("plotext") is not None
    peer = repeated(plotext_once) if has_peer else math.nan
    return {
        "draw 5 × 2,000 points": (repeated(cold), peer),
        "draw them again (zoom, cursor)": (repeated(lambda: draw_chart(data, view, styles, *SIZE)), peer),
    }


def repeated(step: Callable[[], object]) -> float:
    costs = []
    for _ in range(ROUNDS):
        start = process_time()
        step()
        costs.append((process_time() - start) * 1000)
    return statistics.median(costs)


def main() -> int:
    results = asyncio.run(measure_table(make_rows())) | measure_chart()
    print(f"{'CPU ms at ' + 'x'.join(map(str, SIZE)):32}{'ours':>9}{'peer':>11}{'ratio':>8}")
    for what, (ours, peer) in results.items():
        ratio = "" if math.isnan(peer) else f"{peer / ours:7.1f}×"
        shown = "—" if math.isnan(peer) else f"{peer:.1f}"
        print(f"{what:32}{ours:9.1f}{shown:>11}{ratio:>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
