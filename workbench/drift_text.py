"""Drift reports in words: tables for the terminal, Markdown for a pull request, the case of one column.

All of it is made from a report's JSON, so a stored one prints like a fresh one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.output import MISSING, Cell, Column, number, print_pairs, print_table, print_title

MARKS = {"critical": "■", "warning": "▲", "watch": "●", "ok": "·", "insufficient": "?"}
STYLES = {"critical": "bold red", "warning": "yellow", "watch": "cyan", "ok": "dim", "insufficient": "dim"}

Report = Mapping[str, Any]


def print_report(report: Report) -> None:
    """The report as tables on stdout, what drifted first."""
    print_title(title_of(report), subtitle_of(report))
    rows: list[list[str | Cell]] = [_row(one) for one in _judged(report)]
    if rows:
        print_table(
            [
                Column("", flexible=False),
                Column("feature", flexible=True),
                Column("severity"),
                Column("effect", "right"),
                Column("adjusted p", "right"),
                Column("mean was", "right", is_optional=True),
                Column("is", "right", is_optional=True),
                Column("missing was", "right", extra=True),
                Column("is", "right", extra=True),
                Column("why", wraps=True, is_optional=True),
            ],
            rows,
        )
    checks = [check for check in report.get("checks", ()) if check["severity"] != "insufficient"]
    if checks:
        print()
        print_table(
            [Column(""), Column("check"), Column("what was found", wraps=True)],
            [[_mark(c["severity"]), c["kind"].replace("_", " "), c["message"]] for c in checks],
        )
    if report.get("performance"):
        print()
        print_table(
            [
                Column("metric"),
                Column("value", "right"),
                Column("from … to"),
                Column("was", "right"),
                Column(""),
            ],
            [_performance_row(one) for one in report["performance"]],
        )
        sampled = (report.get("performance_details") or {}).get("sampled")
        if sampled:
            print(
                f"Of {sampled['of']:,} predictions ROC AUC, probabilities and estimates are those of"
                f" {sampled['rows']:,}, spread over the window."
            )
    if report.get("joint"):
        from workbench.joint_text import print_joint

        print_joint(report["joint"])
    if report.get("note"):
        print_title("", report["note"])


def title_of(report: Report) -> str:
    """`bikes version 3: critical drift`."""
    who = "Drift" if report.get("model") is None else f"{report['model']} version {report['version']}"
    if report.get("role") not in (None, "champion"):
        who += f" ({report['role']})"
    if report.get("segment"):
        who += f" where {report['segment']}"
    return f"{who}: {headline(report)}"


def headline(report: Report) -> str:
    """The whole verdict in a few words."""
    severity = report["severity"]
    if has_no_reference(report):
        return "no reference to compare with"
    if severity == "insufficient":
        return f"not enough rows to tell ({report['current_rows']})"
    if severity == "ok":
        return "no drift"
    flagged = [one["name"] for one in report["features"] if one["flagged"]]
    if report.get("prediction") and report["prediction"]["flagged"]:
        flagged.append("the predictions")
    if not flagged:
        return f"{severity}, see the checks"
    more = f" and {len(flagged) - 3} more" if len(flagged) > 3 else ""
    return f"{severity}: {', '.join(flagged[:3])}{more}"


def has_no_reference(report: Report) -> bool:
    """Whether nothing is known to compare the model's predictions with; of files there always is."""
    return report.get("model") is not None and report.get("reference_rows") is None


def subtitle_of(report: Report) -> str:
    """Rows and times of both sides."""
    rows = f"{report['current_rows']:,} rows"
    if report.get("reference_rows") is not None:
        rows += f" against {report['reference_rows']:,}"
    window = report.get("window") or {}
    if window.get("start") and report["current_rows"]:
        rows += f", {window['start'][:16].replace('T', ' ')} to {window['end'][:16].replace('T', ' ')} UTC"
        if window.get("extended"):
            rows += " (reaching back for enough rows)"
    return rows


