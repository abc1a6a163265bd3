"""What a data file tells about the pipeline it is for: the task, the kind of each column, what to set."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import DataError, UsageError
from workbench.starter.code_files import ExampleColumn

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.columns import ColumnGuess, Kind, TaskName

SAMPLED_ROWS = 50_000
"""Rows read for guessing; the training reads all."""

_TARGET_NAMES = (
    "target", "label", "y", "class", "outcome", "churned", "churn", "is_fraud", "fraud", "default",
    "survived", "diagnosis", "species", "quality", "price", "response", "converted", "result",
)  # fmt: skip
_LISTED_COLUMNS = 25


@dataclass(frozen=True)
class ColumnReport:
    """What one column was taken for, what becomes of it, and why."""

    name: str
    kind: Kind
    role: str
    reason: str
    missing: int
    example: ExampleColumn = field(repr=False)


@dataclass(frozen=True)
class Inspection:
    """All that was guessed from the rows."""

    rows: int
    sampled_rows: int | None
    """Rows that kinds were guessed from and missing values counted in; None where it was all of them."""
    task: TaskName
    task_reason: str
    columns: tuple[ColumnReport, ...]
    id_column: str | None
    time_column: str | None
    is_in_time_order: bool
    warnings: tuple[str, ...]

    def names(self, *roles: str) -> list[str]:
        return [column.name for column in self.columns if column.role in roles]


def read_sample(files: Sequence[Path]) -> tuple[pd.DataFrame, bool]:
    """The first rows of the files, and whether there are more. Raises DataError as reading data does."""
    import pandas as pd

    from pipelines.data import read_table

    frames: list[pd.DataFrame] = []
    rows = 0
    for path in files:
        frame = read_table(path, limit=SAMPLED_ROWS - rows)
        if frames and set(frame.columns) != set(frames[0].columns):
            differing = sorted(map(str, set(frame.columns) ^ set(frames[0].columns)))
            raise DataError(
                f"{path} and {files[0]} differ in their columns: {', '.join(differing[:5])}",
                "Give all files of a pipeline the same columns, or narrow --data.",
            )
        frames.append(frame)
        rows += len(frame)
        if rows >= SAMPLED_ROWS:
            break
    return pd.concat(frames, ignore_index=True), rows >= SAMPLED_ROWS


def read_columns(files: Sequence[Path], names: Sequence[str]) -> pd.DataFrame:
    """Some columns of all rows, without holding the others in memory."""
    import pandas as pd

    from pipelines.data import read_chunks

    chunks = [chunk[list(names)] for path in files for chunk in read_chunks(path, SAMPLED_ROWS)]
    return pd.concat(chunks, ignore_index=True)


def check_target(columns: Sequence[str], target: str | None, source: str) -> str:
    """The target, or a UsageError that lists the columns and names the likely or the nearest one."""
    listed = ", ".join(columns[:_LISTED_COLUMNS])
    if len(columns) > _LISTED_COLUMNS:
        listed += f" and {len(columns) - _LISTED_COLUMNS} more"
    if target is None:
        raise UsageError(
            f"which column of {source} is to be predicted? It has: {listed}",
            f"Likely: --target {_shell_word(likely_target(columns))}",
        )
    if target in columns:
        return target
    close = _nearest(target, columns)
    raise UsageError(
        f"{source} has no column {target!r}; it has: {listed}",
        f"Did you mean --target {_shell_word(close)}?" if close else "Name one of these with --target.",
    )


def likely_target(columns: Sequence[str]) -> str:
    """The column most people would predict: one named like a target, else the last."""
    return named_like_target(columns) or columns[-1]


def named_like_target(columns: Sequence[str]) -> str | None:
    """The column whose name says that it is a target, or None."""
    spelled = {re.sub(r"[\s\-]+", "_", name.strip().lower()): name for name in columns}
    for wanted in _TARGET_NAMES:
        if wanted in spelled:
            return spelled[wanted]
    words = re.compile(r"(^|_)(target|label|outcome|churn(ed)?|fraud)(_|$)")
    return next((original for name, original in spelled.items() if words.search(name)), None)


def inspect_data(
    frame: pd.DataFrame,
    target: str,
    *,
    source: str,
    read_all: Callable[[Sequence[str]], pd.DataFrame] | None = None,
) -> Inspection:
    """Guess kinds, task and roles. Raises DataError for a target that nothing can be learnt from.

    Where the frame is a sample, `read_all` gives the named columns of all rows: rows are often sorted, and
    the first of them have one class only.
    """
    from pipelines.columns import infer_kinds, infer_task

    guesses = infer_kinds(frame)
    time_column = _time_column(frame, guesses, target)
    ruling = [target, *([time_column] if time_column else [])]
    whole = read_all(ruling) if read_all else frame
    values = whole[target]
    missing = int(values.isna().sum())
    if missing == len(whole):
        raise DataError(f"column {target!r} of {source} has no values", "Name another column with --target.")
    if values.nunique() < 2:
        only = values.dropna().tolist()[0]
        raise DataError(
            f"column {target!r} of {source} is {only!r} in every row",
            "There is nothing to predict; name another column with --target or a file with more rows.",
        )
    task, task_reason = infer_task(values)
    id_column = next((n for n, guess in guesses.items() if guess.kind == "id" and n != target), None)
    in_order = time_column is not None and _is_ordered(whole, guesses, time_column, target, task)
    reports = tuple(
        _report(frame, name, guess, target, id_column, time_column if in_order else None, task_reason)
        for name, guess in guesses.items()
    )
    return Inspection(
        rows=len(whole),
        sampled_rows=len(frame) if read_all else None,
        task=task,
        task_reason=task_reason,
        columns=reports,
        id_column=id_column,
        time_column=time_column,
        is_in_time_order=in_order,
        warnings=tuple(_warnings(values, task, missing, reports)),
    )


def _nearest(word: str, columns: Sequence[str]) -> str | None:
    by_lower = {name.strip().lower(): name for name in columns}
    close = difflib.get_close_matches(word.strip().lower(), list(by_lower), n=1, cutoff=0.4)
    return by_lower[close[0]] if close else None


def _shell_word(word: str) -> str:
    import shlex

    return shlex.quote(word)


def _report(
    frame: pd.DataFrame,
    name: str,
    guess: ColumnGuess,
    target: str,
    id_column: str | None,
    time_column: str | None,
    task_reason: str,
) -> ColumnReport:
    from pipelines.columns import FEATURE_KINDS

    kind, reason = guess.kind, guess.reason
    if name == target:
        role, reason = "target", task_reason
    elif name == id_column:
        role = "id"
    elif name == time_column:
        role, reason = "time", f"{reason}, in order from row to row: the last rows are held out"
    elif kind in FEATURE_KINDS:
        role = "feature"
    else:
        role = "left out"
    missing = int(frame[name].isna().sum())
    return ColumnReport(name, kind, role, reason, missing, _example(frame[name], kind))


def _time_column(frame: pd.DataFrame, guesses: Mapping[str, ColumnGuess], target: str) -> str | None:
    dates = [name for name, guess in guesses.items() if guess.kind == "datetime" and name != target]
    if len(dates) > 1:
        named = [name for name in dates if re.search(r"time|date|_at$|^at$|day|moment", name.lower())]
        dates = named[:1] or dates[:1]
    return dates[0] if dates else None


def _is_ordered(
    frame: pd.DataFrame, guesses: Mapping[str, ColumnGuess], column: str, target: str, task: str
) -> bool:
    """Whether the rows follow each other in time, so that the last of them are the fair test.

    Most moments must differ, and every sixth of the rows have every class, or neither the last fifth nor
    the folds before it could be measured.
    """
    from pipelines.columns import typed

    moments = typed(frame[[column]], {column: guesses[column]})[column].dropna()
    if len(moments) < 100 or len(moments) < len(frame) or moments.nunique() < 0.5 * len(moments):
        return False
    if not moments.is_monotonic_increasing:
        return False
    if task == "regression":
        return True
    parts = [
        frame[target].iloc[start : start + len(frame) // 6] for start in range(0, len(frame), len(frame) // 6)
    ]
    return all(set(part.dropna().unique()) == set(frame[target].dropna().unique()) for part in parts[:6])


def _warnings(values: pd.Series[Any], task: str, missing: int, reports: Sequence[ColumnReport]) -> list[str]:
    found: list[str] = []
    target = values.name
    if missing:
        found.append(
            f"{target} is missing in {missing} of {len(values)} rows: training refuses the data until "
            "those rows are filled in or removed."
        )
    if task != "regression":
        counts = values.value_counts()
        single = [str(value) for value, count in counts.items() if count == 1]
        if single:
            shown = ", ".join(single[:5]) + (" …" if len(single) > 5 else "")
            found.append(
                f"{len(single)} of {len(counts)} classes of {target} have one row only ({shown}): "
                "training refuses that. Add rows or merge classes."
            )
        elif task == "binary" and counts.min() < 0.05 * counts.sum():
            found.append(
                f"only {counts.min() / counts.sum():.1%} of the rows are {counts.idxmin()}: "
                'class_weight = "balanced" may help.'
            )
    if len(values) < 50:
        found.append(f"{len(values)} rows are few: metrics will vary a lot from one split to another.")
    if not any(report.role in ("feature", "time") for report in reports):
        found.append("no column is left to learn from; name some in features.")
    return found


def _example(series: pd.Series[Any], kind: Kind) -> ExampleColumn:
    """Three typical values, as training hands the column to features(): numbers as floats, dates as dates."""
    import pandas as pd

    from pipelines.columns import to_dates, to_numbers

    name, present = str(series.name), series.dropna()
    has_gaps = len(present) < len(series)
    typical: Sequence[Any]
    if present.empty:
        return ExampleColumn(name, kind, (None, None, None))
    numbers = to_numbers(present) if kind == "numeric" else None
    dates = to_dates(present) if kind == "datetime" else None
    if pd.api.types.is_bool_dtype(present.dtype) or (present.isin([True, False]).all() and kind == "boolean"):
        typical = [1.0, 0.0, 1.0] if has_gaps else [True, False, True]
    elif pd.api.types.is_numeric_dtype(present.dtype) or numbers is not None:
        known = present if numbers is None else numbers
        typical = [float(f"{float(known.quantile(share)):.3g}") for share in (0.2, 0.5, 0.8)]
    elif pd.api.types.is_datetime64_any_dtype(present.dtype) or dates is not None:
        ordered = (present if dates is None else dates).sort_values()
        moments = [ordered.iloc[int(share * (len(ordered) - 1))] for share in (0.2, 0.5, 0.8)]
        typical = [moment.floor("s").isoformat(sep=" ").removesuffix(" 00:00:00") for moment in moments]
    elif present.nunique() <= 20:
        typical = ([str(value) for value in present.value_counts().index[:3]] * 3)[:3]
    else:  # names and the like: nobody's own words go into a file that is meant for git
        typical = ["one", "two", "one"]
    kind_given = "datetime" if pd.api.types.is_datetime64_any_dtype(present.dtype) else kind
    return ExampleColumn(name, kind_given, (typical[0], typical[1], None if has_gaps else typical[2]))
