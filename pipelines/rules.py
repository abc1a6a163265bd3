"""Checks rows against the column rules of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.settings import ColumnRule
from store.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def check_rules(rules: Mapping[str, ColumnRule], frame: pd.DataFrame) -> None:
    """Raises DataError naming the first rule broken, in how many rows and by what; unknown columns are none
    of its business."""
    for name, rule in rules.items():
        if name in frame.columns:
            _check(name, rule, frame[name])


def _check(name: str, rule: ColumnRule, series: pd.Series[Any]) -> None:
    import pandas as pd

    missing = series.isna()
    if rule.null is False and missing.any():
        raise _broken(name, series, missing, "may not be missing")
    present = series[~missing]
    if rule.min is not None or rule.max is not None:
        if not pd.api.types.is_numeric_dtype(series.dtype):
            raise DataError(
                f"column {name!r} has a min or max and holds no numbers", "Mend the data or the rule."
            )
        if rule.min is not None and (present < rule.min).any():
            raise _broken(name, present, present < rule.min, f"must be at least {rule.min:g}")
        if rule.max is not None and (present > rule.max).any():
            raise _broken(name, present, present > rule.max, f"must be at most {rule.max:g}")
    if rule.values is not None:
        allowed = set(rule.values) | {str(value) for value in rule.values}
        stranger = ~present.map(lambda value: value in allowed).astype(bool)
        if stranger.any():
            raise _broken(name, present, stranger, f"must be one of {', '.join(map(str, rule.values))}")


def _broken(name: str, series: pd.Series[Any], broken: pd.Series[Any], demand: str) -> DataError:
    first = broken[broken].index[0]
    return DataError(
        f"column {name!r} {demand}; {int(broken.sum())} rows break this, "
        f"first row {first + 1} with {series[first]!s}",
        f"Mend the data, or the rule in columns.{name}.",
    )
