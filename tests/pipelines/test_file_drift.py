"""New files beside the champion's training data: drift is a warning, never a reason to keep a file out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.admission import examine
from pipelines.data_state import validate_file
from pipelines.settings import PipelineSettings
from store.journal import append_event
from store.layout import Layout
from store.ledger import get_file
from store.profile import build_profile
from store.references import publish_reference

Write = Callable[[str, pd.DataFrame], Path]
SETTINGS = PipelineSettings.model_validate({"data": "data", "target": "y"})


def rows(
    n: int, seed: int, *, shift: float = 0.0, zips: tuple[str, ...] = ("02139", "90210")
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "temp": rng.normal(20 + shift, 5, n).round(3),
            "zip": rng.choice(zips, n),
            "holiday": rng.choice([True, False], n),
            "when": pd.date_range(f"{2000 + seed}-01-01", periods=n, freq="h"),
            "y": rng.normal(0, 1, n).round(3),
        }
    )


@pytest.fixture
def write(layout: Layout) -> Write:
    """Writes a file of the pipeline whose champion was trained on rows without shift."""
    train = rows(3000, 1)
    kinds: Any = {"temp": "numeric", "zip": "categorical", "holiday": "boolean", "when": "datetime"}
    for version, shift in ((1, 0.0), (2, 50.0)):
        columns = {name: train[name] for name in kinds} | {"temp": train["temp"] + shift}
        profile = build_profile(columns, kinds, train["y"], task="regression")
        publish_reference(layout, "p", version, profile)
    for version in (2, 1):
        append_event(layout, "promoted", model="p", to=str(version), details={"champion": version})
    (layout.root / "data").mkdir()

    def run(name: str, frame: pd.DataFrame) -> Path:
        path = layout.root / "data" / name
        frame.to_csv(path, index=False)
        return path

    return run


def drift_in(layout: Layout, path: Path) -> list[str]:
    report, _ = validate_file(layout, "p", SETTINGS, path)
    assert report.is_valid
    return [finding.message for finding in report.findings if finding.check == "drift"]


def test_a_file_like_the_training_data_has_no_drift_and_another_names_what_has(
    layout: Layout, write: Write
) -> None:
    assert drift_in(layout, write("same.csv", rows(600, 2))) == []
    (message,) = drift_in(layout, write("warm.csv", rows(600, 3, shift=5)))
    assert message.startswith(
        "data/warm.csv: column 'temp' has drifted from the training data of champion v1: "
    )
    assert ", mean 19.99 there and 25" in message
    (message,) = drift_in(layout, write("moved.csv", rows(600, 4, zips=("10001", "90210"))))
    assert "column 'zip'" in message
    assert drift_in(layout, write("few.csv", rows(60, 5, shift=9))) == []


def test_a_file_of_many_blocks_is_counted_in_all_of_them(
    layout: Layout, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import blocks, file_drift

    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(file_drift, "_ROWS_OF_A_BLOCK", 20)
    half = pd.concat([rows(1500, 6), rows(1500, 7, shift=6)])
    assert drift_in(layout, write("same.csv", rows(3000, 8))) == []
    assert "column 'temp'" in drift_in(layout, write("half.csv", half))[0]


def test_the_watcher_lets_a_drifted_file_in_and_says_why_to_look(layout: Layout, write: Write) -> None:
    (found,) = examine(layout, "p", SETTINGS, [write("warm.csv", rows(600, 3, shift=5))])
    assert found.state == "ready"
    assert str(found.reason).startswith("warning: data/warm.csv: column 'temp' has drifted")
    report = get_file(layout, "data/warm.csv").report
    assert report is not None
    assert [row["check"] for row in report["findings"]] == ["drift"]
