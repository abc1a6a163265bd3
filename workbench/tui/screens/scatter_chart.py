"""The scatter of runs as a chart: a colour for each run, or for those that matter among many."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.desk.scatter import Scatter
from workbench.tui.widgets.chart import ChartData, Series

_MOST_NAMED = 8


def scatter_chart(found: Scatter, names: Sequence[str], baseline: int, best: int | None) -> ChartData:
    """`names` are the runs' names by their positions; few runs have the colours that their curves have."""
    if len(names) <= _MOST_NAMED:
        groups = [(name, [place], place) for place, name in enumerate(names)]
    else:
        apart = {baseline: f"◆ {names[baseline]}"}
        if best is not None:
            apart[best] = f"★ {names[best]}"
        rest = [place for place in range(len(names)) if place not in apart]
        groups = [
            ("others", rest, 0),
            *((name, [place], 1 + number) for number, (place, name) in enumerate(apart.items())),
        ]
    points = {place: (x, y) for place, x, y in found.points}
    series = []
    for name, places, color in groups:
        inside = sorted(points[place] for place in places if place in points)
        if inside:
            x, y = zip(*inside, strict=True)
            series.append(Series(name, x, y, color=color, is_scatter=True))
    return ChartData(
        series, x_kind="log" if found.is_log else "linear", x_title=found.parameter, x_names=found.names
    )
