"""Data versions: exactly which content each training saw, by the hash of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from store.data_cache import (
    directory_name,
    drop,
    is_kept,
    keep_directory,
    keep_files,
    md5_of,
    restore_file,
    size_of,
)
from store.errors import DataError, NotFoundError, StorageError, UsageError, WorkbenchError
from store.layout import Layout
from store.state import connect


@dataclass(frozen=True)
class VersionFile:
    """One file of a version: what it was called, and the hashes of what it held."""

    path: str
    sha256: str
    md5: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class DataVersion:
    """What a training saw: the files in order, and the digest of their content that names it."""

    digest: str
    pipeline: str
    rows: int
    files: tuple[VersionFile, ...]
    schema: Mapping[str, str]
    created_at: datetime
    run_ids: tuple[str, ...] = ()

    @property
    def directory(self) -> str:
        """Name of the list of files in the cache, as DVC names a folder: `….dir`."""
        return directory_name({file.path: file.md5 for file in self.files})

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def kept_files(self, layout: Layout) -> int:
        """How many of its files' contents are kept here."""
        return sum(is_kept(layout, file.md5) for file in self.files)

    def as_json(self, layout: Layout) -> dict[str, Any]:
        """The version as `data versions --json` prints it."""
        return {
            "version": self.digest,
            "pipeline": self.pipeline,
            "rows": self.rows,
            "bytes": self.bytes,
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
            "kept": self.kept_files(layout) == len(self.files),
            "runs": list(self.run_ids),
            "files": [vars(file) for file in self.files],
            "schema": dict(self.schema),
            "dvc": self.directory,
        }


@dataclass(frozen=True)
class Restored:
    """What putting a version's files back came to, by path."""

    written: tuple[Path, ...] = ()
    present: tuple[Path, ...] = ()
    """Files that were there already, with the same content."""
    differing: tuple[Path, ...] = ()
    """Files with other content, which were left alone."""


@dataclass(frozen=True)
class _Plan:
    write: list[tuple[VersionFile, Path]] = field(default_factory=list)
    present: list[Path] = field(default_factory=list)
    differing: list[tuple[VersionFile, Path]] = field(default_factory=list)


def record_version(
    layout: Layout,
    pipeline: str,
    manifest: Mapping[str, Any],
    *,
    run_id: str | None = None,
) -> DataVersion:
    """Write down the manifest of a training ("digest", "rows", "schema", "files" with path, sha256, md5,
    rows and bytes); the same data again adds its run only."""
    now = datetime.now(UTC)
    with connect(layout) as connection:
        connection.execute(
            "INSERT INTO data_versions VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET manifest = ?4",
            (manifest["digest"], pipeline, manifest["rows"], json.dumps(manifest), now.isoformat()),
        )
        if run_id is not None:
            connection.execute(
                "INSERT OR IGNORE INTO data_version_runs VALUES (?, ?, ?)",
                (manifest["digest"], run_id, now.isoformat()),
            )
    return get_version(layout, manifest["digest"])


def keep_version(
    layout: Layout,
    manifest: Mapping[str, Any],
    *,
    limit_mb: int | None = None,
) -> tuple[str, ...]:
    """Keep the content of all files of a manifest; why some of it is not kept, in words. Raises nothing: a
    training goes on without."""
    files = [(_place_of(layout, file["path"]), file["md5"]) for file in manifest["files"]]
    needed = {file["md5"]: file["bytes"] for file in manifest["files"] if not is_kept(layout, file["md5"])}
    if limit_mb is not None and needed:
        with suppress(WorkbenchError, OSError):
            forget_oldest(layout, limit_mb, needed_bytes=sum(needed.values()), but=manifest["digest"])
    kept = keep_files(layout, files, limit_bytes=None if limit_mb is None else limit_mb * 1_000_000)
    if kept.problems:
        return kept.problems
    try:
        keep_directory(layout, {file["path"]: file["md5"] for file in manifest["files"]})
    except OSError as error:
        return (f"the list of the data's files is not kept: {error.strerror}",)
    return ()


def list_versions(layout: Layout, *, pipeline: str | None = None) -> list[DataVersion]:
    """All versions, newest first; none where nothing was trained yet."""
    if not layout.state_db.exists():
        return []
    with connect(layout) as connection:
        rows = connection.execute(
            "SELECT * FROM data_versions WHERE ?1 IS NULL OR pipeline = ?1 ORDER BY created_at DESC",
            (pipeline,),
        ).fetchall()
        runs: dict[str, list[str]] = {}
        for digest, run_id in connection.execute(
            "SELECT digest, run_id FROM data_version_runs ORDER BY at DESC"
        ):
            runs.setdefault(digest, []).append(run_id)
    return [_version(row, runs.get(row["digest"], [])) for row in rows]


