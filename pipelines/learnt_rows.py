"""Which rows a model has learnt from, so that the gate can tell the held-out rows that it had not seen.

When data arrives or the split changes, rows that the champion was fitted on come to be among the
challenger's held-out rows; on those the champion looks better than it is.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Marks = NDArray[np.uint32]

LEARNT_ROWS_FILE = "learnt_rows.npz"
"""Artifact of a run: 4 bytes for each training row."""


def row_marks(frame: pd.DataFrame, columns: Sequence[str], labels: NDArray[Any]) -> Marks:
    """Marks of shape (n_rows,): rows of equal values in `columns` and of equal label have the same.

    Two rows that differ share a mark with probability 2⁻³².
    """
    import pandas as pd

    values: dict[str, Any] = {}
    for name in columns:
        column = frame[name]
        is_number = pd.api.types.is_numeric_dtype(column.dtype)
        # Adding zero makes -0.0 and 0.0 one; a column of text may come as several types.
        values[name] = column.astype("float64") + 0.0 if is_number else column.astype("str").astype("object")
    table = pd.DataFrame(values, index=frame.index)
    hashed = pd.util.hash_pandas_object(table, index=False).to_numpy() if len(columns) else np.uint64(0)
    own = pd.util.hash_array(np.asarray([str(label) for label in labels.tolist()], dtype=object))
    mixed = hashed ^ (own * np.uint64(0x9E3779B97F4A7C15))
    return (mixed >> np.uint64(32)).astype(np.uint32)


def to_bytes(columns: Sequence[str], marks: Marks) -> bytes:
    """The artifact's content: the columns looked at, and the sorted marks of the training rows."""
    buffer = io.BytesIO()
    np.savez(buffer, columns=np.asarray([*columns], dtype=str), marks=np.unique(marks))
    return buffer.getvalue()


def from_bytes(content: bytes) -> tuple[tuple[str, ...], Marks]:
    """What `to_bytes` wrote; raises ValueError for anything else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return tuple(arrays["columns"].tolist()), arrays["marks"].astype(np.uint32)
    except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
        raise ValueError(f"no marks of rows: {error}") from error


def learnt_by_other_alone(learnt: Marks, held_out: Marks, own: Marks) -> NDArray[np.bool_]:
    """Mask of the held-out rows that only the other model learnt from.

    A row that both have seen, because the data holds it twice, gives neither an advantage.
    """
    return np.asarray(np.isin(held_out, learnt) & ~np.isin(held_out, own))
