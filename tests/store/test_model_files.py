"""Reading and loading model folders without MLflow: what is known of them, and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from store.errors import ModelLoadError
from store.layout import Layout
from store.model_files import ColumnSpec, environment_differences, load_model, read_model_file
from store.trust import file_digest, trust
from tests.conftest import UNHURRIED_IN_ONE_FIXTURE

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(90, 3))
Y = (X[:, 0] + RANDOM.normal(scale=0.5, size=90) > 0).astype(int)
NAMES = ["a", "b", "c"]
FRAME = pd.DataFrame(X, columns=NAMES)
SIGNATURE = [{"name": name, "type": "double", "required": True} for name in NAMES]


def write(
    folder: Path,
    estimator: Any,
    *,
    inputs: Sequence[Mapping[str, Any]] | None = SIGNATURE,
    metadata: Mapping[str, Any] | None = None,
    code: Mapping[str, str] | None = None,
    pickled: bool = False,
) -> Path:
    """A model's folder as `mlflow.sklearn.log_model` leaves it."""
    import pickle

    folder.mkdir(parents=True, exist_ok=True)
    name = "model.pkl" if pickled else "model.skops"
    if pickled:
        (folder / name).write_bytes(pickle.dumps(estimator))
    else:
        skops.io.dump(estimator, folder / name)
    for path, text in (code or {}).items():
        (folder / "code" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "code" / path).write_text(text)
    document: dict[str, Any] = {
        "flavors": {
            "python_function": {"loader_module": "mlflow.sklearn", "python_version": "3.11.7"},
            "sklearn": {
                "code": "code" if code else None,
                "pickled_model": name,
                "serialization_format": "pickle" if pickled else "skops",
                "skops_trusted_types": ["builtins.eval"],
            },
        },
        "run_id": "r1",
        "model_id": "m-1",
    }
    if inputs is not None:
        document["signature"] = {"inputs": json.dumps(list(inputs))}
    if metadata is not None:
        document["metadata"] = {"workbench": dict(metadata)}
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return folder


class TestReading:
    def test_a_column_signature(self, tmp_path: Path) -> None:
        inputs = [*SIGNATURE[:2], {"name": "c", "type": "string", "required": False}]
        file = read_model_file(write(tmp_path, Ridge(), inputs=inputs, metadata={"task": "regression"}))
        assert file.inputs is not None
        assert file.inputs[2] == ColumnSpec("c", "string", required=False)
        assert (file.n_inputs, file.flavor, file.serialization_format) == (3, "sklearn", "skops")
        assert (file.run_id, file.model_id, file.metadata) == ("r1", "m-1", {"task": "regression"})

    def test_a_tensor_signature_and_none(self, tmp_path: Path) -> None:
        tensor = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 30]}}]
        file = read_model_file(write(tmp_path / "t", Ridge(), inputs=tensor))
        assert (file.inputs, file.n_inputs, file.input_dtype) == (None, 30, "float32")
        none = read_model_file(write(tmp_path / "n", Ridge(), inputs=None))
        assert (none.inputs, none.n_inputs) == (None, None)

    @pytest.mark.parametrize(
        "content",
        ["", "x", "- 1", "flavors: {}", "flavors: {sklearn: {}}\nsignature: {inputs: '[{'}", "a: ["],
    )
    def test_what_is_no_model_file_is_refused(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "MLmodel").write_text(content)
        with pytest.raises(ModelLoadError):
            read_model_file(tmp_path)

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelLoadError, match="gone"):
            read_model_file(tmp_path / "gone")

    @settings(max_examples=60, suppress_health_check=UNHURRIED_IN_ONE_FIXTURE)
    @given(content=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
    def test_any_content_is_read_or_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "MLmodel").write_bytes(content)
        with pytest.raises(ModelLoadError):
            read_model_file(tmp_path)

    def test_versions_are_compared_with_this_environment(self, tmp_path: Path) -> None:
        write(tmp_path, Ridge())
        pins = f"numpy=={np.__version__}\nscikit-learn==0.1\nno-such-thing==1 ; python_version > '3'\n# x\n"
        (tmp_path / "requirements.txt").write_text(pins)
        differences = environment_differences(read_model_file(tmp_path))
        python = [line for line in differences if line.startswith("python")]
        assert bool(python) is (sys.version_info[:2] != (3, 11))
        others = [line for line in differences if not line.startswith("python")]
        assert others[0].startswith("scikit-learn 0.1 in training, ")
        assert others[1:] == ["no-such-thing 1 in training, absent here"]


