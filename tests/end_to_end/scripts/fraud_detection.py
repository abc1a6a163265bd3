"""Flat dictionaries, registration in log_model, promotion by stage: knows nothing of workbench."""

import warnings

import mlflow
import mlflow.sklearn
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

EXPERIMENT = "fraud-detection-v2"
MODEL = "fraud-detector"

X, y = make_classification(n_samples=1500, n_features=20, n_informative=8, random_state=42)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=42)

mlflow.set_experiment(EXPERIMENT)
for depth in (1, 3):
    params = {"n_estimators": 20, "max_depth": depth, "learning_rate": 0.05}
    with mlflow.start_run(run_name=f"gbm-depth-{depth}"):
        mlflow.log_params(params)
        mlflow.log_param("train_samples", len(X_train))
        model = GradientBoostingClassifier(**params, random_state=42)
        pipeline = Pipeline([("scaler", StandardScaler()), ("model", model)])
        scores = cross_val_score(pipeline, X_train, y_train, cv=3, scoring="roc_auc")
        pipeline.fit(X_train, y_train)
        probability = pipeline.predict_proba(X_test)[:, 1]
        predicted = pipeline.predict(X_test)
        mlflow.log_metrics(
            {
                "accuracy": accuracy_score(y_test, predicted),
                "f1_score": f1_score(y_test, predicted),
                "roc_auc": roc_auc_score(y_test, probability),
                "cv_roc_auc_mean": scores.mean(),
                "cv_roc_auc_std": scores.std(),
            }
        )
        mlflow.sklearn.log_model(
            pipeline,
            "model",
            registered_model_name=MODEL,
            signature=infer_signature(X_test, predicted),
            input_example=X_test[:2],
        )


def promote_best_model(metric: str, stage: str) -> None:
    client = MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    best = client.search_runs([experiment.experiment_id], order_by=[f"metrics.{metric} DESC"], max_results=1)[
        0
    ]
    version = next(
        v for v in client.search_model_versions(f"name = '{MODEL}'") if v.run_id == best.info.run_id
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.transition_model_version_stage(MODEL, version.version, stage, archive_existing_versions=True)
        latest = client.get_latest_versions(MODEL, stages=[stage])[0]
    score = best.data.metrics[metric]
    client.update_model_version(
        MODEL, latest.version, f"Promoted from run {best.info.run_id} | {metric}={score:.4f}"
    )
    print(f"{MODEL} v{latest.version} is {stage}")


promote_best_model("roc_auc", "Production")
