"""What the Data screen says in text: the watcher, a file with its validation report, a training's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.content import Content

from workbench.desk.data import FileReport, FileRow, JobLog, JobRow, Watching
from workbench.tui.screens.data_columns import bar, byte_size, mark
from workbench.tui.widgets.cells import clean, clip
from workbench.tui.widgets.formats import MISSING, duration, moment, number
from workbench.tui.widgets.page import Cell, grid, heading, paragraph

_VERSIONS_SHOWN = 8
_MUTED = "$foreground 60%"
_PLAIN = ("the training before it", "the pause to end")
"""What is waited for and the first line says anyway."""
_TONES = {
    "muted": _MUTED,
    "accent": "$text-accent",
    "success": "$text-success",
    "warning": "$text-warning",
    "error": "$text-error",
}


def watching_line(state: Watching, cells: int, switching: str = "") -> Content:
    """One or two lines: whether the watcher runs or pauses, what it waits for, what it watches."""
    folders = " · ".join(map(clean, state.folders)) or "no folders: no pipeline yet"
    if switching:
        head, style, rest = f" ◐ {switching} …", "bold $text-warning", ""
    elif state.watcher is None:
        head, style = " ○ nobody watches", "bold"
        rest = f"  o starts the watcher on {folders}"
    elif state.is_paused:
        head, style, rest = " ◎ paused", "bold $text-warning", f"  p goes on · {folders}"
    else:
        due = [f"{name} {what} at {moment(at)}" for name, what, at in state.next_due]
        head, style, rest = " ◉ watching", "bold $text-success", "  " + " · ".join([folders, *due])
    jobs = [f"{state.running} running"] if state.running else []
    jobs += [f"{state.queued} queued"] if state.queued else []
    told = f" · {' · '.join(jobs)}" if jobs else ""
    room = max(0, cells - len(head) - len(told) - 1)
    lines = [Content.assemble((head, style), (clip(rest, room), _MUTED), (told, "$text-accent"))]
    notes = [f"{name} waits for {text}" for name, text in state.waits if text not in _PLAIN]
    if state.paused and not state.is_paused:
        notes.append(f"paused: {', '.join(sorted(state.paused))}")
    notes += state.problems
    if notes:
        tone = "$text-error" if state.problems else "$text-warning"
        lines.append(Content.styled(clip("   " + clean(" · ".join(notes)), max(0, cells - 1)), tone))
    return Content("\n").join(lines)


def file_page(row: FileRow, report: FileReport, cells: int) -> Content:
    """A file, and what is wrong with it."""
    file = row.file
    about = f"{row.pipeline} · {mark(row.state)}"
    parts = [heading(row.path, about, _TONES.get(row.tone or "", _MUTED))]
    findings = (report.validation or {}).get("findings") or ()
    if row.reason and file.reason not in [finding["message"] for finding in findings]:
        parts.append(paragraph(row.reason, cells, _TONES.get(row.tone or "", "")))
    if row.state == "quarantined":
        parts.append(paragraph("No training reads it; it stays where it is. r lets it in.", cells, _MUTED))
    parts += [Content(""), *_findings(report.validation, cells), Content("")]
    pairs: list[list[Cell]] = [
        [("rows", _MUTED), (number(row.rows), "")],
        [("size", _MUTED), (byte_size(row.size), "")],
        [("changed", _MUTED), (moment(row.at), "")],
        [("sha256", _MUTED), ((file.sha256 or MISSING)[:16], "")],
    ]
    pairs += [[("run", _MUTED), (file.run_id[:8], "")]] if file.run_id else []
    pairs += [[("job", _MUTED), (file.job_id, "")]] if file.job_id else []
    parts.append(grid(pairs, cells))
    if report.versions:
        parts += [Content(""), *_versions(report, cells)]
    return Content("\n").join(parts)


def _versions(report: FileReport, cells: int) -> list[Content]:
    """The data versions with this file in them, and the runs that learned from each."""
    rows: list[list[Cell]] = []
    for version in report.versions[:_VERSIONS_SHOWN]:
        runs = ", ".join(run[:8] for run in version.run_ids[:3]) or "no run"
        more = f" and {len(version.run_ids) - 3} more" if len(version.run_ids) > 3 else ""
        number_of = len(version.files)
        what = f"{number_of} file{'s' if number_of != 1 else ''}, {version.rows:,} rows"
        rows.append(
            [
                (version.digest[:12], "$text-accent"),
                (moment(version.created_at), _MUTED),
                (f"{what} · {runs}{more}", ""),
            ]
        )
    note = f"{len(report.versions)} with this content"
    return [heading("data versions", note), grid(rows, cells)]


def _findings(report: Mapping[str, Any] | None, cells: int) -> list[Content]:
    if report is None:
        return [heading("validation", "nobody has read it yet: the watcher or a training does")]
    findings = report.get("findings") or ()
    if not findings:
        return [heading("validation", "nothing was found to be wrong", "$text-success")]
    errors = sum(finding["level"] == "error" for finding in findings)
    others = len(findings) - errors
    words = [f"{errors} error{'s' if errors != 1 else ''}"] if errors else []
    words += [f"{others} warning{'s' if others != 1 else ''}"] if others else []
    rows: list[list[Cell]] = [
        [
            ("✗" if finding["level"] == "error" else "▲", _level(finding)),
            (str(finding["check"]), _level(finding)),
            (str(finding["message"]), ""),
        ]
        for finding in findings
    ]
    return [heading("validation", ", ".join(words)), grid(rows, cells)]


def job_page(row: JobRow, log: JobLog | None, cells: int) -> Content:
    """A training: how far it is, and the end of what it wrote."""
    job = row.job
    took = f" · {duration(row.seconds)}" if row.seconds is not None else ""
    parts = [heading(f"{row.pipeline} · {mark(row.state)}{took}", job.id)]
    kind = "" if job.kind == "train" else row.what
    facts = [kind, job.trigger, f"asked by {job.who}", f"run {job.run_id[:8]}" if job.run_id else ""]
    facts += [f"v{job.version}" if job.version else ""]
    parts.append(Content.styled(clip(clean(" · ".join(filter(None, facts))), cells), _MUTED))
    if job.error:
        parts.append(paragraph(job.error, cells, "$text-error"))
    if job.reason:
        parts.append(paragraph(job.reason, cells))
    if row.progress is not None and row.share is not None:
        left = row.progress.time_left_s
        words = f"{bar(row.share)}  {row.doing}" + (f" · {duration(left)} left" if left is not None else "")
        parts.append(Content.styled(clip(clean(words), cells), "$text-accent"))
    if log is not None and log.job_id == job.id and log.lines:
        parts += [Content(""), *(Content(clean(line)) for line in log.lines)]
    elif row.state == "queued":
        parts.append(
            paragraph(f"It waits for the watcher, which runs one {row.what} at a time.", cells, _MUTED)
        )
    return Content("\n").join(parts)


def _level(finding: Mapping[str, Any]) -> str:
    return "$text-error" if finding["level"] == "error" else "$text-warning"
