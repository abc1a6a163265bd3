"""The columns of a table of runs: made from the metrics, parameters and tags that the runs have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from store.runs import Run
from workbench.desk.runs import metric_names, varied_params
from workbench.desk.sparklines import drawn_metric
from workbench.directions import is_lower_better
from workbench.tui.widgets.formats import duration, moment, number
from workbench.tui.widgets.table import Column

_STATUS = {"FINISHED": "success", "RUNNING": "accent", "FAILED": "error", "KILLED": "warning"}
_WORDS = {"FINISHED": "● done", "RUNNING": "◐ running", "FAILED": "✗ failed", "KILLED": "✗ killed"}
_SHOWN_METRICS, _SHOWN_PARAMS = 3, 3


def run_columns(
    runs: Sequence[Run],
    versions: Mapping[str, str] = MappingProxyType({}),
    curves: Mapping[str, Sequence[float]] = MappingProxyType({}),
    children: Mapping[str, int] = MappingProxyType({}),
) -> list[Column[Run]]:
    """Fixed columns first, then what tells runs apart; the rest is there to be chosen.

    `versions` are the registered versions made from a run, in words, by its id; `curves` the values of a
    metric's history, which may come later; `children` how many runs are below one.
    """
    telling, dull = metric_names(runs)
    varied = varied_params(runs)
    params = sorted({name for run in runs for name in run.params} - set(varied))
    tags = sorted({name for run in runs for name in run.tags if not name.startswith("mlflow.")})
    several = len({run.experiment for run in runs}) > 1
    metrics = [_metric(name, hidden=place >= _SHOWN_METRICS) for place, name in enumerate(telling)]
    drawn = drawn_metric(runs)
    beside = telling.index(drawn) + 1 if drawn in telling[:_SHOWN_METRICS] else _SHOWN_METRICS
    return [
        Column("name", "name", value=_name, flex=1, min_width=12, max_width=48, style=_name_tone),
        Column("status", "status", value=_status, style=lambda run, _: status_tone(run), min_width=9),
        Column(
            "children",
            "children",
            value=lambda run: children.get(run.run_id),
            align="right",
            hidden=not any(run.run_id in children for run in runs),
        ),
        Column("started_at", "started", format=moment, descending_first=True),
        *metrics[:beside],
        _curve(curves, hidden=drawn is None),
        *metrics[beside:],
        *(_param(name, hidden=place >= _SHOWN_PARAMS) for place, name in enumerate(varied)),
        Column(
            "versions",
            "version",
            value=lambda run: versions.get(run.run_id),
            style=_version_tone,
            max_width=24,
            hidden=not any(run.run_id in versions for run in runs),
        ),
        Column("experiment", "experiment", max_width=20, hidden=not several),
        *(_metric(name, hidden=True) for name in dull),
        *(_param(name, hidden=True) for name in params),
        *(_tag(name) for name in tags),
        Column("duration", "took", value=run_seconds, format=duration, align="right", hidden=True),
        Column("run_id", "run", value=lambda run: run.run_id[:8], hidden=True),
    ]


def _curve(curves: Mapping[str, Sequence[float]], *, hidden: bool) -> Column[Run]:
    """How a metric went, beside its value where that is shown."""
    return Column(
        "curve",
        "curve",
        value=lambda run: curves.get(run.run_id),
        format=lambda _: "",
        style=lambda *_: "accent",
        sparkline=True,
        lazy=True,
        sortable=False,
        hidden=hidden,
    )


def _version_tone(_run: Run, words: Any) -> str | None:
    return "success" if words and "champion" in words else None


def status_words(run: Run) -> str:
    return "✗ broken" if run.problem else _WORDS.get(run.status, run.status.lower())


def status_tone(run: Run) -> str | None:
    return "error" if run.problem else _STATUS.get(run.status)


def _metric(name: str, *, hidden: bool) -> Column[Run]:
    return Column(
        f"metrics.{name}",
        name,
        value=lambda run: run.metrics.get(name),
        format=number,
        align="right",
        descending_first=not is_lower_better(name),
        hidden=hidden,
        max_width=16,
    )


def _param(name: str, *, hidden: bool) -> Column[Run]:
    return Column(
        f"params.{name}",
        name,
        value=lambda run: run.params.get(name),
        sort_key=_number_if_it_is,
        hidden=hidden,
        min_width=8,
        max_width=24,
    )


def _tag(name: str) -> Column[Run]:
    return Column(f"tags.{name}", name, value=lambda run: run.tags.get(name), hidden=True, max_width=32)


def _number_if_it_is(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _name(run: Run) -> str:
    return run.name or run.run_id[:8]


def _name_tone(run: Run, _value: Any) -> str | None:
    return "error" if run.problem else None


def _status(run: Run) -> str:
    return status_words(run)


def run_seconds(run: Run) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return (run.ended_at - run.started_at).total_seconds()
