"""Builds the image from this repository's Dockerfile and shows what it promises, in a real container.

    python tests/container/build_and_serve.py                              build, then check
    python tests/container/build_and_serve.py --image NAME                 check an image that exists
    python tests/container/build_and_serve.py -- --volume /etc/pip.conf:/etc/pip.conf:ro

Builds with buildah (chroot isolation, docker format), or docker where there is no buildah; what follows `--`
goes to the build, for instance the configuration of this machine's package index. Runs with podman or docker,
with a read-only root and 512 MB; where neither works, with `buildah run` in a chroot, which can't show these
two. `RUN_OPTIONS` in the environment goes to the engine that runs. Exits with 1 at the first broken promise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAME = "workbench-check"
MEMORY_MB = 512
DATA = "/opt/workbench/lib/python3*/site-packages/workbench/demo/data/cancer.csv"
MAKE_PROJECT = f"workbench init . --data {DATA} --target target && workbench train"
HEALTHCHECK = ["python", "-IS", "/opt/workbench/image/healthcheck.py"]
Words = list[str]


def run(*words: str, timeout: float = 900, check: bool = True) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    if check and result.returncode:
        raise SystemExit(f"{shlex.join(words)} ended with {result.returncode}:\n{result.stderr[-3000:]}")
    return result


def promise(words: str, holds: bool, seen: object = "") -> None:
    print(f"{'✓' if holds else '✗'} {words}{f': {seen}' if seen != '' else ''}", flush=True)
    if not holds:
        raise SystemExit(1)


def build(image: str, options: Words) -> None:
    if shutil.which("buildah"):
        words = ["buildah", "bud", "--isolation", "chroot", "--format", "docker", *options]
    else:
        words = ["docker", "build", *options]
    started = time.monotonic()
    if subprocess.run([*words, "-t", image, str(ROOT)]).returncode:
        raise SystemExit("the image could not be built")
    promise("the image builds", True, f"{time.monotonic() - started:.0f} s")


class Engine:
    """podman or docker: real containers."""

    can_limit = True

    def __init__(self, program: str, image: str, volume: Path) -> None:
        self.program, self.image = program, image
        self._options = ["--read-only", "--tmpfs", "/tmp", "--memory", f"{MEMORY_MB}m", "--network", "host"]
        self._options += ["-v", f"{volume}:/project", *shlex.split(os.environ.get("RUN_OPTIONS", ""))]

    def works(self) -> bool:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            return "workbench" in self.once("--version", check=False, timeout=120).stdout
        return False

    def once(self, *command: str, check: bool = True, timeout: float = 600) -> Any:
        return run(
            self.program, "run", "--rm", *self._options, self.image, *command, check=check, timeout=timeout
        )

    def start(self, port: int) -> None:
        run(self.program, "run", "-d", "--name", NAME, *self._options, "-e", f"PORT={port}", self.image)

    def output(self) -> str:
        result = run(self.program, "logs", NAME, check=False)
        return result.stdout + result.stderr

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run(self.program, "exec", NAME, *command, check=False)

    def signal(self) -> None:
        """SIGTERM to the container's first process."""
        run(self.program, "kill", "--signal", "TERM", NAME)

    def wait(self) -> int:
        return int(run(self.program, "wait", NAME, timeout=60).stdout.split()[-1])

    def memory_mb(self) -> tuple[float, float] | None:
        """The most the cgroup held, and the resident memory of its processes."""
        found = run(self.program, "inspect", "-f", "{{.State.Pid}}", NAME).stdout.strip()
        return memory_of(int(found))

    def remove(self) -> None:
        run(self.program, "rm", "-f", NAME, check=False)


class Chroot:
    """`buildah run`: the image's files, user and environment, and nothing else of a container."""

    program, can_limit = "buildah run", False

    def __init__(self, image: str, volume: Path) -> None:
        self._container = run("buildah", "from", image).stdout.strip()
        # A chroot would lay a folder of buildah's own over ours.
        run("buildah", "config", "--volume", "/project-", self._container)
        self._volume = volume
        config = json.loads(run("buildah", "inspect", "--type", "image", image).stdout)["Docker"]["config"]
        self._entrypoint: Words = config["Entrypoint"]
        self._command: Words = config["Cmd"]
        self._process: subprocess.Popen[str] | None = None
        self._output = ""

    def works(self) -> bool:
        return "workbench" in self.once("--version").stdout

    def _words(self, command: Words, environment: Words) -> Words:
        options = ["--isolation", "chroot", "-v", f"{self._volume}:/project", *environment]
        return ["buildah", "run", *options, self._container, "--", *command]

    def once(self, *command: str, check: bool = True, timeout: float = 600) -> Any:
        return run(*self._words([*self._entrypoint, *command], []), check=check, timeout=timeout)

    def start(self, port: int) -> None:
        words = self._words([*self._entrypoint, *self._command], ["--env", f"PORT={port}"])
        self._file = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115
        self._process = subprocess.Popen(words, stdout=self._file, stderr=self._file, text=True)

    def output(self) -> str:
        return Path(self._file.name).read_text()

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run(*self._words(list(command), []), check=False)

    def _pid(self) -> int:
        return int(json.loads((self._volume / ".workbench/run/server.json").read_text())["pid"])

    def signal(self) -> None:
        os.kill(self._pid(), signal.SIGTERM)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(60)

    def memory_mb(self) -> tuple[float, float] | None:
        return memory_of(self._pid(), with_cgroup=False)

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def close(self) -> None:
        run("buildah", "rm", self._container, check=False)


