"""A training as a person asks for it, on the command line and in the terminal UI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.request import PromotePolicy, TrainRequest
    from workbench.settings import Project


def pipeline_overrides(names: Iterable[str], texts: Sequence[str], what: str = "--set ") -> dict[str, Any]:
    """`params.max_depth=5` for each pipeline as dotted key to value; raises UsageError for other texts."""
    from store.errors import UsageError
    from workbench.settings import parse_value

    names = list(names)
    overrides = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key or not all(key.split(".")):
            raise UsageError(
                f"{what}{text!r} is no setting", "Write it as KEY=VALUE, as in params.max_depth=5."
            )
        for name in names:
            overrides[f"pipelines.{name}.{key}"] = parse_value(value.strip())
    return overrides


def training_request(
    project: Project,
    name: str,
    promote: PromotePolicy = "default",
    reason: str | None = None,
    run_name: str | None = None,
    data: str | None = None,
) -> TrainRequest:
    """The training of a pipeline with the project's settings."""
    from pathlib import Path

    from pipelines.request import TrainRequest

    return TrainRequest(
        pipeline=name,
        settings=project.settings.pipelines[name],
        tracking_uri=project.settings.tracking.uri,
        layout=project.layout,
        store=project.settings.store,
        promote=promote,
        reason=reason,
        run_name=run_name,
        trusted_types=project.settings.serve.trusted_types,
        # What is typed in a folder below the project is meant from there.
        data=None if data is None else str(Path.cwd() / data),
    )
