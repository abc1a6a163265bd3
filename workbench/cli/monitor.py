"""`workbench monitor`: what predictions are compared with."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option, pass_invocation


@click.group()
def monitor() -> None:
    """What a model's predictions are compared with."""


@monitor.command()
@click.argument("model", shell_complete=completions.models)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Rows it was trained on."
)
@click.option("--ordered", is_flag=True, help="The rows come in order of time.")
@json_option
@pass_invocation
def profile(invocation: Invocation, model: str, data: Path, ordered: bool, as_json: bool) -> None:
    """Make the reference of MODEL's champion from a file of data.

    Training writes one by itself; this is for versions that a script of your own registered. MODEL may name
    another version: bikes/3, bikes@challenger. What was logged already is counted again over the new bins.
    """
    from store.errors import NotFoundError
    from workbench.cli.predict import resolve_version
    from workbench.output import print_json, say

    settings = invocation.project.settings
    if not data.exists():
        raise NotFoundError(f"no file {data}", "Check the path.")
    version = resolve_version(invocation, model)
    from pipelines.profiling import profile_file
    from store.model_files import load_model
    from store.references import publish_reference

    assert version.model_dir is not None
    loaded = load_model(
        version.model_dir, trusted_types=settings.serve.trusted_types, layout=invocation.layout
    )
    made = profile_file(loaded, data, redact=settings.store.redact, ordered_by_time=ordered)
    path = publish_reference(invocation.layout, version.name, version.version, made)
    if as_json:
        print_json(
            {
                "model": version.name,
                "version": version.version,
                "rows": made.rows,
                "features": len(made.features),
                "path": str(path),
            }
        )
        return
    what = f"{made.rows:,} rows, {len(made.features)} features"
    say(f"{version.name} version {version.version}: reference of {what}.")
