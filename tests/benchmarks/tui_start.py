"""CPU time and bytes until the terminal UI's first picture, beside a minimal Textual app, in turn in one run.

    python tests/benchmarks/tui_start.py [ROUNDS]

Each start is a process in a pty of its own; it ends by itself after the first refresh. Below that, what a
person waits for: the time until the runs of a small project stand in the table.
"""

from __future__ import annotations

import os
import pty
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

LIMIT = 1.5
MINIMAL = """
from textual.app import App
from textual.widgets import Static

class Minimal(App):
    def compose(self):
        yield Static("hello")
    def on_mount(self):
        self.call_after_refresh(self.exit)

Minimal().run()
"""
OURS = """
import sys
from pathlib import Path
from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp

class Ours(WorkbenchApp):
    def _open(self):
        heavy = sorted({"mlflow", "sklearn", "pandas", "numpy", "duckdb", "pydantic"} & set(sys.modules))
        assert not heavy, heavy
        self.exit()

Ours(find_place(Path(sys.argv[1]))).run()
"""
FILLED = """
import sys
from pathlib import Path
from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.screens.runs import RunsScreen

class Filled(RunsScreen):
    def _show(self, found):
        super()._show(found)
        self.call_after_refresh(self.app.exit)

import workbench.tui.screens.runs
workbench.tui.screens.runs.RunsScreen = Filled
WorkbenchApp(find_place(Path(sys.argv[1]))).run()
"""


def start(code: str, place: Path) -> tuple[float, int]:
    """CPU seconds of one start, and the bytes it sent to the terminal."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours, theirs = pty.openpty()
    sent: list[int] = []

    def drain() -> None:
        try:
            while chunk := os.read(ours, 65536):
                sent.append(len(chunk))
        except OSError:
            return

    # Bytecode is written as an installed package has it; only the first start of each pays for that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "36"}
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(place)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    reader = threading.Thread(target=drain)
    reader.start()
    if child.wait() != 0:
        raise SystemExit(f"a start failed: {code.splitlines()[-1]}")
    reader.join(1)
    os.close(ours)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, sum(sent)


def small_project(root: Path) -> None:
    (root / "workbench.toml").write_text('[project]\nname = "small"\n')
    experiment = root / "mlruns" / "1"
    experiment.mkdir(parents=True)
    (experiment / "meta.yaml").write_text(
        f"artifact_location: {experiment.as_uri()}\ncreation_time: 1\nexperiment_id: '1'\n"
        "last_update_time: 1\nlifecycle_stage: active\nname: small\n"
    )
    for place in range(20):
        run = experiment / f"{place:032x}"
        for part in ("metrics", "params", "tags", "artifacts"):
            (run / part).mkdir(parents=True)
        (run / "metrics" / "rmse").write_text(f"1700000000000 {place} 0\n")
        (run / "meta.yaml").write_text(
            f"artifact_uri: {run.as_uri()}/artifacts\nend_time: 1700000001000\nexperiment_id: '1'\n"
            f"lifecycle_stage: active\nrun_id: {run.name}\nrun_name: run-{place}\nstart_time: 1700000000000\n"
            "status: 3\nuser_id: ann\n"
        )


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    codes = {
        "a minimal Textual app": MINIMAL,
        "workbench, first paint": OURS,
        "workbench, runs shown": FILLED,
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        small_project(place)
        for code in codes.values():
            start(code, place)
        found: dict[str, list[tuple[float, int]]] = {name: [] for name in codes}
        for _ in range(rounds):
            for name, code in codes.items():
                found[name].append(start(code, place))
    medians = {name: statistics.median(cpu for cpu, _ in starts) for name, starts in found.items()}
    base = medians["a minimal Textual app"]
    print(f"{'':<28}{'CPU s':>8}{'ratio':>9}{'bytes':>10}")
    for name, seconds in medians.items():
        sent = statistics.median(count for _, count in found[name])
        print(f"{name:<28}{seconds:>8.3f}{seconds / base:>8.2f}×{sent:>10,.0f}")
    ratio = medians["workbench, first paint"] / base
    print(f"The first paint takes {ratio:.2f} times a minimal app's CPU; {LIMIT} is the limit.")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
