"""The rows a model in the store was trained on against those it is asked now, told apart by a classifier."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import WorkbenchError

if TYPE_CHECKING:
    from pipelines.drift.columns import TableFile
    from pipelines.drift.joint import JointDrift
    from store.data_versions import DataVersion
    from store.layout import Layout
    from workbench.cli.invocation import Invocation


def joint_of_model(invocation: Invocation, report: Mapping[str, Any]) -> JointDrift:
    """Whether the rows of the report's window can be told from the training data of its version.

    A reference profile holds counts only, so the rows come from the data version that the training saw:
    from the cache, or from where they were, where that is unchanged. Where they are nowhere, the answer
    says so.
    """
    from pipelines.drift.joint import MAX_ROWS, JointColumn, JointDrift, joint_drift
    from pipelines.drift.joint_files import joint_kind, read_rows
    from store.references import read_reference
    from store.slices import Key, Segment
    from store.window_rows import window_rows

    layout = invocation.layout
    model, version = str(report["model"]), int(report["version"])
    profile = read_reference(layout, model, version)
    window = report.get("window") or {}
    if profile is None or not report["current_rows"]:
        what = "it has no reference" if profile is None else "nothing was predicted in the window"
        return JointDrift(0, int(report["current_rows"]), note=what)
    segment = Segment(*str(report["segment"]).split("=", 1)) if report.get("segment") else None
    now = datetime.now(UTC)
    start, end = (datetime.fromisoformat(window[key]) if window.get(key) else now for key in ("start", "end"))
    logged = window_rows(
        layout,
        Key(model, version, str(report.get("role") or "champion")),
        start,
        end + timedelta(milliseconds=1),
        MAX_ROWS,
        segment=segment,
        by_chance=True,
    )
    if logged is None:
        return JointDrift(0, 0, note="no row of the window can be read")
    try:
        data = _trained_on(invocation, model, version)
        with tempfile.TemporaryDirectory(prefix="workbench-joint-") as folder:
            files = _files_of(layout, data, Path(folder))
            kinds, left_out = {}, []
            for feature in profile.features:
                kind = joint_kind(feature.kind)
                column = logged.columns.get(feature.name)
                is_there = all(feature.name in file.names for file in files)
                if kind is None or not is_there or column is None or column.kind != kind:
                    left_out.append(feature.name)
                else:
                    kinds[feature.name] = kind
            was = read_rows(files, kinds)
    except (WorkbenchError, OSError) as error:
        why = error.message if isinstance(error, WorkbenchError) else str(error)
        return JointDrift(0, logged.rows, note=f"the rows of its training can't be read: {why}")
    columns = []
    for name, kind in kinds.items():
        values = logged.columns[name].values
        columns.append(JointColumn(name, kind, was[name], values))
    return joint_drift(columns, left_out=left_out)


def _trained_on(invocation: Invocation, model: str, version: int) -> DataVersion:
    """The data version of the run that a model version was made in."""
    from store.data_versions import list_versions
    from store.errors import NotFoundError

    run_id = invocation.registry.version(model, version).run_id
    for data in list_versions(invocation.layout):
        if run_id is not None and run_id in data.run_ids:
            return data
    raise NotFoundError(
        "its run has no data version", "workbench train keeps one; compare files with --reference."
    )


def _files_of(layout: Layout, data: DataVersion, folder: Path) -> list[TableFile]:
    """The version's files, under the endings that tell their formats; raises NotFoundError for gone ones."""
    from pipelines.drift.columns import TableFile
    from store.data_cache import is_kept, md5_of, object_path
    from store.errors import NotFoundError

    found = []
    for place, file in enumerate(data.files):
        path = layout.root / file.path
        if file.md5 and is_kept(layout, file.md5):
            path = object_path(layout, file.md5)
        elif not path.is_file() or path.stat().st_size != file.bytes or md5_of(path) != file.md5:
            raise NotFoundError(
                f"{file.path} has changed or is gone, and no copy was kept",
                "Fetch the data version: workbench data pull.",
            )
        named = folder / f"{place:06d}-{Path(file.path).name}"
        named.symlink_to(path.resolve())
        found.append(TableFile(named))
    return found
