"""Estimators are found by name, and what they refuse is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.estimators import SHORT_NAMES, algorithm, find_class, make_estimator, needs_scaling
from pipelines.user_module import load_user_module
from store.errors import SettingsError, TrainingError, UserCodeError


@pytest.mark.parametrize("name", sorted(SHORT_NAMES))
def test_every_short_name_exists(name: str) -> None:
    _, classifier, regressor = SHORT_NAMES[name]
    for task, expected in (("multiclass", classifier), ("regression", regressor)):
        if expected is not None:
            assert find_class(name, task).__name__ == expected  # type: ignore[arg-type]


def test_a_dotted_path_and_a_class_name_are_taken() -> None:
    for name in ("sklearn.ensemble.RandomForestClassifier", "RandomForestClassifier", "random_forest"):
        model = make_estimator(name, "binary", {"n_estimators": 3}, seed=7)
        assert (algorithm(model), model.n_estimators, model.random_state) == ("random_forest", 3, 7)


@pytest.mark.parametrize(
    ("name", "task", "params", "message"),
    [
        ("random_forrest", "binary", {}, "no estimator 'random_forrest'.* Did you mean 'random_forest'"),
        ("sklearn.ensemble.RandomForrestClassifier", "binary", {}, "Did you mean 'RandomForestClassifier'"),
        ("sklearn.nothing.Forest", "binary", {}, "no estimator"),
        ("no_such_package.Model", "binary", {}, "pip install no_such_package"),
        ("random_forest", "binary", {"max_dept": 3}, "no parameter 'max_dept'.* Did you mean 'max_depth'"),
        ("linear_regression", "binary", {}, "is for numbers, and the task is binary"),
        ("sklearn.svm.SVR", "multiclass", {}, "is a regressor"),
        ("sklearn.svm.SVC", "regression", {}, "is a classifier"),
        ("collections.OrderedDict", "binary", {}, "no estimator|lacks fit"),
    ],
)
def test_what_cannot_be_is_explained(name: str, task: str, params: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_estimator(name, task, params, seed=0)  # type: ignore[arg-type]


def test_scale_matters_to_linear_models_and_not_to_trees() -> None:
    assert needs_scaling(make_estimator("logistic_regression", "binary", {}, 0))
    assert needs_scaling(make_estimator("knn", "regression", {}, 0))
    assert not needs_scaling(make_estimator("random_forest", "binary", {}, 0))


def test_a_parameter_from_an_environment_variable_finds_its_capitals() -> None:
    assert make_estimator("logistic_regression", "binary", {"c": 0.5}, seed=1).C == 0.5


MISSING = "No module named 'no_such_package'. Install it \\(pip install no_such_package\\)"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"own_estimators.py": "import numpy\n\nimport no_such_package.trees\n"},
            rf"own_estimators.py, line 3, cannot be loaded .* own_estimators.Mine: .*{MISSING}",
        ),
        (
            {"own_estimators.py": "import own_helpers\n", "own_helpers.py": "\nimport no_such_package\n"},
            rf"own_helpers.py, line 2, cannot be loaded .*{MISSING}",
        ),
        (
            {"own_estimators.py": "from numpy import no_such_name\n"},
            "own_estimators.py, line 1, .*cannot import name 'no_such_name'.* Mend that line",
        ),
        ({"own_estimators.py": "import numpy\nclass Mine(:\n"}, "own_estimators.py, line 2, .* SyntaxError"),
        ({"own_estimators.py": "raise SystemExit('no GPU')\n"}, "own_estimators.py, line 1, .* no GPU"),
    ],
)
def test_an_estimator_of_ones_own_that_cannot_be_imported_is_told_by_its_line(
    files: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserCodeError, match=message):
        find_class("own_estimators.Mine", "binary")


def test_an_installed_package_that_cannot_be_imported_is_not_called_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("raise OSError('libgomp.so.1: no such file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sysconfig.get_path", lambda _kind: str(tmp_path))
    with pytest.raises(TrainingError, match=r"broken_package cannot be imported: libgomp.* Check its inst"):
        find_class("broken_package.Model", "binary")


def test_a_package_that_ones_module_lacks_is_told_by_the_file_that_imports_it(tmp_path: Path) -> None:
    (tmp_path / "features.py").write_text("import helpers\n\ndef features(frame):\n    return frame\n")
    (tmp_path / "helpers.py").write_text("import numpy\nimport no_such_package\n")
    with pytest.raises(UserCodeError, match=rf"helpers.py, line 2, cannot be loaded: .*{MISSING}"):
        load_user_module(tmp_path / "features.py", "churn")
