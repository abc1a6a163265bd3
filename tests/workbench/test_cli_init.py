"""`workbench init`: what it writes, says, converts and refuses."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from workbench.settings import load_project

ROWS = "".join(f"C{i},{20 + i % 50},{i % 7},{'yes' if i % 3 else 'no'}\n" for i in range(60))
CUSTOMERS = "customer_id,age,orders,churned\n" + ROWS


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with customers.csv, which is where the command runs."""
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    return tmp_path


def settings_of(folder: Path) -> Any:
    return load_project(folder).settings.pipelines


def test_a_data_file_becomes_a_project(workbench: Any, shop: Path) -> None:
    result = workbench("init", "--data", "customers.csv", "--target", "churned")
    assert result.code == 0, result.err
    assert {path.name for path in shop.iterdir()} == {
        "customers.csv", "workbench.toml", "features.py", "tests", ".gitignore",
    }  # fmt: skip
    project = load_project(shop)
    assert project.name == shop.name
    pipeline = project.settings.pipelines["customers"]
    assert (pipeline.data, pipeline.target, pipeline.task) == ("customers.csv", "churned", "binary")
    assert pipeline.id_column == "customer_id"
    assert pipeline.module is None
    assert 'module = "features.py"' in (shop / "workbench.toml").read_text()
    assert (shop / "customers.csv").read_text() == CUSTOMERS


def test_it_says_what_it_guessed_and_what_comes_next(workbench: Any, shop: Path) -> None:
    result = workbench("init", "--data", "customers.csv", "--target", "churned")
    lines = {line.split()[0]: line for line in result.out.splitlines() if line.strip()}
    assert "id" in lines["customer_id"]
    assert "different in every row" in lines["customer_id"]
    assert "numeric" in lines["age"]
    assert "target" in lines["churned"]
    assert "binary" in lines["Pipeline"]
    assert "workbench train" in result.err


def test_as_json(workbench: Any, shop: Path) -> None:
    result = workbench("init", "new", "--data", "customers.csv", "--target", "churned", "--json")
    found = result.json
    assert (found["project"], found["pipeline"], found["task"]) == ("new", "customers", "binary")
    assert {column["name"]: column["role"] for column in found["columns"]} == {
        "customer_id": "id", "age": "feature", "orders": "feature", "churned": "target",
    }  # fmt: skip
    assert {file["path"] for file in found["files"]} == {
        "workbench.toml", "features.py", "tests/test_features.py", ".gitignore",
    }  # fmt: skip
    assert found["next"][0] == "cd new"


def test_the_written_test_passes_at_once(workbench: Any, shop: Path) -> None:
    workbench("init", "--data", "customers.csv", "--target", "churned")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_without_data_the_project_is_valid_and_has_a_place_for_data(workbench: Any, tmp_path: Path) -> None:
    result = workbench("init", "shop", "--name", "My Shop")
    assert result.code == 0
    assert load_project(tmp_path / "shop").name == "My Shop"
    assert (tmp_path / "shop" / "data").is_dir()
    assert "--print >> workbench.toml" in result.err


def test_a_pipeline_can_be_added_to_a_project(workbench: Any, shop: Path) -> None:
    begun = workbench("init")
    assert "workbench init --data customers.csv --target COLUMN --print" in begun.err
    command = ("init", "--data", "customers.csv", "--target", "churned", "--print")
    before = sorted(shop.rglob("*"))
    result = workbench(*command)
    assert sorted(shop.rglob("*")) == before
    with (shop / "workbench.toml").open("a") as file:
        file.write(result.out)
    assert list(settings_of(shop)) == ["customers"]
    again = workbench(*command)
    assert again.code == 2
    assert "--pipeline NAME" in again.err
    assert workbench(*command, "--pipeline", "other").out.startswith("\n[pipelines.other]")