CLASSIFIERS = {
    "logistic": LogisticRegression(),
    "forest": RandomForestClassifier(7, random_state=0),
    "extra": ExtraTreesClassifier(7, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=3),
    "boosting": GradientBoostingClassifier(n_estimators=5),
    "histogram": HistGradientBoostingClassifier(max_iter=5),
    "ada": AdaBoostClassifier(n_estimators=5),
    "neighbours": KNeighborsClassifier(4),
    "bayes": GaussianNB(),
    "network": MLPClassifier((4,), max_iter=400, tol=1e-2, random_state=0),
    "linear svm": LinearSVC(),
    "svm": SVC(),
    "ridge": RidgeClassifier(),
    "sgd": SGDClassifier(loss="modified_huber", random_state=0),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "vote": VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"),
    "search": GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2, scoring="roc_auc"),
    "threshold": FixedThresholdClassifier(LogisticRegression(), threshold=0.3),
    "other class": FixedThresholdClassifier(LogisticRegression(), threshold=0.3, pos_label=0),
}


class TestPredicting:
    @pytest.mark.parametrize("name", CLASSIFIERS)
    def test_classes_and_probabilities_are_scikit_learns(self, tmp_path: Path, name: str) -> None:
        estimator = CLASSIFIERS[name].fit(FRAME, Y)
        model = load_model(write(tmp_path, estimator))
        assert (model.task, model.classes, model.needs_frame) == ("binary", (0, 1), False)
        answer = model.predict(X)
        assert answer.prediction == estimator.predict(FRAME).tolist()
        if hasattr(estimator, "predict_proba"):
            assert answer.probability is not None
            # A frame's columns lie apart in memory, so BLAS may add them up in another order.
            expected = pytest.approx(estimator.predict_proba(FRAME)[:, 1].tolist(), rel=1e-12)
            assert answer.probability.tolist() == expected
        assert model.predict(FRAME).prediction == answer.prediction

    @pytest.mark.parametrize(
        "estimator",
        [Ridge(), GradientBoostingRegressor(n_estimators=5), HistGradientBoostingRegressor(max_iter=5)],
    )
    def test_regressions_answer_numbers(self, tmp_path: Path, estimator: Any) -> None:
        model = load_model(write(tmp_path, estimator.fit(FRAME, X[:, 1] * 2)))
        assert (model.task, model.classes) == ("regression", None)
        assert model.predict(X).prediction == estimator.predict(FRAME).tolist()

    @pytest.mark.parametrize("labels", [["no", "yes", "may"], [3, 1, 2]], ids=str)
    def test_more_than_two_classes(self, tmp_path: Path, labels: list[Any]) -> None:
        y = np.array(labels)[np.arange(90) % 3]
        estimator = RandomForestClassifier(5, random_state=0).fit(FRAME, y)
        model = load_model(write(tmp_path, estimator))
        answer = model.predict(X)
        assert (model.task, model.classes) == ("multiclass", tuple(sorted(labels)))
        assert answer.probability is None
        assert answer.probabilities is not None
        assert answer.probabilities.shape == (90, 3)
        assert answer.prediction == estimator.predict(FRAME).tolist()

    def test_boolean_classes_stay_boolean(self, tmp_path: Path) -> None:
        model = load_model(write(tmp_path, LogisticRegression().fit(FRAME, Y == 1)))
        assert model.classes == (False, True)
        assert all(type(label) is bool for label in model.predict(X).prediction)

    def test_columns_come_in_the_models_own_order(self, tmp_path: Path) -> None:
        estimator = LogisticRegression().fit(FRAME, Y)
        model = load_model(write(tmp_path, estimator, inputs=list(reversed(SIGNATURE))))
        assert model.names == ("a", "b", "c")
        assert model.predict(FRAME[["c", "a", "b"]]).prediction == estimator.predict(FRAME).tolist()

    def test_a_column_transformer_gets_a_frame(self, tmp_path: Path) -> None:
        frame = FRAME.assign(d=np.array(["x", "y"])[np.arange(90) % 2])
        transformer = ColumnTransformer([("n", StandardScaler(), ["a"]), ("c", OneHotEncoder(), ["d"])])
        estimator = Pipeline([("t", transformer), ("m", LogisticRegression())]).fit(frame, Y)
        inputs = [*SIGNATURE, {"name": "d", "type": "string", "required": True}]
        model = load_model(write(tmp_path, estimator, inputs=inputs))
        assert model.needs_frame
        assert model.predict(frame).prediction == estimator.predict(frame).tolist()

    def test_no_signature_is_made_up_from_the_estimator(self, tmp_path: Path) -> None:
        bare = load_model(write(tmp_path / "bare", Ridge().fit(X, Y), inputs=None))
        assert bare.names == ("x0", "x1", "x2")
        named = load_model(write(tmp_path / "named", Ridge().fit(FRAME, Y), inputs=None))
        assert named.names == ("a", "b", "c")

    def test_single_precision_models_get_single_precision(self, tmp_path: Path) -> None:
        inputs = [{**column, "type": "float"} for column in SIGNATURE]
        model = load_model(write(tmp_path, LogisticRegression().fit(X.astype("float32"), Y), inputs=inputs))
        assert model.dtype == "float32"


