"""`workbench data` and `workbench watch` from the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipelines.admission import check_named, examine, examine_named
from pipelines.data import load_data
from store.data_versions import keep_version, record_version
from store.errors import DataError
from store.layout import Layout
from store.ledger import get_file, list_files, release
from workbench.settings import load_project

GOOD = "age,city,churned\n" + "".join(f"{20 + i},{'ab'[i % 2]},{'yn'[i % 2]}\n" for i in range(30))
BAD = GOOD.replace("23,", "unknown,", 1)
SETTINGS = """
[project]
name = "shop"

[pipelines.churn]
data = "data"
target = "churned"
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A project with a good and a bad file, which nobody has examined."""
    (tmp_path / "workbench.toml").write_text(SETTINGS)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.csv").write_text(GOOD)
    (tmp_path / "data/b.csv").write_text(BAD)
    (tmp_path / "data/c.csv").write_text(GOOD.replace("20,", "19,"))
    return Layout.of(tmp_path)


def examined(layout: Layout) -> None:
    settings = load_project(layout.root).settings.pipelines["churn"]
    examine(layout, "churn", settings, sorted((layout.root / "data").iterdir()))


def test_before_anything_ran_files_are_new_and_can_be_validated(workbench, layout):
    rows = workbench("data", "list", "--json").json
    assert [(row["path"], row["state"], row["rows"], row["hash"]) for row in rows] == [
        ("data/a.csv", "new", None, None),
        ("data/b.csv", "new", None, None),
        ("data/c.csv", "new", None, None),
    ]
    assert not layout.state_db.exists()
    good = workbench("data", "validate", "data/a.csv", "--json")
    assert (good.code, good.json["valid"], good.json["rows"]) == (0, True, 30)
    bad = workbench("data", "validate", "data/b.csv")
    assert bad.code == 1
    for part in ("data/b.csv", "line 5", "'age'", "'unknown'"):
        assert part in " ".join(bad.out.split())
    everything = workbench("data", "validate", "--json")
    assert [report["valid"] for report in everything.json] == [True, False, True]
    assert workbench("data", "validate", "data/none.csv").code == 1


def test_a_quarantined_file_is_shown_and_released_with_a_reason(workbench, layout):
    examined(layout)
    listed = workbench("data", "list", "--state", "quarantined", "--json").json
    assert [row["path"] for row in listed] == ["data/b.csv"]
    shown = workbench("data", "show", "b.csv", "--json").json
    assert shown["report"]["findings"][0]["place"] == "line 5"
    assert "line 5" in workbench("data", "show", "data/b.csv").out
    assert workbench("data", "release", "data/b.csv").code == 2
    assert workbench("data", "release", "data/a.csv", "--reason", "why not").code == 2
    assert workbench("data", "release", "data/b.csv", "--reason", "checked by hand").code == 0
    assert [row["state"] for row in workbench("data", "list", "--json").json] == ["ready"] * 3
    events = workbench("events", "--json").json
    assert {"data_quarantined", "data_released"} <= {event["what"] for event in events}
    assert workbench("data", "show", "nothing.csv").code == 1


@pytest.mark.usefixtures("forked_trainings")
@pytest.mark.parametrize("is_relative", [False, True])
def test_a_file_outside_of_the_project_is_found_however_it_is_typed(
    is_relative, workbench, layout, tmp_path_factory, monkeypatch
):
    file = tmp_path_factory.mktemp("outside") / "bad.csv"
    file.write_text(GOOD + "50,a,\n")
    from_project = os.path.relpath(file, layout.root)
    written = from_project if is_relative else str(file)
    (layout.root / "workbench.toml").write_text(SETTINGS.replace('"data"', f'"{written}"'))
    assert workbench("train").code == 1
    monkeypatch.chdir(layout.root / "data")
    for typed in (str(file), os.path.relpath(file)):
        shown = workbench("data", "show", typed, "--json")
        assert (shown.code, shown.json["state"]) == (0, "quarantined"), typed
    monkeypatch.chdir(layout.root)
    assert workbench("data", "release", from_project, "--reason", "unknown yet").code == 0


def test_what_is_named_for_a_training_is_looked_up_by_its_content(layout):
    settings = load_project(layout.root).settings.pipelines["churn"]
    elsewhere = layout.root / "copy-of-b.csv"
    elsewhere.write_text(BAD)
    files = [elsewhere, layout.root / "data/b.csv"]
    contents = {file.path: file.sha256 for file in load_data(files, layout.root).files}
    examine_named(layout, "churn", settings, files[:1])
    assert list_files(layout) == []
    assert check_named(layout, "churn", contents) is False
    examine_named(layout, "churn", settings, files)
    assert [file.state for file in list_files(layout)] == ["ready", "quarantined", "ready"]
    for path, said in (("copy-of-b.csv", "has the content of data/b.csv"), ("data/b.csv", "is quarantined")):
        with pytest.raises(DataError, match=said) as raised:
            check_named(layout, "churn", {path: contents[path]})
        assert raised.value.hint is not None
        assert "workbench data release data/b.csv --reason TEXT" in raised.value.hint
    release(layout, get_file(layout, "data/b.csv"), "checked")
    assert check_named(layout, "churn", contents) is True


def test_a_file_that_became_valid_leaves_quarantine(workbench, layout):
    examined(layout)
    assert workbench("data", "validate", "data/b.csv").code == 1
    with (layout.root / "workbench.toml").open("a") as settings:
        settings.write('\n[pipelines.churn.validate]\non_failure = "warn"\n')
    assert workbench("data", "validate", "data/b.csv").code == 0
    assert [row["state"] for row in workbench("data", "list", "--json").json] == ["ready"] * 3


def test_versions_are_listed_restored_and_sent_away(workbench, layout):
    import hashlib

    layout.ensure()
    assert workbench("data", "versions", "--json").json == []
    content = GOOD.encode()
    file = {
        "path": "data/a.csv",
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content).hexdigest(),
        "rows": 30,
        "bytes": len(content),
    }
    manifest = {"digest": "f" * 64, "rows": 30, "schema": {"age": "int64"}, "files": [file]}
    keep_version(layout, manifest)
    record_version(layout, "churn", manifest, run_id="1234abcd")
    (version,) = workbench("data", "versions", "--json").json
    assert (version["version"], version["kept"], version["runs"]) == ("f" * 64, True, ["1234abcd"])
    assert "ffffffffffff" in workbench("data", "versions").out
    (layout.root / "data/a.csv").write_text("mine")
    kept_aside = workbench("data", "restore", "ffff")
    assert "left alone" in kept_aside.err
    assert workbench("data", "restore", "1234abcd", "--overwrite").code == 2
    assert workbench("data", "restore", "1234abcd", "--overwrite", "--yes").code == 0
    assert (layout.root / "data/a.csv").read_text() == GOOD
    assert workbench("data", "push").code == 2
    assert workbench("data", "push", "--remote", "backup", "--json").json["copied"] == 2
    assert workbench("data", "pull", "ffff", "--remote", "backup", "--json").json["present"] == 2
    assert workbench("data", "restore", "0000").code == 1


def test_pausing_is_told_to_whoever_watches(workbench, layout):
    from store.watch_state import paused_pipelines

    assert workbench("watch", "--pause", "--reason", "audit").code == 0
    assert paused_pipelines(layout, ["churn"]) >= {"churn"}
    assert workbench("watch", "--resume").code == 0
    assert paused_pipelines(layout, ["churn"]) == set()
    assert workbench("watch", "--pause", "-p", "chrn").code == 1
    assert workbench("watch", "--pause", "--resume").code == 2


def test_dvc_gets_a_stage_for_each_pipeline(workbench, layout):
    import yaml

    with (layout.root / "workbench.toml").open("a") as settings:
        settings.write('estimator = "ridge"\nparams = { alpha = 0.5, solver = "svd", odd = [1, 2] }\n')
    assert workbench("deploy", "dvc", "--out", "out/").code == 0
    stage = yaml.safe_load((layout.root / "out/dvc.yaml").read_text())["stages"]["churn"]
    assert stage["deps"] == ["data"]
    assert "--set 'params.alpha=${churn.params.alpha}'" in stage["cmd"]
    values = yaml.safe_load((layout.root / "out/params.yaml").read_text())
    assert values["churn"]["params"] == {"alpha": 0.5, "solver": "svd"}


def test_a_file_that_dvc_keeps_elsewhere_is_named_so(layout):
    from pipelines.data_files import find_files
    from store.errors import DataError

    (layout.root / "big.csv.dvc").write_text("outs:\n- md5: 0\n  path: big.csv\n")
    with pytest.raises(DataError, match="dvc pull"):
        find_files("big.csv", layout.root)


def test_the_json_of_status_names_the_watcher(workbench, layout):
    assert json.loads(workbench("status", "--json").out)["watcher"] is None
