from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from serve.losses import KEY, LossWatch
from store.alerts import list_alerts
from store.layout import Layout
from store.predictions import PredictionReader


def states(layout: Layout) -> list[str]:
    return [alert.state for alert in list_alerts(layout) if alert.key == KEY]


def test_losses_raise_one_alert_that_ends_when_appends_work_again(tmp_path: Path) -> None:
    layout, lost = Layout.of(tmp_path).ensure(), iter([0, 3, 1_000, 1_000])
    watch = LossWatch(layout, lambda: next(lost), calm_s=0.0)
    watch.look()
    assert states(layout) == []

    for _ in range(2):
        watch.look("No space left on device")
    (alert,) = list_alerts(layout)
    assert (alert.kind, alert.severity, alert.state) == ("lost_predictions", "critical", "open")
    assert alert.message == (
        "1,000 rows could not be logged since the server's start: No space left on device"
    )
    watch.look()
    assert states(layout) == ["cleared"]


def test_a_server_clears_what_the_one_before_it_left(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path).ensure()
    LossWatch(layout, lambda: 1).look()
    assert states(layout) == ["open"]

    LossWatch(layout, lambda: 0, calm_s=0.0).look()
    assert states(layout) == ["cleared"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own of 48 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_server_on_a_full_disk_answers_and_says_what_it_could_not_log(
    small_disk: Path, project: Any, flower_data: Any, columns: Any, running: Any, wait_until: Any
) -> None:
    """No prediction is refused; the loss is in the answer, /health/ready, /metrics and an alert."""
    X, y = flower_data
    project.root = small_disk
    project.add(
        "two", LogisticRegression().fit(X, y), inputs=columns(a="double", b="double", c="double", d="double")
    )
    with running(project) as server:
        kept = server.post("/predict", [1, 2, 3, 4]).json()["prediction_id"]
        assert kept is not None
        assert "predictions_not_logged" not in server.get("/health/ready").json()
        with (small_disk / "ballast").open("wb") as ballast:
            disk = os.statvfs(small_disk)
            # Less than a tenth is free: what is left is for everything else.
            ballast.write(b"x" * (disk.f_bavail * disk.f_frsize - disk.f_blocks * disk.f_frsize // 20))
        time.sleep(1.1)  # how often the writer looks at the disk
        answer = server.post("/predict", [1, 2, 3, 4])
        assert (answer.status_code, answer.json()["prediction_id"]) == (200, None)
        ready = server.get("/health/ready")
        assert (ready.status_code, ready.json()["predictions_not_logged"]) == (200, 1)
        assert server.metric("workbench_spool_lost") == 1
        wait_until(lambda: states(project.layout) == ["open"], "the alert")
        (alert,) = list_alerts(project.layout)
        assert "MB free on the disk" in alert.message

        (small_disk / "ballast").unlink()
        again = server.post("/predict", [1, 2, 3, 4]).json()["prediction_id"]
        assert again is not None
    assert PredictionReader(project.layout).known_ids([kept, again]) == {kept, again}
