"""Where a run came from: the code's state in git and the packages it ran with."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_MAX_DIFF_BYTES = 5_000_000
_TIMEOUT_S = 10
_PINNED = ("scikit-learn", "numpy", "scipy", "pandas", "skops")


@dataclass(frozen=True)
class CodeState:
    """The commit that was checked out, and what differed from it; `commit` is None outside of git."""

    commit: str | None
    is_dirty: bool
    diff: str


def code_state(root: Path) -> CodeState:
    """The state of the git repository around `root`; nothing is known where git is missing or fails."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return CodeState(None, False, "")
    status = _git(root, "status", "--porcelain", "--untracked-files=no") or ""
    diff = (_git(root, "diff", "HEAD", "--no-color") or "") if status.strip() else ""
    if len(diff) > _MAX_DIFF_BYTES:
        diff = diff[:_MAX_DIFF_BYTES] + "\n(cut off)\n"
    return CodeState(commit.strip(), bool(status.strip()), diff)


def requirements(modules: Iterable[str] = ()) -> list[str]:
    """Pinned packages that a model needs; `modules` are those its own steps come from."""
    names = dict.fromkeys([*_PINNED, *(_distribution(module) for module in modules)])
    pinned = []
    for name in names:
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return pinned


def installed_packages() -> dict[str, str]:
    """Every installed package and its version, read from the names of their folders."""
    packages = {"python": platform.python_version()}
    for entry in dict.fromkeys(sys.path):
        try:
            names = [path.name for path in Path(entry).glob("*.dist-info")]
        except OSError:
            continue
        for name in names:
            match = re.fullmatch(r"(.+?)-([^-]+)\.dist-info", name)
            if match:
                packages.setdefault(match[1].replace("_", "-").lower(), match[2])
    return dict(sorted(packages.items()))


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    if top == "sklearn":
        return "scikit-learn"
    if top in sys.stdlib_module_names:
        return ""
    return top.replace("_", "-")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else None
