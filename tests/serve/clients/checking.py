"""What the scripts beside this one share, run in their environments: the standard library and numpy."""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

import numpy as np

URL = sys.argv[1]
ROWS = np.array([[1.0, -0.5, 0.25, 2.0], [-1.5, 0.75, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
_failures: list[str] = []


def check(words: str, holds: bool, seen: object = "") -> None:
    """Print whether it holds, and what was seen where it doesn't."""
    if not holds:
        _failures.append(words)
    print(f"{'✓' if holds else '✗'} {words}{'' if holds else f': {seen}'}")


def natively(model: str, rows: Any) -> list[dict[str, Any]]:
    """What the server's own protocol says of the rows."""
    request = urllib.request.Request(
        f"{URL}/models/{model}/predict/batch",
        json.dumps(rows).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return list(json.load(answer)["predictions"])


def end() -> None:
    """Exit with 1 where something didn't hold."""
    sys.exit(1 if _failures else 0)
