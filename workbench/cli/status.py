"""`workbench status`: what runs, which versions are in production."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from workbench.output import Cell

RECENT_JOBS = 5
SHOWN_ALERTS = 10


@click.command()
@json_option
@pass_invocation
def status(invocation: Invocation, as_json: bool) -> None:
    """Show the project, its server, models and latest trainings."""
    from workbench.output import print_json

    state = gather(invocation)
    if as_json:
        print_json(state)
        return
    _print(state)


def gather(invocation: Invocation) -> dict[str, Any]:
    """The state in the shape of `status --json`; parts that nothing provides are None or empty."""
    project = invocation.project
    from serve.control import running_server
    from store.alerts import LIVE, list_alerts
    from store.jobs import list_jobs
    from workbench.watching import running_watcher

    models, problem = _models(invocation)
    server = running_server(project.layout)
    watcher = running_watcher(project.layout)
    return {
        "project": {
            "name": project.name,
            "root": project.root,
            "tracking_uri": invocation.tracking_uri,
            "pipelines": list(project.settings.pipelines),
        },
        "server": None
        if server is None
        else {
            "url": server.url,
            "host": server.host,
            "port": server.port,
            "admin_url": server.admin_url,
            "pid": server.pid,
            "started_at": server.started_at,
        },
        "watcher": None if watcher is None else watcher.as_json(),
        "models": models,
        "problems": [] if problem is None else [problem],
        "alerts": [alert.as_json() for alert in list_alerts(project.layout, states=LIVE)],
        "jobs": [job.as_json() for job in list_jobs(project.layout, limit=RECENT_JOBS)],
    }


def _models(invocation: Invocation) -> tuple[list[dict[str, Any]], str | None]:
    """Each model with who is in production and how many predictions and labels are logged; none, and why,
    where nobody can be asked: the rest is known all the same."""
    from store.errors import StorageError

    try:
        models = invocation.registry.models()
    except StorageError as error:
        return [], str(error)
    counts = _prediction_counts(invocation)
    rows = []
    for model in models:
        champion = next((v for v in model.versions if v.version == model.champion), None)
        predictions, labelled = counts.get(model.name, (0, 0)) if counts is not None else (None, None)
        rows.append(
            {
                "name": model.name,
                "champion": model.champion,
                "challenger": model.challenger,
                "versions": len(model.versions),
                "metrics": dict(champion.metrics) if champion is not None else {},
                "predictions": predictions,
                "labelled": labelled,
            }
        )
    return rows, None


def _prediction_counts(invocation: Invocation) -> dict[str, tuple[int, int]] | None:
    """Predictions and labelled ones by model; None (and a warning) where the log can't be read."""
    from store.errors import WorkbenchError
    from store.predictions import PredictionReader
    from workbench.output import warn

    totals: dict[str, tuple[int, int]] = {}
    try:
        reader = PredictionReader(invocation.layout)
        for row in reader.counts():
            predictions, labelled = totals.get(row.model, (0, 0))
            totals[row.model] = (predictions + row.predictions, labelled + row.labelled)
    except WorkbenchError as error:
        warn(f"the prediction log can't be read: {error}")
        return None
    if reader.note:
        warn(reader.note)
    return totals


def _print(state: dict[str, Any]) -> None:
    from workbench.output import MISSING, Cell, Column, number, print_pairs, print_table, print_title, warn

    project, server = state["project"], state["server"]
    print_title(project["name"], str(project["root"]))
    print_pairs(
        [
            (
                "server",
                Cell(f"{server['url']} (pid {server['pid']})", "green")
                if server
                else Cell("not running; start it with workbench serve", "dim"),
            ),
            ("watcher", _watcher(state["watcher"])),
        ]
    )
    print()
    if state["models"]:
        print_table(
            [
                Column("model", style="bold", flexible=True),
                Column("champion", "right"),
                Column("challenger", "right"),
                Column("versions", "right"),
                Column("predictions", "right"),
                Column("labelled", "right"),
            ],
            [
                [
                    model["name"],
                    str(model["champion"] or MISSING),
                    str(model["challenger"] or MISSING),
                    str(model["versions"]),
                    number(model["predictions"]),
                    _share(model["labelled"], model["predictions"]),
                ]
                for model in state["models"]
            ],
        )
    elif not state["problems"]:
        print("No models yet. Train one: workbench train")
    for problem in state["problems"]:
        warn(problem)
    if state["alerts"]:
        print()
        print_table(
            [
                Column("alert", style="cyan"),
                Column("severity"),
                Column("state"),
                Column("what", flexible=True),
            ],
            [
                [one["id"], one["severity"], one["state"], one["message"]]
                for one in state["alerts"][:SHOWN_ALERTS]
            ],
        )
        if len(state["alerts"]) > SHOWN_ALERTS:
            print(f"and {len(state['alerts']) - SHOWN_ALERTS} more: workbench alerts list")
    if state["jobs"]:
        print()
        print_table(
            [Column("job", style="cyan"), Column("pipeline", flexible=True), Column("state"), Column("run")],
            [[job["id"], job["pipeline"], job["state"], (job["run_id"] or "")[:8]] for job in state["jobs"]],
        )


def _watcher(watcher: Mapping[str, Any] | None) -> Cell:
    from workbench.output import Cell, local_time
    from workbench.watching import WatcherInfo

    if watcher is None:
        return Cell("not running; start it with workbench watch --detach", "dim")
    number = len(watcher["pipelines"])
    text = f"{number} pipeline{'' if number == 1 else 's'} (pid {watcher['pid']})"
    notes = WatcherInfo.from_json(watcher).notes(local_time)
    text = "; ".join([f"{text}, paused" if watcher["paused"] else text, *notes])
    return Cell(text, "yellow" if watcher["paused"] or watcher["problems"] else "green")


def _share(part: int | None, whole: int | None) -> str:
    from workbench.output import MISSING

    return f"{part / whole:.0%}" if part is not None and whole else MISSING
