"""From loaded rows to what is learned: target, task, feature columns, held-out rows; everything checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.build import choose_features
from pipelines.columns import (
    ColumnGuess,
    TaskName,
    infer_kinds,
    infer_task,
    to_dates,
    to_numbers,
    typed,
)
from pipelines.rules import check_rules
from pipelines.settings import PipelineSettings
from pipelines.split import Split, split_rows
from store.errors import DataError, SettingsError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Prepared:
    """Everything a fit needs. Rows are positions in `frame`; numbers are float64, as the server gets them."""

    frame: pd.DataFrame
    """All columns but the target, in the types of their kinds."""
    features: tuple[str, ...]
    kinds: Mapping[str, ColumnGuess]
    task: TaskName
    classes: tuple[Any, ...]
    """Labels in order; empty for regression."""
    labels: NDArray[Any]
    """What the estimator is fitted on."""
    y: NDArray[Any]
    """Positions in `classes`, or the numbers themselves."""
    split: Split
    notes: tuple[str, ...]

    @property
    def X_train(self) -> pd.DataFrame:  # noqa: N802
        return self.frame.iloc[self.split.train][list(self.features)]

    @property
    def X_test(self) -> pd.DataFrame:  # noqa: N802
        return self.frame.iloc[self.split.test][list(self.features)]

    @property
    def rows_test(self) -> pd.DataFrame:
        return self.frame.iloc[self.split.test]


def prepare(
    settings: PipelineSettings,
    frame: pd.DataFrame,
    *,
    has_features_function: bool,
    is_lenient: bool = False,
) -> Prepared:
    """Check the data against the settings and split it; raises DataError naming column and rows.

    `is_lenient`: the column rules were waived for these rows.
    """
    _check_names(settings, frame)
    target = frame[settings.target]
    _check_target(settings.target, target)
    task, reason = _task(settings, target)
    notes = [f"task {task}: {reason}"] if settings.task == "auto" else []
    labels, classes = _labels(settings.target, target, task)
    y = _codes(labels, classes) if classes else labels
    _check_classes(settings.target, task, y, classes)
    raw = frame.drop(columns=[settings.target])
    kinds = infer_kinds(raw, [name for name, rule in settings.columns.items() if rule.means_numbers])
    raw = _as_served(typed(raw, kinds))
    if not is_lenient:
        check_rules(settings.columns, raw)
    aside = {settings.time_column, settings.id_column, settings.target, *settings.ignore}
    left_out: list[str] = []
    if settings.features is not None:
        features = list(settings.features)
    else:
        candidates = [str(name) for name in raw.columns if name not in aside]
        features, left_out = choose_features(kinds, candidates, explicit=has_features_function)
    _check_features(raw, features)
    split = split_rows(
        settings.split,
        task,
        y,
        time=_time(settings, raw),
        groups=_groups(settings, raw),
    )
    _check_split(settings.target, y, classes, split)
    return Prepared(raw, tuple(features), kinds, task, classes, labels, y, split, (*notes, *left_out))


def _check_names(settings: PipelineSettings, frame: pd.DataFrame) -> None:
    known = [str(name) for name in frame.columns]
    named: list[tuple[str, Iterable[str | None]]] = [
        ("target", [settings.target]),
        ("features", settings.features or ()),
        ("ignore", settings.ignore),
        ("time_column", [settings.time_column]),
        ("id_column", [settings.id_column]),
        ("split.group_column", [settings.split.group_column]),
        ("columns", settings.columns),
        ("gate.segments", settings.gate.segments),
    ]
    for setting, names in named:
        for name in names:
            if name is not None and name not in known:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"Did you mean {close[0]!r}?" if close else f"Columns are: {', '.join(known[:12])}."
                raise DataError(f"the data has no column {name!r} ({setting})", hint)
    if settings.features is not None and settings.target in settings.features:
        raise SettingsError(
            f"the target {settings.target!r} is among the features", "Remove it from features."
        )


def _check_target(name: str, target: pd.Series[Any]) -> None:
    missing = np.flatnonzero(target.isna().to_numpy())
    if len(missing) == len(target):
        raise DataError(f"the target {name!r} has no value in any row", "Name the right column in `target`.")
    if len(missing):
        raise DataError(
            f"the target {name!r} is missing in {len(missing)} of {len(target)} rows, "
            f"first in row {missing[0] + 1}",
            "Fill them in or remove these rows.",
        )
    if target.nunique() == 1:
        raise DataError(
            f"the target {name!r} is {target.iloc[0]!s} in every row",
            "There is nothing to learn; bring other rows.",
        )


def _task(settings: PipelineSettings, target: pd.Series[Any]) -> tuple[TaskName, str]:
    if settings.task == "auto":
        return infer_task(target)
    return settings.task, "set"


def _labels(name: str, target: pd.Series[Any], task: TaskName) -> tuple[NDArray[Any], tuple[Any, ...]]:
    """The target as an array that scikit-learn and skops both take, and its classes in order."""
    import pandas as pd

    is_bool = pd.api.types.is_bool_dtype(target.dtype)
    is_number = pd.api.types.is_numeric_dtype(target.dtype) and not is_bool
    if task == "regression":
        numbers = target if is_number or is_bool else to_numbers(target)
        if numbers is None:
            words = [value for value in target.astype(str).unique() if to_numbers(pd.Series([value])) is None]
            raise DataError(f"the target {name!r} holds {words[0]!r}, no number", "Mend it, or set task.")
        values = numbers.to_numpy(dtype="float64")
        if not np.isfinite(values).all():
            raise DataError(f"the target {name!r} holds infinite values", "Mend or remove these rows.")
        return values, ()
    if is_bool:
        labels: NDArray[Any] = target.to_numpy(dtype=bool)
    elif is_number and bool((target % 1 == 0).all()):
        labels = target.to_numpy(dtype="int64")
    else:
        labels = np.asarray(target.astype(str).tolist(), dtype=str)
    return labels, tuple(np.unique(labels).tolist())


def _codes(labels: NDArray[Any], classes: tuple[Any, ...]) -> NDArray[np.intp]:
    return np.searchsorted(np.asarray(classes), labels).astype(np.intp)


def _check_classes(name: str, task: TaskName, y: NDArray[Any], classes: tuple[Any, ...]) -> None:
    if not classes:
        return
    if task == "binary" and len(classes) != 2:
        raise DataError(
            f"the target {name!r} has {len(classes)} classes, and task is binary", 'Set task = "multiclass".'
        )
    counts = np.bincount(y, minlength=len(classes))
    are_numbers = all(isinstance(label, (int, float)) for label in classes)
    lonely = [str(classes[position]) for position in np.flatnonzero(counts < 2)]
    if lonely:
        more = f" (and {len(lonely) - 3} more)" if len(lonely) > 3 else ""
        raise DataError(
            f"class {', '.join(map(repr, lonely[:3]))}{more} of target {name!r} has one row only",
            "Each class needs one row to learn from and one to be tested on; bring more rows or merge classes"
            + (', or set task = "regression".' if task == "multiclass" and are_numbers else "."),
        )


def _as_served(frame: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers as float64: that is what a request's numbers become."""
    import pandas as pd

    return frame.astype(
        {
            name: "float64"
            for name, dtype in frame.dtypes.items()
            if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
        }
    )