@pytest.mark.parametrize("name", ["features.py", "tests/test_features.py", ".gitignore"])
def test_files_that_exist_are_kept(workbench: Any, shop: Path, name: str) -> None:
    (shop / name).parent.mkdir(exist_ok=True)
    (shop / name).write_text("# mine\n")
    result = workbench("init", "--data", "customers.csv", "--target", "churned")
    assert result.code == 0
    assert (shop / name).read_text().startswith("# mine\n")
    if name == ".gitignore":
        assert "mlruns/" in (shop / name).read_text()
        assert "added mlruns/" in result.out
    else:
        assert (shop / name).read_text() == "# mine\n"
        assert "kept" in result.out


def test_a_project_that_exists_is_refused_and_untouched(workbench: Any, shop: Path) -> None:
    (shop / "workbench.toml").write_text("# mine\n")
    result = workbench("init", "--data", "customers.csv", "--target", "churned")
    assert result.code == 2
    assert "exists already: nothing was changed" in result.err
    assert sorted(path.name for path in shop.iterdir()) == ["customers.csv", "workbench.toml"]


def test_data_within_the_project_is_named_from_there(workbench: Any, shop: Path) -> None:
    (shop / "churn" / "data").mkdir(parents=True)
    (shop / "customers.csv").rename(shop / "churn" / "data" / "customers.csv")
    assert workbench("init", "churn", "--data", "churn/data/customers.csv", "--target", "churned").code == 0
    assert settings_of(shop / "churn")["customers"].data == "data/customers.csv"


def test_data_outside_is_named_in_full_and_said(workbench: Any, shop: Path) -> None:
    result = workbench("init", "churn", "--data", "customers.csv", "--target", "churned")
    assert settings_of(shop / "churn")["customers"].data == str(shop / "customers.csv")
    assert "outside the project" in result.err


def test_data_outside_can_be_copied(workbench: Any, shop: Path) -> None:
    result = workbench("init", "churn", "--data", "customers.csv", "--target", "churned", "--copy")
    assert result.code == 0
    assert settings_of(shop / "churn")["customers"].data == "data/customers.csv"
    assert (shop / "churn" / "data" / "customers.csv").read_text() == CUSTOMERS
    assert (shop / "customers.csv").exists()


def test_a_folder_and_a_glob_are_data_too(workbench: Any, shop: Path) -> None:
    (shop / "data" / "customers").mkdir(parents=True)
    for month in ("01", "02"):
        (shop / "data" / "customers" / f"2024-{month}.csv").write_text(CUSTOMERS)
    for data, root in (("data/customers", "a"), ("data/customers/*.csv", "b")):
        result = workbench("init", "--data", data, "--target", "churned", "--json")
        assert result.json["settings"]["data"] == data
        assert result.json["pipeline"] == "customers"
        assert result.json["rows"] == 120
        (shop / "workbench.toml").rename(shop / f"{root}.toml")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Kunden 2024.csv", "kunden_2024"),
        ("data.csv", "churn-lab"),
        ("été.csv", "ete"),
        ("顧客.csv", "churn-lab"),
    ],
)
def test_the_pipeline_is_named_after_its_data(workbench: Any, tmp_path: Path, file: str, name: str) -> None:
    root = tmp_path / "Churn-Lab"
    root.mkdir()
    (root / file).write_text(CUSTOMERS)
    assert (
        workbench("init", root, "--data", root / file, "--target", "churned", "--json").json["pipeline"]
        == name
    )


def test_awkward_column_names_come_through(workbench: Any, tmp_path: Path) -> None:
    target = 'is "churned".\\ ✓'
    frame = pd.DataFrame(
        {"Kunden-Nr.": [f"K{i}" for i in range(60)], "größe (cm)": range(60), "it's = [1]": [0.5, 1.5] * 30,
         "#": ["a", "b", "c"] * 20, target: [0, 1] * 30}
    )  # fmt: skip
    frame.to_csv(tmp_path / "awkward.csv", index=False)
    result = workbench("init", "--data", "awkward.csv", "--target", target)
    assert result.code == 0, result.err
    pipeline = settings_of(tmp_path)["awkward"]
    assert (pipeline.target, pipeline.id_column) == (target, "Kunden-Nr.")
    compile((tmp_path / "tests/test_features.py").read_text("utf-8"), "test", "exec")


