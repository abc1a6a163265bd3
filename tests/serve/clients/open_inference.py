"""Stock clients of the Open Inference Protocol, in an environment of their own, against a real server.

    python -m tests.serve.clients.open_inference                 tritonclient and kserve, newest versions
    python -m tests.serve.clients.open_inference tritonclient    one of them
    python -m tests.serve.clients.open_inference --python tritonclient=/path/to/bin/python

Installs each client at the first use in the folder for temporary files. Exits with 1 where an answer differs
from what the native protocol says. Not part of the test suite: it needs a package index.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.serve.conftest import Project, _columns, _running

HERE = Path(__file__).parent
PACKAGES = {"tritonclient": ["tritonclient[http]"], "kserve": ["kserve"]}


def client_python(client: str) -> Path:
    """The Python of a client's environment, which is made at the first use."""
    folder = Path(tempfile.gettempdir()) / f"workbench-client-{client}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making an environment for {client} in {folder} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES[client]], check=True)
        (folder / "complete").touch()
    return python


def make_project(root: Path) -> Project:
    """`two`: four numbers; `mixed`: numbers, text and truth values; `three`: text labels."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(7)
    y = np.arange(120) % 2
    X = random.normal(size=(120, 4)) + y[:, None] * [1.5, -1.0, 0.5, 0.0]
    project = Project(root)
    project.add(
        "two",
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y),
        inputs=_columns(**dict.fromkeys("abcd", "double")),
    )
    three = np.where(X[:, 0] > 1, "red", np.where(X[:, 1] > 0, "green", "blue"))
    tensor = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]
    project.add("three", RandomForestClassifier(5, random_state=0).fit(X, three), inputs=tensor)
    mixed = pd.DataFrame(
        {
            "age": 20.0 + np.arange(120) % 50,
            "orders": np.arange(120) % 7,
            "plan": np.array(["free", "pro", "team"])[np.arange(120) % 3],
            "active": np.arange(120) % 4 == 0,
        }
    )
    parts = [("text", OneHotEncoder(handle_unknown="ignore"), ["plan"])]
    model = make_pipeline(
        ColumnTransformer(parts, remainder="passthrough"), LogisticRegression(max_iter=1000)
    )
    inputs = _columns(age="double", orders="long", plan="string", active="boolean")
    project.add("mixed", model.fit(mixed, y), inputs=inputs)
    return project


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(PACKAGES))
    parser.add_argument("--python", action="append", default=[], metavar="CLIENT=PATH")
    options = parser.parse_args()
    given = dict(item.split("=", 1) for item in options.python)
    failed = []
    with (
        tempfile.TemporaryDirectory(prefix="workbench-clients-") as name,
        _running(make_project(Path(name)), settings={"default": "two"}) as server,
    ):
        for client in options.clients or PACKAGES:
            python = given.get(client) or str(client_python(client))
            script = HERE / f"{client}_calls.py"
            if subprocess.run([python, str(script), server.url]).returncode:
                failed.append(client)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
