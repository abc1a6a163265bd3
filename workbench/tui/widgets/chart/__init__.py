"""A braille chart in pure Python: many series, nice axes, a cursor, zoom and pan."""

from __future__ import annotations

from workbench.tui.widgets.chart.series import ChartData, Mark, Series, Threshold
from workbench.tui.widgets.chart.widget import Chart
from workbench.tui.widgets.chart.window import ChartView, Window

__all__ = ["Chart", "ChartData", "ChartView", "Mark", "Series", "Threshold", "Window"]
