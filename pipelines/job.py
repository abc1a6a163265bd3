"""The child process of one training: `python -m pipelines.job JOB_FOLDER`.

Its standard output carries events and the result as JSON lines; whatever else is printed goes to the log.
It ends when its standard input does, because then its parent is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from pipelines.child_process import Cancelled, begin, is_cancelled
from pipelines.request import TrainRequest
from store.errors import TrainingError, UserCodeError, WorkbenchError
from store.files import write_atomically
from store.niceness import give_way
from store.tracking import resolve_uri

_CANCELLED: dict[str, Any] = {
    "error": {"class": "TrainingError", "message": "the training was cancelled", "hint": None}
}


class WarningLog:
    """Shows every warning in the log and remembers them for a summary."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def install(self) -> None:
        # The categories that a person can act on; the rest of the libraries' talk stays out of the log.
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = self._show

    def summary(self) -> list[str]:
        """One line for each kind of warning of scikit-learn or the user's code, with how often it came."""
        return [f"{text} ({count} times)" if count > 1 else text for text, count in self._seen.most_common(5)]

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))
        if "mlflow" not in filename and "skops" not in filename:
            text = " ".join(str(message).split()).partition(". ")[0].partition(" Increase the number")[0]
            self._seen[text[:200].rstrip(".:")] += 1


def main(arguments: list[str]) -> int:
    """Do one training, or give the run of a dead one its final status (`--finish RUN_ID STATUS`)."""
    if len(arguments) == 3 and arguments[0] == "--finish":
        return _finish(arguments[1], arguments[2])
    folder = Path(arguments[0])
    parent = begin()
    document, code = _train(folder, lambda event: parent.send({"event": event.as_json()}))
    parent.send(document)
    with contextlib.suppress(WorkbenchError, OSError):
        write_atomically(folder / "result.json", json.dumps(document, indent=1, default=str))
    return code


def _train(folder: Path, emit: Any) -> tuple[dict[str, Any], int]:
    """The result or error as a document, and the exit code."""
    recorder, uri = None, ""
    try:
        request = TrainRequest.from_json(json.loads((folder / "request.json").read_text("utf-8")))
        with contextlib.suppress(OSError):
            give_way(request.settings.limits.nice)
        log = WarningLog()
        log.install()
        import_libraries()
        from pipelines.recorder import RunRecorder
        from pipelines.training import Training

        uri = resolve_uri(request.tracking_uri, request.layout.root)
        recorder = RunRecorder(uri, request.experiment)
        recorder.warm_up()
        result = Training(request, recorder, emit).run(log.summary)
        return {"result": result.as_json()}, 0
    except Cancelled:
        _abandon(recorder, "KILLED", "cancelled")
        return _CANCELLED, 130
    except BaseException as error:
        if is_cancelled.is_set():  # a user's code turned it into an error of its own
            _abandon(recorder, "KILLED", "cancelled")
            return _CANCELLED, 130
        traceback.print_exc()
        known = error if isinstance(error, WorkbenchError) else _unexpected(error, uri)
        _abandon(recorder, "FAILED", str(known))
        report = known.report if isinstance(known, UserCodeError) else ""
        return {
            "error": {
                "class": type(known).__name__,
                "message": known.message,
                "hint": known.hint,
                "report": report,
            }
        }, known.exit_code


def import_libraries() -> None:
    """Import what both threads share before the second one starts: a module imported by two threads at once
    may be seen half-made."""
    for name in (
        "numpy",
        "pandas",
        "pyarrow.csv",
        "sklearn.compose",
        "sklearn.impute",
        "sklearn.model_selection",
        "sklearn.pipeline",
        "sklearn.preprocessing",
    ):
        importlib.import_module(name)


def _unexpected(error: BaseException, uri: str) -> WorkbenchError:
    if isinstance(error, MemoryError):
        return TrainingError("the training ran out of memory", "Take a smaller model or fewer rows.")
    if isinstance(error, OSError) and error.errno is not None:
        from pipelines.recorder import storage_error

        return storage_error(error, str(error.filename or "the disk"))
    if type(error).__module__.partition(".")[0] in ("mlflow", "requests", "urllib3"):
        from pipelines.recorder import storage_error

        return storage_error(error, uri)
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return TrainingError(f"the training failed: {type(error).__name__}: {text}", "The job's log has it all.")


def _abandon(recorder: Any, status: str, reason: str) -> None:
    if recorder is None:
        return
    try:
        recorder.abandon(status, {"workbench.error": reason})
    except (Exception, Cancelled):
        traceback.print_exc()


def _finish(run_id: str, status: str) -> int:
    import mlflow

    mlflow.MlflowClient().set_terminated(run_id, status)
    return 0


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    # Threads of libraries, and the one that waits for the parent, have nothing left to say.
    os._exit(exit_code)
