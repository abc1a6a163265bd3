"""What the columns of a table are, guessed from their values, and the values in their proper type."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipelines.codes import has_codes, is_code

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["numeric", "categorical", "boolean", "datetime", "id", "text", "constant"]
TaskName = Literal["binary", "multiclass", "regression"]

FEATURE_KINDS: tuple[Kind, ...] = ("numeric", "categorical", "boolean", "datetime")
"""Kinds to learn from unless the settings say otherwise."""

_ID_NAME = re.compile(r"(^|[_\s.-])(id|uuid|guid|key|index|rowid)$|[a-z]I[dD]$", re.IGNORECASE)
_TRUE_FALSE = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"on", "off"})
_THOUSANDS = r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?"
_DECIMAL_COMMA = r"[+-]?\d+(?:,\d+)?"
_PLAIN = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LOOKS_LIKE_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}[ -][A-Za-z]{3,}[ -]\d{2,4}|\d{4}-\d{2}$"
)
_SAMPLE = 500


@dataclass(frozen=True)
class ColumnGuess:
    """What a column is taken for, and why in words."""

    kind: Kind
    reason: str


def infer_kinds(frame: pd.DataFrame, numbers: Collection[str] = ()) -> dict[str, ColumnGuess]:
    """A guess for every column, in the frame's order; those in `numbers` are none of codes."""
    return {
        str(name): infer_kind(str(name), frame[name], is_number=name in numbers) for name in frame.columns
    }


def infer_kind(name: str, series: pd.Series[Any], *, is_number: bool = False) -> ColumnGuess:
    """What one column is; missing values don't count. `is_number`: its leading zeros mean nothing."""
    import pandas as pd

    values = series.dropna()
    if values.empty:
        return ColumnGuess("constant", "no values at all")
    distinct = int(values.nunique())
    if distinct == 1 and len(values) > 1 and len(values) == len(series):
        return ColumnGuess("constant", f"always {values.iloc[0]}")
    if pd.api.types.is_bool_dtype(series.dtype) or _is_truth(values):
        return ColumnGuess("boolean", "true and false")
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return ColumnGuess("datetime", "dates")
    if pd.api.types.is_numeric_dtype(series.dtype):
        return _numeric(name, values, distinct)
    return _from_text(name, values.astype(str), distinct, is_number=is_number)


