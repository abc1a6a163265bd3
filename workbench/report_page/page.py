"""The page as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from workbench.joint_text import joint_section
from workbench.report_page import performance, sections
from workbench.report_page.style import CSS
from workbench.report_page.words import subject, verdict

if TYPE_CHECKING:
    from store.alerts import Alert
    from store.findings import Finding
    from workbench.report_page.charts import Mark

# Nothing is loaded and nothing runs, whatever a column is called.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_page(
    report: Mapping[str, Any],
    *,
    project: str = "",
    windows: Sequence[Finding] = (),
    alerts: Sequence[Alert] = (),
    marks: Sequence[Mark] = (),
    details: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> str:
    """A report (the JSON of a DriftReport) as one HTML file that loads nothing and runs nothing.

    `windows` are the verdicts for charts over time, `marks` when versions went into production, `details`
    what `performance_details` says. Of plain files there is only the report.
    """
    title = f"{subject(report)} · drift report"
    features = report.get("features", ())
    headline, _ = verdict(report)
    parts = [
        f"<h1>{escape(subject(report))}</h1>",
        f'<p class="soft">{escape(_about(report, project))}</p>',
        sections.banner(report),
        sections.tiles(report, (details or {}).get("coverage")),
        sections.ranking(features),
        sections.distributions(report),
        joint_section(report.get("joint")),
        sections.prediction(report),
        sections.over_time(windows, report, marks),
        performance.performance(report, details, windows, marks),
        sections.checks(report),
        sections.alerts(alerts),
        sections.how_to_read(report),
    ]
    made = (now or datetime.now(UTC)).astimezone(UTC)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="description" content="{escape(headline)}">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n<footer>Made by workbench on {made:%Y-%m-%d at %H:%M} UTC; times are UTC. "
        "This page is complete in itself: it loads nothing and sends nothing.</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def _about(report: Mapping[str, Any], project: str) -> str:
    window = report.get("window") or {}
    found = [project] if project else []
    start, end = _moment(window.get("start")), _moment(window.get("end"))
    if start and end:
        found.append(f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    if report.get("segment"):
        found.append(f"where {report['segment']}")
    if report.get("method") == "classic":
        found.append("classic rules: KS p < 0.05, PSI 0.1 and 0.2")
    return " · ".join(found)


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC) if text else None
    except ValueError:
        return None
