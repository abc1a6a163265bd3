"""The child process of a scheduled scoring: `python -m pipelines.score_job`.

A request on its standard input; a line of JSON for each file on its standard output, or {"error"} at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.score_settings import ScoreSettings
from store.errors import DataError, ModelLoadError, NotFoundError, StorageError, WorkbenchError
from store.layout import Layout
from store.settings import StoreSettings
from store.state import connect

_PREFIX = "scored:"
CAN_PASS = 75
"""Exit code where trying again may help (EX_TEMPFAIL)."""


@dataclass(frozen=True)
class ScoreRequest:
    """One scheduled scoring."""

    pipeline: str
    model: str
    settings: ScoreSettings
    layout: Layout
    store: StoreSettings
    tracking_uri: str
    trusted_types: tuple[str, ...] = ()
    nice: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "settings": self.settings.model_dump(mode="json"),
            "store": self.store.model_dump(mode="json"),
            "layout": [str(self.layout.root), str(self.layout.state)],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ScoreRequest:
        root, state = values["layout"]
        return cls(
            **{
                **values,
                "settings": ScoreSettings.model_validate(values["settings"]),
                "store": StoreSettings.model_validate(values["store"]),
                "layout": Layout(Path(root), Path(state)),
                "trusted_types": tuple(values["trusted_types"]),
            }
        )


def score_files(request: ScoreRequest, now: datetime | None = None) -> list[dict[str, Any]]:
    """Score what is new or changed with the champion; {"path", "output", "rows", "version"} of each file.

    A file that can't be scored has "error" instead, and is tried again when it has changed.
    """
    from pipelines.score import score
    from store.log import PredictionLog
    from store.model_files import load_model
    from store.tracking import open_registry, resolve_uri

    layout, now = request.layout.ensure(), now or datetime.now(UTC)
    files = input_files(layout.root, request.settings.input)
    done = {} if request.settings.again else _scored(layout, request.pipeline)
    waiting = [path for path in files if done.get(_name(layout, path)) != _stamp(path)]
    if not waiting:
        return []
    outputs = {path: output_of(layout.root, request.settings.output, path, now) for path in waiting}
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
    registry = open_registry(resolve_uri(request.tracking_uri, layout.root), layout)
    champion = registry.model(request.model).champion
    if champion is None:
        raise NotFoundError(f"{request.model} has no champion", f"Train: workbench train {request.pipeline}.")
    version = registry.version(request.model, champion)
    if version.model_dir is None:
        raise ModelLoadError(f"the files of {request.model} version {champion} are not on this machine")
    model = load_model(version.model_dir, trusted_types=request.trusted_types, layout=layout)
    log = PredictionLog(layout, request.store, "batch") if request.settings.log else None
    results = []
    try:
        for path, output in outputs.items():
            name, stamp = _name(layout, path), _stamp(path)
            result: dict[str, Any] = {"path": name, "version": champion}
            try:
                output.parent.mkdir(parents=True, exist_ok=True)
                scored = score(model, path, output, log=log, name=request.model, version=champion)
            except DataError as error:
                result["error"] = str(error)
            else:
                result |= {
                    "output": _name(layout, output),
                    "rows": scored.rows,
                    "not_logged": scored.not_logged,
                }
            done[name] = stamp
            _keep(layout, request.pipeline, done)
            results.append(result)
    finally:
        if log is not None:
            log.close()
    return results


def input_files(root: Path, pattern: str) -> list[Path]:
    """The files that a file's name, a folder or a glob stands for; none is no error."""
    from pipelines.data_files import find_files

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


def _name(layout: Layout, path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(layout.root))
    return str(path)


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _scored(layout: Layout, pipeline: str) -> dict[str, Any]:
    with connect(layout) as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (_PREFIX + pipeline,)).fetchone()
    return {} if row is None else dict(json.loads(row[0]))


def _keep(layout: Layout, pipeline: str, done: Mapping[str, Any]) -> None:
    with connect(layout) as connection:
        value = json.dumps(done)
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_PREFIX + pipeline, value))


def main() -> int:
    """Answer one request."""
    request = ScoreRequest.from_json(json.loads(sys.stdin.readline()))
    with contextlib.suppress(OSError):
        os.nice(request.nice)
    try:
        for result in score_files(request):
            print(json.dumps(result), flush=True)
    except WorkbenchError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return CAN_PASS if isinstance(error, StorageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
