"""What commands print: tables for people, JSON for scripts, talk on stderr."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

MISSING = "—"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_CONTROL_IN_JSON = re.compile(r"[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal acts on and JSON leaves as it is."""
_SPACE_BETWEEN_COLUMNS = 2
_NARROWEST_FLEXIBLE = 8


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `extra` ones appear where the terminal is wide enough, `flexible` ones may be cut to fit it, optional
    ones go first where that is not enough, and what `wraps` goes on in the next line.
    """

    title: str
    align: Literal["left", "right"] = "left"
    style: str = ""
    extra: bool = False
    flexible: bool = False
    wraps: bool = False
    is_optional: bool = False


@dataclass(frozen=True)
class Cell:
    """A value with a style of its own."""

    text: str
    style: str = ""


def print_json(value: object) -> None:
    """Print `value` as JSON that every parser reads: NaN and infinities are null, times ISO 8601 in UTC."""
    print(_json_text(value))


def print_json_rows(rows: Iterable[object]) -> None:
    """Print a list as `print_json` would, item by item: it may be longer than memory has room for."""
    separator = "["
    for row in rows:
        sys.stdout.write(separator + _json_text([row])[1:-2])
        separator = ","
    print("[]" if separator == "[" else "\n]")


def _json_text(value: object) -> str:
    text = json.dumps(to_json(value), indent=2, ensure_ascii=False)
    return _CONTROL_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def to_json(value: object) -> Any:
    """`value` in JSON's own types."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(item) for item in value]
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, (date, Path)):
        return str(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return to_json(value.tolist())
    return str(value)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with a Z; a moment without a zone is UTC already."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_time(moment: datetime | None) -> str:
    """A moment as the person's own clock shows it."""
    if moment is None:
        return MISSING
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def number(value: float | int | None) -> str:
    """A number in at most five significant digits; missing is no zero."""
    if value is None:
        return MISSING
    if isinstance(value, int) or (math.isfinite(value) and value.is_integer() and abs(value) < 1e15):
        return str(int(value))
    return f"{value:.5g}"


def counted(count: int, word: str) -> str:
    """`1 file`, `1,200 files`: a number with what it counts."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def clean(text: object) -> str:
    """Text on one line, without what could move the cursor, change colours or turn the text around."""
    return _CONTROL.sub(" ", str(text)).strip()


def clean_lines(text: str) -> str:
    """The same of text of many lines."""
    return "\n".join(_CONTROL.sub(" ", line) for line in text.split("\n"))


def say(text: str = "") -> None:
    """A line for the person, on stderr."""
    print(clean_lines(text), file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """A line about something that is not as it should be but stops nothing."""
    stderr_console().print(f"warning: {clean(text)}", style="yellow", markup=False, soft_wrap=True)


def stdout_console() -> Console:
    return _console(sys.stdout)


def stderr_console() -> Console:
    return _console(sys.stderr)


def is_terminal(stream: Any) -> bool:
    """Whether a person looks at the stream; a closed one is no terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def print_title(text: str, note: str = "") -> None:
    """A heading above tables, with a quieter note beside it."""
    from rich.text import Text

    line = Text(clean(text), style="bold")
    if note:
        line.append(f"  {clean(note)}", style="not bold dim")
    stdout_console().print(line, soft_wrap=True)


def print_pairs(pairs: Sequence[tuple[str, str | Cell]]) -> None:
    """Names and values, one a line, the values aligned."""
    print_table(
        [Column("", style="dim"), Column("", flexible=True)], [list(pair) for pair in pairs], header=False
    )


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]], *, header: bool = True
) -> None:
    """Print rows under titles, as many columns as the terminal has room for.

    In a terminal too narrow for the columns that always show, flexible ones are cut with an ellipsis.
    Into a pipe or file nothing is cut.
    """
    from rich.table import Table
    from rich.text import Text

    console = stdout_console()
    texts = [[_as_cell(value) for value in row] for row in rows]
    natural = [
        max([_width(clean(column.title)) if header else 0, *(_width(row[i].text) for row in texts)])
        for i, column in enumerate(columns)
    ]
    shown, widths = _fit(columns, natural, console.width, may_cut=console.is_terminal)
    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for i in shown:
        column = columns[i]
        table.add_column(
            Text(clean(column.title)),
            justify=column.align,
            style=column.style,
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            width=widths[i],
        )
    for row in texts:
        table.add_row(*(Text(row[i].text, style=row[i].style) for i in shown))
    total = sum(widths[i] + _SPACE_BETWEEN_COLUMNS for i in shown)
    if not console.is_terminal:
        console.width = max(console.width, total)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def _fit(
    columns: Sequence[Column], natural: Sequence[int], room: int, *, may_cut: bool
) -> tuple[list[int], list[int]]:
    """Indexes of the columns to show and a width for every column."""
    widths = list(natural)
    shown = [i for i, column in enumerate(columns) if not column.extra]

    def taken() -> int:
        return sum(widths[i] for i in shown) + _SPACE_BETWEEN_COLUMNS * (len(shown) - 1)

    for i, column in enumerate(columns):
        if column.extra:
            if taken() + _SPACE_BETWEEN_COLUMNS + widths[i] > room:
                break
            shown.append(i)
    shown.sort()
    while may_cut and taken() > room:
        _shrink(columns, widths, shown, taken() - room)
        if taken() <= room or len(shown) == 1:
            break
        shown.remove(next((i for i in reversed(shown) if columns[i].is_optional), shown[-1]))
        widths = list(natural)
    return shown, widths


def _shrink(columns: Sequence[Column], widths: list[int], shown: Sequence[int], excess: int) -> None:
    """Take `excess` cells from the flexible columns, the widest first, as far as they can give."""
    flexible = [i for i in shown if columns[i].flexible or columns[i].wraps]
    while flexible and excess > 0:
        widest = max(flexible, key=lambda i: widths[i])
        if widths[widest] <= _NARROWEST_FLEXIBLE:
            return
        step = min(excess, widths[widest] - _NARROWEST_FLEXIBLE, _step(widths, flexible))
        widths[widest] -= step
        excess -= step


def _step(widths: Sequence[int], flexible: Sequence[int]) -> int:
    """How far the widest column may shrink before another is the widest."""
    ordered = sorted({widths[i] for i in flexible}, reverse=True)
    return max(1, ordered[0] - ordered[1]) if len(ordered) > 1 else max(1, ordered[0])


def _as_cell(value: str | Cell) -> Cell:
    return Cell(clean(value.text), value.style) if isinstance(value, Cell) else Cell(clean(value))


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _console(stream: Any) -> Console:
    from rich.console import Console

    plain = not is_terminal(stream) and not os.environ.get("FORCE_COLOR")
    return Console(
        file=stream,
        highlight=False,
        emoji=False,
        color_system=None if plain else "auto",
        legacy_windows=False,
    )