def _check_features(frame: pd.DataFrame, features: Sequence[str]) -> None:
    if not features:
        raise DataError("no column is left to learn from", "Name columns in `features`, or mend the data.")
    numbers = frame[list(features)].select_dtypes("float64")
    infinite = np.isinf(numbers.to_numpy()).sum(axis=0)
    for name, count in zip(numbers.columns, infinite, strict=True):
        if count:
            raise DataError(
                f"column {name!r} holds {count} infinite values", "Leave them empty, or ignore the column."
            )


def _time(settings: PipelineSettings, frame: pd.DataFrame) -> NDArray[Any] | None:
    if settings.split.strategy != "time" or settings.time_column is None:
        return None
    import pandas as pd

    series = frame[settings.time_column]
    missing = int(series.isna().sum())
    if missing:
        raise DataError(
            f"time_column {settings.time_column!r} is missing in {missing} rows",
            "Fill them in or remove these rows.",
        )
    if pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_datetime64_any_dtype(series.dtype):
        return series.to_numpy()
    dates = to_dates(series)
    if dates is None:
        raise DataError(
            f"time_column {settings.time_column!r} holds neither dates nor numbers, "
            f"such as {series.iloc[0]!r}",
            "Write dates as 2024-01-31 or 2024-01-31 13:00.",
        )
    return dates.to_numpy()


def _groups(settings: PipelineSettings, frame: pd.DataFrame) -> NDArray[Any] | None:
    if settings.split.strategy != "group" or settings.split.group_column is None:
        return None
    import pandas as pd

    codes, names = pd.factorize(frame[settings.split.group_column], use_na_sentinel=False)
    if len(names) < 2:
        raise DataError(
            f"group_column {settings.split.group_column!r} has one value only",
            "Split by rows, or bring other groups.",
        )
    return np.asarray(codes)


def _check_split(name: str, y: NDArray[Any], classes: tuple[Any, ...], split: Split) -> None:
    if not classes:
        return
    learned = np.unique(y[split.train])
    strangers = [str(classes[code]) for code in np.setdiff1d(np.unique(y[split.test]), learned)]
    if strangers:
        raise DataError(
            f"class {strangers[0]!r} of target {name!r} occurs in the held-out rows only",
            "Hold out fewer rows (split.test_size), or split otherwise.",
        )
    if len(learned) < 2:
        raise DataError(
            f"the training rows have one class of target {name!r} only", "Split otherwise (split.strategy)."
        )
