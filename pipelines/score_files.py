"""Scores the files that are new: a file's answers and their rows in the log appear together, exactly once.

Both are made aside. What is to be renamed, and that the file is done, is written into the project's state in
one step; whoever comes next finishes the renames of one that was cut off in between.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.score_request import ScoreRequest
from pipelines.score_settings import ScoreSettings
from store.errors import DataError, ModelLoadError, NotFoundError, StorageError
from store.journal import append_event, read_events
from store.layout import Layout
from store.locks import locked
from store.staged_log import StagedLog, move_all
from store.state import connect
from store.state_notes import keep_note

if TYPE_CHECKING:
    from store.loaded_model import LoadedModel

_PREFIX = "scored:"
WHO = "workbench"
Progress = Callable[[int, int, str, float | None], None]
"""Takes the number of the file, how many there are, words, and the share of the file that is done."""


def score_files(
    request: ScoreRequest,
    job_id: str,
    now: datetime | None = None,
    on_progress: Progress = lambda number, files, words, share: None,
) -> list[dict[str, Any]]:
    """Score what is new or changed with the champion; {"path", "output", "rows", "version"} of each file.

    A file that can't be scored has "error" instead, and is tried again when it has changed. Another process
    that scores for the same pipeline is waited for.
    """
    layout, now = request.layout.ensure(), now or datetime.now(UTC)
    with locked(layout.run / f"scoring-{request.pipeline}.lock", what="scoring files", timeout_s=30):
        done = _finished(layout, request.pipeline)
        outputs = _wanted(request, done, now)
        if not outputs:
            return []
        model, version = _champion(request)
        results = []
        with contextlib.ExitStack() as stack:
            staged = None
            if request.settings.log:
                staged = StagedLog(layout, request.store, f"score-{request.pipeline}")
                stack.callback(staged.close)
            for number, (path, output) in enumerate(outputs.items(), 1):

                def tell(rows: int, path: Path = path, number: int = number) -> None:
                    words = f"{path.name}: {rows:,} rows"
                    on_progress(number, len(outputs), words, _share(path, rows))

                tell(0)
                results.append(_score_one(request, job_id, model, version, path, output, staged, tell))
    return results


def is_anything_new(layout: Layout, pipeline: str, settings: ScoreSettings) -> bool:
    """Whether a scoring would find something to do; reads no file."""
    done = _known(layout, pipeline)
    return any("moves" in entry for entry in done.values()) or any(
        settings.again or (known := done.get(_name(layout, path))) is None or known["stamp"] != _stamp(path)
        for path in input_files(layout.root, settings.input)
    )


def input_files(root: Path, pattern: str) -> list[Path]:
    """The files that a file's name, a folder or a glob stands for; none is no error."""
    from pipelines.data import find_files

    try:
        return find_files(pattern, root)
    except (DataError, NotFoundError):
        return []


def output_of(root: Path, pattern: str, path: Path, now: datetime) -> Path:
    """Where the answers for `path` go."""
    text = pattern.format(name=path.name.partition(".")[0], time=f"{now:%Y%m%dT%H%M%SZ}")
    output = root / text
    if pattern.endswith("/") or not output.suffix or output.is_dir():
        return output / f"{path.name.partition('.')[0]}.csv"
    return output


def _wanted(request: ScoreRequest, done: Mapping[str, Any], now: datetime) -> dict[Path, Path]:
    """The files to score, and where their answers go."""
    root, settings = request.layout.root, request.settings

    def is_waiting(path: Path) -> bool:
        known = done.get(_name(request.layout, path))
        if known is None or known["stamp"] != _stamp(path):
            return True
        if known.get("error") is not None and request.tries_failed:
            return True
        return settings.again and known.get("occasion") != request.occasion

    waiting = [path for path in input_files(root, settings.input) if is_waiting(path)]
    outputs = {path: output_of(root, settings.output, path, now) for path in waiting}
    if len(set(outputs.values())) < len(waiting):
        raise DataError(
            f"score.output of {request.pipeline} names one file for {len(waiting)} inputs",
            "Put {name} into it, or name a folder.",
        )
    if {path.parent for path in waiting} & {output.parent for output in outputs.values()}:
        raise DataError(
            f"score.output of {request.pipeline} lies in the folder of its input",
            "Choose another folder, or answers would be scored in their turn.",
        )
    return outputs