def markdown(report: Report) -> str:
    """The report for a pull request or an issue."""
    lines = [f"### {plain(title_of(report))}", "", plain(subtitle_of(report)), ""]
    judged = _judged(report)
    flagged = [one for one in judged if one["flagged"] or one["severity"] == "insufficient"]
    if flagged:
        lines += [
            "| | feature | severity | effect | adjusted p | mean | missing | why |",
            "|---|---|---|--:|--:|--:|--:|---|",
        ]
        for one in flagged:
            mean = f"{mean_text(one, 'reference')} → {mean_text(one, 'current')}"
            missing = f"{_percent(one['reference']['missing'])} → {_percent(one['current']['missing'])}"
            lines.append(
                f"| {MARKS[one['severity']]} | {plain(one['name'])} | {one['severity']} |"
                f" {_effect(one['effect'])} | {p_text(one['p_adjusted'])} | {mean} | {missing} |"
                f" {plain(one['reason'])} |"
            )
        lines.append("")
    quiet = len(judged) - len(flagged)
    if quiet:
        lines += [f"{quiet} of {len(judged)} without drift.", ""]
    checks = [
        one for one in report.get("checks", ()) if one["severity"] != "ok" or one["kind"] == "new_categories"
    ]
    lines += [f"- {MARKS[check['severity']]} {plain(check['message'])}" for check in checks]
    if checks:
        lines.append("")
    if report.get("performance"):
        lines += ["| metric | value | interval | was | |", "|---|--:|---|--:|---|"]
        for one in report["performance"]:
            cells = [cell.text if isinstance(cell, Cell) else cell for cell in _performance_row(one)]
            lines.append(f"| {' | '.join(map(plain, cells))} |")
    if has_no_reference(report) and report.get("note"):
        lines += ["", plain(report["note"])]
    text = "\n".join(lines).rstrip() + "\n"
    if report.get("joint"):
        from workbench.joint_text import markdown_joint

        text += markdown_joint(report["joint"])
    return text


def print_case(report: Report, one: Mapping[str, Any]) -> None:
    """All that led to the verdict on one feature: counts, statistics, thresholds, and the reason in words."""
    print_title(f"{one['name']}: {one['severity']}", f"{one['kind']}, {subtitle_of(report)}")
    print(sentence(one, report))
    shape = one["distribution"]
    both = list(zip(shape["labels"], shape["reference"], shape["current"], strict=True))
    totals = [sum(shape[side]) or 1 for side in ("reference", "current")]
    print()
    print_table(
        [
            Column("value" if one["kind"] == "categorical" else "bin", flexible=True),
            Column("reference", "right"),
            Column("share", "right"),
            Column("window", "right"),
            Column("share", "right"),
        ],
        [
            [label, f"{was:,}", _percent(was / totals[0]), f"{now:,}", _percent(now / totals[1])]
            for label, was, now in both
            if was or now
        ],
    )
    print()
    print_table(
        [Column(""), Column("reference", "right"), Column("window", "right")],
        [
            ["rows", f"{one['reference']['n']:,}", f"{one['current']['n']:,}"],
            ["mean", mean_text(one, "reference"), mean_text(one, "current")],
            ["sd", sd_text(one, "reference"), sd_text(one, "current")],
            ["missing", _percent(one["reference"]["missing"]), _percent(one["current"]["missing"])],
        ],
    )
    if one["tests"]:
        print()
        print_table(
            [Column("test"), Column("statistic", "right"), Column("df", "right"), Column("p", "right")],
            [
                [
                    TEST_NAMES.get(test["name"], test["name"]),
                    f"{test['statistic']:.5g}",
                    MISSING if test["degrees"] is None else str(test["degrees"]),
                    p_text(test["p_value"]),
                ]
                for test in one["tests"]
            ],
        )
    print()
    limits, importance = one["thresholds"], one["importance"]
    print_pairs(
        [
            ("p of its tests together", p_text(one["p_value"])),
            ("p adjusted for all features", p_text(one["p_adjusted"])),
            ("effect", f"{_effect(one['effect'])} (of {one['effect_of']})"),
            *((STATISTIC_NAMES.get(name, name), f"{value:.5g}") for name, value in one["statistics"].items()),
            (
                "thresholds",
                ", ".join(f"{name} {limit:.3g}" for name, limit in limits.items()),
            ),
            (
                FLOOR_NAMES[one.get("floor_of") or "windows"],
                f"{one['floor']:.3g}" if one["floor"] else MISSING,
            ),
            (
                "importance to the model",
                _percent(importance),
            ),
        ]
    )


def print_metric(report: Report, one: Mapping[str, Any]) -> None:
    """A metric against what it was, and what lies behind it: classes, calibration, segments, residuals."""
    from workbench.performance_text import residual_text, sentences, tables

    level = "critical" if one.get("dropped") else "estimated" if one.get("estimated") else ""
    print_title(": ".join(filter(None, (one["metric"], level))), subtitle_of(report))
    details = report.get("performance_details") or {}
    for text in (*sentences(one, details), residual_text(details)):
        if text:
            print(text)
    for table in tables(details):
        print()
        print_title(table.title)
        first, *others = table.head
        columns = [Column(first, flexible=True), *(Column(title, "right") for title in others)]
        print_table(columns, [list(row) for row in table.rows])


