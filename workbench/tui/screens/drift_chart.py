"""The desk's pictures as the widgets want them."""

from __future__ import annotations

from workbench.desk.drift_picture import Distribution, EffectOverTime
from workbench.tui.widgets.chart import ChartData, Mark, Series, Threshold
from workbench.tui.widgets.distribution import Bins


def chart_of(picture: EffectOverTime | None) -> ChartData:
    if picture is None or not picture.x:
        return ChartData(x_kind="time")
    has_band = bool(picture.low)
    return ChartData(
        (
            Series(
                "",
                picture.x,
                picture.y,
                picture.low if has_band else None,
                picture.high if has_band else None,
            ),
        ),
        [Threshold(line.y, line.label, line.tone) for line in picture.lines],
        [Mark(at, label) for at, label in picture.marks],
        x_kind="time",
        y_range=(None, None) if has_band else (0, None),
    )


def bins_of(shape: Distribution | None) -> Bins | None:
    if shape is None:
        return None
    labels = None if shape.edges else shape.labels
    return Bins(shape.reference, shape.current, shape.edges, labels, shape.ends)
