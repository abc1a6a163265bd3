"""Everything about one run: what is stored beside it, and its artifacts as text to look at."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.desk.runs import versions_by_run
from workbench.desk.verdicts import read_verdict

if TYPE_CHECKING:
    from pipelines.verdict import Verdict
    from store.registry import Registry
    from store.runs import Run, RunStore

MLFLOW_PREFIX = "mlflow."
_PREVIEW_BYTES = 65_536
_PREVIEW_LINES = 2_000


@dataclass(frozen=True)
class RunDetails:
    """A run with what is stored beside it. `versions` are the registered versions made from it."""

    run: Run
    artifacts: Sequence[str]
    gate: Verdict | None
    gate_problem: str | None
    versions: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Preview:
    """The beginning of an artifact as lines, with `note` for what is not shown."""

    path: str
    lines: tuple[str, ...]
    note: str = ""


def read_details(runs: RunStore, registry: Registry, run: Run) -> RunDetails:
    """Gather a run's artifacts, verdict and versions. Raises NotFoundError where the run is gone."""
    kept = read_verdict(runs, run.run_id)
    return RunDetails(
        run, runs.artifacts(run.run_id), kept.verdict, kept.problem, versions_of(registry, run.run_id)
    )


def versions_of(registry: Registry, run_id: str) -> list[tuple[str, int]]:
    """(model, version) of each registered version made from a run."""
    made = versions_by_run(registry.models()).get(run_id, ())
    return [(version.name, version.version) for version in made]


def preview(runs: RunStore, run_id: str, artifact: str) -> Preview:
    """The beginning of an artifact: JSON set out, text as it is, of anything else its size.

    Raises NotFoundError when it is gone.
    """
    path = runs.artifact_path(run_id, artifact)
    size = path.stat().st_size
    raw = _head(path)
    if b"\0" in raw:
        return Preview(artifact, (), f"{_size(size)} of {path.suffix or 'binary'} data, not text")
    text = raw.decode("utf-8", "replace")
    is_cut = len(raw) >= _PREVIEW_BYTES
    if path.suffix == ".json" and not is_cut:
        text = _set_out(text)
    lines = text.expandtabs(4).splitlines()
    note = f"{_size(size)}, {len(lines):,} lines"
    if is_cut or len(lines) > _PREVIEW_LINES:
        note = f"the beginning of {_size(size)}"
    return Preview(artifact, tuple(lines[:_PREVIEW_LINES]), note)


def _head(path: Path) -> bytes:
    if path.suffix == ".gz":
        with gzip.open(path) as unpacked:
            return unpacked.read(_PREVIEW_BYTES)
    with path.open("rb") as file:
        return file.read(_PREVIEW_BYTES)


def _set_out(text: str) -> str:
    """JSON with an object's items on lines of their own and lists of scalars on one."""
    try:
        return "\n".join(_json_lines(json.loads(text), ""))
    except (ValueError, RecursionError):
        return text


def _json_lines(value: Any, indent: str) -> list[str]:
    def scalar(item: Any) -> bool:
        return not isinstance(item, (dict, list))

    if scalar(value) or not value or (isinstance(value, list) and all(map(scalar, value))):
        return [json.dumps(value, ensure_ascii=False)]
    inner = indent + "  "
    is_mapping = isinstance(value, dict)
    lines = ["{" if is_mapping else "["]
    items = list(value.items()) if is_mapping else [(None, item) for item in value]
    for place, (key, item) in enumerate(items):
        rendered = _json_lines(item, inner)
        name = f"{json.dumps(key, ensure_ascii=False)}: " if is_mapping else ""
        comma = "," if place < len(items) - 1 else ""
        lines.append(inner + name + rendered[0])
        lines.extend(rendered[1:])
        lines[-1] += comma
    return [*lines, indent + ("}" if is_mapping else "]")]


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000 or unit == "MB":
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count = count / 1000  # type: ignore[assignment]
    return ""
