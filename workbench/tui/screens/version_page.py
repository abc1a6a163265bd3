"""Everything about one model version as text: verdict, lineage, metrics, history."""

from __future__ import annotations

import re
from collections.abc import Mapping
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

_MUTED = "$foreground 60%"
_TONES = {"muted": _MUTED, "success": "$text-success", "warning": "$text-warning", "error": "$text-error"}
_HISTORY_SHOWN = 50
_CROSS_VALIDATED = re.compile(r"cv_(.+)_(?:mean|std)")
_ASIDE = re.compile(r"^seconds_|_samples$|^n_features$|_ms$")


def version_page(details: VersionDetails, cells: int) -> Content:
    """The page for one version in `cells` cells."""
    version = details.version
    about = [details.row.role, *details.row.other_aliases, version.stage if version.stage != "None" else ""]
    note = " · ".join(filter(None, [*about, f"made {age(version.created_at)} ago"])).replace("now ago", "now")
    parts = [heading(f"{version.name} {numbered(version.version)}", note), Content("")]
    parts += [*_verdict(details, cells), Content("")]
    if version.metrics:
        parts += [heading("metrics"), _metrics(version.metrics, cells), Content("")]
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


def _metrics(metrics: Mapping[str, float], cells: int) -> Content:
    """The telling ones with their cross-validated mean and spread beside, then the others in a paragraph."""
    beside = {name for name in metrics if _CROSS_VALIDATED.fullmatch(name)}
    telling = [name for name in sorted(metrics) if name not in beside and not _ASIDE.search(name)]
    rows: list[list[Cell]] = []
    for name in telling:
        mean, spread = metrics.get(f"cv_{name}_mean"), metrics.get(f"cv_{name}_std")
        crossed = "" if mean is None else f"cross-validated {number(mean)}"
        crossed += "" if spread is None else f" ± {number(spread, 2)}"
        rows.append([(name, _MUTED), (number(metrics[name]), ""), (crossed, _MUTED)])
    rest = sorted({*metrics} - beside - {*telling})
    parts = [grid(rows, cells, right=frozenset({1}))] if rows else []
    if rest:
        others = " · ".join(f"{name} {number(metrics[name])}" for name in rest)
        parts.append(paragraph(others, cells, _MUTED))
    return Content("\n").join(parts)


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
