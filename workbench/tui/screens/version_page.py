"""Everything about one model version as text: verdict, lineage, metrics, history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from workbench.desk.models import VersionDetails
from workbench.desk.words import change, what_happened
from workbench.tui.screens.model_columns import numbered
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.formats import age, moment, number
from workbench.tui.widgets.page import Cell, grid, heading, paragraph

if TYPE_CHECKING:
    from pipelines.verdict import Rule, Verdict

_MUTED = "$text-muted"
_TONES = {"muted": _MUTED, "success": "$text-success", "warning": "$text-warning", "error": "$text-error"}
_HISTORY_SHOWN = 50


def version_page(details: VersionDetails, cells: int) -> Content:
    """The page for one version in `cells` cells."""
    version = details.version
    about = [details.row.role, *details.row.other_aliases, version.stage if version.stage != "None" else ""]
    note = " · ".join(filter(None, [*about, f"made {age(version.created_at)} ago"])).replace("now ago", "now")
    parts = [heading(f"{version.name} {numbered(version.version)}", note), Content("")]
    parts += [*_verdict(details, cells), Content("")]
    if version.metrics:
        shown = sorted(version.metrics.items())
        rows: list[list[Cell]] = [[(name, _MUTED), (number(value), "")] for name, value in shown]
        parts += [heading("metrics"), _in_columns(rows, cells), Content("")]
    parts += [heading("comes from"), _lineage(details, cells), Content("")]
    parts += [heading(f"history of {version.name}"), _history(details, cells)]
    return Content("\n").join(parts)


def _verdict(details: VersionDetails, cells: int) -> list[Content]:
    verdict = details.verdict
    if details.verdict_problem is not None:
        return [heading("gate"), paragraph(details.verdict_problem, cells, "$text-error")]
    if verdict is None:
        return [heading("gate", "has not judged this version")]
    against = f"against v{verdict.champion_version}" if verdict.champion_version else "no champion to beat"
    rows = f", {verdict.rows:,} held-out rows" if verdict.rows else ""
    word, style = ("accepted", "$text-success") if verdict.accepted else ("refused", "$text-error")
    parts = [
        Content.assemble(("gate  ", "bold"), (word, f"bold {style}"), (f"  {against}{rows}", _MUTED)),
        *(paragraph(reason, cells, style if not verdict.accepted else "") for reason in verdict.reasons),
    ]
    if verdict.rules:
        lines = [[("", ""), ("rule", _MUTED), ("value", _MUTED), ("needed", _MUTED)]]
        lines += [_rule(rule) for rule in verdict.rules]
        parts.append(grid(lines, cells, right=frozenset({2})))
        parts += [
            paragraph(f"{rule.rule}: {_note(rule)}", cells, _MUTED) for rule in verdict.rules if _note(rule)
        ]
    return parts + _segments(verdict, cells)


def _rule(rule: Rule) -> list[Cell]:
    if rule.passed:
        sign = ("✓", "$text-success")
    else:
        sign = ("✗", "$text-error") if rule.decides else ("·", "$text-warning")
    return [
        sign,
        (rule.rule, "" if rule.decides else _MUTED),
        (number(rule.value), ""),
        (rule.needed, _MUTED),
    ]


def _note(rule: Rule) -> str:
    """What a rule has to add; that it only informs is worth saying."""
    note = rule.note if rule.note != "threshold" else ""
    return note if rule.decides else "; ".join(filter(None, ("for information", note)))


def _segments(verdict: Verdict, cells: int) -> list[Content]:
    """Each segment's values, how many rows they have and how much worse they got."""
    rows: list[list[Cell]] = []
    for column, values in verdict.segments.items():
        if not isinstance(values, dict):
            continue
        for value, found in values.items():
            judged = "" if found.get("judged") else "too few rows to judge"
            rows.append(
                [
                    (f"{column} = {value}", ""),
                    (number(found.get("rows")), ""),
                    (number(found.get("worse_by")), ""),
                    (judged, _MUTED),
                ]
            )
    if not rows:
        return []
    titles: list[Cell] = [("segment", _MUTED), ("rows", _MUTED), ("worse by", _MUTED), ("", "")]
    return [grid([titles, *rows], cells, right=frozenset({1, 2}))]


def _in_columns(rows: list[list[Cell]], cells: int) -> Content:
    """Pairs side by side where there is room for two."""
    widest = max(len(row[0][0]) + len(row[1][0]) + 2 for row in rows)
    if cells < 2 * widest + 4 or len(rows) < 4:
        return grid(rows, cells)
    half = (len(rows) + 1) // 2
    empty: list[Cell] = [("", ""), ("", "")]
    right = [*rows[half:], *([empty] * (2 * half - len(rows)))]
    joined = [[*a, ("", ""), *b] for a, b in zip(rows[:half], right, strict=True)]
    return grid(joined, cells)


def _lineage(details: VersionDetails, cells: int) -> Content:
    return grid(
        [[(fact.label, _MUTED), (fact.value, _TONES.get(fact.tone, ""))] for fact in details.lineage], cells
    )


def _history(details: VersionDetails, cells: int) -> Content:
    events = list(reversed(details.history))[:_HISTORY_SHOWN]
    if not events:
        return Content.styled("nothing is recorded", _MUTED)
    own = str(details.version.version)
    rows: list[list[Cell]] = []
    for event in events:
        style = "bold" if own in (event.from_, event.to) else ""
        moved = change(event.from_, event.to)
        who = event.who.partition("@")[0]
        words = clean(what_happened(event))
        reason = " · ".join(filter(None, (event.reason, who)))
        rows.append([(moment(event.at), _MUTED), (words, style), (moved, style), (reason, _MUTED)])
    return grid(rows, cells)
