"""Kept data on another disk, host or cloud: a remote in DVC's layout, reached through fsspec."""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.data_cache import is_kept, md5_of, object_path, placed
from store.errors import DataError, StorageError, UsageError
from store.layout import Layout

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Transfer:
    """What a push or pull did: contents copied, and those that were there already."""

    copied: int
    present: int
    bytes: int = 0
    missing: tuple[str, ...] = ()
    """Contents that the other side doesn't have."""


class Remote:
    """A place that `[store] data_remote` names: a folder, or a URL that fsspec knows."""

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        import fsspec

        if "://" not in url and "::" not in url:
            url = (root / Path(url).expanduser()).as_uri()
        try:
            self._files, path = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UsageError(
                f"the data remote {self.url} can't be used: {error}",
                "Name a folder, or install what fsspec needs for that kind of URL (s3fs for s3://).",
            ) from error
        self._base = str(path).rstrip("/")

    def push(self, layout: Layout, md5s: Iterable[str]) -> Transfer:
        """Copy kept content that the remote lacks; each appears there whole or not at all."""
        copied, present, size, missing = 0, 0, 0, []
        for md5 in dict.fromkeys(md5s):
            target = self._path(md5)
            if not is_kept(layout, md5):
                missing.append(md5)
            elif self._guard(self._files.exists, target):
                present += 1
            else:
                source = object_path(layout, md5)
                self._guard(self._send, source, target)
                copied, size = copied + 1, size + source.stat().st_size
        return Transfer(copied, present, size, tuple(missing))

    def pull(self, layout: Layout, md5s: Iterable[str]) -> Transfer:
        """Fetch content that is not kept here; what arrives damaged is refused with DataError."""
        copied, present, size, missing = 0, 0, 0, []
        for md5 in dict.fromkeys(md5s):
            if is_kept(layout, md5):
                present += 1
            elif not self._guard(self._files.exists, self._path(md5)):
                missing.append(md5)
            else:
                size += self._guard(self._fetch, layout, md5)
                copied += 1
        return Transfer(copied, present, size, tuple(missing))

    def _path(self, md5: str) -> str:
        return f"{self._base}/files/md5/{md5[:2]}/{md5[2:]}"

    def _send(self, source: Path, target: str) -> None:
        self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
        temporary = f"{target}.{secrets.token_hex(4)}.tmp"
        try:
            with source.open("rb") as read, self._files.open(temporary, "wb") as written:
                shutil.copyfileobj(read, written, _CHUNK)
            self._files.mv(temporary, target)
        except BaseException:
            with contextlib.suppress(Exception):
                self._files.rm(temporary)
            raise

    def _fetch(self, layout: Layout, md5: str) -> int:
        path = object_path(layout, md5)
        with placed(layout, path) as target:
            self._files.get_file(self._path(md5), str(target))
            if md5_of(target) != md5.removesuffix(".dir"):
                raise DataError(
                    f"the content {md5} at {self.url} is damaged", "Push it again from where it is whole."
                )
        return path.stat().st_size

    def _guard(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except DataError:
            raise
        except Exception as error:  # every protocol has errors of its own
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageError(
                    f"between here and the data remote {self.url} a disk is full: {error.strerror}",
                    "Free the disk and do it again; what was copied stays.",
                ) from error
            raise StorageError(
                f"the data remote {self.url} failed: {error}", "Check the address, your access and the disk."
            ) from error
