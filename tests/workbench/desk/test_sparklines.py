"""The curves of the Runs table: which metric, and when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.runs import Run
from workbench.desk.desk import Desk, open_desk
from workbench.desk.place import find_place
from workbench.desk.runs import list_runs
from workbench.desk.sparklines import curve_metric, drawn_metric, read_sparks


def a_run(*stepped: str) -> Run:
    return Run("r", "r", "1", "e", stepped=stepped)


@pytest.mark.parametrize(
    ("stepped", "drawn"),
    [
        ((), None),
        (("loss", "roc_auc"), "roc_auc"),
        (("loss", "val_loss"), "val_loss"),
        (("epoch_ms", "loss"), "loss"),
        (("seconds_fitting",), "seconds_fitting"),
    ],
)
def test_the_metric_that_tells_most_is_drawn(stepped: tuple[str, ...], drawn: str | None) -> None:
    assert curve_metric(a_run(*stepped)) == drawn


def test_a_table_names_the_metric_of_most_runs() -> None:
    assert drawn_metric([a_run("loss"), a_run("rmse"), a_run("loss"), a_run()]) == "loss"
    assert drawn_metric([a_run()]) is None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "mlruns" / "1"
    for run, points in (("a", [(0, 3.0), (1, 2.0), (2, 1.0)]), ("b", [(0, 5.0)])):
        metrics = folder / (run * 32) / "metrics"
        metrics.mkdir(parents=True)
        (metrics / "loss").write_text("".join(f"1700000000000 {value} {step}\n" for step, value in points))
        (metrics.parent / "meta.yaml").write_text(
            f"artifact_uri: ''\nend_time: null\nexperiment_id: '1'\nlifecycle_stage: active\n"
            f"run_id: {run * 32}\nrun_name: {run}\nstart_time: 1700000000000\nstatus: 1\nuser_id: ann\n"
        )
    (folder / "meta.yaml").write_text("experiment_id: '1'\nlifecycle_stage: active\nname: deep\n")
    return open_desk(find_place(tmp_path))


def test_a_run_that_goes_on_is_read_again_and_one_logged_once_has_no_curve(desk: Desk) -> None:
    runs = {run.name: run for run in list_runs(desk).runs}
    assert runs["a"].stepped == ("loss",)
    assert runs["b"].stepped == ()
    assert read_sparks(desk, [*runs.values()]) == {"a" * 32: (3.0, 2.0, 1.0), "b" * 32: ()}
    path = desk.place.root / "mlruns" / "1" / ("a" * 32) / "metrics" / "loss"
    path.write_text(path.read_text() + "1700000000000 0.5 3\n")
    assert read_sparks(desk, [runs["a"]])["a" * 32] == (3.0, 2.0, 1.0), "as long as the run is the same"
    again = {run.name: run for run in list_runs(desk, watched=["a" * 32]).runs}
    assert read_sparks(desk, [again["a"]])["a" * 32] == (3.0, 2.0, 1.0, 0.5)


def test_a_long_history_is_thinned_to_its_ends_and_what_lies_between(desk: Desk) -> None:
    path = desk.place.root / "mlruns" / "1" / ("a" * 32) / "metrics" / "loss"
    path.write_text("".join(f"1700000000000 {step} {step}\n" for step in reversed(range(1000))))
    (run,) = (run for run in list_runs(desk).runs if run.name == "a")
    spark = read_sparks(desk, [run])["a" * 32]
    assert len(spark) == 64
    assert spark == tuple(sorted(spark))
    assert (spark[0], spark[-1]) == (0, 999)
