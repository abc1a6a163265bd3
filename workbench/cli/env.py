"""`workbench env`: variables that make a script's MLflow use this project."""

from __future__ import annotations

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation


@click.command()
@json_option
@pass_invocation
def env(invocation: Invocation, as_json: bool) -> None:
    """Print the variables that make MLflow in a script of your own use this project.

    Use it as: eval "$(workbench env)"
    """
    import shlex

    from store.tracking import tracking_environment
    from workbench.output import print_json

    variables = tracking_environment(invocation.tracking_uri)
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
