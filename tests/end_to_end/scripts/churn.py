"""One config.yaml, derived features, a model registered from its run: knows nothing of workbench."""

from pathlib import Path

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
import yaml
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

Path("config.yaml").write_text(
    yaml.safe_dump(
        {
            "data": {
                "path": "customers.csv",
                "test_size": 0.2,
                "random_state": 42,
                "feature_cols": ["age", "total_spend", "visits", "days_since_last"],
            },
            "model": {"algorithm": "random_forest", "n_estimators": 20, "max_depth": 5, "random_state": 42},
            "evaluation": {"metrics": ["accuracy", "roc_auc"], "min_accuracy": 0.5},
        }
    )
)
rng = np.random.default_rng(7)
customers = pd.DataFrame(
    {
        "age": rng.integers(18, 90, 600),
        "orders": rng.poisson(6, 600),
        "avg_order_value": rng.gamma(4, 20, 600).round(2),
        "visits": rng.poisson(12, 600),
        "days_since_last": rng.integers(0, 120, 600),
    }
)
risk = customers["days_since_last"] / 40 - customers["visits"] / 8 + rng.normal(0, 0.5, 600)
customers["churned"] = (risk > 0).astype(int)
customers.to_csv("customers.csv", index=False)

config = yaml.safe_load(Path("config.yaml").read_text())
frame = pd.read_csv(config["data"]["path"])
frame["total_spend"] = frame["orders"] * frame["avg_order_value"]
X = frame[config["data"]["feature_cols"]].astype(float)
X_train, X_test, y_train, y_test = train_test_split(
    X, frame["churned"], test_size=config["data"]["test_size"], random_state=config["data"]["random_state"]
)
mlflow.set_experiment("churn-prediction")
with mlflow.start_run(run_name="forest") as run:
    mlflow.log_params(config["model"])
    mlflow.log_artifact("config.yaml")
    settings = {key: value for key, value in config["model"].items() if key != "algorithm"}
    model = RandomForestClassifier(**settings).fit(X_train, y_train)
    mlflow.log_metrics(
        {
            "accuracy": accuracy_score(y_test, model.predict(X_test)),
            "roc_auc": roc_auc_score(y_test, model.predict_proba(X_test)[:, 1]),
        }
    )
    mlflow.sklearn.log_model(model, "model", signature=infer_signature(X_test, model.predict(X_test)))
mlflow.register_model(f"runs:/{run.info.run_id}/model", "churn-classifier")
