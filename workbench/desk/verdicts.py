"""The gate's verdict as it is kept with a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.errors import NotFoundError

if TYPE_CHECKING:
    from pipelines.verdict import Verdict
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
