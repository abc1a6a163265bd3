"""Another version of a model asked what the one in the report was asked, on rows whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.cli.invocation import Invocation


def compare_with(invocation: Invocation, report: Mapping[str, Any], which: str) -> dict[str, Any]:
    """{"version", "rows", "metrics"}: a paired test of each metric, for the report's window."""
    from pipelines.performance import replay
    from store.errors import NotFoundError, UsageError
    from store.model_files import load_model
    from store.references import read_reference

    model, version = str(report["model"]), int(report["version"])
    other = invocation.registry.version(model, which)
    if other.version == version:
        raise UsageError(f"{model} version {version} is the one of the report", "Name another version.")
    if other.model_dir is None:
        raise NotFoundError(f"the files of {model} version {other.version} are missing", "Train it again.")
    project = invocation.project
    profile = read_reference(project.layout, model, version)
    if profile is None:
        raise NotFoundError(
            f"{model} version {version} has no reference",
            f"Make one: workbench monitor profile {model}/{version} --data FILE",
        )
    window = report.get("window") or {}
    now = datetime.now(UTC)
    start, end = (datetime.fromisoformat(window[key]) if window.get(key) else now for key in ("start", "end"))
    loaded = load_model(
        other.model_dir, trusted_types=project.settings.serve.trusted_types, layout=project.layout
    )
    found = replay(
        project.layout,
        model,
        version,
        loaded,
        start=start,
        end=end + timedelta(seconds=1),
        classes=None if profile.task == "regression" else profile.prediction.categories,
    )
    return {"version": other.version, **found}


def print_against(found: Mapping[str, Any]) -> None:
    """The comparison as a table."""
    from workbench.output import Column, number, print_table, say

    print()
    if not found["metrics"]:
        say(f"{found['rows']} labelled rows in the window; a comparison takes 30.")
        return
    print(f"Version {found['version']} on the same {found['rows']:,} rows")
    columns = [
        Column("metric", style="bold"),
        Column("now", "right"),
        Column(f"v{found['version']}", "right"),
    ]
    columns += [Column("better by", "right"), Column("from … to", "right"), Column("surely", "right")]
    rows = [
        [
            one["metric"],
            number(one["champion"]),
            number(one["challenger"]),
            number(one["difference"]),
            f"{number(one['low'])} … {number(one['high'])}",
            f"{one['probability_better']:.0%}",
        ]
        for one in found["metrics"]
    ]
    print_table(columns, rows)
