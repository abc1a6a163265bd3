"""What a model takes, made from its signature and column rules; turns records into what it predicts on."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from serve.fields import Field, MismatchError
from serve.number_tables import number_table
from serve.problems import MOST_ERRORS, Problem, shown
from store.frame_encoder import PlainRows
from store.frames import build_frame
from store.log import FeatureSchema

if TYPE_CHECKING:
    from store.loaded_model import LoadedModel

TableReader = Callable[[bytes, tuple[str, ...]], np.ndarray | None]
_NAN = float("nan")
_NUMBERS = frozenset({float, int})
_NUMBERS_OR_MISSING = frozenset({float, int, type(None)})


@dataclass(frozen=True)
class Batch:
    """Checked rows, ready for the model and for the log."""

    n_rows: int
    model_input: Any
    """An array of shape (n_rows, n_features); for models that need a frame that, or rows as their plan
    encodes them."""
    numeric: Any
    """Numeric features in the log's order, shape (n_rows, n_numeric): booleans as 0 and 1, times as
    epoch seconds, None for what was not given."""
    categorical: Sequence[Sequence[str | None]]
    is_slow: bool = False
    """Whether the model is quick, but not with these rows: they are nothing for the event loop."""
    parsed: Any = None
    """What they were made of, where it is many objects: to be thrown away when the answer is on its way."""


class InputSchema:
    """The features of one model version. Numbers go straight to a float array where that is all it takes."""

    def __init__(self, model: LoadedModel) -> None:
        rules = model.file.metadata.get("columns")
        rules = rules if isinstance(rules, Mapping) else {}
        self.columns = model.columns
        self.fields = tuple(Field.of(column, _rule(rules, column.name)) for column in model.columns)
        self.width = len(self.fields)
        self._names = tuple(field.name for field in self.fields)
        self._by_name = {field.name: field for field in self.fields}
        self._needs_frame = model.needs_frame
        self._encode = None if model.frame_plan is None else model.frame_plan.encode
        self._dtype = np.dtype(model.dtype)
        kinds = tuple("categorical" if f.kind in ("string", "any") else "numeric" for f in self.fields)
        self.logged = FeatureSchema(names=self._names, kinds=kinds)  # type: ignore[arg-type]
        self._numeric_at = [i for i, kind in enumerate(kinds) if kind == "numeric"]
        self._categorical_at = [i for i, kind in enumerate(kinds) if kind == "categorical"]
        self._pick = _picker(self._names)
        self._doubles = struct.Struct(f"{self.width}d")
        self._prepare_quick_checks()

    def _prepare_quick_checks(self) -> None:
        fields = self.fields
        self._is_quick = not self._needs_frame and all(
            field.kind in ("number", "integer") and field.values is None for field in fields
        )
        self._optional = np.array([not field.required for field in fields])
        self._any_optional = bool(self._optional.any())
        self._whole = np.array([i for i, field in enumerate(fields) if field.kind == "integer"], dtype=int)
        self._end_of_whole = np.array([2.0 ** (fields[i].n_bits - 1) for i in self._whole])
        self._low = np.array([-np.inf if field.low is None else field.low for field in fields])
        self._high = np.array([np.inf if field.high is None else field.high for field in fields])
        self._is_limited = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def from_json(
        self, rows: Sequence[Any], first_row: int | None = None, *, may_hold_booleans: bool = True
    ) -> Batch:
        """Check parsed JSON rows (objects by name, or lists in the model's order) and shape them.

        Raises Problem 422 naming each field that is wrong and what was expected, and its row, counted from
        `first_row`, where the rows are not one alone.
        """
        if self._is_quick:
            X = None if may_hold_booleans else self._packed_array(rows)
            if X is None:
                X = self._quick_array(rows)
            if X is not None:
                return self._batch_of(X)
        return self._checked(rows, lambda field, value: field.from_json(value), first_row)

    def from_numbers(self, body: bytes, read: TableReader = number_table) -> Batch | None:
        """The rows of a JSON body that has nothing but numbers in them; None leaves it to `from_json`."""
        if not self._is_quick:
            return None
        X = read(body, self._names)
        return None if X is None or not self._are_allowed(X) else self._batch_of(X)

    def from_cells(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], first_row: int | None = None
    ) -> Batch:
        """The same for rows of a CSV file: texts by column."""
        if self._is_quick and len(columns) == self.width and rows:
            X = self._quick_cells(columns, rows)
            if X is not None:
                return self._batch_of(X)
        return self.from_text([dict(zip(columns, row, strict=True)) for row in rows], first_row)

    def from_text(
        self, rows: Sequence[Mapping[str, str] | Sequence[str]], first_row: int | None = None
    ) -> Batch:
        """The same for rows whose values are text, by name or in the model's order."""
        return self._checked(rows, lambda field, value: field.from_text(value), first_row)

    def _batch_of(self, X: np.ndarray) -> Batch:
        return Batch(len(X), self._for_model(X), _for_log(X) if self._any_optional else X, ())

    def _packed_array(self, rows: Sequence[Any]) -> np.ndarray | None:
        """As `_quick_array`, for rows that hold no booleans: only numbers can be packed as such, and only
        as many as there are features."""
        try:
            if type(rows[0]) is dict:
                if {*map(type, rows)} != {dict} or {*map(len, rows)} != {self.width}:
                    return None
                rows = [self._pick(row) for row in rows]
            packed = bytearray().join(starmap(self._doubles.pack, rows))
        except (KeyError, TypeError, struct.error):
            return None
        X = np.frombuffer(packed).reshape(len(rows), self.width)
        return X if self._are_allowed(X) else None

    def _quick_array(self, rows: Sequence[Any]) -> np.ndarray | None:
        """The rows as an array when all is well at a glance; None leaves the explaining to `_checked`."""
        width = self.width
        if type(rows[0]) is dict:
            if any(type(row) is not dict or len(row) != width for row in rows):
                return None
            try:
                rows = [self._pick(row) for row in rows]
            except KeyError:
                return None
        elif any(type(row) is not list or len(row) != width for row in rows):
            return None
        types: set[type] = set()
        for row in rows:
            types.update(map(type, row))
        if not types <= (_NUMBERS_OR_MISSING if self._any_optional else _NUMBERS):
            return None
        try:
            X = np.array(rows, dtype=np.float64)
        except (OverflowError, ValueError):
            return None
        return X if self._are_allowed(X) else None

    def _quick_cells(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> np.ndarray | None:
        """The same for texts; an empty one is missing."""
        at = {name: position for position, name in enumerate(columns)}
        if at.keys() != self._by_name.keys():
            return None
        try:
            X = np.array([[float(cell) if cell else _NAN for cell in row] for row in rows], dtype=np.float64)
        except ValueError:
            return None
        # Python reads "nan" and "1_000" as numbers too; which of them are, `_checked` decides.
        n_empty = sum(row.count("") for row in rows)
        if int(np.isnan(X).sum()) != n_empty or any("_" in cell for row in rows for cell in row):
            return None
        X = X[:, [at[name] for name in self._names]]
        return X if self._are_allowed(X) else None

    def _are_allowed(self, X: np.ndarray) -> bool:
        """Whether all numbers are what their fields take."""
        finite = np.isfinite(X)
        if not finite.all() and (np.isinf(X).any() or bool((~finite & ~self._optional).any())):
            return False
        if self._whole.size:
            whole = X[:, self._whole]
            if bool(((whole != np.floor(whole)) & ~np.isnan(whole)).any()) or bool(
                ((whole < -self._end_of_whole) | (whole >= self._end_of_whole)).any()
            ):
                return False
        return not (self._is_limited and bool((np.less(X, self._low) | np.greater(X, self._high)).any()))

    def _checked(
        self, rows: Sequence[Any], convert: Callable[[Field, Any], Any], first_row: int | None
    ) -> Batch:
        if first_row is None and len(rows) > 1:
            first_row = 0
        errors: list[dict[str, Any]] = []
        table: list[list[Any]] = []
        for position, row in enumerate(rows, first_row or 0):
            place = None if first_row is None else position
            table.append(self._checked_row(row, convert, errors, place))
            if len(errors) >= MOST_ERRORS:
                break
        if errors:
            first = errors[0]
            where = f"row {first['row']}: " if "row" in first else ""
            raise Problem(422, f"{where}{first['field']}: {first['message']}", errors=errors)
        return self._shaped(table)

    def _checked_row(
        self,
        row: Any,
        convert: Callable[[Field, Any], Any],
        errors: list[dict[str, Any]],
        position: int | None,
    ) -> list[Any]:
        def wrong(field: str, message: str, expected: str) -> None:
            error = {"field": field, "message": message, "expected": expected}
            errors.append(error if position is None else {"row": position, **error})

        if isinstance(row, Mapping):
            values: list[Any] = []
            for field in self.fields:
                if field.name not in row:
                    if field.required:
                        wrong(field.name, f"missing; expected {field.expected}", field.expected)
                    values.append(None)
                    continue
                try:
                    values.append(convert(field, row[field.name]))
                except MismatchError as error:
                    wrong(field.name, str(error), field.expected)
            for name in row:
                if len(errors) >= MOST_ERRORS:
                    break
                if name not in self._by_name:
                    near = _nearest(name, self._names)
                    wrong(_safe(name), f"unknown field; {near}", "no such field")
            return values
        if isinstance(row, (list, tuple)):
            if len(row) != self.width:
                expected = f"{self.width} values, one for each feature"
                wrong("features", f"expected {expected}, got {len(row)}", expected)
                return []
            values = []
            for field, value in zip(self.fields, row, strict=True):
                try:
                    values.append(convert(field, value))
                except MismatchError as error:
                    wrong(field.name, str(error), field.expected)
            return values
        expected = "an object of features by name, or a list of their values"
        wrong("record", f"expected {expected}, got {shown(row)}", expected)
        return []

    def _shaped(self, table: list[list[Any]]) -> Batch:
        numeric = np.array(
            [[_as_number(row[i]) for i in self._numeric_at] for row in table], dtype=np.float64
        ).reshape(len(table), len(self._numeric_at))
        categorical = [[_as_text(row[i]) for i in self._categorical_at] for row in table]
        if self._encode is not None:
            encoded = self._encode(table)
            rows = PlainRows(table) if encoded is None else encoded
            return Batch(len(table), rows, _for_log(numeric), categorical, is_slow=encoded is None)
        if self._needs_frame:
            values = {name: [row[i] for row in table] for i, name in enumerate(self._names)}
            return Batch(len(table), build_frame(self.columns, values), _for_log(numeric), categorical)
        return Batch(len(table), self._for_model(numeric), _for_log(numeric), categorical)

    def _for_model(self, X: np.ndarray) -> np.ndarray:
        if X.dtype == self._dtype:
            return X
        with np.errstate(over="ignore"):
            narrowed = X.astype(self._dtype)
        if not np.array_equal(np.isinf(narrowed), np.isinf(X)):
            column = int(np.argwhere(np.isinf(narrowed))[0][1])
            name = self._names[column]
            raise Problem(
                422,
                f"{name}: too large for the model's numbers",
                errors=[{"field": name, "message": "too large for the model's numbers"}],
            )
        return narrowed


def _rule(rules: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    rule = rules.get(name)
    return rule if isinstance(rule, Mapping) else {}


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) == 1:
        only = names[0]
        return lambda record: (record[only],)
    return itemgetter(*names)


def _for_log(numeric: np.ndarray) -> Any:
    """Numbers as the log takes them: a value that was not given is None, which is not the same as NaN."""
    if not np.isnan(numeric).any():
        return numeric
    return [[None if value != value else value for value in row] for row in numeric.tolist()]


def _as_number(value: Any) -> float:
    if value is None:
        return float("nan")
    return value.timestamp() if isinstance(value, datetime) else float(value)


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _safe(name: Any) -> str:
    return str(name)[:100].encode("utf-8", "replace").decode("utf-8")


def _nearest(name: Any, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(str(name)[:100], names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else "the model has no such feature"
