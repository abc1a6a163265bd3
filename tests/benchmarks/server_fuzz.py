"""schemathesis over the whole OpenAPI of a server with models of every kind.

    python -m venv fuzz && fuzz/bin/pip install schemathesis
    python -m tests.benchmarks.server_fuzz fuzz/bin/schemathesis --examples 200

schemathesis wants versions of its own, so it is given an environment of its own. It has an API key with every
scope. The exit code is that of schemathesis: 0 where no answer was a 500, none broke the description, and
nothing was accepted that the description forbids.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)


class _Folders:
    """What the fixture of the tests asks pytest for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mktemp(self, name: str) -> Path:
        made = self._folder / name
        made.mkdir()
        return made


def _tests() -> Any:
    """The helpers of the server's tests."""
    path = Path(__file__).parents[1] / "serve" / "conftest.py"
    spec = importlib.util.spec_from_file_location("serve_tests", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve_tests"] = module
    spec.loader.exec_module(module)
    return module


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schemathesis", help="its program, in an environment of its own")
    parser.add_argument("--examples", type=int, default=50, help="for each endpoint")
    options, more = parser.parse_known_args()
    from store.keys import SCOPES, create_key

    tests = _tests()
    with tempfile.TemporaryDirectory() as folder:
        data = tests.flower_data.__wrapped__()
        project = tests.several_models.__wrapped__(_Folders(Path(folder)), data)
        secret = create_key(project.layout.ensure(), "fuzz", SCOPES)
        with tests._running(project, settings={"reload_seconds": 1.0}) as server:
            command = [str(Path(options.schemathesis).absolute()), "run", f"{server.url}/openapi.json"]
            command += ["--header", f"X-API-Key: {secret}", "--max-examples", str(options.examples)]
            command += ["--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS)]
            command += ["--continue-on-failure", *more]
            code = subprocess.run(command, check=False, cwd=folder).returncode  # it leaves a folder behind
            if server.process.poll() is not None:
                raise SystemExit("the server has ended")
            faults = [line for line in server.log.read_text().splitlines() if "Traceback" in line]
    print(f"{len(faults)} tracebacks in the server's log")
    return code or bool(faults)


if __name__ == "__main__":
    raise SystemExit(main())
