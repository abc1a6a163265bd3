"""CPU time of `workbench --help` beside an empty Python and `mlflow --help`, measured in turn in one run.

python tests/benchmarks/help_time.py [ROUNDS]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

LIMIT_S = 0.3
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "workbench --help": [sys.executable, "-m", "workbench", "--help"],
    "workbench runs --help": [sys.executable, "-m", "workbench", "runs", "--help"],
    "workbench models promote --help": [sys.executable, "-m", "workbench", "models", "promote", "--help"],
    "mlflow --help": [sys.executable, "-m", "mlflow", "--help"],
}


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one call, children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    # Bytecode is written as an installed package has it; only the first call of each pays for that.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    for command in COMMANDS.values():
        cpu_seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(cpu_seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    own = medians["workbench --help"]
    print(f"{'command':<34}{'CPU s':>8}{'ratio':>9}")
    for name, seconds in medians.items():
        print(f"{name:<34}{seconds:>8.3f}{seconds / own:>8.2f}×")
    print(f"workbench --help is {'within' if own < LIMIT_S else 'OVER'} its {LIMIT_S} s")
    return int(own >= LIMIT_S)


if __name__ == "__main__":
    raise SystemExit(main())
