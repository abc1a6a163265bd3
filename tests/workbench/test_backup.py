"""`workbench backup` and `restore` where something is in their way: the project is whole, before or after."""

from __future__ import annotations

import fcntl
import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.backup import back_up
from store.errors import BusyError, DataError, StorageError
from store.fold import fold
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.predictions import PredictionReader
from store.restore import restore
from store.settings import StoreSettings
from store.state import connect


def log_rows(layout, count):
    log = PredictionLog(layout.ensure(), StoreSettings())
    ids = new_prediction_ids(count)
    assert log.append(
        model="churn",
        version=1,
        schema=FeatureSchema(("age",), ("numeric",)),
        prediction_ids=ids,
        predicted_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        predictions=[1.5] * count,
        probability=None,
        probabilities=None,
        classes=None,
        numeric=[[31.0]] * count,
        categorical=[],
        latency_ms=1.5,
    )
    log.close()
    return ids


def ids_in(layout):
    rows = PredictionReader(layout).query("SELECT prediction_id FROM predictions ORDER BY 1").rows
    return [row[0] for row in rows]


@pytest.fixture
def backed_up(project, tmp_path):
    """A backup of folded, archived and spooled predictions, and their ids."""
    layout = Layout.of(project)
    ids = log_rows(layout, 50)
    fold(layout)
    ids += log_rows(layout, 5)
    file = tmp_path / "backup.tar.gz"
    back_up(layout, None, file)
    return file, ids


@pytest.fixture
def elsewhere(tmp_path_factory):
    return tmp_path_factory.mktemp("elsewhere")


def places(layout):
    return lambda settings: (layout, None)


def test_the_backups_own_settings_say_where_it_goes(workbench, project, elsewhere, tmp_path):
    settings = project / "workbench.toml"
    settings.write_text(settings.read_text() + '\n[store]\npath = "var/log"\n[tracking]\nuri = "var/runs"\n')
    ids = log_rows(Layout.of(project, "var/log"), 3)
    run = project / "var" / "runs" / "0" / "meta.yaml"
    run.parent.mkdir(parents=True)
    run.write_text("name: Default\n")
    file = tmp_path / "backup.tar.gz"
    assert workbench("backup", str(file)).code == 0

    assert workbench("-C", str(elsewhere), "restore", str(file)).code == 0
    assert ids_in(Layout.of(elsewhere, "var/log")) == ids
    assert (elsewhere / "var" / "runs" / "0" / "meta.yaml").read_text() == "name: Default\n"
    assert sorted(path.name for path in elsewhere.iterdir()) == ["var", "workbench.toml"]


def test_settings_that_are_broken_now_are_no_hindrance(workbench, project, backed_up):
    (project / "workbench.toml").write_text("[project\n")
    assert workbench("restore", str(backed_up[0]), "--yes").code == 0
    assert ids_in(Layout.of(project)) == backed_up[1]


def test_a_part_that_cannot_be_moved_in_leaves_everything_as_it_was(
    project, backed_up, tmp_path, monkeypatch
):
    layout = Layout.of(project)
    ids = [*ids_in(layout), *log_rows(layout, 1)]
    settings = (project / "workbench.toml").read_text()
    rename = Path.rename

    def refuse(self, target):
        if Path(target).name == "workbench.toml" and ".restore-" in str(self):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(StorageError, match="All is as it was"):
            restore(backed_up[0], project, places(layout), overwrite=True)
    assert (ids_in(layout), (project / "workbench.toml").read_text()) == (ids, settings)
    assert not [*project.glob(".restore-*")]
    assert not [*project.glob("*.before-*")]


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_a_backup_with_one_wrong_byte_is_refused(project, tmp_path, at):
    layout = Layout.of(project).ensure()
    (layout.state / "random").write_bytes(random.Random(1).randbytes(50_000))
    file = tmp_path / "backup.tar.gz"
    back_up(layout, None, file)
    content = bytearray(file.read_bytes())
    content[int(len(content) * at)] ^= 0x40
    file.write_bytes(content)
    with pytest.raises(DataError, match="Use another one"):
        restore(file, project, places(layout), overwrite=True)
    assert not [*project.glob("*.before-*")]


