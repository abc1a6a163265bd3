from __future__ import annotations

from pathlib import Path

import pytest

from store.errors import SettingsError
from store.file_runs import FileRunStore
from store.tracking import file_store_path, is_file_store, open_runs, resolve_uri, tracking_environment


@pytest.mark.parametrize(
    ("uri", "resolved"),
    [
        ("mlruns", "file:///project/mlruns"),
        ("./a/../mlruns", "file:///project/mlruns"),
        ("/data/ml runs", "file:///data/ml%20runs"),
        ("file:///data/mlruns", "file:///data/mlruns"),
        ("file:///data/ml%20runs", "file:///data/ml%20runs"),
        ("file:mlruns", "file:///project/mlruns"),
        ("sqlite:///mlflow.db", "sqlite:////project/mlflow.db"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:///a.db?timeout=5", "sqlite:////project/a.db?timeout=5"),
        ("http://localhost:5000/", "http://localhost:5000"),
        ("https://mlflow.example.org", "https://mlflow.example.org"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
    ],
)
def test_a_uri_becomes_absolute_and_stays_so(uri: str, resolved: str) -> None:
    root = Path("/project")
    assert resolve_uri(uri, root) == resolved
    assert resolve_uri(resolved, Path("/elsewhere")) == resolved


@pytest.mark.parametrize("uri", ["", " ", "sqlite:///", "sqlite:///:memory:", "databrick://x"])
def test_a_uri_that_means_nothing_is_refused_with_a_hint(uri: str) -> None:
    with pytest.raises(SettingsError) as refused:
        resolve_uri(uri, Path("/project"))
    assert refused.value.hint


def test_a_folder_with_a_space_and_umlauts_is_the_same_folder_again(tmp_path: Path) -> None:
    folder = tmp_path / "ml runs ü %"
    uri = resolve_uri(str(folder), tmp_path)
    assert is_file_store(uri)
    assert file_store_path(uri) == folder
    runs = open_runs(uri)
    assert isinstance(runs, FileRunStore)
    assert runs.root == folder


def test_a_database_is_no_file_store() -> None:
    assert not is_file_store("sqlite:////a.db")
    with pytest.raises(SettingsError):
        file_store_path("http://localhost:5000")


def test_plain_mlflow_is_pointed_at_the_same_store_without_telemetry() -> None:
    environment = tracking_environment("file:///project/mlruns")
    assert environment["MLFLOW_TRACKING_URI"] == "file:///project/mlruns"
    assert environment["MLFLOW_REGISTRY_URI"] == environment["MLFLOW_TRACKING_URI"]
    assert environment["MLFLOW_ALLOW_FILE_STORE"] == environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
