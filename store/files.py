"""Files that are either the old or the new, never half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from store.errors import StorageError


def write_atomically(path: Path, content: bytes | str, *, staging: Path | None = None) -> None:
    """Replace the file at `path` in one step; a reader sees the whole old or the whole new content.

    `staging` is the folder of the temporary file, on the same file system: for folders whose every file
    means something to their readers. Raises StorageError where the file can't be written.
    """
    data = content.encode() if isinstance(content, str) else content
    folder = staging or path.parent
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _mode(path))
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}", "Free the disk or make the folder writable."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, else what a new file gets (mkstemp's 0600 shuts others out)."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return 0o644
