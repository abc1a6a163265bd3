"""A server as a group of processes: started, ended, and its memory and CPU time added up; limits for it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_MB = 1e6
_CGROUP = Path("/sys/fs/cgroup")


@dataclass
class Served:
    """A running server."""

    url: str
    pid: int
    started_in_s: float
    """From its start to the answer of the first prediction."""

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_s(self) -> float:
        """User and system time of all its processes."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory(self) -> tuple[float, float, float]:
        """MB: the largest process' resident set; the resident and the proportional sets of all processes."""
        infos: list[Any] = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                infos.append(process.memory_full_info())
        resident = [info.rss / _MB for info in infos]
        return max(resident), sum(resident), sum(info.pss for info in infos) / _MB

    def private_memory(self) -> list[float]:
        """MB that only it holds, for each process forked from the first one with the same command."""
        first, *others = self.processes()
        words = first.cmdline()
        forked = [process for process in others if process.cmdline() == words]
        return [process.memory_full_info().uss / _MB for process in forked]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(
    command: Callable[[int], Sequence[str]],
    folder: Path,
    environment: Mapping[str, str],
    path: str,
    body: bytes,
    *,
    join: Callable[[], None] | None = None,
    timeout_s: float = 180.0,
) -> Iterator[Served]:
    """A server in a session of its own that has answered its first prediction; ended with the block.

    `join` is called in the new process before the server's program (to enter a cgroup).
    """
    port = free_port()
    words = list(command(port))
    url = f"http://127.0.0.1:{port}"
    log = folder / f"server-{port}.log"
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=dict(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=join,
        )
    try:
        request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"})
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60):
                    break
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise SystemExit(f"{words}: {error.code} {error.read()[:500]!r}") from error
            except OSError:
                pass
            if time.perf_counter() - started > timeout_s or process.poll() is not None:
                raise SystemExit(f"did not start: {' '.join(words)}\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield Served(url, process.pid, time.perf_counter() - started)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass
class Limited:
    """A cgroup with a share of the CPU and a limit of memory."""

    folders: tuple[Path, ...]
    peak_file: Path

    def join(self) -> None:
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak_mb(self) -> float:
        """The most memory it has held, the cache of files included."""
        return int(self.peak_file.read_text()) / _MB


@contextlib.contextmanager
def limited(cpus: float, memory_mb: int, name: str) -> Iterator[Limited | None]:
    """A cgroup (version 1 or 2) of our own, gone after the block; None where this user can't make one."""
    name = f"workbench-benchmark-{os.getpid()}-{name}"
    memory = memory_mb * 2**20
    if (_CGROUP / "cgroup.controllers").exists():
        folder = _CGROUP / name
        folders: tuple[Path, ...] = (folder,)
        limits = {folder / "cpu.max": f"{int(cpus * 100_000)} 100000", folder / "memory.max": str(memory)}
        peak = folder / "memory.peak"
    else:
        cpu, mem = _CGROUP / "cpu" / name, _CGROUP / "memory" / name
        folders = (cpu, mem)
        limits = {
            cpu / "cpu.cfs_period_us": "100000",
            cpu / "cpu.cfs_quota_us": str(int(cpus * 100_000)),
            mem / "memory.limit_in_bytes": str(memory),
        }
        peak = mem / "memory.max_usage_in_bytes"
    try:
        for folder in folders:
            folder.mkdir()
        for file, value in limits.items():
            file.write_text(value)
    except OSError:
        _remove(folders)
        yield None
        return
    try:
        yield Limited(folders, peak)
    finally:
        _remove(folders)


def _remove(folders: Sequence[Path]) -> None:
    """Ended processes leave a cgroup a moment after they are waited for."""
    deadline = time.monotonic() + 5
    for folder in folders:
        while folder.exists() and time.monotonic() < deadline:
            try:
                folder.rmdir()
            except OSError:
                time.sleep(0.05)
