"""The child process of one scoring: `python -m pipelines.score_job JOB_FOLDER`.

Its standard output carries progress and the result as JSON lines; whatever else is printed goes to the log.
It ends when its standard input does, because then its parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from pipelines.child_process import Cancelled, begin, is_cancelled
from pipelines.score_request import ScoreRequest
from store.errors import TrainingError, WorkbenchError
from store.niceness import give_way

STAGE = "Scoring"


def main(arguments: list[str]) -> int:
    """Do one scoring."""
    folder = Path(arguments[0])
    parent = begin()

    def tell(number: int, files: int, words: str, share: float | None) -> None:
        _heed_cancellation()
        event = {"step": number, "steps": files, "stage": STAGE, "text": words, "share": share}
        parent.send({"event": event})

    document, code = _score(folder, tell)
    parent.send(document)
    return code


def _score(folder: Path, tell: Any) -> tuple[dict[str, Any], int]:
    try:
        request = ScoreRequest.from_json(json.loads((folder / "request.json").read_text("utf-8")))
        with contextlib.suppress(OSError):
            give_way(request.limits.nice)
        from pipelines.score_files import score_files

        _heed_cancellation()
        results = score_files(request, folder.name, on_progress=tell)
        for result in results:
            words = result.get("error") or f"{result['rows']:,} rows to {result['output']}"
            print(f"{result['path']}: {words}")
        return {"result": {"files": results}}, 0
    except Cancelled:
        return _error(TrainingError("the scoring was cancelled")), 130
    except BaseException as error:
        traceback.print_exc()
        if isinstance(error, WorkbenchError):
            return _error(error), error.exit_code
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error, MemoryError):
            text = "out of memory"
        return _error(TrainingError(f"the scoring failed: {text}", "The job's log has it all.")), 1


def _heed_cancellation() -> None:
    """An import or a user's code may have caught what the signal raised."""
    if is_cancelled.is_set():
        raise Cancelled


def _error(error: WorkbenchError) -> dict[str, Any]:
    return {"error": {"class": type(error).__name__, "message": error.message, "hint": error.hint}}


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    # The thread that waits for the parent has nothing left to say.
    os._exit(exit_code)
