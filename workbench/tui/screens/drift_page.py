"""All that led to the verdict on one line of the ranking, as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from workbench.desk.drift_rows import DriftRow
from workbench.drift_text import (
    FLOOR_NAMES,
    STATISTIC_NAMES,
    TEST_NAMES,
    find_feature,
    mean_text,
    p_text,
    sd_text,
    sentence,
    subtitle_of,
)
from workbench.performance_text import interval, residual_text, segment_name, sentences, tables
from workbench.tui.screens.drift_columns import SYMBOLS, TONES
from workbench.tui.widgets.cells import clean, clip, width
from workbench.tui.widgets.formats import MISSING, number
from workbench.tui.widgets.page import Cell, grid, heading, paragraph

_QUIET = "$text-muted"
_RIGHT = frozenset({1, 2, 3})
_ROOMY = 50
_BAR = 6
_SHORTEST_NAME = 8


def explanation(report: Mapping[str, Any], row: DriftRow, cells: int) -> Content:
    """Counts, statistics, thresholds and the reason in words, laid out for `cells` columns."""
    tone = TONES.get(row.severity)
    style = f"$text-{tone}" if tone else _QUIET
    parts = [heading(row.name, f"{SYMBOLS.get(row.severity, '')} {row.severity}".strip(), style)]
    parts.append(paragraph(subtitle_of(report), cells, _QUIET))
    if row.kind in ("feature", "prediction"):
        parts += _of_feature(row.source, report, cells)
    elif row.kind == "performance":
        parts += _of_metric(row.source, report.get("performance_details") or {}, cells)
    else:
        parts += [Content(""), paragraph(row.note, cells)]
        feature = find_feature(report, str(row.source.get("feature")))
        if feature is not None:
            parts += _of_feature(feature, report, cells)
    if report.get("note"):
        parts += [Content(""), paragraph(report["note"], cells, _QUIET)]
    return Content("\n").join(parts)


def _of_metric(one: Mapping[str, Any], details: Mapping[str, Any], cells: int) -> list[Content]:
    parts = []
    for text in (*sentences(one, details), residual_text(details)):
        if text:
            parts += [Content(""), paragraph(text, cells)]
    for table in tables(details):
        rows = [_header(*table.head), *([(text, "") for text in row] for row in table.rows)]
        parts += [Content(""), heading(table.title)]
        parts.append(_figures(rows, cells))
    return parts


def by_segment(segments: Sequence[Mapping[str, Any]], cells: int) -> Content:
    """A metric within each segment; how sure it is and of how many outcomes, where there is room for it."""
    known = [one for one in segments if one["mean"] is not None]
    longest = max((one["mean"] for one in known), default=0.0) or 1.0
    has_room = cells >= _ROOMY
    rows: list[list[Cell]] = []
    for one in known:
        bounds = {"low": one["low"], "high": one["high"]} if has_room else {}
        value = interval({"value": one["mean"], **bounds})
        bar = [("█" * round(_BAR * one["mean"] / longest), "$primary")] if has_room else []
        rows.append([(segment_name(one), ""), (value, ""), (f"{one['labelled']:,}", _QUIET), *bar])
    return _figures(rows, cells, left=3)


def _figures(rows: Sequence[Sequence[Cell]], cells: int, *, left: int | None = None) -> Content:
    """Names and figures, those before the column `left` aligned right; names are cut rather than wrapped."""
    columns = max(map(len, rows), default=0)
    sizes = [max(width(clean(row[at][0])) for row in rows) for at in range(columns)]
    room = max(_SHORTEST_NAME, cells - sum(sizes[1:]) - 2 * columns)
    # The last column of a grid is the one that wraps.
    cut = [[(clip(clean(row[0][0]), room), row[0][1]), *row[1:], ("", "")] for row in rows]
    return grid(cut, cells, right=frozenset(range(1, columns if left is None else left)))


def _of_feature(one: Mapping[str, Any], report: Mapping[str, Any], cells: int) -> list[Content]:
    return [
        Content(""),
        paragraph(sentence(one, report), cells),
        Content(""),
        _bins(one, cells),
        Content(""),
        _sides(one, cells),
        *([Content(""), _tests(one, cells)] if one["tests"] else []),
        Content(""),
        _numbers(one, cells),
    ]


def _bins(one: Mapping[str, Any], cells: int) -> Content:
    shape = one["distribution"]
    was_total, now_total = sum(shape["reference"]) or 1, sum(shape["current"]) or 1
    rows = [
        _header("value" if one["kind"] == "categorical" else "bin", "reference", "share", "window", "share")
    ]
    for label, was, now in zip(shape["labels"], shape["reference"], shape["current"], strict=True):
        if was or now:
            rows.append(
                [
                    (str(label), ""),
                    (f"{was:,}", _QUIET),
                    (_percent(was / was_total), ""),
                    (f"{now:,}", _QUIET),
                    (_percent(now / now_total), ""),
                ]
            )
    return grid(rows, cells, right=_RIGHT)


def _sides(one: Mapping[str, Any], cells: int) -> Content:
    was, now = one["reference"], one["current"]
    rows = [_header("", "reference", "window", "")]
    rows.append([("rows", _QUIET), (f"{was['n']:,}", ""), (f"{now['n']:,}", ""), ("", "")])
    for label, text_of in (("mean", mean_text), ("sd", sd_text)):
        sides = [(text_of(one, side), "") for side in ("reference", "current")]
        rows.append([(label, _QUIET), *sides, ("", "")])
    rows.append(
        [("missing", _QUIET), (_percent(was["missing"]), ""), (_percent(now["missing"]), ""), ("", "")]
    )
    return grid(rows, cells, right=_RIGHT)


def _tests(one: Mapping[str, Any], cells: int) -> Content:
    rows = [_header("test", "statistic", "df", "p", "")]
    for test in one["tests"]:
        degrees = MISSING if test["degrees"] is None else str(test["degrees"])
        rows.append(
            [
                (TEST_NAMES.get(test["name"], test["name"]), _QUIET),
                (f"{test['statistic']:.5g}", ""),
                (degrees, ""),
                (p_text(test["p_value"]), ""),
                ("", ""),
            ]
        )
    return grid(rows, cells, right=_RIGHT)


def _numbers(one: Mapping[str, Any], cells: int) -> Content:
    limits = ", ".join(f"{name} {limit:.3g}" for name, limit in one["thresholds"].items())
    pairs = [
        ("p of its tests together", p_text(one["p_value"])),
        ("p adjusted for all features", p_text(one["p_adjusted"])),
        ("effect", f"{number(one['effect'])} (of {one['effect_of']})"),
        *((STATISTIC_NAMES.get(name, name), f"{value:.5g}") for name, value in one["statistics"].items()),
        ("thresholds", limits),
        (FLOOR_NAMES[one.get("floor_of") or "windows"], f"{one['floor']:.3g}" if one["floor"] else MISSING),
        ("importance to the model", _percent(one["importance"])),
    ]
    return grid([[(label, _QUIET), (value, "")] for label, value in pairs], cells)


def _header(*titles: str) -> list[Cell]:
    return [(title, _QUIET) for title in titles]


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{share:.1%}"
