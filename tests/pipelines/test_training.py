"""Whole trainings in child processes: what is logged, registered and promoted, and how failures end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.job_process import Starter, starter
from pipelines.request import STAGES, TrainEvent, TrainRequest, TrainResult
from pipelines.settings import PipelineSettings
from store.errors import BusyError, DataError, SettingsError, StorageError, TrainingError, UserCodeError
from store.jobs import list_jobs
from store.journal import read_events
from store.layout import Layout
from store.model_files import load_model, read_model_file
from store.settings import StoreSettings
from store.tracking import open_registry, open_runs, resolve_uri, tracking_environment
from tests.conftest import until

Train = Callable[..., TrainResult]


def runs_of(layout: Layout) -> Any:
    return open_runs(resolve_uri("mlruns", layout.root))


def registry_of(layout: Layout) -> Any:
    return open_registry(resolve_uri("mlruns", layout.root), layout)


def artifact(layout: Layout, run_id: str, path: str) -> Any:
    return json.loads(runs_of(layout).artifact_path(run_id, path).read_text("utf-8"))


@pytest.mark.slow
def test_a_training_logs_everything_and_the_gate_keeps_a_tie_out(
    layout: Layout, cancer_csv: Path, train_here: Train
) -> None:
    events: list[TrainEvent] = []
    recipe = {
        "data": "cancer.csv",
        "target": "target",
        "estimator": "random_forest",
        "params": {"n_estimators": 10},
    }
    first = train_here(on_event_=events.append, start_=starter("pipelines.job"), **recipe)
    assert (first.version, first.promoted) == (1, True)
    assert [stage for stage in STAGES if any(event.stage == stage for event in events)] == list(STAGES)
    assert events[-1].run_id == first.run_id

    run = runs_of(layout).get(first.run_id)
    assert run.status == "FINISHED"
    assert run.params["n_estimators"] == "10"
    assert run.params["algorithm"] == "random_forest"
    for name in ("accuracy", "precision", "recall", "f1", "roc_auc", "cv_roc_auc_mean", "cv_roc_auc_std"):
        assert 0 <= run.metrics[name] <= 1
    assert (run.metrics["train_samples"], run.metrics["test_samples"], run.metrics["n_features"]) == (
        455,
        114,
        30,
    )
    files = set(runs_of(layout).artifacts(first.run_id))
    assert {
        "feature_importances.json",
        "metrics/eval.json",
        "gate.json",
        "reference_profile.json",
        "settings.json",
        "dataset.json",
        "environment.json",
        "confusion_matrix.json",
        "curves/roc.json",
        "curves/precision_recall.json",
        "curves/calibration.json",
    } <= files
    importances = artifact(layout, first.run_id, "feature_importances.json")
    assert len(importances) == 30
    assert artifact(layout, first.run_id, "gate.json")["accepted"] is True

    version = registry_of(layout).version("demo", "champion")
    file = read_model_file(version.model_dir)
    assert file.serialization_format == "skops"
    assert file.metadata["task"] == "binary"
    assert file.metadata["classes"] == [0, 1]
    assert file.example_path is not None
    assert all(column.type == "double" and column.required for column in file.inputs or ())

    second = train_here(**recipe)
    assert (second.version, second.promoted) == (None, False)
    assert second.gate is not None
    assert second.gate.difference == 0.0
    forced = train_here(**recipe, split={"seed": 7}, promote_="force", reason_="drill")
    assert (forced.version, forced.promoted) == (2, True)
    assert forced.gate is not None
    (unseen,) = [rule for rule in forced.gate.rules if rule.rule == "rows new to both"]
    assert unseen.value is not None
    assert 10 < unseen.value < 40  # four fifths of another fifth were learnt from
    assert "learnt from" in unseen.note
    assert [job.state for job in list_jobs(layout)] == ["done", "refused", "done"]
    kinds = [event.what for event in read_events(layout, model="demo")]
    assert kinds.count("gate") == 3
    assert kinds.count("promoted") == 2


@pytest.mark.slow
def test_a_model_over_its_size_budget_is_refused(layout: Layout, cancer_csv: Path, train_here: Train) -> None:
    recipe = {"data": "cancer.csv", "target": "target", "estimator": "logistic_regression"}
    result = train_here(**recipe, gate={"max_size_mb": 0.001})
    assert result.version is None
    rule = next(rule for rule in result.gate.rules if rule.rule == "size") if result.gate else None
    assert rule is not None
    assert (rule.value or 0) > 0.001
    assert not rule.passed


@pytest.mark.slow
def test_true_and_false_with_gaps_are_known_as_such(layout: Layout, train_here: Train) -> None:
    rows = "".join(f"{n % 7},{('True', 'False', '')[n % 3]},{n % 2}\n" for n in range(60))
    (layout.root / "t.csv").write_text("a,flag,y\n" + rows, "utf-8")
    train_here(data="t.csv", target="y", estimator="decision_tree")
    file = read_model_file(registry_of(layout).version("demo", "champion").model_dir)
    assert {column.name: (column.type, column.required) for column in file.inputs or ()} == {
        "a": ("double", True),
        "flag": ("double", False),
    }
    assert file.metadata["columns"]["flag"] == {"kind": "boolean", "null": True}


@pytest.mark.slow
def test_mixed_columns_threshold_weights_and_a_users_module_load_in_plain_mlflow(
    layout: Layout, customers: Any, train_here: Train
) -> None:
    customers.to_csv(layout.root / "customers.csv", index=False, sep=";")
    (layout.root / "mine.py").write_text(
        "def features(frame):\n    frame['old'] = frame['age'] > 50\n    return frame\n", "utf-8"
    )
    # A project may have folders of any name: they never shadow the product's own.
    for name in ("store", "serve", "pipelines"):
        (layout.root / name).mkdir()
        (layout.root / name / "__init__.py").write_text("raise RuntimeError('imported')\n", "utf-8")
    result = train_here(
        data="customers.csv",
        target="churned",
        ignore=["amount", "tier", "since"],
        id_column="customer id",
        module="mine.py",
        estimator="logistic_regression",
        class_weight="balanced",
        threshold="f1",
        start_=starter("pipelines.job"),
    )
    assert result.version == 1
    threshold = result.metrics["threshold"]
    model_dir = registry_of(layout).version("demo", 1).model_dir
    loaded = load_model(model_dir, layout=layout)
    assert loaded.threshold == pytest.approx(threshold)
    code = (
        "import json, mlflow.pyfunc, pandas as pd\n"
        "model = mlflow.pyfunc.load_model('models:/demo/Production')\n"
        f"example = json.load(open({str(model_dir / 'input_example.json')!r}))\n"
        "frame = pd.DataFrame(example['data'], columns=example['columns'])\n"
        "print(json.dumps(list(model.predict(frame))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **tracking_environment(resolve_uri("mlruns", layout.root))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    import pandas as pd

    example = json.loads((model_dir / "input_example.json").read_text("utf-8"))
    ours = loaded.predict(pd.DataFrame(example["data"], columns=example["columns"])).prediction
    assert json.loads(done.stdout) == ours
    assert loaded.file.metadata["example_predictions"] == ours


@pytest.mark.slow
def test_regression_by_time_with_dates_and_redaction(
    layout: Layout, customers: Any, train_here: Train
) -> None:
    customers.to_csv(layout.root / "customers.csv", index=False)
    result = train_here(
        data="customers.csv",
        target="amount",
        ignore=["churned", "tier"],
        time_column="since",
        features=["age", "city", "since", "income"],
        estimator="ridge",
        split={"strategy": "time", "cv_folds": 3},
        store_=StoreSettings(redact=("income",)),
    )
    assert {"rmse", "mae", "r2", "cv_rmse_mean"} <= set(result.metrics)
    assert "quantiles" in artifact(layout, result.run_id, "curves/residuals.json")
    profile = artifact(layout, result.run_id, "reference_profile.json")
    assert "income" not in [feature["name"] for feature in profile["features"]]
    model_dir = registry_of(layout).version("demo", 1).model_dir
    example = json.loads((model_dir / "input_example.json").read_text("utf-8"))
    column = example["columns"].index("income")
    assert len({row[column] for row in example["data"]}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "settings", "error", "message"),
    [
        ("", {}, DataError, "is empty"),
        ("a,y\n", {}, DataError, "header line only"),
        ("a,y\n1,0\n1\n", {}, DataError, "line 3 of"),
        (None, {"target": "z"}, DataError, "no column 'z'"),
        (None, {"estimator": "sklearn.svm.SVX"}, SettingsError, "no 'SVX'.* Did you mean 'SV"),
        (
            None,
            {"estimator": "random_forest", "params": {"max_depth": -1}},
            TrainingError,
            "'max_depth' parameter",
        ),
        (
            None,
            {"module": "mine.py"},
            UserCodeError,
            "mine.py, line 2, raised in features.*ZeroDivisionError",
        ),
    ],
)
def test_bad_input_ends_in_one_sentence_and_a_failed_job(
    layout: Layout,
    train_here: Train,
    content: str | None,
    settings: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    if content is None:
        content = "a,y\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(60))
    (layout.root / "t.csv").write_text(content, "utf-8")
    (layout.root / "mine.py").write_text("def features(frame):\n    return 1 / 0\n", "utf-8")
    with pytest.raises(error, match=message) as caught:
        train_here(**{"data": "t.csv", "target": "y", **settings})
    assert getattr(caught.value, "hint", None)
    assert "Traceback" not in str(caught.value)
    (job,) = list_jobs(layout)
    assert job.state == "failed"
    assert job.error
    assert all(run.status == "FAILED" for run in runs_of(layout).list())


def _slow_project(layout: Layout) -> TrainRequest:
    """A pipeline whose features() waits until a file disappears."""
    (layout.root / "t.csv").write_text("a,y\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(60)), "utf-8")
    (layout.root / "hold").write_text("", "utf-8")
    (layout.root / "mine.py").write_text(
        "import pathlib, time\n"
        "def features(frame):\n"
        "    if len(frame) < 48:\n"
        "        while pathlib.Path('hold').exists():\n"
        "            time.sleep(0.01)\n"
        "    return frame\n",
        "utf-8",
    )
    settings = PipelineSettings(data="t.csv", target="y", module="mine.py", estimator="decision_tree")
    return TrainRequest(pipeline="slow", settings=settings, tracking_uri="mlruns", layout=layout)


@pytest.mark.slow
def test_two_trainings_of_one_pipeline_at_once_are_refused(layout: Layout, forked: Starter) -> None:
    from pipelines.launch import train

    request = _slow_project(layout)
    outcome: list[TrainResult] = []
    holding = threading.Event()

    def on_event(event: TrainEvent) -> None:
        if event.stage == "Cross-validating":
            holding.set()

    first = threading.Thread(target=lambda: outcome.append(train(request, on_event=on_event, start=forked)))
    first.start()
    try:
        assert holding.wait(120)
        with pytest.raises(BusyError, match="training of slow"):
            train(request, start=forked)
    finally:
        (layout.root / "hold").unlink()
        first.join()
    assert outcome[0].version == 1
    assert len(list_jobs(layout)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGKILL])
def test_a_parent_that_goes_takes_its_child_along_and_the_run_says_so(
    layout: Layout, forked: Starter, ended_by: signal.Signals
) -> None:
    request = _slow_project(layout)
    (layout.root / "request.json").write_text(json.dumps(request.as_json()), "utf-8")
    code = (
        "import json, pathlib\n"
        "from pipelines.launch import train\n"
        "from pipelines.request import TrainRequest\n"
        "request = TrainRequest.from_json(json.loads(pathlib.Path('request.json').read_text()))\n"
        "try:\n"
        "    train(request, on_event=lambda e: e.run_id and print(e.run_id, flush=True))\n"
        "except KeyboardInterrupt:\n"
        "    raise SystemExit(130)\n"
    )
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=layout.root, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    run_id = parent.stdout.readline().strip()
    child = list_jobs(layout)[0].pid
    assert child is not None
    parent.send_signal(ended_by)
    assert parent.wait(120) == (130 if ended_by == signal.SIGINT else -signal.SIGKILL)
    parent.stdout.close()
    until(lambda: not _is_alive(child))
    assert runs_of(layout).get(run_id).status == "KILLED"
    if ended_by == signal.SIGINT:
        assert list_jobs(layout)[0].state == "cancelled"
    else:
        from pipelines.launch import train

        (layout.root / "hold").unlink()
        train(request, start=forked)
        assert [job.state for job in list_jobs(layout)] == ["done", "failed"]


@pytest.mark.slow
def test_a_child_that_is_killed_is_reported_and_its_run_failed(layout: Layout) -> None:
    from pipelines.launch import train

    request = _slow_project(layout)

    def kill(event: TrainEvent) -> None:
        if event.run_id:
            pid = list_jobs(layout)[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(TrainingError, match="ended by SIGKILL"):
        train(request, on_event=kill)
    assert [run.status for run in runs_of(layout).list()] == ["FAILED"]
    assert list_jobs(layout)[0].state == "failed"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(") ")[2].startswith("Z"))


@pytest.mark.slow
def test_a_full_disk_is_said_in_one_sentence(layout: Layout, cancer_csv: Path, train_here: Train) -> None:
    # A limit on the size of files stands in for the full disk: MLflow's writes fail with an OSError alike.
    (layout.root / "mine.py").write_text(
        "import resource, signal\n"
        "from sklearn.tree import DecisionTreeClassifier\n"
        "def build(params):\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))\n"
        "    return DecisionTreeClassifier()\n",
        "utf-8",
    )
    with pytest.raises(StorageError, match="File too large"):
        train_here(data="cancer.csv", target="target", module="mine.py", split={"cv_folds": 0})
    assert list_jobs(layout)[0].state == "failed"


def test_a_folder_that_refuses_writes_is_named(tmp_path: Path) -> None:
    from pipelines.launch import train

    # A file where the folder should be refuses everybody, root too.
    (tmp_path / ".workbench").write_text("", "utf-8")
    settings = PipelineSettings(data="t.csv", target="y")
    request = TrainRequest("demo", settings, "mlruns", Layout.of(tmp_path))
    with pytest.raises(StorageError, match="cannot write"):
        train(request)
