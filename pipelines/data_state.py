"""What the data files of pipelines are at this moment: the ledger's word, and what lies there besides."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipelines.data_files import scan
from pipelines.settings import PipelineSettings
from pipelines.summary import FileSummary
from pipelines.validate import DataSoFar, Finding, Report
from store.errors import DataError, NotFoundError, UsageError
from store.layout import Layout
from store.ledger import ACCEPTED, DataFile, Stamp, get_file, ledger_path, list_files, stamp_of


def current_files(layout: Layout, pipelines: Mapping[str, PipelineSettings]) -> list[DataFile]:
    """Every data file that is there, by pipeline and path; what nobody has examined yet is new.

    Nothing is written and no file is read.
    """
    recorded: dict[str, dict[str, DataFile]] = {}
    for file in list_files(layout):
        recorded.setdefault(file.pipeline, {})[file.path] = file
    result: list[DataFile] = []
    for name, settings in pipelines.items():
        known = recorded.get(name, {})
        for path, status in scan(settings.data, layout.root).items():
            shown, stamp = ledger_path(Path(path), layout.root), stamp_of(status)
            entry = known.get(shown)
            if entry is None:
                entry = _unknown(shown, name, stamp)
            elif entry.stamp != stamp and entry.state != "new":
                entry = replace(entry, state="new", before=entry.state, stamp=stamp)
            result.append(entry)
    return sorted(result, key=lambda file: (list(pipelines).index(file.pipeline), file.path))


def pipeline_of(
    layout: Layout, pipelines: Mapping[str, PipelineSettings], path: Path, wanted: str | None
) -> str:
    """The pipeline that a file is data of: the one named, else the one that reads it, else the only one."""
    if wanted is not None:
        if wanted not in pipelines:
            raise NotFoundError(f"no pipeline {wanted!r}", f"There are: {', '.join(pipelines) or 'none'}.")
        return wanted
    shown = ledger_path(path, layout.root)
    reading = [
        name
        for name, settings in pipelines.items()
        if shown in {ledger_path(Path(found), layout.root) for found in scan(settings.data, layout.root)}
    ]
    if reading:
        return reading[0]
    if len(pipelines) == 1:
        return next(iter(pipelines))
    raise UsageError(
        f"no pipeline reads {path}", f"Say for which one it is meant: --pipeline {'|'.join(pipelines)}."
    )


def validate_file(
    layout: Layout, pipeline: str, settings: PipelineSettings, path: Path
) -> tuple[Report, Stamp]:
    """Judge a file by the settings and by the other data of its pipeline; nothing is written.

    Raises DataError or OSError where it can't be opened.
    """
    from pipelines.admission import summarize_with_drift
    from pipelines.file_drift import champion_reference
    from pipelines.validate import judge

    shown = ledger_path(path, layout.root)
    begun = time.perf_counter()
    try:
        stamp = stamp_of(path.stat())
        reference = champion_reference(layout, pipeline, settings)
        summary, drift = summarize_with_drift(layout, settings, path, reference)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "Check that it exists.") from error
    except DataError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, ValueError):
            raise
        report = Report(
            shown, (Finding("error", "unreadable", error.message),), None, time.perf_counter() - begun
        )
        return report, stamp
    so_far = data_beside(layout, pipeline, settings, shown, summary)
    return judge(shown, summary, so_far, settings, time.perf_counter() - begun, drift), stamp


def data_beside(
    layout: Layout, pipeline: str, settings: PipelineSettings, but: str, summary: FileSummary
) -> DataSoFar:
    """The data that a file is measured by: accepted files; where there is none, what most files beside it
    have in common."""
    from pipelines.summary import summarize

    result = DataSoFar()
    files = current_files(layout, {pipeline: settings})
    for file in files:
        if file.path != but and file.state in ACCEPTED:
            report = get_file(layout, file.path, pipeline=pipeline).report or {}
            if report.get("summary"):
                result.add(FileSummary.from_json(report["summary"]).columns)
    if result:
        return result
    summaries: list[FileSummary] = []
    for file in files:
        if file.path == but:
            summaries.append(summary)
        elif file.state == "new":
            try:
                summaries.append(summarize(layout.root / file.path, settings))
            except (DataError, OSError):
                continue
    return DataSoFar.by_majority(summaries) if len(summaries) > 1 else result


def _unknown(path: str, pipeline: str, stamp: Stamp) -> DataFile:
    now = datetime.now(UTC)
    return DataFile(
        path=path,
        pipeline=pipeline,
        state="new",
        stamp=stamp,
        sha256=None,
        rows=None,
        reason=None,
        job_id=None,
        run_id=None,
        is_released=False,
        first_seen=now,
        changed_at=now,
        before=None,
        gone_at=None,
    )