def get_version(layout: Layout, version: str) -> DataVersion:
    """The version with this digest, or a unique beginning of it, or that a run (its id or the beginning of
    it) saw; raises NotFoundError."""
    versions = list_versions(layout)
    found = [known for known in versions if known.digest.startswith(version)]
    if not found and len(version) >= 4:
        found = [known for known in versions if any(run.startswith(version) for run in known.run_ids)]
    if len(found) == 1 or (found and found[0].digest == version):
        return found[0]
    if found:
        raise NotFoundError(f"several data versions begin with {version!r}", "Give more of it.")
    raise NotFoundError(f"no data version {version!r}", "See them with: workbench data versions.")


def restore_version(
    layout: Layout,
    version: DataVersion,
    *,
    folder: Path | None = None,
    overwrite: bool = False,
) -> Restored:
    """Write the files of a version to where they were, or below `folder`.

    A file with other content is left alone, unless `overwrite`: then its content is kept first. Raises
    DataError where content that is needed is not kept, before anything is written.
    """
    plan = _plan(layout, version, folder)
    wanted = [*plan.write, *(plan.differing if overwrite else [])]
    missing = [file.path for file, _ in wanted if not is_kept(layout, file.md5)]
    if missing:
        raise DataError(
            f"the content of {missing[0]} in data version {version.digest[:12]} is not kept here"
            + (f", nor that of {len(missing) - 1} more" if len(missing) > 1 else ""),
            "Fetch it: workbench data pull.",
        )
    if overwrite:
        for _, path in plan.differing:
            _rescue(layout, path)
    for file, path in wanted:
        restore_file(layout, file.md5, path)
    return Restored(
        tuple(path for _, path in wanted),
        tuple(plan.present),
        () if overwrite else tuple(path for _, path in plan.differing),
    )


def forget_oldest(layout: Layout, limit_mb: int, *, needed_bytes: int = 0, but: str = "") -> list[str]:
    """Drop the content of the oldest versions until there is room within the limit; the digests of those.

    What a newer version shares with them stays. Nothing is dropped for more than the limit takes.
    """
    room = limit_mb * 1_000_000 - needed_bytes
    dropped: list[str] = []
    versions = list_versions(layout)
    while room >= 0 and versions and size_of(layout) > room:
        oldest = versions.pop()
        if oldest.digest == but:
            continue
        shared = {file.md5 for version in versions for file in version.files}
        if drop(layout, [file.md5 for file in oldest.files if file.md5 not in shared]):
            dropped.append(oldest.digest)
    return dropped


def _plan(layout: Layout, version: DataVersion, folder: Path | None) -> _Plan:
    plan = _Plan()
    for file in version.files:
        path = _place_of(layout, file.path) if folder is None else _below(folder, file.path)
        if not path.exists():
            plan.write.append((file, path))
        elif path.is_file() and path.stat().st_size == file.bytes and md5_of(path) == file.md5:
            plan.present.append(path)
        else:
            plan.differing.append((file, path))
    return plan


def _rescue(layout: Layout, path: Path) -> None:
    """Keep what lies there now, so that nothing is lost by overwriting it."""
    kept = keep_files(layout, [(path, md5_of(path))])
    if kept.problems:
        raise StorageError(f"{path} would be lost: {kept.problems[0]}", "Copy it elsewhere first.")


def _below(folder: Path, path: str) -> Path:
    """Where a file goes within a folder; an absolute path gives its name only."""
    pure = PurePosixPath(path)
    if ".." in pure.parts:
        raise UsageError(f"{path} lies outside of the project", "Restore it to its own place.")
    return folder / (pure.name if pure.is_absolute() else path)


def _place_of(layout: Layout, path: str) -> Path:
    return layout.root / path


def _version(row: Any, run_ids: Sequence[str]) -> DataVersion:
    manifest = json.loads(row["manifest"])
    return DataVersion(
        digest=row["digest"],
        pipeline=row["pipeline"],
        rows=row["rows"],
        files=tuple(
            VersionFile(file["path"], file["sha256"], file.get("md5", ""), file["rows"], file["bytes"])
            for file in manifest["files"]
        ),
        schema=manifest["schema"],
        created_at=datetime.fromisoformat(row["created_at"]),
        run_ids=tuple(run_ids),
    )
