"""The columns of data files for the classifier that tries to tell their rows apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.drift.columns import TableFile, numbers_in_place
from pipelines.drift.joint import JointColumn, JointDrift, chosen_rows, joint_drift
from store.records import class_text

if TYPE_CHECKING:
    from store.profile import FeatureKind

JointKind = Literal["numeric", "categorical"]


def joint_of_files(reference: Path, current: Path, *, ignore: Collection[str] = ()) -> JointDrift:
    """Whether the rows of two files can be told apart by the columns that both have.

    Times are left out: they tell any later rows from earlier ones. Raises DataError for an unreadable file.
    """
    ref, cur = TableFile(reference), TableFile(current)
    kinds: dict[str, JointKind] = {}
    left_out = []
    for name in dict.fromkeys([*ref.names, *cur.names]):
        if name in ignore:
            continue
        both = name in ref.names and name in cur.names
        kind = joint_kind(ref.kind(name)) if both else None
        if kind is None or kind != joint_kind(cur.kind(name)):
            left_out.append(name)
        else:
            kinds[name] = kind
    was, now = read_rows([ref], kinds), read_rows([cur], kinds)
    return joint_drift(
        [JointColumn(name, kind, was[name], now[name]) for name, kind in kinds.items()], left_out=left_out
    )


def joint_kind(kind: FeatureKind) -> JointKind | None:
    """How the classifier sees a column; None for times."""
    return None if kind == "datetime" else "categorical" if kind == "categorical" else "numeric"


def read_rows(files: Sequence[TableFile], kinds: Mapping[str, JointKind]) -> dict[str, Any]:
    """The columns in `kinds` of the files below each other, of rows drawn by chance where there are many."""
    import numpy as np

    places = chosen_rows(sum(file.rows for file in files))
    parts: dict[str, list[Any]] = {name: [] for name in kinds}
    start = 0
    for file in files:
        inside = places[(places >= start) & (places < start + file.rows)] - start
        start += file.rows
        for name, kind in kinds.items():
            column = file.read(name)
            if kind == "numeric":
                parts[name].append(numbers_in_place(column)[inside])
            else:
                chosen = column.take(inside).to_pylist()
                parts[name].append(np.array([_text(value) for value in chosen], dtype=object))
    return {name: np.concatenate(found) for name, found in parts.items()}


def _text(value: Any) -> str | None:
    return None if value is None or value != value else class_text(value)
