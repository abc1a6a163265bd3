"""The gate's verdict as it is kept with a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.errors import NotFoundError, WorkbenchError

if TYPE_CHECKING:
    from pipelines.verdict import Verdict
    from store.registry import ModelVersion
    from store.runs import RunStore

GATE_FILE = "gate.json"


@dataclass(frozen=True)
class KeptVerdict:
    """A run's verdict; None where the gate never judged it, with `problem` where it can't be read."""

    verdict: Verdict | None = None
    problem: str | None = None


def read_verdict(runs: RunStore, run_id: str) -> KeptVerdict:
    """The verdict in the run's artifacts. Raises NotFoundError where there is no such run."""
    from pipelines.verdict import Verdict

    if GATE_FILE not in runs.artifacts(run_id):
        return KeptVerdict()
    try:
        path = runs.artifact_path(run_id, GATE_FILE)
        return KeptVerdict(Verdict.from_json(json.loads(path.read_text("utf-8"))))
    except NotFoundError as error:
        return KeptVerdict(problem=error.message)
    except (OSError, ValueError, TypeError, KeyError) as error:
        return KeptVerdict(problem=f"{path} can't be read as a verdict: {error}")


def compared(runs: RunStore, one: ModelVersion, other: ModelVersion) -> str | None:
    """What the gate measured of both on the same rows, when one of them was new; None where it didn't.

    The metrics of a version are those of its own held-out rows, which newer data may have made harder.
    """
    for new, champion in ((one, other), (other, one)):
        verdict = _verdict_of(runs, new)
        if verdict is None or verdict.champion_version != champion.version:
            continue
        if verdict.challenger_value is not None and verdict.champion_value is not None:
            values = {new.version: verdict.challenger_value, champion.version: verdict.champion_value}
            shown = ", ".join(f"v{number} {values[number]:.4g}" for number in (one.version, other.version))
            return f"{verdict.metric} on the same {verdict.rows:,} held-out rows: {shown}"
    return None


def _verdict_of(runs: RunStore, version: ModelVersion) -> Verdict | None:
    if version.run_id is None:
        return None
    try:
        return read_verdict(runs, version.run_id).verdict
    except (WorkbenchError, OSError):
        return None