def infer_task(target: pd.Series[Any]) -> tuple[TaskName, str]:
    """The task that a target column stands for, and why."""
    import pandas as pd

    values = target.dropna()
    distinct = int(values.nunique())
    if not pd.api.types.is_numeric_dtype(target.dtype) and not pd.api.types.is_bool_dtype(target.dtype):
        numbers = to_numbers(values)
        if numbers is None or distinct <= 2 or has_codes(values.astype(str)):
            return _by_classes(distinct, "words")
        values = numbers
    if distinct <= 2:
        return _by_classes(distinct, "values")
    whole = bool((values % 1 == 0).all())
    if whole and distinct <= 20 and distinct <= max(3, len(values) // 10):
        return "multiclass", f"{distinct} different whole numbers"
    return "regression", f"{distinct} different {'whole ' if whole else ''}numbers"


def to_numbers(series: pd.Series[Any]) -> pd.Series[Any] | None:
    """Text such as " 3.5 ", "1,234" or "3,5" as float64, or None where any value is no number."""
    import pandas as pd

    text = series.dropna().astype(str).str.strip()
    text = text[text != ""]
    if text.empty:
        return None
    if text.str.fullmatch(_PLAIN).all():
        numbers = text
    elif text.str.fullmatch(f"{_THOUSANDS}|{_PLAIN}").all():
        numbers = text.str.replace(",", "", regex=False)
    elif text.str.fullmatch(_DECIMAL_COMMA).all():
        numbers = text.str.replace(",", ".", regex=False)
    else:
        return None
    return pd.to_numeric(numbers).astype("float64").reindex(series.index)


def to_dates(series: pd.Series[Any]) -> pd.Series[Any] | None:
    """Text as datetime64 (UTC, without a zone), or None where any value is no date."""
    import pandas as pd

    text = series.dropna().astype(str).str.strip()
    if text.empty or not text.head(_SAMPLE).str.contains(_LOOKS_LIKE_DATE).all():
        return None
    for day_first in (False, True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                dates: pd.Series[Any] = pd.to_datetime(text, utc=True, dayfirst=day_first)
        except (ValueError, TypeError, OverflowError):
            continue
        naive: pd.Series[Any] = dates.dt.tz_localize(None).reindex(series.index)
        return naive
    return None


def typed(frame: pd.DataFrame, guesses: Mapping[str, ColumnGuess]) -> pd.DataFrame:
    """The frame with every column in the type of its kind.

    Numbers and dates written as text become numbers and dates, booleans with gaps become 1.0, 0.0 and NaN,
    and what is neither becomes text; missing stays missing.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in frame.columns:
        series, kind = frame[name], guesses[str(name)].kind
        if kind == "numeric" and not pd.api.types.is_numeric_dtype(series.dtype):
            numbers = to_numbers(series)
            columns[name] = series if numbers is None else numbers
        elif kind == "boolean" and series.isna().any() and _is_truth(series):
            columns[name] = series.map({True: 1.0, False: 0.0}).astype("float64")
        elif kind == "datetime" and not pd.api.types.is_datetime64_any_dtype(series.dtype):
            dates = to_dates(series)
            columns[name] = series if dates is None else dates
        elif _is_mixed(series):
            columns[name] = series.where(series.isna(), series.astype(str))
        else:
            columns[name] = series
    return pd.DataFrame(columns, index=frame.index)


def _by_classes(distinct: int, what: str) -> tuple[TaskName, str]:
    if distinct <= 2:
        return "binary", f"two different {what}"
    return "multiclass", f"{distinct} different {what}"


def _numeric(name: str, values: pd.Series[Any], distinct: int) -> ColumnGuess:
    if distinct == len(values) and len(values) >= 20 and bool((values % 1 == 0).all()):
        steps = values.diff().dropna()
        if bool((steps == 1).all()):
            return ColumnGuess("id", "counts up by one in every row")
        if _ID_NAME.search(name):
            return ColumnGuess("id", "named like an id and different in every row")
    return ColumnGuess("numeric", f"numbers, {distinct} different")


def _from_text(name: str, values: pd.Series[Any], distinct: int, *, is_number: bool) -> ColumnGuess:
    lowered = {value.strip().lower() for value in values.unique()[:3]}
    if distinct == 2 and any(lowered <= words for words in _TRUE_FALSE):
        return ColumnGuess("boolean", f"two words: {' and '.join(sorted(lowered))}")
    code = None if is_number else next((value for value in values if is_code(value)), None)
    numbers = to_numbers(values) if code is None else None
    if numbers is not None:
        guess = _numeric(name, numbers, distinct)
        return ColumnGuess(guess.kind, f"{guess.reason}, written as text")
    if to_dates(values) is not None:
        return ColumnGuess("datetime", "dates written as text")
    words = float(values.head(_SAMPLE).str.count(r"\s").mean()) + 1
    if distinct == len(values) and len(values) >= 20 and words < 2:
        return ColumnGuess("id", "different in every row")
    if _ID_NAME.search(name) and distinct > 0.9 * len(values) and len(values) >= 20:
        return ColumnGuess("id", "named like an id and nearly different in every row")
    if distinct > 0.5 * len(values) and words >= 3 and len(values) >= 20:
        return ColumnGuess("text", f"free text of {words:.0f} words on average")
    what = "words" if code is None else f"codes with leading zeros, such as {code.strip()}"
    return ColumnGuess("categorical", f"{distinct} different {what}")


def _is_truth(series: pd.Series[Any]) -> bool:
    from pandas.api.types import infer_dtype

    return infer_dtype(series, skipna=True) == "boolean"


def _is_mixed(series: pd.Series[Any]) -> bool:
    """Whether an object column holds anything but strings."""
    from pandas.api.types import infer_dtype

    return series.dtype == object and infer_dtype(series, skipna=True) not in ("string", "empty")
