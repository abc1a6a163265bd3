"""A dataclass of settings, three forests, artifacts: a script that knows nothing of workbench."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow
import mlflow.sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler


@dataclass
class TrainConfig:
    n_estimators: int = 20
    max_depth: int = 4
    test_size: float = 0.2
    random_seed: int = 42


mlflow.set_experiment("breast-cancer-classifier")
X, y = load_breast_cancer(return_X_y=True, as_frame=True)
for config in (TrainConfig(5, 2), TrainConfig(10, 3), TrainConfig()):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=config.test_size, stratify=y, random_state=config.random_seed
    )
    with mlflow.start_run(run_name=f"forest-{config.n_estimators}"):
        mlflow.log_params(asdict(config))
        forest = RandomForestClassifier(
            n_estimators=config.n_estimators, max_depth=config.max_depth, random_state=config.random_seed
        )
        pipeline = Pipeline([("scaler", StandardScaler()), ("model", forest)]).fit(X_train, y_train)
        predicted = pipeline.predict(X_test)
        metrics = {
            "accuracy": float(accuracy_score(y_test, predicted)),
            "precision": float(precision_score(y_test, predicted)),
            "recall": float(recall_score(y_test, predicted)),
            "roc_auc": float(roc_auc_score(y_test, pipeline.predict_proba(X_test)[:, 1])),
        }
        mlflow.log_metrics(metrics)
        mlflow.log_dict(
            dict(zip(X.columns, forest.feature_importances_.tolist(), strict=True)),
            "feature_importances.json",
        )
        Path("metrics").mkdir(exist_ok=True)
        Path("metrics/eval.json").write_text(json.dumps(metrics))
        mlflow.log_artifact("metrics/eval.json")
        mlflow.sklearn.log_model(
            pipeline,
            artifact_path="model",
            registered_model_name="cancer-classifier",
            input_example=X_test.head(2),
        )
