"""The files of an MLflow file store: how each kind is read and written, without importing mlflow."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import yaml

from store.errors import StorageError
from store.files import write_atomically

META_FILE = "meta.yaml"
_Parsed = TypeVar("_Parsed")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_REREAD_AFTER_S = (0.01, 0.05)
"""MLflow truncates a file and then writes it: what looks empty or cut is read again after these."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_ONE_READ = 65536
_FLAT_LINE = re.compile(r"([a-z_]+): (.*)")
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_HEX_ID = re.compile(r"(?!0b)(?=[0-9]*[a-f])[0-9a-f]{32}")
_QUOTED = re.compile(r"'[^'\\]*'")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?::/{0,3}[A-Za-z0-9_./%@+-]+)*")
_NOT_PLAIN = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_CONSTANTS: dict[str, Any] = {"null": None, "''": "", "[]": [], "{}": {}}


class BrokenFileError(ValueError):
    """A file of the store that MLflow couldn't read either; the message says which and why."""


def read_meta(path: Path | str) -> dict[str, Any]:
    """The mapping in a `meta.yaml`; raises FileNotFoundError, or BrokenFileError for half of one."""
    return _patiently(path, _parse_meta)


def _parse_meta(path: Path | str) -> dict[str, Any]:
    try:
        text = _read(path).decode()
        parsed = parse_flat(text)
        if parsed is None:
            parsed = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise BrokenFileError(f"{META_FILE} can't be read: {first_line}") from error
    except IsADirectoryError as error:
        raise BrokenFileError(f"{META_FILE} is a folder") from error
    if not isinstance(parsed, dict):
        raise BrokenFileError(f"{META_FILE} is {'empty' if parsed is None else 'no mapping'}")
    return parsed


def parse_flat(text: str) -> dict[str, Any] | None:
    """A YAML mapping of plain scalars, one a line; None where only a YAML parser can tell (20x faster)."""
    if not text.endswith("\n"):
        return None
    result: dict[str, Any] = {}
    for line in text[:-1].split("\n"):
        match = _FLAT_LINE.fullmatch(line)
        if match is None:
            return None
        key, value = match.groups()
        if key in _NOT_PLAIN:
            return None
        if value in _CONSTANTS:
            constant = _CONSTANTS[value]
            result[key] = type(constant)() if constant is not None else None
        elif _INTEGER.fullmatch(value):
            result[key] = int(value)
        elif _HEX_ID.fullmatch(value):
            result[key] = value
        elif _QUOTED.fullmatch(value):
            result[key] = value[1:-1]
        elif _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN:
            result[key] = value
        else:
            return None
    return result


def write_meta(path: Path, content: dict[str, Any]) -> None:
    """Replace a `meta.yaml`, formatted as MLflow does."""
    write_atomically(path, dump_meta(content))


def dump_meta(content: dict[str, Any]) -> str:
    return str(
        yaml.dump(content, default_flow_style=False, allow_unicode=True, sort_keys=True, Dumper=_Dumper)
    )


def read_values(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Tags or params, one a file (a key with slashes lies in subfolders), and what is broken."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for key, path in walk_keys(folder):
        try:
            values[key] = _read(path).decode()
        except FileNotFoundError:
            continue  # deleted since it was listed
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{folder.name}/{key} can't be read: {error}")
    return values, problems


def write_value(owner: Path, kind: str, key: str, value: str) -> None:
    """Write one file of the folder `kind` (tags, aliases) of a run, model or version.

    The temporary file lies in `owner`, for within that folder MLflow takes every file for a value.
    """
    path = owner / kind / key
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}", "Free the disk or make the folder writable."
        ) from error
    write_atomically(path, value, staging=owner)


def read_metrics(folder: Path) -> tuple[dict[str, float], list[str]]:
    """The latest value of each metric (by step, time, value, as MLflow has it), and what is broken."""
    points, problems = read_metric_points(folder)
    return {key: latest_value(found) for key, found in points.items()}, problems


def read_metric_points(folder: Path) -> tuple[dict[str, list[tuple[int, int, float]]], list[str]]:
    """Every point of each metric, as `read_points` has them, and what is broken."""
    metrics: dict[str, list[tuple[int, int, float]]] = {}
    problems: list[str] = []
    for key, path in walk_keys(folder):
        try:
            metrics[key] = read_points(path)
        except FileNotFoundError:
            continue
        except BrokenFileError as error:
            problems.append(f"metric {key} {error}")
    return metrics, problems


def latest_value(points: list[tuple[int, int, float]]) -> float:
    """The value MLflow shows for a metric: the one of the highest step, then time, then value."""
    if len(points) == 1:
        return points[0][2]
    return max((step, timestamp, value) for timestamp, step, value in points)[2]


def read_points(path: Path | str) -> list[tuple[int, int, float]]:
    """(timestamp in ms, step, value) of each line of a metric file, in the order of logging."""
    return _patiently(path, _parse_points)


def _parse_points(path: Path | str) -> list[tuple[int, int, float]]:
    try:
        lines = _read(path).decode().splitlines()
        try:
            points = [(int(at), int(step), float(value)) for at, value, step in map(str.split, lines)]
        except ValueError:
            points = [_parse_point(line) for line in lines]
    except ValueError as error:
        raise BrokenFileError(f"has a line that is no point: {str(error)[:80]!r}") from error
    except (IsADirectoryError, PermissionError) as error:
        raise BrokenFileError(f"can't be read: {error.strerror}") from error
    if not points:
        raise BrokenFileError("is empty")
    return points


def _parse_point(line: str) -> tuple[int, int, float]:
    """A line of MLflow 1.0 (no step) up to the newest (five fields, with a dataset)."""
    parts = line.strip().split(" ")
    if len(parts) not in (2, 3, 5):
        raise ValueError(line)
    # With a dataset MLflow reads the step back as 0.
    step = int(parts[2]) if len(parts) == 3 else 0
    return int(parts[0]), step, float(parts[1])


def walk_keys(folder: Path) -> Iterator[tuple[str, str]]:
    """(key, path) of each file under `folder`; the key is the path within."""
    pending = [("", str(folder))]
    while pending:
        prefix, directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                found = list(entries)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in found:
            if entry.is_dir():
                pending.append((f"{prefix}{entry.name}/", entry.path))
            else:
                yield prefix + entry.name, entry.path


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted; none where it doesn't exist."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def from_ms(milliseconds: Any) -> datetime | None:
    """UTC time of MLflow's milliseconds; None for what is none."""
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool):
        return None
    try:
        return _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        return None


def to_ms(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def now_ms() -> int:
    return to_ms(datetime.now(UTC))


def _read(path: Path | str) -> bytes:
    """All of a small file; half the time of `Path.read_bytes`, which thousands of files make felt."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = os.read(descriptor, _ONE_READ)
        while len(content) % _ONE_READ == 0 and (more := os.read(descriptor, _ONE_READ)):
            content += more
        return content
    finally:
        os.close(descriptor)


def _patiently(path: Path | str, parse: Callable[[Path | str], _Parsed]) -> _Parsed:
    for wait_s in _REREAD_AFTER_S:
        try:
            return parse(path)
        except BrokenFileError:
            if _settled(path):
                raise
            time.sleep(wait_s)
    return parse(path)


def _settled(path: Path | str) -> bool:
    """Whether the last write is so long ago that nobody is in the middle of it."""
    try:
        return time.time() - os.stat(path).st_mtime > 2  # noqa: PTH116 - no Path on the quick way
    except OSError:
        return True