def _champion(request: ScoreRequest) -> tuple[LoadedModel, int]:
    from store.model_files import load_model
    from store.tracking import open_registry, resolve_uri

    layout = request.layout
    registry = open_registry(resolve_uri(request.tracking_uri, layout.root), layout)
    champion = registry.model(request.model).champion
    if champion is None:
        raise NotFoundError(f"{request.model} has no champion", f"Train: workbench train {request.pipeline}.")
    version = registry.version(request.model, champion)
    if version.model_dir is None:
        raise ModelLoadError(f"the files of {request.model} version {champion} are not on this machine")
    return load_model(version.model_dir, trusted_types=request.trusted_types, layout=layout), champion


def _score_one(
    request: ScoreRequest,
    job_id: str,
    model: LoadedModel,
    version: int,
    path: Path,
    output: Path,
    staged: StagedLog | None,
    on_rows: Callable[[int], None],
) -> dict[str, Any]:
    from pipelines.score import score

    layout = request.layout
    name, stamp = _name(layout, path), _stamp(path)
    result: dict[str, Any] = {"path": name, "version": version}
    aside = output.with_name(f".{path.name.partition('.')[0]}.{request.pipeline}.{_ending(output)}")
    log = None if staged is None else staged.log
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        scored = score(model, path, aside, log=log, name=request.model, version=version, on_progress=on_rows)
    except DataError as error:
        if staged is not None:
            staged.drop()
        failed = {"stamp": stamp, "occasion": request.occasion, "error": error.message}
        _keep(layout, request.pipeline, name, failed)
        return {**result, "error": str(error)}
    except OSError as error:
        raise StorageError(
            f"cannot write {output}: {error.strerror or error}", "Free the disk or choose another."
        ) from error
    result |= {"output": _name(layout, output), "rows": scored.rows, "not_logged": scored.not_logged}
    moves = [(aside, output), *(() if staged is None else staged.moves())]
    for made, _ in moves:
        _flush(made)
    entry = {
        "stamp": stamp,
        "occasion": request.occasion,
        "moves": [[str(source), str(target)] for source, target in moves],
        "event": {"model": request.model, "details": {"pipeline": request.pipeline, "job": job_id, **result}},
    }
    _keep(layout, request.pipeline, name, entry)
    _finish(layout, request.pipeline, name, entry)
    return result


def _finish(
    layout: Layout, pipeline: str, name: str, entry: Mapping[str, Any], *, again: bool = False
) -> None:
    """Do what was decided: rename, tell the audit trail, and note that this is done."""
    move_all([(Path(source), Path(target)) for source, target in entry["moves"]])
    model, details = entry["event"]["model"], entry["event"]["details"]
    told = [event.details for event in read_events(layout, what="scored")] if again else []
    if details not in told:
        append_event(layout, "scored", who=WHO, model=model, details=details)
    _keep(layout, pipeline, name, {key: entry[key] for key in ("stamp", "occasion")})


def _finished(layout: Layout, pipeline: str) -> dict[str, Any]:
    """What was scored already, by file; what was cut off while it appeared is finished first."""
    done = _known(layout, pipeline)
    for name, entry in done.items():
        if "moves" in entry:
            _finish(layout, pipeline, name, entry, again=True)
    return done


def _known(layout: Layout, pipeline: str) -> dict[str, Any]:
    prefix = f"{_PREFIX}{pipeline}"
    with connect(layout) as connection:
        rows = connection.execute(
            "SELECT substr(key, ?), value FROM meta WHERE key = ? OR substr(key, 1, ?) = ?",
            (len(prefix) + 2, prefix, len(prefix) + 1, f"{prefix}:"),
        ).fetchall()
    known: dict[str, Any] = {}
    for name, value in sorted(map(tuple, rows)):
        content = json.loads(value)
        if name:
            known[name] = content
        else:  # all files in one value, as the first projects have it
            known |= {path: {"stamp": stamp} for path, stamp in content.items()}
    return known


def _keep(layout: Layout, pipeline: str, name: str, entry: Mapping[str, Any]) -> None:
    keep_note(layout, f"{_PREFIX}{pipeline}:{name}", json.dumps(entry))


def _flush(path: Path) -> None:
    """What is named as done outlives a power cut."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        os.fsync(file.fileno())


def _name(layout: Layout, path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(layout.root))
    return str(path)


def _ending(output: Path) -> str:
    return output.name.partition(".")[2] or "csv"


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _share(path: Path, rows: int) -> float | None:
    """About how much of a plain text file `rows` are, by the length of its first lines."""
    if path.suffix.lower() in (".gz", ".parquet", ".pq"):
        return None
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(65_536)
        lines = head.count(b"\n")
        if lines:
            return min(0.99, rows * len(head) / lines / max(1, path.stat().st_size))
    return None
