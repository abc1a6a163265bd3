"""Tables, cards and notes of the page; what is plain text is escaped here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from workbench.report_page.charts import number
from workbench.report_page.words import MARKS


def table(head: Sequence[str], rows: Iterable[str]) -> str:
    """A table of rows of cells; columns whose name begins with # are of figures."""
    cells = "".join(
        f'<th class="n">{escape(name[1:])}</th>' if name.startswith("#") else f"<th>{escape(name)}</th>"
        for name in head
    )
    titles = f"<thead><tr>{cells}</tr></thead>" if any(head) else ""
    return f'<div class="scroll"><table>{titles}<tbody>{"".join(rows)}</tbody></table></div>'


def row(*cells: str, kind: str = "") -> str:
    """A row of a table."""
    return f'<tr class="{kind}">{"".join(cells)}</tr>' if kind else f"<tr>{''.join(cells)}</tr>"


def name(text: object) -> str:
    """A cell that names the row."""
    return f'<td class="name">{escape(str(text))}</td>'


def cell(text: object) -> str:
    """A cell of text."""
    return f"<td>{escape(str(text))}</td>"


def drawn(markup: str) -> str:
    """A cell of markup."""
    return f"<td>{markup}</td>"


def figure(markup: str) -> str:
    """A cell of a number."""
    return f'<td class="n">{markup}</td>'


def note(text: str) -> str:
    """A paragraph that explains."""
    return f'<p class="note">{escape(text)}</p>' if text else ""


def card(title: str, body: str, mark: str = "") -> str:
    """A chart with its title."""
    return f'<div class="card"><h3>{escape(title)}{mark}</h3>{body}</div>'


def with_interval(one: Mapping[str, Any] | None) -> str:
    if not one or one.get("value") is None:
        return "—"
    span = ""
    if one.get("low") is not None:
        span = f' <span class="soft">[{number(one["low"])}, {number(one["high"])}]</span>'
    return f"{number(one['value'])}{span}"


def mark(level: str) -> str:
    return f'<span class="mark {escape(level)}">{MARKS.get(level, "")} {escape(level)}</span>'


def change(was: float | None, now: float | None, shown: Callable[[float | None], str]) -> str:
    if was is None and now is None:
        return "—"
    if was == now == 0:
        return f'<span class="soft">{shown(0)}</span>'
    return f'<span class="soft">{shown(was)} →</span> {shown(now)}'


def share(value: float | None) -> str:
    return "—" if value is None else f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def p_value(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.2g}" if value >= 1e-4 else "&lt; 0.0001"


def count(value: int | None) -> str:
    return "—" if value is None else f"{value:,}"


def when(moment: datetime | None) -> str:
    return "—" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def span(seconds: float) -> str:
    if seconds < 2:
        return "a second"
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
