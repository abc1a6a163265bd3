"""A full disk during vacuum, export, rebuild, backup and restore: named, and nothing is left or changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from store.backup import back_up
from store.errors import StorageError
from store.export import export
from store.fold import fold, rebuild_now
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.restore import restore
from store.settings import StoreSettings
from store.vacuum import vacuum


def fill(folder: Path) -> Path:
    """Take all that is free but some blocks."""
    file = folder / "fill"
    with suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(b"\0" * (1 << 20))
    with file.open("rb+") as out:
        out.truncate(file.stat().st_size - 8_192)
    return file


def test_upkeep_on_a_full_disk_is_named_and_changes_nothing(
    small_disk: Path, tmp_path: Path, log_bikes: Any
) -> None:
    layout = Layout.of(small_disk / "project").ensure()
    log = PredictionLog(layout, StoreSettings())
    ids = log_bikes(log, rows=3_000)
    log.close()
    fold(layout)
    (layout.state / "data").mkdir()
    (layout.state / "data" / "one").write_bytes(random.Random(1).randbytes(1_000_000))
    backup = tmp_path / "backup.tar.gz"
    back_up(layout, None, backup)

    def places(_settings: bytes | None) -> tuple[Layout, None]:
        return layout, None

    before = sorted(path for path in small_disk.rglob("*") if path.parent != layout.run)
    filled = fill(small_disk)
    commands: dict[str, Callable[[], object]] = {
        "vacuum": lambda: vacuum(layout),
        "export": lambda: export(layout, small_disk / "exported"),
        "rebuild": lambda: rebuild_now(layout),
        "backup": lambda: back_up(layout, None, small_disk / "backup.tar.gz"),
        "restore": lambda: restore(backup, layout.root, places, overwrite=True),
    }
    said = {}
    for name, command in commands.items():
        try:
            command()
            said[name] = "nothing"
        except StorageError as error:
            said[name] = error.message
    assert {name for name, text in said.items() if "no space left" in text.lower()} == commands.keys(), said
    filled.unlink()

    assert sorted(path for path in small_disk.rglob("*") if path.parent != layout.run) == before
    assert [path.name for path in layout.run.iterdir() if "duckdb" in path.name] == []
    assert len(PredictionReader(layout).query("FROM predictions").rows) == len(ids)
    for command in commands.values():
        command()
    assert len(PredictionReader(layout).query("FROM predictions").rows) == len(ids)