def sentence(one: Mapping[str, Any], report: Report) -> str:
    """The reason of a verdict in words."""
    name, severity = one["name"], one["severity"]
    if severity == "insufficient":
        return f"{name} is not judged: {one['reason']}."
    if report["method"] == "classic":
        return f"{name} is {severity} by the classic rules: {one['reason'].removesuffix(' (classic rules)')}."
    if one["p_adjusted"] is None:
        return f"{name} is {severity}: {one['reason']}."
    tests = " and ".join(TEST_NAMES.get(test["name"], test["name"]) for test in one["tests"])
    chance = (
        f"By {tests}, a difference as large comes about by chance with p {_equal(one['p_value'])};"
        f" adjusted for the number of features that is {p_text(one['p_adjusted'])}"
    )
    if one["p_adjusted"] >= 0.05:
        return f"{name} is ok. {chance}, which is not under 0.05: no more than chance."
    limits = one["thresholds"]
    size = f"Its effect is {_effect(one['effect'])}"
    if not one["flagged"]:
        own = f", less than the {limits['watch']:.3g} from which on it is flagged"
        if one["floor"] >= limits["watch"]:
            own = {
                "windows": f", less than the reference's own windows differ ({one['floor']:.3g})",
                "size": f", less than a reference of this size may be off by chance ({one['floor']:.3g})",
            }[one.get("floor_of") or "windows"]
        return f"{name} is ok. {chance}: it is real. {size}{own}."
    return f"{name} is {severity}. {chance}: it is real. {size}; {severity} begins at {limits[severity]:.3g}."


TEST_NAMES = {
    "ks": "Kolmogorov–Smirnov",
    "chi_square": "χ²",
    "missing": "missing share",
    "unseen": "new categories",
}
FLOOR_NAMES = {
    "windows": "the reference's own windows",
    "size": "by chance, for the reference's size",
}
STATISTIC_NAMES = {
    "ks": "KS distance",
    "chi_square": "χ²",
    "psi": "PSI (+0.5)",
    "psi_bias": "PSI expected by chance",
    "wasserstein": "Wasserstein distance",
    "wasserstein_sd": "Wasserstein in standard deviations",
    "jensen_shannon": "Jensen–Shannon distance",
    "hellinger": "Hellinger distance",
    "missing_change": "change of the missing share",
    "unseen": "share of new categories",
}


def _judged(report: Report) -> list[Mapping[str, Any]]:
    prediction = report.get("prediction")
    return [*report["features"], *([] if prediction is None else [prediction])]


def _row(one: Mapping[str, Any]) -> list[str | Cell]:
    severity = one["severity"]
    return [
        _mark(severity),
        one["name"],
        Cell(severity, STYLES[severity]),
        _effect(one["effect"]),
        p_text(one["p_adjusted"]),
        mean_text(one, "reference"),
        mean_text(one, "current"),
        _percent(one["reference"]["missing"]),
        _percent(one["current"]["missing"]),
        _why(one) if one["flagged"] or severity == "insufficient" else "",
    ]


def _why(one: Mapping[str, Any]) -> str:
    """The reason without the effect and the p value, which have columns of their own."""
    reason = str(one["reason"]).partition("; adjusted p ")[0]
    if one["effect"] is not None:
        reason = reason.removeprefix(f"effect {one['effect']:.3f}").lstrip(", ")
    return reason[1:-1] if reason.startswith("(") and reason.endswith(")") else reason


def _performance_row(one: Mapping[str, Any]) -> list[str | Cell]:
    note = "dropped" if one.get("dropped") else "estimated" if one.get("estimated") else ""
    low, high = one.get("low"), one.get("high")
    interval = MISSING if low is None or high is None else f"{number(low)} … {number(high)}"
    return [
        one["metric"],
        number(one["value"]),
        interval,
        number(one.get("reference")),
        Cell(note, "bold red" if note == "dropped" else "dim"),
    ]


def mean_text(one: Mapping[str, Any], side: str) -> str:
    """The mean of one side; of times it is one."""
    mean = one[side]["mean"]
    if one["kind"] != "datetime" or mean is None:
        return number(mean)
    from pipelines.drift.moments import moment_text

    return moment_text(mean)


def sd_text(one: Mapping[str, Any], side: str) -> str:
    """The standard deviation of one side; of times in days."""
    sd = one[side]["sd"]
    return number(sd) if one["kind"] != "datetime" or sd is None else f"{sd / 86_400:.3g} days"


def _mark(severity: str) -> Cell:
    return Cell(MARKS[severity], STYLES[severity])


def _effect(effect: float | None) -> str:
    return MISSING if effect is None else f"{effect:.3f}"


def p_text(p: float | None) -> str:
    """A p value, the smallest ones as a bound."""
    if p is None:
        return MISSING
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}" if p > 0 else "< 1e-300"


def _equal(p: float | None) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{share:.1%}"


def plain(text: object) -> str:
    """Text that breaks no table of Markdown."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def find_feature(report: Report, name: str) -> Mapping[str, Any] | None:
    """The feature called so, or the prediction."""
    return next((one for one in _judged(report) if one["name"] == name), None)


def names(report: Report) -> Sequence[str]:
    """Everything that was judged, and the metrics."""
    metrics = dict.fromkeys(one["metric"] for one in report.get("performance", ()))
    return [*(one["name"] for one in _judged(report)), *metrics]