def test_rows_in_order_of_time_are_split_by_time_and_the_time_is_learnt_from(
    workbench: Any, tmp_path: Path
) -> None:
    moments = pd.date_range("2024-01-01", periods=200, freq="h")
    frame = pd.DataFrame(
        {"at": moments, "temp": [m.hour % 7 for m in moments], "rentals": [m.hour * 10.5 for m in moments]}
    )
    frame.to_csv(tmp_path / "rentals.csv", index=False)
    result = workbench("init", "--data", "rentals.csv", "--target", "rentals", "--json")
    assert {column["name"]: column["role"] for column in result.json["columns"]}["at"] == "time"
    pipeline = settings_of(tmp_path)["rentals"]
    assert (pipeline.time_column, pipeline.split.strategy) == ("at", "time")
    assert pipeline.features == ("at", "temp")


def test_an_estimator_is_checked(workbench: Any, shop: Path) -> None:
    base = ("init", "--data", "customers.csv", "--target", "churned", "--estimator")
    result = workbench(*base, "random_florest")
    assert (result.code, "random_forest" in result.err) == (2, True)
    assert not (shop / "workbench.toml").exists()
    assert workbench(*base, "LogisticRegression").code == 0
    assert settings_of(shop)["customers"].estimator == "logistic_regression"


CONFIG = """
data:
  path: customers.csv
  test_size: 0.25
  random_state: 42
  feature_cols: [age, orders, total_spend]
model: {algorithm: random_forest, n_estimators: 50, max_depth: 5, random_state: 42}
evaluation: {metrics: [accuracy, f1], min_accuracy: 0.5}
output: {model_path: models/model.pkl}
"""


def test_a_configuration_file_is_converted_and_accounted_for(workbench: Any, shop: Path) -> None:
    (shop / "config.yaml").write_text(CONFIG)
    result = workbench("init", "--from", "config.yaml", "--json")
    assert result.code == 0, result.err
    pipeline = settings_of(shop)["customers"]
    assert (pipeline.target, pipeline.features) == ("churned", ("age", "orders"))
    assert (pipeline.estimator, pipeline.params) == ("random_forest", {"n_estimators": 50, "max_depth": 5})
    assert (pipeline.split.test_size, pipeline.evaluate.metrics) == (0.25, ("accuracy", "f1"))
    assert pipeline.gate.min == {"accuracy": 0.5}
    reasons = {row["key"]: row["reason"] for row in result.json["not_converted"]}
    assert reasons.keys() == {"output.model_path", "features: total_spend"}
    assert "features.py" in reasons["features: total_spend"]
    assert "target = 'churned'" in result.json["notes"][0]


def test_the_conversion_is_shown_as_two_tables(workbench: Any, shop: Path) -> None:
    (shop / "config.yaml").write_text(CONFIG)
    out = workbench("init", "--from", "config.yaml").out
    assert out.index("Converted") < out.index("model.max_depth") < out.index("Not converted")
    assert "models are kept in the model registry" in out


def test_paths_of_a_configuration_count_from_it_or_from_the_project(workbench: Any, shop: Path) -> None:
    (shop / "configs").mkdir()
    (shop / "configs" / "train.yaml").write_text(CONFIG)
    assert workbench("init", "--from", "configs/train.yaml").code == 0
    assert settings_of(shop)["customers"].data == "customers.csv"


