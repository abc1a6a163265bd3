"""What the README says can be typed, and what it says of the settings, is so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest


@pytest.fixture
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


def test_ci_runs_the_readmes_test_command_word_for_word(repository: Path) -> None:
    script = (repository / ".ci" / "run").read_text()
    commands = [line for line in script.splitlines() if "pytest" in line and line.startswith("python3")]
    assert len(commands) == 1
    assert f"\n{commands[0]}\n" in (repository / "README.md").read_text()


def test_the_readmes_settings_table_is_that_of_the_code(repository: Path) -> None:
    from workbench.settings import documentation

    readme = (repository / "README.md").read_text()
    for key, default, description in documentation():
        shown = description.replace("|", "\\|")
        assert f"| `{key}` | {default} | {shown} |" in readme, f"README.md lacks the row of {key}"


def test_every_command_of_the_readme_is_one_with_these_words_and_options(readme: str) -> None:
    blocks = "\n".join(re.findall(r"```(?:console|sh)\n(.*?)```", readme, re.DOTALL))
    lines = re.findall(r"^\$ (workbench .*)$", blocks, re.MULTILINE)
    assert len(lines) > 15
    for line in lines:
        words = [word for word in shlex.split(line, comments=True) if word != "&"]
        assert takes(words[1:]), line


def test_every_command_of_the_readmes_table_exists(readme: str) -> None:
    rows = re.findall(r"^\| (`workbench .*?) \| ", readme.replace("\\|", "¦"), re.MULTILINE)
    spelled = [command for row in rows for cell in re.findall(r"`(.*?)`", row) for command in ways(cell)]
    assert len(spelled) > 50
    for path, options in spelled:
        command = find(path)
        assert command is not None, path
        known = {name for parameter in command.params for name in parameter.opts}
        assert options <= known, (path, options - known)


def find(path: tuple[str, ...]) -> click.Command | None:
    """The command of these names; a group that needs no subcommand stands for the one it takes then."""
    from workbench.cli.root import root

    command: click.Command | None = root
    for name in path:
        assert isinstance(command, click.Group), path
        command = command.get_command(click.Context(command), name)
    return command.commands["show"] if isinstance(command, click.Group) and path == ("monitor",) else command


def takes(words: list[str]) -> bool:
    """Whether the command line parses: its command exists, and takes these options and arguments."""
    path = tuple(words[:1])
    if isinstance(find(path), click.Group):
        path = tuple(words[:2])
    command = find(path)
    if command is None:
        return False
    try:
        command.make_context("workbench", words[len(path) :])
    except click.UsageError:
        return False
    return True


def ways(cell: str) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The commands that a cell of the table spells, `list¦show` being two, and the options behind them."""
    _, *words = cell.split()
    options = set(re.findall(r"--[a-z-]+", cell))
    names = [word for word in words if re.fullmatch(r"[a-z¦]+", word)]
    if not names:
        yield (), set()
        return
    *outer, last = names
    for name in last.split("¦"):
        yield (*outer, name), options


def test_the_first_data_of_the_readme_is_in_the_checkout(readme: str, repository: Path) -> None:
    (named,) = re.findall(r"--data (\S+\.csv)", readme)
    header = (repository / named).read_text().splitlines()[0].split(",")
    body = re.search(r"-d '(\{.*?\})'", readme)
    assert body is not None
    assert re.findall(r'"(\w+)":', body[1]) == header[:-1]
