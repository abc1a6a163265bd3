"""`workbench predict`: batch scoring of a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from store.registry import ModelVersion


@click.command()
@click.argument("model", shell_complete=completions.models)
@click.argument("input", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="CSV, Parquet or JSON lines; stdout unless given."
)
@click.option("--log", "is_logged", is_flag=True, help="Keep the predictions in the prediction log.")
@pass_invocation
def predict(invocation: Invocation, model: str, input: Path, output: Path | None, is_logged: bool) -> None:  # noqa: A002
    """Score the rows of INPUT (CSV, Parquet or JSON lines) with MODEL's champion.

    MODEL may name another version: bikes/3, bikes@challenger, bikes/latest.
    """
    from store.errors import NotFoundError

    project = invocation.project
    if not input.exists():
        raise NotFoundError(f"no file {input}", "Check the path.")
    version = resolve_version(invocation, model)
    from pipelines.score import score
    from store.model_files import environment_differences, load_model
    from store.staged_log import StagedLog, drop_left_behind
    from workbench.output import say, warn
    from workbench.progress import CountProgress

    assert version.model_dir is not None
    loaded = load_model(
        version.model_dir, trusted_types=project.settings.serve.trusted_types, layout=invocation.layout
    )
    for difference in environment_differences(loaded.file):
        warn(difference)
    staged = None
    if is_logged:
        drop_left_behind(invocation.layout.ensure(), "predict-")
        # One that is interrupted leaves no rows behind, and can be repeated.
        staged = StagedLog(invocation.layout, project.settings.store, f"predict-{os.getpid()}")
    log = None if staged is None else staged.log
    try:
        with CountProgress(f"{version.name} version {version.version}: {input.name}", "rows") as progress:
            scored = score(
                loaded,
                input,
                output,
                log=log,
                on_progress=progress,
                name=version.name,
                version=version.version,
            )
        if staged is not None:
            staged.publish()
    finally:
        if staged is not None:
            staged.close()
    if log is not None and scored.not_logged:
        warn(f"{scored.not_logged} predictions could not be logged: {log.problem}")
    where = "" if output is None else f" in {output}"
    say(f"{scored.rows:,} rows scored by {version.name} version {version.version}{where}.")


def resolve_version(invocation: Invocation, text: str) -> ModelVersion:
    """The version that NAME, NAME/VERSION, NAME@ALIAS or models:/… stands for; NAME alone is the champion.

    Raises NotFoundError where there is none, ModelLoadError where its files are not on this machine.
    """
    from store.errors import ModelLoadError, NotFoundError

    text = text.removeprefix("models:/")
    name, at, which = text.partition("@")
    if not at:
        name, _, which = text.partition("/")
    registry = invocation.registry
    if not which:
        model = registry.model(name)
        if model.champion is None:
            raise NotFoundError(
                f"{name} has no champion",
                f"Promote a version (workbench models promote {name}) or name one: {name}/latest.",
            )
        which = str(model.champion)
    version = registry.version(name, which)
    if version.model_dir is None:
        raise ModelLoadError(
            f"the files of {name} version {version.version} are not on this machine",
            "Bring its artifacts back, or choose another version.",
        )
    return version
