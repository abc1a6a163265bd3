"""Configuration files of the usual kinds are read, and Python is never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from store.errors import DataError, NotFoundError, UsageError
from workbench.starter.config_sources import read_config

Write = Callable[[str, str], Path]

DVC = """
    stages:
      preprocess:
        cmd: python src/preprocess.py
        deps: [src/preprocess.py, data/raw/customers.csv]
        outs: [data/processed/train.csv, data/processed/test.csv]
      train:
        cmd: python src/train.py
        deps: [src/train.py, data/processed/test.csv, data/processed/train.csv]
        params: [train.n_estimators]
        outs: [models/model.pkl]
        metrics:
          - metrics/eval.json:
              cache: false
"""


def test_yaml_json_and_toml_say_the_same(write: Write) -> None:
    files = [
        write("c.yaml", "model:\n  max_depth: 5\n"),
        write("c.json", '{"model": {"max_depth": 5}}'),
        write("c.toml", "[model]\nmax_depth = 5\n"),
    ]
    assert [read_config(file).values for file in files] == [{"model": {"max_depth": 5}}] * 3


def test_a_dvc_pair_is_read_from_either_of_its_files(write: Write) -> None:
    pipeline, params = write("dvc.yaml", DVC), write("params.yaml", "train: {n_estimators: 50}\n")
    assert read_config(pipeline).values == read_config(params).values
    source = read_config(params)
    assert source.values["train"] == {"n_estimators": 50}
    assert source.values["stages"] == {"train": {"deps": "data/processed/train.csv"}}
    assert {key for key, _ in source.left} == {
        "stages.train.deps: src/train.py",
        "stages.train.deps: data/processed/test.csv",
        "stages.preprocess",
    }
    assert {key for key, _ in source.noted} == {
        "stages.train.metrics: metrics/eval.json",
        "stages.train.outs: models/model.pkl",
        "stages.train.cmd",
    }


def test_params_alone_are_an_ordinary_file(write: Write) -> None:
    assert read_config(write("params.yaml", "train: {n_estimators: 50}\n")).kind == "config"


def test_a_variable_in_dvc_yaml_is_filled_in_from_the_params(write: Write) -> None:
    write("params.yaml", "data: {file: data/customers.csv}\n")
    path = write("dvc.yaml", "stages: {train: {cmd: x, deps: ['${data.file}', '${nowhere}']}}\n")
    assert read_config(path).values["stages"] == {"train": {"deps": "data/customers.csv"}}


def test_a_dvc_file_without_training_is_refused(write: Write) -> None:
    path = write("dvc.yaml", "stages: {fetch: {cmd: a}, clean: {cmd: b}}\n")
    with pytest.raises(DataError, match=r"no train stage.*fetch, clean"):
        read_config(path)


def test_a_dataclass_gives_its_defaults_and_the_file_is_not_run(write: Write, tmp_path: Path) -> None:
    path = write(
        "train.py",
        """
        from dataclasses import dataclass, field
        from pathlib import Path
        from sklearn.ensemble import GradientBoostingClassifier
        from sklearn.preprocessing import StandardScaler

        Path("ran").touch()
        raise SystemExit("this file was run")
        SEED = 42
        HERE = Path("data")


        @dataclass(frozen=True)
        class TrainConfig:
            '''Settings.'''

            data_path: Path = HERE / "customers.csv"
            target_column: str = "churned"
            seed: int = SEED
            learning_rate: float = 5e-2
            offset: int = -1
            columns: list[str] = field(default_factory=lambda: ["a", "b"])
            tags: dict = field(default_factory=dict)
            n_estimators: int = field(default=200)
            run_at: str = str(now())
            note: str

            def method(self): ...


        @dataclass
        class Other:
            x: int = 1


        def build(config):
            return StandardScaler(), GradientBoostingClassifier(n_estimators=config.n_estimators)
        """,
    )
    source = read_config(path)
    assert source.values == {
        "data_path": "data/customers.csv",
        "target_column": "churned",
        "seed": 42,
        "learning_rate": 0.05,
        "offset": -1,
        "columns": ["a", "b"],
        "tags": {},
        "n_estimators": 200,
    }
    assert source.left == (
        ("TrainConfig.run_at", "its default is computed: str(now())"),
        ("TrainConfig.note", "it has no default value"),
    )
    assert source.estimator == "sklearn.ensemble.GradientBoostingClassifier"
    assert not (tmp_path / "ran").exists()
    assert not Path("ran").exists()


def test_several_dataclasses_are_sections(write: Write) -> None:
    path = write(
        "config.py",
        """
        import dataclasses
        @dataclasses.dataclass
        class DataConfig:
            path: str = "a.csv"
        class ModelConfig(BaseModel):
            max_depth: int = 3
        """,
    )
    assert read_config(path).values == {"data": {"path": "a.csv"}, "model": {"max_depth": 3}}


def test_two_estimators_are_not_one(write: Write) -> None:
    path = write(
        "train.py",
        """
        from sklearn.svm import SVC
        from sklearn.ensemble import RandomForestClassifier
        class Config:
            seed = 1
        models = [SVC(), RandomForestClassifier()]
        """,
    )
    assert read_config(path).estimator is None


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("c.yaml", "", DataError, "is empty"),
        ("c.yaml", "- a\n- b\n", DataError, "holds a list"),
        ("c.yaml", "a: [1\n", DataError, "cannot be parsed"),
        ("c.yaml", "a: !!python/object/apply:os.system [ls]\n", DataError, "cannot be parsed"),
        ("c.json", "{", DataError, "cannot be parsed"),
        ("c.toml", "a = ", DataError, "cannot be parsed"),
        ("c.ini", "[a]\n", UsageError, "no kind that can be converted"),
        ("c.py", "def (", DataError, "not valid Python \\(line 1\\)"),
        ("c.py", "x = 1\n", DataError, "no dataclass"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    write: Write, name: str, text: str, kind: type[Exception], message: str
) -> None:
    path = write(name, text)
    with pytest.raises(kind, match=message) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_binary_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_config(tmp_path / "config.yaml")
    with pytest.raises(UsageError, match="is a folder"):
        read_config(tmp_path)
    (tmp_path / "model.yaml").write_bytes(b"\x80\x81\xff\x00")
    with pytest.raises(DataError, match="is not text"):
        read_config(tmp_path / "model.yaml")
