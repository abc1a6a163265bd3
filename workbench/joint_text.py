"""The classifier between reference and current rows, in words and tables; made from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

MAX_FEATURES = 8
MEANING = (
    "A classifier is shown rows of both sides and asked which are the current ones; it answers for rows it "
    "has not learnt from, so an AUC of 0.5 means that all columns together look as they did, 1 that every "
    "row gives itself away."
)
_TITLE = "Reference and current rows, all columns together"


def print_joint(found: Mapping[str, Any]) -> None:
    """The verdict, and the columns by which the two sides are told apart."""
    from workbench.output import Column, number, print_pairs, print_table, print_title

    print()
    print_title(_TITLE)
    print(found["sentence"])
    if found["auc"] is None:
        return
    print(MEANING)
    print()
    print_pairs(_figures(found))
    print()
    print_table(
        [Column("told apart by", flexible=True), Column("AUC lost without", "right")],
        [[one["name"], number(one["auc_lost"])] for one in found["features"][:MAX_FEATURES]],
    )


def markdown_joint(found: Mapping[str, Any]) -> str:
    """The same for a pull request."""
    from workbench.drift_text import plain

    lines = ["", f"#### {_TITLE}", "", plain(found["sentence"]), "", f"_{MEANING}_"]
    if found["auc"] is not None:
        lines += ["", *(f"- {name}: {plain(text)}" for name, text in _figures(found))]
        lines += ["", "| told apart by | AUC lost without |", "|---|--:|"]
        lines += [
            f"| {plain(one['name'])} | {one['auc_lost']:.3f} |" for one in found["features"][:MAX_FEATURES]
        ]
    return "\n".join(lines) + "\n"


def joint_section(found: Mapping[str, Any] | None) -> str:
    """The same on the page; nothing where nobody asked for it."""
    if found is None:
        return ""
    from workbench.report_page.charts import number
    from workbench.report_page.formats import figure, name, note, row, table

    text = f"<h2>{_TITLE}</h2>{note(MEANING)}<p>{escape(found['sentence'])}</p>"
    if found["auc"] is None:
        return text
    rows = [row(name(what), figure(escape(value))) for what, value in _figures(found)]
    lost = [
        row(name(one["name"]), figure(number(one["auc_lost"]))) for one in found["features"][:MAX_FEATURES]
    ]
    return text + table([], rows) + table(("told apart by", "#AUC lost without"), lost)


def _figures(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    from workbench.drift_text import p_text

    figures = [
        ("AUC", f"{found['auc']:.3f}, from {found['low']:.3f} to {found['high']:.3f}"),
        ("p where both are alike", p_text(found["p_value"])),
        ("rows", f"{found['reference_rows']:,} of the reference, {found['current_rows']:,} current ones"),
    ]
    if found["left_out"]:
        figures.append(("left out", ", ".join(found["left_out"])))
    return figures
