"""`workbench keys` from the command line, and the key that `serve --make-key` makes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys


def test_a_key_is_made_listed_and_revoked(workbench, project):
    made = workbench("keys", "create", "shop")
    secret = made.out.strip()
    assert secret.startswith("wb_")
    assert "not shown again" in made.err
    assert "predict, feedback" in workbench("keys", "list").out
    assert secret not in workbench("keys", "list").out
    assert workbench("keys", "revoke", "shop").code == 2
    assert workbench("keys", "revoke", "shop", "--yes").code == 0
    assert workbench("keys", "list", "--json").json == []
    assert [event["what"] for event in workbench("events", "--json").json] == ["key_created", "key_revoked"]


def test_scopes_are_chosen_and_json_has_the_key(workbench, project):
    made = workbench("keys", "create", "boss", "--scope", "admin", "-s", "predict", "--json").json
    assert made["scopes"] == ["predict", "admin"]
    assert made["key"].startswith("wb_")
    (listed,) = workbench("keys", "list", "--json").json
    assert (listed["name"], listed["scopes"], listed["source"]) == ("boss", ["predict", "admin"], "project")
    assert workbench("keys", "create", "boss").code == 2
    assert workbench("keys", "create", "x", "--scope", "root").code == 2
    assert workbench("keys", "revoke", "nobody", "--yes").code == 1


def test_serve_makes_the_first_key_and_prints_it_once(workbench, project):
    def start(*options):
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", "serve", "--host", "0.0.0.0", "--port", "0", *options],
            cwd=project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    refused = start()
    assert "workbench keys create" in refused.communicate(timeout=120)[1]
    assert refused.returncode == 2
    said = []
    for _ in range(2):
        process = start("--make-key")
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "Serving on" in line:
                break
        process.send_signal(signal.SIGTERM)
        said.append("".join(lines) + process.communicate(timeout=120)[1])
    assert len(re.findall(r"wb_\S{40,}", said[0])) == 1
    assert "wb_" not in said[1]
    (key,) = workbench("keys", "list", "--json").json
    assert key["scopes"] == ["predict", "feedback", "admin"]
