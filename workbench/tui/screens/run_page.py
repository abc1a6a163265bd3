"""What the details say about a run, laid out for the width there is."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from store.runs import NOTE_TAG, Run
from workbench.desk.run_details import MLFLOW_PREFIX, RunDetails
from workbench.desk.sparklines import curve_metric
from workbench.tui.screens.run_columns import run_seconds, status_tone, status_words
from workbench.tui.widgets.formats import duration, moment, number
from workbench.tui.widgets.page import Cell, grid, heading, paragraph

_LABEL = "$foreground 60%"


def about_page(run: Run, details: RunDetails | None, cells: int) -> Content:
    """Who it is, how it went, what became of it."""
    tone = status_tone(run)
    facts: list[tuple[Cell, Cell]] = [
        (("experiment", _LABEL), (run.experiment, "")),
        (("status", _LABEL), (status_words(run), f"$text-{tone}" if tone else "")),
        (("started", _LABEL), (moment(run.started_at), "")),
        (("took", _LABEL), (duration(run_seconds(run)), "")),
    ]
    if run.user_id:
        facts.append((("by", _LABEL), (run.user_id, "")))
    if run.lifecycle_stage != "active":
        facts.append((("deleted", _LABEL), ("U brings it back", "$text-warning")))
    if details is not None and details.versions:
        made = ", ".join(f"{model} v{version}" for model, version in details.versions)
        facts.append((("versions", _LABEL), (made, "$text-accent")))
    drawn = curve_metric(run)
    if drawn is not None:
        facts.append((("curve", _LABEL), (f"of {drawn}", "")))
    parts = [Content.assemble(("run  ", _LABEL), run.run_id), grid(facts, cells)]
    if run.problem:
        parts += [Content(""), paragraph(run.problem, cells, "$text-error")]
    if run.tags.get(NOTE_TAG):
        parts += [Content(""), paragraph(run.tags[NOTE_TAG], cells)]
    if details is not None and details.gate is not None:
        gate = details.gate
        words, style = ("accepted", "$text-success") if gate.accepted else ("refused", "$text-error")
        against = f"against v{gate.champion_version}" if gate.champion_version else "no champion yet"
        parts += [Content(""), Content.assemble(heading("gate"), "  ", (words, style), f"  {against}")]
        parts += [paragraph(reason, cells, indent=2) for reason in gate.reasons]
    if details is not None and details.gate_problem:
        parts += [Content(""), paragraph(details.gate_problem, cells, "$text-warning")]
    return Content("\n").join(parts)


def metrics_page(run: Run, cells: int) -> Content:
    """Metrics with their cross-validated mean and spread beside them."""
    crossed = {name[3:-5]: name for name in run.metrics if name.startswith("cv_") and name.endswith("_mean")}
    hidden = {f"cv_{name}_{part}" for name in crossed for part in ("mean", "std")}
    rows: list[tuple[Cell, Cell, Cell]] = []
    for name in sorted({*run.metrics} - hidden | crossed.keys()):
        value = run.metrics.get(name)
        spread = run.metrics.get(f"cv_{name}_std")
        beside = number(run.metrics[crossed[name]]) if name in crossed else ""
        beside += f" ± {spread:.2g}" if spread is not None else ""
        shown = "—" if value is None else number(value)
        rows.append(((name, _LABEL), (shown, "bold"), (f"cv {beside}" if beside else "", _LABEL)))
    return grid(rows, cells, right=frozenset((1,))) if rows else _nothing("no metrics")


def pairs_page(values: Mapping[str, str], cells: int, missing: str) -> Content:
    """Names and values, one a line."""
    rows: list[tuple[Cell, Cell]] = [((name, _LABEL), (value, "")) for name, value in sorted(values.items())]
    return grid(rows, cells) if rows else _nothing(missing)


def tags_page(run: Run, cells: int) -> Content:
    """A person's own tags, then MLflow's."""
    own = {name: value for name, value in run.tags.items() if not name.startswith(MLFLOW_PREFIX)}
    theirs = {name: value for name, value in run.tags.items() if name.startswith(MLFLOW_PREFIX)}
    parts = [pairs_page(own, cells, "no tags of yours; t sets one")]
    if theirs:
        parts += [Content(""), heading("MLflow's"), pairs_page(theirs, cells, "")]
    return Content("\n").join(parts)


def _nothing(text: str) -> Content:
    return Content.styled(text, _LABEL)
