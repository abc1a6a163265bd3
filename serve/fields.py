"""One feature of a request: its type, its limits, and how a JSON value or a text becomes its value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from serve.problems import shown
from store.model_files import ColumnSpec

FieldKind = Literal["number", "integer", "boolean", "string", "datetime", "any"]
_KINDS: Mapping[str, FieldKind] = {
    "double": "number",
    "float": "number",
    "long": "integer",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
    "datetime": "datetime",
}
_MISSING_TEXTS = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
_BOOLEAN_TEXTS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_NOUNS: Mapping[FieldKind, str] = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a string",
    "datetime": "a date or time (ISO 8601)",
    "any": "a number, string or boolean",
}
_MOST_VALUES_SHOWN = 10


class MismatchError(ValueError):
    """A value a field doesn't take; the message says what was expected and what came."""


@dataclass(frozen=True)
class Field:
    """A feature as a request gives it."""

    name: str
    kind: FieldKind
    required: bool
    low: float | None = None
    high: float | None = None
    values: tuple[Any, ...] | None = None
    description: str | None = None
    n_bits: int = 64
    """Of a whole number."""

    @classmethod
    def of(cls, column: ColumnSpec, rule: Mapping[str, Any]) -> Field:
        """The field of a signature's column, narrowed by the column rule logged with the version."""
        null = rule.get("null")
        values = rule.get("values")
        kind = _KINDS.get(column.type, "any")
        if kind == "number" and rule.get("kind") == "boolean":
            kind = "boolean"  # with gaps in training, so the model takes it as a number
        return cls(
            name=column.name,
            kind=kind,
            required=column.required if null is None else not null,
            low=_number_or_none(rule.get("min")),
            high=_number_or_none(rule.get("max")),
            values=tuple(values) if isinstance(values, (list, tuple)) and values else None,
            description=rule.get("description") if isinstance(rule.get("description"), str) else None,
            n_bits=32 if column.type == "integer" else 64,
        )

    @property
    def is_number(self) -> bool:
        """Whether the value is a number of the array a model without frames takes."""
        return self.kind in ("number", "integer", "boolean")

    @property
    def expected(self) -> str:
        """What the field takes, in words."""
        if self.values is not None:
            listed = ", ".join(shown(value) for value in self.values[:_MOST_VALUES_SHOWN])
            return f"one of {listed}" + ("…" if len(self.values) > _MOST_VALUES_SHOWN else "")
        words = _NOUNS[self.kind]
        if self.n_bits == 32:
            words += " of 32 bits"
        if self.low is not None and self.high is not None:
            return f"{words} from {self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{words} of at least {self.low:g}"
        if self.high is not None:
            return f"{words} of at most {self.high:g}"
        return words

    def from_json(self, value: Any) -> Any:
        """The value of the field for a parsed JSON value; None is missing. Raises MismatchError."""
        if value is None:
            if self.required:
                raise MismatchError(f"expected {self.expected}, got null")
            return None
        try:
            converted = self._converted(value)
        except (TypeError, ValueError, OverflowError):
            raise MismatchError(f"expected {self.expected}, got {shown(value)}") from None
        return self._within_limits(converted, value)

    def from_text(self, text: str) -> Any:
        """The value of the field for a cell of a CSV file; an empty cell is missing. Raises MismatchError."""
        cell = text.strip()
        if cell in _MISSING_TEXTS:
            if self.required:
                raise MismatchError(f"expected {self.expected}, got an empty cell")
            return None
        value: Any = cell
        if self.kind in ("number", "integer") and "_" not in cell:
            try:
                value = float(cell)
            except ValueError:
                value = cell
        elif self.kind == "boolean":
            value = _BOOLEAN_TEXTS.get(cell.lower(), cell)
        elif self.kind == "any":
            value = _number_if_it_is_one(cell)
        return self.from_json(value)

    def _converted(self, value: Any) -> Any:
        if self.kind in ("number", "integer"):
            if type(value) not in (int, float):
                raise TypeError
            number = float(value)
            if not math.isfinite(number) or (self.kind == "integer" and not number.is_integer()):
                raise ValueError
            if self.kind == "integer" and not -(2 ** (self.n_bits - 1)) <= number < 2 ** (self.n_bits - 1):
                raise ValueError
            return number
        if self.kind == "boolean":
            if value not in (True, False):  # 0 and 1 too, as many a client has them
                raise ValueError
            return bool(value)
        if self.kind == "string":
            return _encodable(value)
        if self.kind == "datetime":
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            number = float(value)
            if not math.isfinite(number):
                raise ValueError
            return number
        return _encodable(value)

    def _within_limits(self, converted: Any, value: Any) -> Any:
        too_low = self.low is not None and _is_number(converted) and converted < self.low
        too_high = self.high is not None and _is_number(converted) and converted > self.high
        if too_low or too_high or (self.values is not None and converted not in self.values):
            raise MismatchError(f"expected {self.expected}, got {shown(value)}")
        return converted


def _encodable(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode("utf-8")  # half of a surrogate pair is no text: it could be neither logged nor answered
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number_or_none(value: Any) -> float | None:
    return float(value) if _is_number(value) else None


def _number_if_it_is_one(cell: str) -> float | str:
    try:
        return float(cell) if "_" not in cell else cell
    except ValueError:
        return cell