class TestRefusing:
    def test_types_off_the_list_are_named_whatever_the_file_claims(self, tmp_path: Path) -> None:
        estimator = make_pipeline(FunctionTransformer(eval), Ridge())
        estimator.steps[1][1].fit(X, Y)
        with pytest.raises(ModelLoadError, match=r"builtins\.eval"):
            load_model(write(tmp_path, estimator))

    def test_a_type_can_be_trusted_by_setting_or_in_the_project(self, tmp_path: Path) -> None:
        layout = Layout.of(tmp_path).ensure()
        folder = write(tmp_path / "m", make_pipeline(FunctionTransformer(np.linalg.norm), Ridge()))
        with pytest.raises(ModelLoadError, match="norm") as raised:
            load_model(folder, layout=layout)
        type_name = raised.value.message.rpartition(": ")[2]
        with pytest.raises(ModelLoadError, match="not fitted"):
            load_model(folder, trusted_types=[type_name])
        trust(layout, "type", type_name)
        with pytest.raises(ModelLoadError, match="not fitted"):
            load_model(folder, layout=layout)

    def test_a_pickle_is_loaded_only_when_its_digest_is_trusted(self, tmp_path: Path) -> None:
        layout = Layout.of(tmp_path).ensure()
        folder = write(tmp_path / "m", Ridge().fit(FRAME, Y), pickled=True)
        with pytest.raises(ModelLoadError, match="pickle"):
            load_model(folder, layout=layout)
        trust(layout, "model", file_digest(folder / "model.pkl"))
        assert load_model(folder, layout=layout).names == ("a", "b", "c")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"x" * 100])
    def test_a_damaged_file_is_named(self, tmp_path: Path, content: bytes) -> None:
        folder = write(tmp_path, Ridge().fit(X, Y))
        (folder / "model.skops").write_bytes(content)
        with pytest.raises(ModelLoadError, match=r"model\.skops"):
            load_model(folder)

    @pytest.mark.parametrize(
        "estimator", [RandomForestClassifier(3), HistGradientBoostingClassifier(max_iter=2)]
    )
    def test_a_tree_that_points_outside_itself_is_refused(self, tmp_path: Path, estimator: Any) -> None:
        from store.estimator_parts import check_trees

        estimator.fit(X, Y)
        check_trees(estimator)
        if isinstance(estimator, RandomForestClassifier):
            estimator.estimators_[0].tree_.feature[0] = 10_000
        else:
            estimator._predictors[0][0].nodes["left"][0] = 10_000
        with pytest.raises(ModelLoadError, match="outside"):
            check_trees(estimator)

    def test_an_unfitted_model_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ModelLoadError, match="not fitted"):
            load_model(write(tmp_path, RandomForestClassifier()))

    def test_another_flavor_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "MLmodel").write_text("flavors: {xgboost: {}, python_function: {}}")
        with pytest.raises(ModelLoadError, match="xgboost"):
            load_model(tmp_path)

    def test_other_predictors_still_predict(self, tmp_path: Path) -> None:
        estimator = KMeans(2, n_init=1, random_state=0).fit(FRAME)
        assert (
            load_model(write(tmp_path, estimator)).predict(X).prediction == estimator.predict(FRAME).tolist()
        )


