"""What `workbench runs show` and `runs compare` print, and the gate's verdict wherever it is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench.cli.invocation import Invocation
from workbench.output import (
    MISSING,
    Cell,
    Column,
    local_time,
    number,
    print_json,
    print_pairs,
    print_table,
    print_title,
    stdout_console,
    warn,
)

if TYPE_CHECKING:
    from pipelines.verdict import Verdict
    from store.runs import Run
    from workbench.desk.run_details import RunDetails

MLFLOW_PREFIX = "mlflow."
_CROSS_VALIDATED = re.compile(r"cv_(.+)_(?:mean|std)")


def run_details(invocation: Invocation, run: Run) -> RunDetails:
    """Gather a run's artifacts, verdict and versions; warns of a verdict that can't be read."""
    from workbench.desk.run_details import read_details

    details = read_details(invocation.runs, invocation.registry, run)
    if details.gate_problem is not None:
        warn(details.gate_problem)
    return details


def print_run(details: RunDetails, *, as_json: bool) -> None:
    """Everything about one run."""
    from workbench.cli.runs import as_row, status_cell

    run = details.run
    if as_json:
        versions = [{"model": model, "version": version} for model, version in details.versions]
        gate = None if details.gate is None else details.gate.as_json()
        print_json({**as_row(run), "artifacts": details.artifacts, "gate": gate, "versions": versions})
        return
    print_title(run.name, run.run_id)
    if run.problem:
        warn(run.problem)
    pairs: list[tuple[str, str | Cell]] = [
        ("experiment", run.experiment),
        ("status", status_cell(run)),
        ("started", local_time(run.started_at)),
        ("ended", local_time(run.ended_at)),
    ]
    if run.lifecycle_stage != "active":
        pairs.append(("deleted", f"workbench runs restore {run.run_id[:8]} brings it back"))
    if details.versions:
        pairs.append(("versions", ", ".join(f"{model} {version}" for model, version in details.versions)))
    if run.tags.get("mlflow.note.content"):
        pairs.append(("note", run.tags["mlflow.note.content"]))
    print_pairs(pairs)
    _print_section("params", run.params)
    if run.metrics:
        print()
        print_title("metrics")
        print_metrics(run.metrics)
    _print_section("tags", {k: v for k, v in run.tags.items() if not k.startswith(MLFLOW_PREFIX)})
    if details.artifacts:
        print()
        print_title("artifacts")
        for path in details.artifacts:
            print(path)
    if details.gate is not None:
        print()
        print_verdict(details.gate)


def print_metrics(metrics: Mapping[str, float]) -> None:
    """Metrics with their cross-validated mean and spread (cv_NAME_mean, cv_NAME_std) beside them."""
    rows: list[list[str | Cell]] = []
    spread = {name for name in metrics if _CROSS_VALIDATED.fullmatch(name)}
    measured = {match[1] for name in spread if (match := _CROSS_VALIDATED.fullmatch(name))}
    for name in sorted({*metrics} - spread | measured):
        mean, deviation = metrics.get(f"cv_{name}_mean"), metrics.get(f"cv_{name}_std")
        crossed = "" if mean is None else number(mean)
        crossed += "" if deviation is None else f" ± {deviation:.2g}"
        rows.append([name, number(metrics.get(name)), crossed])
    columns = [Column("", style="dim"), Column("value", "right"), Column("cross-validated")]
    print_table(columns if spread else columns[:2], rows, header=bool(spread))


def print_verdict(gate: Verdict) -> None:
    """The gate's verdict with every rule, whether it passed and whether it decided."""
    against = f"against version {gate.champion_version}" if gate.champion_version else "no champion yet"
    rows = f", {gate.rows:,} held-out rows" if gate.rows else ""
    print_title(f"gate: {'accepted' if gate.accepted else 'refused'}", f"{against}{rows}")
    columns = [
        Column("rule"),
        Column("value", "right"),
        Column("needed"),
        Column("passed"),
        Column("note", style="dim", wraps=True),
    ]
    table: list[list[str | Cell]] = []
    for rule in gate.rules:
        passed = Cell("yes", "green") if rule.passed else Cell("no", "red" if rule.decides else "yellow")
        note = rule.note if rule.decides else f"for information{'; ' + rule.note if rule.note else ''}"
        table.append([rule.rule, number(rule.value), rule.needed, passed, note])
    if table:
        print_table(columns, table)
    for reason in gate.reasons:
        stdout_console().print(reason, style="" if gate.accepted else "red", markup=False, soft_wrap=True)


def _print_section(title: str, values: Mapping[str, str]) -> None:
    if values:
        print()
        print_title(title)
        print_pairs([(name, value or MISSING) for name, value in sorted(values.items())])
