"""Whether a run has changed, told by the times of its files: a look costs a tenth of reading it.

A new metric, param or tag changes the time of its folder; a new point of a metric, an overwritten tag or an
edit by hand only that of the file; status, name and deletion that of `meta.yaml`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

SETTLED_AFTER_NS = 2_000_000_000
"""A file changed so shortly before a look may change again within the same tick of its clock."""

_NOT_LOOKED_AT = frozenset(("artifacts", "outputs"))
_CHANGING = frozenset(("metrics", "tags"))
_PARAMS = "params"


@dataclass(frozen=True, slots=True)
class Look:
    """What a look saw. Equal signatures mean that nothing has changed, if the earlier look was settled.

    `params` covers the files of parameters, which MLflow never changes; None where they weren't looked at.
    """

    signature: int
    params: int | None
    changed_ns: int
    names: tuple[str, ...] = ()
    """What `signature` is made from, within the run's folder; for `look_again`."""

    def is_settled(self, now_ns: int) -> bool:
        """Also true of times far ahead: the clock was set back, and won't repeat just this nanosecond."""
        return abs(now_ns - self.changed_ns) > SETTLED_AFTER_NS


def look_at_run(path: str, *, with_params: bool = True) -> Look | None:
    """Look at a run's folder; None where there is none.

    The inode's change time moves with every write, also where a tool restores the modification time.
    """
    times: list[int] = []
    names = [""]
    params: list[int] = []
    try:
        times.append(os.stat(path).st_ctime_ns)  # noqa: PTH116
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name in _NOT_LOOKED_AT:
                    continue
                times.append(entry.stat().st_ctime_ns)
                names.append(name)
                if name in _CHANGING:
                    _add_times(entry.path, times, name, names)
                elif name == _PARAMS and with_params:
                    _add_times(entry.path, params)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # what can't be looked at can't be read either: reading says why
    newest = max(times, default=0)
    if with_params:
        newest = max(newest, max(params, default=0))
    # The hash of a tuple of integers is the same in every process.
    signature, params_signature = hash(tuple(times)), hash(tuple(params)) if with_params else None
    return Look(signature, params_signature, newest, tuple(names))


def look_again(path: str, names: tuple[str, ...]) -> int | None:
    """The signature of a run whose names are known, at half the cost; None where one of them is gone.

    A name that is new changes the time of its folder, and so the signature.
    """
    try:
        return hash(tuple([os.stat(f"{path}/{name}").st_ctime_ns for name in names]))  # noqa: PTH116
    except OSError:
        return None


def look_at_experiment(path: str) -> Look | None:
    """Look at an experiment's own files: its signature changes with its folder, `meta.yaml` and tags."""
    return _look_at(path, "tags")


def look_at_version(path: str) -> Look | None:
    """Look at a version of a registered model: its signature changes with `meta.yaml` and tags."""
    return _look_at(path, "tags")


def look_at_model(path: str) -> Look | None:
    """Look at what a registered model has beside its versions: `meta.yaml` and aliases."""
    return _look_at(path, "aliases")


def _look_at(path: str, inside: str) -> Look | None:
    """A look at a folder, its `meta.yaml` and all that lies in the folder `inside`; None where it is gone."""
    times: list[int] = []
    try:
        times.append(os.stat(path).st_ctime_ns)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return Look(0, None, 0)
    for name in ("meta.yaml", inside):
        try:
            times.append(os.stat(f"{path}/{name}").st_ctime_ns)  # noqa: PTH116
        except OSError:
            times.append(0)
    with suppress(OSError):
        _add_times(f"{path}/{inside}", times)
    return Look(hash(tuple(times)), None, max(times))


def _add_times(path: str, times: list[int], prefix: str = "", names: list[str] | None = None) -> None:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                times.append(entry.stat().st_ctime_ns)
                name = f"{prefix}/{entry.name}"
                if names is not None:
                    names.append(name)
                if entry.is_dir():
                    _add_times(entry.path, times, name, names)
    except (FileNotFoundError, NotADirectoryError):
        return