CODE = "def double(X):\n    return X * 2\n"


class TestCode:
    @pytest.fixture
    def estimator(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A pipeline with a function of a module that is gone once the model is written."""
        import importlib.util

        source = tmp_path / "wb_test_0123456789ab.py"
        source.write_text(CODE)
        spec = importlib.util.spec_from_file_location(source.stem, source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, source.stem, module)
        spec.loader.exec_module(module)
        return make_pipeline(FunctionTransformer(module.double), LogisticRegression()).fit(FRAME, Y)

    def test_code_is_imported_only_when_it_is_trusted(
        self, tmp_path: Path, estimator: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layout = Layout.of(tmp_path).ensure()
        name = "wb_test_0123456789ab"
        folder = write(tmp_path / "m", estimator, code={f"{name}.py": CODE})
        expected = estimator.predict(FRAME).tolist()
        monkeypatch.delitem(sys.modules, name)
        with pytest.raises(ModelLoadError, match="nobody trusted") as raised:
            load_model(folder, layout=layout)
        digest = file_digest(folder / "code" / f"{name}.py")
        assert digest in str(raised.value.hint)
        assert name not in sys.modules
        trust(layout, "code", digest)
        model = load_model(folder, layout=layout)
        monkeypatch.delitem(sys.modules, name)
        assert model.needs_frame
        assert model.predict(FRAME).prediction == expected

    def test_code_that_raises_is_a_report(
        self, tmp_path: Path, estimator: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layout = Layout.of(tmp_path).ensure()
        name = "wb_test_0123456789ab"
        folder = write(tmp_path / "m", estimator, code={f"{name}.py": "import no_such_module\n"})
        monkeypatch.delitem(sys.modules, name)
        trust(layout, "code", file_digest(folder / "code" / f"{name}.py"))
        with pytest.raises(ModelLoadError, match="no_such_module"):
            load_model(folder, layout=layout)
        assert name not in sys.modules

    def test_a_function_the_code_merely_imports_is_not_trusted_with_it(
        self, tmp_path: Path, estimator: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layout = Layout.of(tmp_path).ensure()
        name = "wb_test_0123456789ab"
        folder = write(tmp_path / "m", estimator, code={f"{name}.py": "from os import system as double\n"})
        monkeypatch.delitem(sys.modules, name)
        trust(layout, "code", file_digest(folder / "code" / f"{name}.py"))
        with pytest.raises(ModelLoadError, match="not on the allow-list"):
            load_model(folder, layout=layout)
        monkeypatch.delitem(sys.modules, name, raising=False)