def test_a_wrong_byte_outside_of_all_files_is_found_too(project, backed_up, tmp_path):
    """A disk that damaged what fills a block up has not much more to be trusted with."""
    raw = bytearray(gzip.decompress(backed_up[0].read_bytes()))
    crc = backed_up[0].read_bytes()[-8:]
    raw[512 + 500] ^= 0x40  # behind the settings, which are the first file
    file = tmp_path / "wrong.tar.gz"
    file.write_bytes(gzip.compress(bytes(raw))[:-8] + crc)
    with pytest.raises(DataError, match="Use another one"):
        restore(file, project, places(Layout.of(project)), overwrite=True)


def test_a_backup_of_a_newer_workbench_is_refused(project, backed_up, monkeypatch):
    layout = Layout.of(project)
    newer = backed_up[0].with_name("newer.tar.gz")
    monkeypatch.setattr("store.backup.FORMAT", 2)
    back_up(layout, None, newer)
    with pytest.raises(DataError, match="newer workbench"):
        restore(newer, project, places(layout), overwrite=True)


def test_a_file_within_what_is_backed_up_is_refused(workbench, project):
    refused = workbench("backup", str(project / ".workbench" / "backup.tar.gz"))
    assert (refused.code, "outside" in refused.err) == (2, True)


def test_what_cannot_be_read_is_named_and_there_is_no_half_a_backup(project, tmp_path, monkeypatch):
    layout = Layout.of(project).ensure()
    secret = layout.state / "secret"
    secret.write_text("x")
    open_path = Path.open

    def refuse(self, *args, **kwargs):
        if self == secret:
            raise PermissionError(13, "Permission denied", str(self))
        return open_path(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=f"cannot read {secret}"):
        back_up(layout, None, tmp_path / "backup.tar.gz")
    assert not [*tmp_path.glob("*backup*")]


def test_folders_behind_links_are_in_it(project, tmp_path):
    layout = Layout.of(project).ensure()
    (tmp_path / "other disk").mkdir()
    (tmp_path / "other disk" / "one").write_text("1")
    (layout.state / "data").symlink_to(tmp_path / "other disk")
    (tmp_path / "other disk" / "round").symlink_to(layout.state / "data")
    back_up(layout, None, tmp_path / "backup.tar.gz")
    with tarfile.open(tmp_path / "backup.tar.gz") as archive:
        assert [name for name in archive.getnames() if "/data/" in name] == ["state/data/one"]


def test_a_disk_that_became_read_only_can_still_be_backed_up(project, elsewhere):
    """The state's folder is mounted read-only where the command sees it: what a failing disk becomes."""
    layout = Layout.of(project)
    ids = log_rows(layout, 20)
    fold(layout)
    with connect(layout):
        pass
    ids += log_rows(layout, 5)
    file = elsewhere / "backup.tar.gz"
    script = (
        f'mount --bind "{project}" "{project}" && mount -o remount,ro,bind "{project}"'
        f' && exec {sys.executable} -m workbench -C "{project}" backup "{file}"'
    )
    command = ["unshare", "--mount", "--map-root-user", "--user", "sh", "-c", script]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "--mount", "--map-root-user", "--user", "true"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no right to mount here")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    root = elsewhere / "restored"
    restore(file, root, places(Layout.of(root)))
    assert ids_in(Layout.of(root)) == ids


def test_two_restores_at_once_are_one_and_a_refusal(project, backed_up, tmp_path):
    root = tmp_path / "restored"
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(BusyError, match="another process restores"):
        restore(backed_up[0], root, places(Layout.of(root)))
    os.close(descriptor)
    restore(backed_up[0], root, places(Layout.of(root)))
    assert ids_in(Layout.of(root)) == backed_up[1]


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_killed_at_any_moment_it_can_be_done_again(project, backed_up, elsewhere, command):
    file, ids = backed_up
    again = elsewhere / "again.tar.gz"
    root = project if command == "backup" else elsewhere
    arguments = ["backup", str(again)] if command == "backup" else ["restore", str(file), "--yes"]
    whole = [sys.executable, "-m", "workbench", "-C", str(root), *arguments]
    for delay_s in (0.3, 0.5, 0.6, 0.7):
        child = subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay_s)
        child.send_signal(signal.SIGKILL)
        child.wait()
        again.unlink(missing_ok=True)
    assert subprocess.run(whole, capture_output=True, check=False).returncode == 0
    if command == "backup":
        root = elsewhere / "restored"
        restore(again, root, places(Layout.of(root)))
        assert not [*elsewhere.glob(".again*")]
    assert ids_in(Layout.of(root)) == ids
    assert not [*root.glob(".restore-*")]
