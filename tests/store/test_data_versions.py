"""The content of data files, kept once each, and the versions made of it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from store import data_cache
from store.data_cache import is_kept, keep_file, keep_files, md5_of, object_path, size_of
from store.data_remote import Remote
from store.data_versions import (
    get_version,
    keep_version,
    list_versions,
    record_version,
    restore_version,
)
from store.errors import DataError, NotFoundError, UsageError
from store.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path / "project").ensure()


def write(layout: Layout, **contents: str) -> dict[str, Any]:
    """Data files and the manifest of a training on them."""
    files = []
    for name, content in contents.items():
        path = layout.root / "data" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        data = content.encode()
        files.append(
            {
                "path": f"data/{name}.csv",
                "sha256": hashlib.sha256(data).hexdigest(),
                "md5": hashlib.md5(data).hexdigest(),
                "rows": content.count("\n"),
                "bytes": len(data),
            }
        )
    digest = hashlib.sha256("\n".join(str(file["sha256"]) for file in files).encode()).hexdigest()
    return {"digest": digest, "rows": 2, "schema": {"a": "float64"}, "files": files}


def test_content_is_kept_once_as_dvc_keeps_it(layout: Layout) -> None:
    manifest = write(layout, a="x\n1\n", b="x\n1\n", c="x\n2\n")
    assert keep_version(layout, manifest) == ()
    md5 = hashlib.md5(b"x\n1\n").hexdigest()
    path = layout.state / "data/files/md5" / md5[:2] / md5[2:]
    assert path.read_text() == "x\n1\n"
    assert path.stat().st_mode & 0o777 == 0o444
    folder = json.loads(object_path(layout, record_version(layout, "p", manifest).directory).read_text())
    assert folder[0] == {"md5": md5, "relpath": "data/a.csv"}
    assert [entry["relpath"] for entry in folder] == ["data/a.csv", "data/b.csv", "data/c.csv"]


def test_a_file_changed_in_place_changes_no_copy(layout: Layout) -> None:
    manifest = write(layout, a="x\n1\n")
    keep_version(layout, manifest)
    source, kept = layout.root / "data/a.csv", object_path(layout, manifest["files"][0]["md5"])
    assert not source.samefile(kept)
    assert source.stat().st_nlink == 1
    with source.open("r+") as file:
        file.write("y")
    assert kept.read_text() == "x\n1\n"


def test_a_file_that_changed_since_it_was_read_is_not_kept(layout: Layout) -> None:
    manifest = write(layout, a="x\n1\n")
    (layout.root / "data/a.csv").write_text("x\n3\n")
    (problem,) = keep_version(layout, manifest)
    assert "changed" in problem
    assert not is_kept(layout, manifest["files"][0]["md5"])
    assert [path for path in layout.data.iterdir() if path.name.endswith(".tmp")] == []


def test_a_full_disk_costs_the_copy_and_nothing_else(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write(layout, a="x\n1\n")

    def full(source: Path, target: Path) -> None:
        target.write_text("x")
        raise OSError(28, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(data_cache, "_copy", full)
        assert keep_version(layout, manifest) == (
            "the content of a.csv is not kept: No space left on device",
        )
    assert list(layout.data.glob("*.tmp")) == []
    disk = os.statvfs(layout.root)
    nearly = os.statvfs_result((4096, 4096, 100_000, 9_000, 9_000, *disk[5:10]))
    with monkeypatch.context() as patch:
        patch.setattr(data_cache.os, "statvfs", lambda _: nearly)
        assert "free on the disk" in keep_version(layout, manifest)[0]
    assert keep_version(layout, manifest) == ()


def test_beyond_the_limit_the_oldest_versions_lose_their_content(layout: Layout) -> None:
    big = "x\n" + "1\n" * 300_000
    first = write(layout, a=big, shared="x\n7\n")
    keep_version(layout, first, limit_mb=1)
    record_version(layout, "p", first)
    second = write(layout, b=big.replace("1", "2"), shared="x\n7\n")
    assert keep_version(layout, second, limit_mb=1) == ()
    record_version(layout, "p", second)
    assert [version.kept_files(layout) for version in list_versions(layout)] == [2, 1]
    assert size_of(layout) < 1_000_000
    third = write(layout, c=big * 3)
    assert "keep_data_mb" in keep_version(layout, third, limit_mb=1)[0]
    assert get_version(layout, second["digest"]).kept_files(layout) == 2


def test_versions_are_found_by_digest_and_by_run(layout: Layout) -> None:
    manifest = write(layout, a="x\n1\n")
    record_version(layout, "p", manifest, run_id="f00dfeed")
    record_version(layout, "p", manifest, run_id="cafecafe")
    (version,) = list_versions(layout, pipeline="p")
    assert set(version.run_ids) == {"f00dfeed", "cafecafe"}
    assert get_version(layout, version.digest[:8]) == version
    assert get_version(layout, "f00dfe") == version
    with pytest.raises(NotFoundError):
        get_version(layout, "nothing")


def test_restoring_loses_nothing(layout: Layout, tmp_path: Path) -> None:
    manifest = write(layout, a="x\n1\n", b="x\n2\n", c="x\n3\n")
    keep_version(layout, manifest)
    version = record_version(layout, "p", manifest)
    data = layout.root / "data"
    (data / "a.csv").unlink()
    (data / "b.csv").write_text("mine\n")
    done = restore_version(layout, version)
    assert (done.written, done.present, done.differing) == (
        (data / "a.csv",),
        (data / "c.csv",),
        (data / "b.csv",),
    )
    assert (data / "b.csv").read_text() == "mine\n"
    assert restore_version(layout, version, overwrite=True).written == (data / "b.csv",)
    assert (data / "b.csv").read_text() == "x\n2\n"
    assert is_kept(layout, hashlib.md5(b"mine\n").hexdigest())
    assert (data / "b.csv").stat().st_mode & 0o200
    restore_version(layout, version, folder=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere/data/c.csv").read_text() == "x\n3\n"


def test_damaged_content_is_never_put_back(layout: Layout) -> None:
    manifest = write(layout, a="x\n1\n")
    keep_version(layout, manifest)
    version = record_version(layout, "p", manifest)
    kept = object_path(layout, manifest["files"][0]["md5"])
    kept.chmod(0o644)
    kept.write_text("y\n1\n")
    (layout.root / "data/a.csv").unlink()
    with pytest.raises(DataError, match="damaged"):
        restore_version(layout, version)
    assert not (layout.root / "data/a.csv").exists()
    kept.unlink()
    with pytest.raises(DataError, match="not kept here"):
        restore_version(layout, version)


@pytest.mark.parametrize("url", ["remote", "file://{root}/remote", "memory://bucket/data"])
def test_what_is_pushed_can_be_pulled(layout: Layout, url: str) -> None:
    manifest = write(layout, a="x\n1\n", b="x\n2\n")
    keep_version(layout, manifest)
    version = record_version(layout, "p", manifest)
    names = [*(file.md5 for file in version.files), version.directory]
    remote = Remote(url.format(root=layout.root), layout.root)
    assert (remote.push(layout, names).copied, remote.push(layout, names).present) == (3, 3)
    for name in names:
        object_path(layout, name).unlink()
    assert remote.push(layout, names).missing == tuple(names)
    assert remote.pull(layout, names).copied == 3
    for file in version.files:
        assert md5_of(object_path(layout, file.md5)) == file.md5
    assert remote.pull(layout, ["0" * 32]).missing == ("0" * 32,)


def test_damaged_content_of_a_remote_is_refused(layout: Layout) -> None:
    manifest = write(layout, a="x\n1\n")
    keep_version(layout, manifest)
    md5 = manifest["files"][0]["md5"]
    remote = Remote("remote", layout.root)
    remote.push(layout, [md5])
    (layout.root / "remote/files/md5" / md5[:2] / md5[2:]).write_text("y\n")
    object_path(layout, md5).unlink()
    with pytest.raises(DataError, match="damaged"):
        remote.pull(layout, [md5])
    assert not is_kept(layout, md5)


def test_an_unknown_kind_of_remote_is_named(layout: Layout) -> None:
    with pytest.raises(UsageError, match="nothing://there"):
        Remote("nothing://there", layout.root)


def test_two_that_keep_the_same_file_dont_disturb(layout: Layout) -> None:
    manifest = write(layout, a="x\n1\n")
    path, md5 = layout.root / "data/a.csv", manifest["files"][0]["md5"]
    layout.data.mkdir(exist_ok=True)
    keep_file(layout, path, md5)
    keep_file(layout, path, md5)
    assert keep_files(layout, [(path, md5)]).files == 1


def test_what_a_killed_process_left_unfinished_is_cleared_away(layout: Layout) -> None:
    manifest = write(layout, **{"a.csv": "x,y\n1,2\n"})
    layout.data.mkdir(parents=True)
    left, held, fresh = (layout.data / f"new.{name}.tmp" for name in ("left", "held", "fresh"))
    for path in (left, held, fresh):
        path.write_text("half of")
    for path in (left, held):
        os.utime(path, (1, 1))
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert keep_version(layout, manifest) == ()
        assert sorted(layout.data.glob("new.*")) == [fresh, held]
