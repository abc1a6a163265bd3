"""Which rows are held out, and the folds of cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.columns import TaskName
from pipelines.settings import SplitSettings
from store.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Split:
    """Positions of rows; `order` and `groups` are those of the training rows, for the folds."""

    train: Rows
    test: Rows
    groups: NDArray[Any] | None = None


def split_rows(
    settings: SplitSettings,
    task: TaskName,
    y: NDArray[Any],
    *,
    time: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
) -> Split:
    """Hold rows out; by time the training rows come in order of time. Raises DataError for too few rows."""
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    rows = np.arange(len(y))
    try:
        if settings.strategy == "time":
            assert time is not None
            return _by_time(settings, time)
        if settings.strategy == "group":
            assert groups is not None
            splitter = GroupShuffleSplit(1, test_size=settings.test_size, random_state=settings.seed)
            train, test = next(splitter.split(rows, y, groups))
            return Split(train, test, groups[train])
        train, test = train_test_split(
            rows,
            test_size=settings.test_size,
            random_state=settings.seed,
            stratify=None if task == "regression" else y,
        )
    except ValueError as error:
        raise DataError(
            f"{len(y)} rows cannot be split: {error}", "Bring more rows, or change split.test_size."
        ) from error
    return Split(train, test)


def make_folds(
    settings: SplitSettings, task: TaskName, y: NDArray[Any], split: Split, n_folds: int
) -> tuple[list[tuple[Rows, Rows]], str | None]:
    """Folds over the training rows (positions within them), and a note where there had to be fewer."""
    from sklearn.model_selection import (
        GroupKFold,
        KFold,
        StratifiedGroupKFold,
        StratifiedKFold,
        TimeSeriesSplit,
    )

    y = y[split.train]
    wanted = n_folds
    if settings.strategy == "time":
        n_folds = min(n_folds, len(y) - 1)
    elif settings.strategy == "group":
        assert split.groups is not None
        n_folds = min(n_folds, len(np.unique(split.groups)))
    elif task == "regression":
        n_folds = min(n_folds, len(y))
    else:
        n_folds = min(n_folds, int(np.bincount(y)[np.unique(y)].min()))
    if n_folds < 2:
        return [], f"no cross-validation: too few rows for {wanted} folds"
    splitter: Any
    if settings.strategy == "time":
        splitter = TimeSeriesSplit(n_folds)
    elif settings.strategy == "group" and task == "regression":
        splitter = GroupKFold(n_folds)
    elif settings.strategy == "group":
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=settings.seed)
    elif task == "regression":
        splitter = KFold(n_folds, shuffle=True, random_state=settings.seed)
    else:
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=settings.seed)
    folds = list(splitter.split(np.zeros(len(y)), y, split.groups))
    if task != "regression":
        folds = [(train, test) for train, test in folds if len(np.unique(y[train])) > 1 and len(test)]
    note = f"{n_folds} folds instead of {wanted}: too few rows" if n_folds < wanted else None
    return folds, note


def _by_time(settings: SplitSettings, time: NDArray[Any]) -> Split:
    """The last share of the rows; rows of one moment are not torn apart where that can be helped."""
    order = np.argsort(time, kind="stable")
    cut = min(max(round(len(time) * (1 - settings.test_size)), 1), len(time) - 1)
    ordered = time[order]
    whole = int(np.searchsorted(ordered, ordered[cut], side="left"))
    if whole == 0:
        whole = int(np.searchsorted(ordered, ordered[cut], side="right"))
    if 0 < whole < len(time):
        cut = whole
    if cut < 1:
        raise ValueError("a split by time needs at least two rows")
    return Split(order[:cut], order[cut:])