def test_a_configuration_whose_data_is_not_there_yet_needs_a_target(workbench: Any, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    result = workbench("init", "--from", "config.yaml")
    assert (result.code, "--target COLUMN" in result.err) == (2, True)
    result = workbench("init", "--from", "config.yaml", "--target", "churned")
    assert (result.code, "not there yet" in result.err) == (0, True)
    assert settings_of(tmp_path)["customers"].features == ("age", "orders", "total_spend")


def test_a_configuration_with_data_that_cannot_be_read_needs_a_file(workbench: Any, shop: Path) -> None:
    (shop / "config.yaml").write_text(
        CONFIG.replace("path: customers.csv", "path: s3://bucket/customers.csv")
    )
    result = workbench("init", "--from", "config.yaml")
    assert (result.code, "Add --data FILE" in result.err) == (2, True)
    result = workbench("init", "--from", "config.yaml", "--data", "customers.csv")
    assert result.code == 0


def test_the_command_line_wins_over_the_configuration(workbench: Any, shop: Path) -> None:
    (shop / "config.yaml").write_text(CONFIG.replace("customers.csv", "gone.csv"))
    result = workbench(
        "init",
        "--from",
        "config.yaml",
        "--data",
        "customers.csv",
        "--target",
        "orders",
        "--estimator",
        "knn",
        "--json",
    )
    assert result.code == 0, result.err
    reasons = {row["key"]: row["reason"] for row in result.json["not_converted"]}
    assert reasons["data.path"] == "--data takes its place"
    assert reasons["model.max_depth"] == "--estimator takes its place"
    pipeline = settings_of(shop)["customers"]
    assert (pipeline.target, pipeline.estimator, pipeline.params) == ("orders", "knn", {})


def refused(result: Any, folder: Path, code: int) -> str:
    """The one line of a refusal that has left nothing behind."""
    assert result.code == code, result.err
    assert result.err.count("\n") == 1
    assert not (folder / "workbench.toml").exists()
    assert not (folder / "features.py").exists()
    line: str = result.err
    return line


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "is empty"),
    "header.csv": (b"a,churned\n", "header"),
    "binary.csv": (bytes(range(256)) * 20, "binary"),
    "ragged.csv": (b"a,churned\n1,2\n1,2,3\n", "line 3"),
    "broken.csv.gz": (gzip.compress(CUSTOMERS.encode())[:60], "decompressed"),
    "wrong.parquet": (b"PAR1 and no more", "Parquet"),
    "sheet.xlsx": (b"PK\x03\x04", "CSV"),
    "constant.csv": (b"a,churned\n" + b"1,0\n2,0\n" * 20, "every row"),
    "missing.csv": (b"a,churned\n" + b"1,\n2,\n" * 20, "no values"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_unusable_data_is_refused_in_one_line(workbench: Any, tmp_path: Path, name: str) -> None:
    content, words = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    line = refused(workbench("init", "--data", name, "--target", "churned"), tmp_path, 1)
    assert words in line
    assert name in line


def test_a_file_that_is_not_there_names_its_neighbour(workbench: Any, shop: Path) -> None:
    line = refused(workbench("init", "--data", "custommers.csv", "--target", "churned"), shop, 1)
    assert "no such data file" in line
    assert "customers.csv" in line


def test_a_missing_or_misspelt_target_names_the_columns(workbench: Any, shop: Path) -> None:
    line = refused(workbench("init", "--data", "customers.csv"), shop, 2)
    assert "customer_id, age, orders, churned" in line
    assert "--target churned" in line
    line = refused(workbench("init", "--data", "customers.csv", "--target", "chruned"), shop, 2)
    assert "Did you mean --target churned?" in line


def test_a_target_with_gaps_is_warned_about(workbench: Any, shop: Path) -> None:
    (shop / "customers.csv").write_text(CUSTOMERS + "C99,33,2,\n")
    result = workbench("init", "--data", "customers.csv", "--target", "churned")
    assert result.code == 0
    assert "churned is missing in 1 of 61 rows: training refuses" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "churned"], "--data FILE"),
        (["--print"], "--data FILE"),
        (["--data", "customers.csv", "--target", "churned", "--pipeline", "My Model"], "lower-case"),
        (["customers.csv"], "Did you mean: workbench init --data customers.csv"),
        (["--data", "customers.csv", "--target", "churned", "--print", "--json"], "--json"),
    ],
)
def test_wrong_usage(workbench: Any, shop: Path, arguments: list[str], words: str) -> None:
    assert words in refused(workbench("init", *arguments), shop, 2)


def test_a_folder_that_cannot_be_made_is_refused(workbench: Any, shop: Path) -> None:
    result = workbench("init", "/proc/none/here", "--data", "customers.csv", "--target", "churned")
    assert "/proc" in refused(result, shop, 1)
    result = workbench("init", "customers.csv/below", "--data", "customers.csv", "--target", "churned")
    assert "customers.csv" in refused(result, shop, 1)


