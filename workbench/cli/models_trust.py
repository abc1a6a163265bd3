"""`workbench models trust`: allow what a model made elsewhere needs to load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, pass_invocation, reason_option, yes_option
from workbench.confirm import confirm

if TYPE_CHECKING:
    from pathlib import Path

    from store.layout import Layout
    from store.model_files import ModelFile
    from store.registry import ModelVersion
    from store.trust import TrustKind

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Need(NamedTuple):
    """One thing that must be trusted: a type's name, or the SHA-256 of the code or pickle file `path`."""

    kind: TrustKind
    value: str
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.kind}  {self.path or self.value}"


@click.command()
@click.argument("name", shell_complete=completions.models)
@click.argument("version", required=False)
@yes_option
@reason_option
@pass_invocation
def trust(invocation: Invocation, name: str, version: str | None, yes: bool, reason: str | None) -> None:
    """Allow the code, types or pickle that a version needs to load; read them first.

    NAME VERSION trusts all that this version needs. Alone, NAME may also be the dotted name of a type, or
    the SHA-256 of a file, as an error message gives it.
    """
    from store.trust import trust as record
    from workbench.output import say

    if version is None:
        needs = _needs_of_value(invocation, name)
        subject = name
    else:
        found = invocation.registry.version(name, version)
        needs = needs_of(found, invocation.layout)
        subject = f"{name} version {found.version}"
    if not needs:
        say(f"{subject} needs nothing more to be trusted.")
        return
    for need in needs:
        say(f"  {need}")
    confirm(f"Loading {subject} runs this. Trust it?", yes=yes)
    for need in needs:
        record(invocation.layout, need.kind, need.value, reason=reason)
    say("Trusted; kept in the audit trail.")


def needs_of(version: ModelVersion, layout: Layout) -> list[Need]:
    """What stands in the way of loading a version; raises ModelLoadError where its files are gone."""
    from store.errors import ModelLoadError
    from store.model_files import read_model_file
    from store.trust import is_trusted

    if version.model_dir is None:
        raise ModelLoadError(
            f"the files of {version.name} version {version.version} are not on this machine",
            "Bring its artifacts back, or register a run that has them.",
        )
    file = read_model_file(version.model_dir)
    return [need for need in _all_needs(file) if not is_trusted(layout, need.kind, need.value)]


def _all_needs(file: ModelFile) -> list[Need]:
    """Everything in a model folder that runs when it is loaded."""
    from store.model_loading import OUR_PACKAGES
    from store.trust import file_digest

    needs = []
    modules = set()
    if file.code_dir is not None:
        for path in sorted(file.code_dir.rglob("*.py")):
            top = path.relative_to(file.code_dir).parts[0].removesuffix(".py")
            if top not in OUR_PACKAGES:
                needs.append(Need("code", file_digest(path), path))
                modules.add(top)
    estimator = file.path / file.model_path
    if not estimator.is_file():
        return needs
    if file.serialization_format == "skops":
        import skops.io

        types = skops.io.get_untrusted_types(file=estimator)
        needs += [Need("type", name) for name in types if name.partition(".")[0] not in modules]
    elif file.serialization_format:
        needs.append(Need("model", file_digest(estimator), estimator))
    return needs


def _needs_of_value(invocation: Invocation, value: str) -> list[Need]:
    """The need that a type's name, or the SHA-256 of a registered version's file, stands for."""
    from store.errors import NotFoundError, UsageError, WorkbenchError
    from store.trust import is_trusted

    if not _SHA256.fullmatch(value):
        if "." not in value:
            raise UsageError(f"which version of {value!r}?", f"workbench models trust {value} VERSION.")
        need = Need("type", value)
        return [] if is_trusted(invocation.layout, need.kind, need.value) else [need]
    seen = False
    for model in invocation.registry.models():
        for version in model.versions:
            try:
                needs = [need for need in needs_of(version, invocation.layout) if need.value == value]
            except WorkbenchError:
                continue
            if needs:
                return needs
            seen = True
    where = "of any registered version" if seen else "and no registered version has files here"
    raise NotFoundError(
        f"{value[:12]}… is no untrusted file {where}", "See them: workbench models trust NAME VERSION."
    )