def memory_of(pid: int, *, with_cgroup: bool = True) -> tuple[float, float] | None:
    """MB from Linux itself; None elsewhere."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        status = Path(f"/proc/{pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0]) / 1e3
        if not with_cgroup:
            return int(status.split("VmHWM:")[1].split()[0]) / 1e3, resident
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controller, path = line.split(":", 2)
            for file in (
                Path(f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes"),
                Path(f"/sys/fs/cgroup{path}/memory.peak"),
            ):
                if controller in ("memory", "") and path != "/" and file.exists():
                    return int(file.read_text()) / 1e6, resident
    return None


def ask(url: str, body: object = None, key: str = "") -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **({"X-API-Key": key} if key else {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@contextlib.contextmanager
def serving(engine: Engine | Chroot) -> Iterator[tuple[str, float]]:
    """The image's default command; yields its URL and the seconds until it answers with a model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine.remove()
    started = time.monotonic()
    engine.start(port)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            with contextlib.suppress(OSError, ValueError):
                status, health = ask(f"{url}/health")
                if status == 200 and health["model_loaded"]:
                    break
            if time.monotonic() - started > 120:
                raise SystemExit(f"it does not answer:\n{engine.output()[-3000:]}")
            time.sleep(0.1)
        yield url, time.monotonic() - started
    finally:
        engine.remove()


def check(engine: Engine | Chroot, volume: Path) -> None:
    plain, full = (engine.once(*words).stdout for words in (["--version"], ["workbench", "--version"]))
    promise("any command by argument, with or without `workbench`", plain == full != "", plain.strip())
    user = engine.once("sh", "-c", "id -u").stdout.strip()
    promise("it does not run as root", user != "0", f"uid {user}")
    tools = "for tool in gcc cc c++ clang make; do command -v $tool; done; true"
    promise("no compilers inside", engine.once("sh", "-c", tools).stdout == "")
    tests = "cd /opt/workbench && find . -type d -name tests"
    promise("no tests inside", engine.once("sh", "-c", tests).stdout == "")
    if engine.can_limit:
        touched = engine.once("sh", "-c", "touch /opt/x /x", check=False)
        promise("its root is read-only here", touched.returncode != 0)

    engine.once("sh", "-c", MAKE_PROJECT)
    promise(f"trains {'within 512 MB and ' if engine.can_limit else ''}in the volume alone", True)

    with serving(engine) as (url, seconds):
        promise("serves by default", True, f"answers with a model after {seconds:.1f} s")
        keys = re.findall(r"wb_[\w-]+", engine.output())
        promise("makes a key and prints it once", len(keys) == 1)
        key = keys[0]
        stored = [path for path in volume.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
        promise("stores no key as it is", not stored)
        row = {"features": [0.5] * 30}
        promise("no prediction without a key", ask(f"{url}/predict", row)[0] == 401)
        status, answer = ask(f"{url}/predict", row, key)
        promise("a prediction with it, logged", status == 200 and bool(answer["prediction_id"]), answer)
        checked = engine.inside(*HEALTHCHECK)
        promise("HEALTHCHECK is content", checked.returncode == 0, checked.stderr.strip())
        memory = engine.memory_mb()
        if memory is not None:
            peak, resident = memory
            what = "cgroup peak" if engine.can_limit else "peak"
            promise("within 512 MB", peak < MEMORY_MB, f"{what} {peak:.0f} MB, RSS {resident:.0f} MB")
        started = time.monotonic()
        engine.signal()
        code = engine.wait()
        promise("SIGTERM ends it with 0", code == 0, f"after {time.monotonic() - started:.1f} s")
    with serving(engine) as (url, seconds):
        promise("a second start makes no key", "wb_" not in engine.output(), f"{seconds:.1f} s")
        promise("and knows the first", ask(f"{url}/predict", row, key)[0] == 200)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", help="check this image and build nothing")
    parser.add_argument("--engine", choices=("podman", "docker", "buildah"), help="run with this")
    parser.add_argument("build_options", nargs="*", metavar="-- BUILD OPTIONS")
    options = parser.parse_args()
    image = options.image or "localhost/workbench:check"
    if options.image is None:
        build(image, options.build_options)
    with tempfile.TemporaryDirectory(prefix="workbench-container-", ignore_cleanup_errors=True) as name:
        volume = Path(name)
        volume.chmod(0o777)
        engine: Engine | Chroot | None = None
        for program in [options.engine] if options.engine else ["podman", "docker"]:
            if program == "buildah" or not shutil.which(program):
                continue
            candidate = Engine(program, image, volume)
            if candidate.works():
                engine = candidate
                break
        if engine is None:
            engine = Chroot(image, volume)
        print(f"with {engine.program}", file=sys.stderr)
        try:
            check(engine, volume)
        finally:
            engine.remove()
            if isinstance(engine, Chroot):
                engine.close()


if __name__ == "__main__":
    main()