@pytest.fixture
def guarded(workbench: Any) -> Iterator[Path]:
    """A folder with customers.csv whose permissions count, for root too: the test runs as nobody then."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "customers.csv").write_text(CUSTOMERS)
        # Everything is imported before nobody, who may not read the interpreter's folders, takes over.
        workbench("init", folder, "--data", folder / "customers.csv", "--target", "churned", "--print")
        if os.geteuid() != 0:
            yield folder
        else:
            os.seteuid(65534)
            try:
                yield folder
            finally:
                os.seteuid(0)
        folder.chmod(0o755)


def test_a_read_only_folder_is_refused(workbench: Any, guarded: Path) -> None:
    if os.geteuid() == guarded.stat().st_uid:
        guarded.chmod(0o555)
    result = workbench("init", guarded, "--data", guarded / "customers.csv", "--target", "churned")
    assert f"cannot write {guarded}" in refused(result, guarded, 1)


def test_an_unreadable_file_is_refused(workbench: Any, guarded: Path) -> None:
    data = guarded / "customers.csv"
    with as_owner():
        data.chmod(0)
    line = refused(workbench("init", guarded, "--data", data, "--target", "churned"), guarded, 1)
    assert f"cannot read {data}" in line


@contextmanager
def as_owner() -> Iterator[None]:
    """As the user that the test was started by."""
    user = os.geteuid()
    os.seteuid(os.getuid())
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_was_written_before_a_failure_is_taken_back(workbench: Any, shop: Path) -> None:
    (shop / "tests").write_text("a file where the folder should be\n")
    result = workbench("init", "--data", "customers.csv", "--target", "churned")
    assert "tests" in refused(result, shop, 1)
    assert sorted(path.name for path in shop.iterdir()) == ["customers.csv", "tests"]


def test_the_folder_of_the_global_option_is_used(workbench: Any, shop: Path) -> None:
    (shop / "churn").mkdir()
    assert workbench("-C", shop / "churn", "init", "--name", "x").code == 0
    assert tomllib.loads((shop / "churn" / "workbench.toml").read_text())["project"] == {"name": "x"}


def test_folders_named_like_the_packages_do_no_harm(workbench: Any, shop: Path) -> None:
    for name in ("store", "serve", "pipelines", "workbench"):
        (shop / name).mkdir()
        (shop / name / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    assert workbench("init", "--data", "customers.csv", "--target", "churned").code == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in done.stdout


Convert = Callable[[pd.DataFrame, Path], None]
FORMATS: dict[str, Convert] = {
    "customers.csv": lambda frame, path: frame.to_csv(path, index=False),
    "semicolons.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";", decimal=","),
    "tabs.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "quoted_bom.csv.gz": lambda frame, path: frame.to_csv(path, index=False, quoting=1, encoding="utf-8-sig"),
    "customers.parquet": lambda frame, path: frame.to_parquet(path),
    "customers.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


@pytest.mark.parametrize("name", FORMATS)
def test_kinds_do_not_depend_on_the_format(workbench: Any, tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame(
        {
            "customer id": [f"K-{i}" for i in range(60)],
            "größe": [150.5 + i for i in range(59)] + [None],
            "plan": ["basic", "pro", "team"] * 20,
            "at": pd.date_range("2024-01-01", periods=60, freq="D").strftime("%Y-%m-%d")[::-1],
            "churned": [0, 1, 0, 1, 1, 0] * 10,
        }
    )
    FORMATS[name](frame, tmp_path / name)
    result = workbench("init", "--data", name, "--target", "churned", "--json")
    assert result.code == 0, result.err
    kinds = {column["name"]: column["kind"] for column in result.json["columns"]}
    assert (kinds["customer id"], kinds["größe"], kinds["plan"]) == ("id", "numeric", "categorical")
    assert kinds["at"] == "datetime"
    assert result.json["task"] == "binary"
