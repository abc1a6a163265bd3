"""The child process that reads and judges new files: `python -m pipelines.examine_job`.

A request on its standard input, a line of JSON for each file on its standard output. It is short-lived, so
that the process that watches stays small, and alone, so that a file can kill nobody else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.settings import PipelineSettings
from store.errors import WorkbenchError
from store.layout import Layout


def run_child(
    layout: Layout,
    pipeline: str,
    settings: PipelineSettings,
    paths: Sequence[Path],
    *,
    on_file: Callable[[dict[str, Any]], None],
    on_start: Callable[[subprocess.Popen[bytes]], None] = lambda child: None,
) -> str | None:
    """Examine files in a child process; what ended it before its time, in words, or None.

    `on_file` gets {"path", "state", "reason", "rows"} of each file as soon as it is known.
    """
    request = {
        "root": str(layout.root),
        "state": str(layout.state),
        "pipeline": pipeline,
        "settings": settings.model_dump(mode="json"),
        "paths": [str(path) for path in paths],
    }
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "pipelines.examine_job"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    on_start(child)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    with child:
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass
        answer: dict[str, Any] = {}
        for line in child.stdout:
            answer = json.loads(line)
            if "path" in answer:
                on_file(answer)
        words = child.stderr.read().decode("utf-8", "replace").strip().splitlines()
        child.wait()
    if "error" in answer:
        return str(answer["error"])
    if child.returncode:
        return words[-1] if words and child.returncode > 0 else f"it was ended (code {child.returncode})"
    return None


def main() -> int:
    """Answer one request; ends when whoever asked is gone."""
    from pipelines.admission import Examined, examine

    sys.meta_path.insert(0, _NoPandas())
    request = json.loads(sys.stdin.readline() or "{}")
    if not request:
        return 0

    def show(examined: Examined) -> None:
        print(json.dumps(asdict(examined)), flush=True)

    try:
        examine(
            Layout(Path(request["root"]), Path(request["state"])),
            request["pipeline"],
            PipelineSettings.model_validate(request["settings"]),
            [Path(path) for path in request["paths"]],
            on_file=show,
        )
    except BrokenPipeError:
        return 1
    except WorkbenchError as error:
        print(json.dumps({"error": str(error)}), flush=True)
    return 0


class _NoPandas:
    """Hides pandas, which pyarrow and DuckDB import where they can and nothing here has a use for."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.exit(main())
