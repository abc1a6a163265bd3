"""One command runs the whole life of two models on real data; what it leaves is a working project."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import until
from workbench.cli import execute

pytestmark = pytest.mark.slow

BIKES_LATER = 6578  # April to December
CANCER = 569

PLAIN_MLFLOW = """
import sys

class NoWorkbench:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"workbench", "pipelines", "serve", "store"}:
            raise ImportError(f"{name} is hidden")

sys.meta_path.insert(0, NoWorkbench())
import mlflow, pandas
model = mlflow.sklearn.load_model("models:/cancer/Production")
print(type(model).__name__, [type(step).__name__ for _, step in model.steps])
frame = pandas.read_csv(sys.argv[1]).drop(columns="target")
print(model.predict(frame.head(20)).tolist())
bikes = mlflow.pyfunc.load_model("models:/bikes@champion")
rows = pandas.read_csv(sys.argv[2]).drop(columns=["bikers", "casual", "registered", "day"])
for name in bikes.metadata.signature.inputs.input_names():
    if str(bikes.metadata.signature.inputs.input_dict()[name].type) == "DataType.double":
        rows[name] = rows[name].astype(float)
print(len(bikes.predict(rows)))
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, workbench_in: Callable[[Path], Any]) -> Iterator[Any]:
    """A folder in which `workbench demo --headless` has run."""
    folder = tmp_path_factory.mktemp("demo") / "living project"
    done = workbench_in(folder.parent)("demo", str(folder), "--headless")
    command = workbench_in(folder)
    command.demo_stdout, command.demo_stderr = done.stdout, done.stderr
    return command


def test_the_demo_ends_with_a_summary_and_what_to_type_next(demo: Any) -> None:
    assert "What to type next" in demo.demo_stdout
    assert "workbench models rollback bikes" in demo.demo_stdout
    assert [line[:5] for line in demo.demo_stderr.splitlines() if line.startswith("[")] == [
        "[1/4]",
        "[2/4]",
        "[3/4]",
        "[4/4]",
    ]


def test_two_champions_are_in_the_history_of_each_model(demo: Any) -> None:
    for name in ("cancer", "bikes"):
        promoted = [event for event in demo.json("models", "history", name) if event["what"] == "promoted"]
        assert len(promoted) == 2
        assert all(event["who"] and event["at"] and event["reason"] for event in promoted)
        model = demo.json("models", "show", name)
        assert model["champion"] == model["versions"][0]["version"] == 2
        assert [version["stage"] for version in model["versions"]] == ["Production", "Archived"]


def test_every_pipeline_has_three_runs_with_their_settings_and_metrics(demo: Any) -> None:
    runs = demo.json("runs", "list")
    for experiment, metric in (("cancer", "roc_auc"), ("bikes", "rmse")):
        mine = [run for run in runs if run["experiment"] == experiment]
        assert len(mine) == 3
        assert all(
            run["status"] == "FINISHED" and run["metrics"][metric] > 0 and run["params"] for run in mine
        )


def test_every_row_is_logged_with_its_truth(demo: Any) -> None:
    rows = demo.json(
        "store",
        "sql",
        "select model, count(*) as n, count(f.prediction_id) as labelled from predictions p"
        " left join feedback f using (prediction_id) group by model order by model",
    )
    assert rows == [
        {"model": "bikes", "n": BIKES_LATER, "labelled": BIKES_LATER},
        {"model": "cancer", "n": CANCER, "labelled": CANCER},
    ]


def test_no_process_is_left_behind(demo: Any) -> None:
    assert demo.json("status")["server"] is None
    until(lambda: not processes_in(demo.folder))


def test_plain_mlflow_without_workbench_loads_and_asks_the_promoted_models(demo: Any) -> None:
    variables = demo.json("env")
    later = sorted((demo.folder / "data" / "later").glob("*.csv"))[0]
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            PLAIN_MLFLOW,
            str(demo.folder / "data" / "cancer.csv"),
            str(later),
        ],
        env=os.environ | {key: value for key, value in variables.items() if key.startswith("MLFLOW")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kind, predictions, count = done.stdout.splitlines()[-3:]
    assert kind == "Pipeline ['StandardScaler', 'LogisticRegression']"
    assert set(json.loads(predictions)) <= {0, 1}
    assert int(count) > 700


def test_a_demo_that_is_done_is_picked_up_where_it_was(demo: Any) -> None:
    again = demo("demo", str(demo.folder), "--headless")
    assert again.stderr.count("done before") == 6
    assert len(demo.json("runs", "list")) == 6


def test_rollback_restores_the_former_champion_for_plain_mlflow_too(demo: Any, tmp_path: Path) -> None:
    rolled_back = demo("models", "rollback", "bikes", "--yes", "--reason", "the new one is odd")
    assert "1" in rolled_back.stdout
    assert demo.json("models", "show", "bikes")["champion"] == 1
    last = demo.json("models", "history", "bikes")
    event = max(last, key=lambda event: event["at"])
    assert (event["what"], event["reason"]) == ("rolled_back", "the new one is odd")
    demo("models", "rollback", "bikes", "--yes", expect=1)
    demo("models", "promote", "bikes", "2", "--yes", "--reason", "it was fine")


def test_a_folder_with_something_else_in_it_is_refused(
    tmp_path: Path, workbench_in: Callable[[Path], Any]
) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    refused = workbench_in(tmp_path)("demo", str(tmp_path), "--headless", expect=2)
    assert "not empty" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_ctrl_c_at_any_chapter_leaves_a_usable_project_and_no_process(
    tmp_path: Path, workbench_in: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "d"
    command = workbench_in(folder)
    for chapter in ("[2/4]", "[3/4]", "[4/4]"):  # the next one goes on where the last one stopped
        code, said = interrupt_demo(folder, chapter)
        if code == 0:  # on a busy machine the last chapter was over before this process came to interrupt it
            forget_traffic(folder)
            code, said = interrupt_demo(folder, chapter)
        assert code == 130, said
        assert "go on with: workbench demo" in said
        until(lambda: not processes_in(folder))
        assert command.json("status")["project"]["name"] == "demo"
        assert not any(run["status"] == "RUNNING" for run in command.json("runs", "list"))
        assert execute(["-C", str(folder), "doctor"]) == 0
    assert {run["status"] for run in command.json("runs", "list")} <= {"FINISHED", "KILLED"}


def forget_traffic(folder: Path) -> None:
    """Have the next demo send all rows again."""
    path = folder / ".workbench" / "demo.json"
    done = json.loads(path.read_text())
    path.write_text(json.dumps({step: one for step, one in done.items() if not step.startswith("send ")}))


def interrupt_demo(folder: Path, chapter: str) -> tuple[int, str]:
    """Exit code and stderr of a demo that gets a ctrl-C as soon as it begins a chapter."""
    tour = subprocess.Popen(
        [sys.executable, "-m", "workbench", "demo", str(folder), "--headless"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert tour.stderr is not None
    said = []
    for line in tour.stderr:
        said.append(line)
        if line.startswith(chapter):
            break
    os.killpg(tour.pid, signal.SIGINT)
    said += tour.stderr.readlines()
    tour.stderr.close()
    return tour.wait(timeout=120), "".join(said)


def processes_in(folder: Path) -> list[str]:
    """Command lines of processes that name the folder or run in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            inside = str(folder) in command or (process / "cwd").readlink().is_relative_to(folder)
        except OSError:
            continue
        if inside and int(process.name) != os.getpid() and " -m pytest" not in command:
            found.append(command)
    return found
