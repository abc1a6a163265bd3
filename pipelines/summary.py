"""The summary of one data file: its columns, the rules its rows break, repeated rows, their order in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.blocks import Block, read_blocks
from pipelines.settings import ColumnRule, PipelineSettings
from pipelines.tally import ColumnTally, Values, count, row_hashes
from store.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_HASHES = 20_000_000
"""Rows whose repetition is counted; 8 bytes each."""


@dataclass
class Broken:
    """A rule that rows break: how many do, and where the first one is."""

    check: str
    column: str | None
    demand: str
    rows: int
    place: str
    value: str


@dataclass
class FileSummary:
    """What a file holds."""

    rows: int = 0
    columns: dict[str, ColumnTally] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    repeated_rows: int = 0
    disorder: str | None = None
    """Place of the first row that is earlier in time than the one before; None where all are in order."""

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "columns": {name: tally.as_json() for name, tally in self.columns.items()},
            "repeated_rows": self.repeated_rows,
            "disorder": self.disorder,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> FileSummary:
        """A stored summary; what broke rules is in its report."""
        columns = {name: ColumnTally.from_json(tally) for name, tally in values["columns"].items()}
        return cls(values["rows"], columns, [], values["repeated_rows"], values["disorder"])


def summarize(
    path: Path,
    settings: PipelineSettings,
    on_block: Callable[[Mapping[str, Values]], None] = lambda columns: None,
) -> FileSummary:
    """Read a file once, a block at a time; at 1,000,000 rows of 30 columns some 300 MB and a few seconds.

    `on_block` gets the columns of each block, for whoever else wants to know about them.
    Raises DataError where it can't be read as a table, SettingsError for a rule that is no condition.
    """
    summary = FileSummary()
    hashes: list[NDArray[np.uint64]] = []
    broken: dict[tuple[str, str | None], Broken] = {}
    last_moment: float | None = None
    names: list[str] = []
    numbers = {name for name, rule in settings.columns.items() if rule.means_numbers}
    if settings.task == "regression":
        numbers.add(settings.target)
    for block in read_blocks(path):
        table = block.table
        names = names or table.column_names
        columns: dict[str, Values] = {}
        for name in table.column_names:
            tally = summary.columns.get(name)
            if tally is None:
                # JSON lines may name a column for the first time after many rows.
                tally = summary.columns[name] = ColumnTally(rows=summary.rows, missing=summary.rows)
            columns[name] = count(tally, table.column(name), block, means_numbers=name in numbers)
        for name, tally in summary.columns.items():
            if name not in columns:
                tally.rows += table.num_rows
                tally.missing += table.num_rows
        for name, rule in settings.columns.items():
            if name in columns:
                _check_rule(name, rule, columns[name], block, broken)
        for condition in settings.validate.rules:
            _check_condition(condition, block, broken)
        if settings.time_column in columns and summary.disorder is None:
            last_moment = _check_order(summary, columns[settings.time_column], block, last_moment)
        on_block(columns)
        if summary.rows < _MOST_HASHES:
            hashes.append(row_hashes(columns.values()))
        summary.rows += table.num_rows
    summary.broken = list(broken.values())
    if hashes:
        together = np.concatenate(hashes)
        together.sort()
        summary.repeated_rows = int((together[1:] == together[:-1]).sum())
    return summary


def _check_rule(
    name: str, rule: ColumnRule, values: Values, block: Block, broken: dict[tuple[str, str | None], Broken]
) -> None:
    numbers = values.numbers
    if rule.null is False:
        _note(broken, "null", name, "may not be missing", values.missing, values, block)
    with np.errstate(invalid="ignore"):
        if rule.min is not None and numbers is not None:
            _note(broken, "min", name, f"must be at least {rule.min:g}", numbers < rule.min, values, block)
        if rule.max is not None and numbers is not None:
            _note(broken, "max", name, f"must be at most {rule.max:g}", numbers > rule.max, values, block)
    if rule.min is not None or rule.max is not None:
        words = ~values.missing if numbers is None else ~values.missing & np.isnan(numbers)
        _note(broken, "number", name, "must be a number: it has a min or max", words, values, block)
    if rule.values is not None:
        stranger = ~values.missing & ~_is_one_of(rule.values, values)
        demand = f"must be one of {', '.join(map(str, rule.values))}"
        _note(broken, "values", name, demand, stranger, values, block)


def _is_one_of(allowed: tuple[str | int | float | bool, ...], values: Values) -> NDArray[np.bool_]:
    texts = {str(value) for value in allowed} | {
        str(value).lower() for value in allowed if value in (True, False)
    }
    known = [float(value) for value in allowed if isinstance(value, int | float)]
    for text in texts:
        try:
            known.append(float(text))
        except ValueError:
            continue
    result = np.zeros(len(values.missing), dtype=bool)
    if values.words is not None:
        codes, words = values.words
        result |= np.array([word in texts or word.strip() in texts for word in words], dtype=bool)[codes]
    if values.booleans is not None:
        flags = {flag for flag in (True, False) if flag in allowed or str(flag).lower() in texts}
        result |= np.isin(values.booleans, list(flags))
    if values.numbers is not None:
        result |= np.isin(values.numbers, known)
    return result


def _check_condition(condition: str, block: Block, broken: dict[tuple[str, str | None], Broken]) -> None:
    """A condition of the settings, in SQL, that each row must fulfil; unknown (null) is no breach."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False})
    try:
        connection.register("block", block.table.append_column("__row", [_positions(block)]))
        found = connection.execute(
            f'SELECT count(*), min("__row") FROM block WHERE NOT ({condition})'
        ).fetchone()
    except duckdb.Error as error:
        first_line = str(error).strip().splitlines()[0]
        raise SettingsError(
            f"validate rule {condition!r} can't be checked: {first_line}",
            'Write a condition on the columns as in SQL: "low" <= "high".',
        ) from error
    finally:
        connection.close()
    if found is None or not found[0]:
        return
    known = broken.get(("rule", condition))
    if known is not None:
        known.rows += int(found[0])
    else:
        broken["rule", condition] = Broken(
            "rule", None, f"rows must fulfil {condition}", int(found[0]), block.place(int(found[1])), ""
        )


def _positions(block: Block) -> Any:
    import pyarrow as pa

    return pa.array(np.arange(block.table.num_rows))


def _note(
    broken: dict[tuple[str, str | None], Broken],
    check: str,
    column: str,
    demand: str,
    rows: NDArray[np.bool_],
    values: Values,
    block: Block,
) -> None:
    number = int(rows.sum())
    if not number:
        return
    known = broken.get((check, column))
    if known is not None:
        known.rows += number
        return
    row = int(rows.argmax())
    broken[check, column] = Broken(check, column, demand, number, block.place(row), values.shown(row))


def _check_order(summary: FileSummary, values: Values, block: Block, last: float | None) -> float | None:
    moments = values.moments if values.moments is not None else values.numbers
    if moments is None:
        return last
    present = moments[~values.missing].astype(np.float64)
    if not len(present):
        return last
    with np.errstate(invalid="ignore"):
        before = np.concatenate([[present[0] if last is None else last], present[:-1]])
        back = present < before
    if back.any():
        summary.disorder = block.place(int(np.flatnonzero(~values.missing)[int(back.argmax())]))
    return float(present[-1])
