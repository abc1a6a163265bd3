"""`workbench completion`: what a shell needs to complete commands, options and names."""

from __future__ import annotations

import click

_INSTALL = {
    "bash": 'eval "$(workbench completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(workbench completion zsh)" in ~/.zshrc',
    "fish": "workbench completion fish > ~/.config/fish/completions/workbench.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(_INSTALL)))
def completion(shell: str) -> None:
    """Print the completion script for a SHELL.

    \b
    bash: eval "$(workbench completion bash)" in ~/.bashrc
    zsh:  eval "$(workbench completion zsh)" in ~/.zshrc
    fish: workbench completion fish > ~/.config/fish/completions/workbench.fish
    """
    import sys

    from click.shell_completion import get_completion_class

    from workbench.cli.root import root
    from workbench.output import is_terminal, say

    completer = get_completion_class(shell)
    assert completer is not None
    script = completer(root, {}, "workbench", "_WORKBENCH_COMPLETE")
    # Not .source(): click's runs bash to learn its version, which needs a bash here and now.
    print(script.source_template % script.source_vars())
    if is_terminal(sys.stdout):
        say(f"To install it: {_INSTALL[shell]}")
