from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from store.errors import StorageError
from store.files import write_atomically


def test_content_is_replaced_and_the_mode_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o600)
    write_atomically(path, "neü")
    assert path.read_bytes() == "neü".encode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_a_reader_never_sees_half_a_file_even_when_the_writer_is_killed(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "0" * 100_000)
    child = start_python(
        """
        import sys
        from pathlib import Path
        from store.files import write_atomically
        print("go", flush=True)
        number = 0
        while True:
            number = (number + 1) % 10
            write_atomically(Path(sys.argv[1]), str(number) * 100_000)
        """,
        path,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    seen = set()
    while len(seen) < 3:
        content = path.read_text()
        assert len(content) == 100_000
        assert len(set(content)) == 1
        seen.add(content[0])
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert len(set(path.read_text())) == 1


def test_a_folder_that_is_missing_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing/a\.txt"):
        write_atomically(tmp_path / "missing" / "a.txt", b"x")
