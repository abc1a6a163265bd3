"""What `workbench init` writes is trained by `workbench train` with no edit, whatever the file looks like."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow


def table(target: str) -> pd.DataFrame:
    """Rows with all that makes files awkward: gaps, Unicode, spaces, numbers and dates as text, words."""
    rng = np.random.default_rng(3)
    n = 160
    away = rng.integers(0, 365, n)
    frame = pd.DataFrame(
        {
            "customer id": [f"K-{i:04d}" for i in rng.permutation(n)],
            "größe (cm)": np.where(rng.random(n) < 0.1, np.nan, rng.normal(170, 10, n).round(1)),
            "age": rng.integers(18, 90, n),
            "orders": rng.integers(0, 30, n),
            "avg_order_value": rng.gamma(2, 30, n).round(2),
            'plan "x"': np.where(rng.random(n) < 0.1, None, rng.choice(["basic", "pro", "team"], n)),
            "has.newsletter": rng.choice(["yes", "no"], n),
            "country": "NL",
            "signed up": rng.permutation(pd.date_range("2022-01-01", periods=n).strftime("%Y-%m-%d")),
            "income": [f" {value:,} " for value in rng.integers(1000, 90_000, n)],
            "note": [" ".join(rng.choice(["very", "nice", "bad", "ok"], 5)) for _ in range(n)],
            "days_since_last": away,
        }
    )
    targets = {
        "churned": ((away > 180) ^ (rng.random(n) < 0.1)).astype(int),
        "Zustand: ✓": np.where(away > 250, "weg", np.where(away > 120, "still", "da")),
        "Umsatz (€)": (away / 7 + rng.normal(0, 1, n)).round(3),
    }
    return frame.assign(**{target: targets[target]})


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write as the name's ending says, text in the way that people's spreadsheets do."""
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif ".jsonl" in path.name:
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    elif path.suffix == ".gz":
        frame.to_csv(path, index=False, quoting=1, encoding="utf-8-sig")
    else:
        frame.to_csv(path, index=False, sep=";", decimal=",")


def trained(workbench: Any, *options: str) -> dict[str, Any]:
    result = workbench("train", "--json", "--set", "split.cv_folds=0", *options)
    assert result.code == 0, result.err
    found: dict[str, Any] = result.json
    return found


@pytest.mark.parametrize(
    ("name", "target", "task", "metric"),
    [
        ("semicolons.csv", "churned", "binary", "roc_auc"),
        ("quoted_bom.csv.gz", "Zustand: ✓", "multiclass", "accuracy"),
        ("customers.parquet", "Umsatz (€)", "regression", "r2"),
        ("customers.jsonl.gz", "churned", "binary", "accuracy"),
    ],
)
def test_data_to_model_with_no_edit(
    workbench: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    name: str,
    target: str,
    task: str,
    metric: str,
) -> None:
    if name != "semicolons.csv":  # one of them as everybody's: in a new interpreter
        request.getfixturevalue("forked_trainings")
    for folder in ("store", "serve", "pipelines"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    write(table(target), tmp_path / name)
    begun = workbench("init", "--data", name, "--target", target, "--json")
    assert (begun.code, begun.json["task"]) == (0, task), begun.err
    result = trained(workbench)
    assert result["version"] == 1
    assert result["metrics"][metric] > 0.5
    used = [column["name"] for column in begun.json["columns"] if column["role"] == "feature"]
    assert result["metrics"]["n_features"] == len(used)


@pytest.mark.usefixtures("forked_trainings")
def test_the_example_in_features_works_once_it_is_switched_on(workbench: Any, tmp_path: Path) -> None:
    write(table("churned"), tmp_path / "customers.csv")
    assert workbench("init", "--data", "customers.csv", "--target", "churned").code == 0
    code, settings = tmp_path / "features.py", tmp_path / "workbench.toml"
    code.write_text(code.read_text().replace("    # For example:\n", "").replace("    # ", "    "))
    assert '"total_spend"' in code.read_text()
    settings.write_text(settings.read_text().replace("# module =", "module ="))
    assert tomllib.loads(settings.read_text())["pipelines"]["customers"]["module"] == "features.py"
    assert trained(workbench)["promoted"] is True


@pytest.mark.usefixtures("forked_trainings")
def test_a_converted_configuration_is_trained(workbench: Any, tmp_path: Path) -> None:
    write(table("churned"), tmp_path / "customers.csv")
    (tmp_path / "config.yaml").write_text(
        """
        data:
          path: customers.csv
          test_size: 0.25
          random_state: 7
          feature_cols: [age, orders, days_since_last]
        model: {algorithm: random_forest, n_estimators: 30, max_depth: 6, random_state: 7}
        evaluation: {metrics: [accuracy, f1_score], min_accuracy: 0.6}
        """
    )
    assert workbench("init", "--from", "config.yaml").code == 0
    result = trained(workbench)
    assert result["metrics"]["n_features"] == 3
    assert result["metrics"]["test_samples"] == 40
    assert result["gate"]["accepted"] is True
    run = workbench("runs", "show", result["run_id"], "--json").json
    assert run["params"]["n_estimators"] == "30"


@pytest.mark.usefixtures("forked_trainings")
def test_rows_in_order_of_time_are_trained(workbench: Any, tmp_path: Path) -> None:
    moments = pd.date_range("2024-01-01", periods=240, freq="h")
    rentals = [50 + 40 * np.sin(moment.hour / 24 * 6.28) for moment in moments]
    frame = pd.DataFrame({"at": moments, "hum": [i * 7 % 50 for i in range(240)], "rentals": rentals})
    frame.to_csv(tmp_path / "rentals.csv", index=False)
    assert workbench("init", "--data", "rentals.csv", "--target", "rentals").code == 0
    assert trained(workbench)["metrics"]["r2"] > 0.8
