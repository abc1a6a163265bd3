"""What `workbench train` costs beside a plain script that fits, cross-validates and logs the same to MLflow.

    python tests/benchmarks/train_vs_script.py [--rounds 5] [--estimator random_forest] [--rows 0]

Both run as fresh processes, one after the other in each round, on scikit-learn's breast_cancer (or on
`--rows` generated rows of 20 columns). The script computes no importances, curves, profile or gate, which
`workbench train` does as well. It is run in two ways: `lean` names its pip requirements, which spares MLflow
the loading of the model in a process of its own; `usual` leaves them out, as most scripts do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ESTIMATORS = {
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "logistic_regression": "sklearn.linear_model.LogisticRegression",
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "gradient_boosting": "sklearn.ensemble.GradientBoostingClassifier",
}

SCRIPT = """
import sys
import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature
from sklearn.ESTIMATOR_MODULE import ESTIMATOR
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

frame = pd.read_csv("data.csv")
X, y = frame.drop(columns="target"), frame["target"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42, stratify=y)
steps = [("model", ESTIMATOR(random_state=42))]
if ESTIMATOR.__name__ == "LogisticRegression":
    steps.insert(0, ("scaler", StandardScaler()))
pipeline = Pipeline(steps)
names = ["accuracy", "precision", "recall", "f1", "roc_auc"]
mlflow.set_experiment("script")
with mlflow.start_run():
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    cv = cross_validate(pipeline, X_train, y_train, cv=folds, scoring=names)
    pipeline.fit(X_train, y_train)
    predicted, probability = pipeline.predict(X_test), pipeline.predict_proba(X_test)[:, 1]
    mlflow.log_params(pipeline.named_steps["model"].get_params())
    mlflow.log_params({"train_samples": len(X_train), "test_samples": len(X_test), "n_features": X.shape[1]})
    mlflow.log_metrics({
        "accuracy": accuracy_score(y_test, predicted),
        "precision": precision_score(y_test, predicted),
        "recall": recall_score(y_test, predicted),
        "f1": f1_score(y_test, predicted),
        "roc_auc": roc_auc_score(y_test, probability),
        **{f"cv_{name}_mean": cv[f"test_{name}"].mean() for name in names},
        **{f"cv_{name}_std": cv[f"test_{name}"].std() for name in names},
    })
    mlflow.log_input(mlflow.data.from_pandas(frame, targets="target"), context="training")
    mlflow.log_dict(confusion_matrix(y_test, predicted).tolist(), "confusion_matrix.json")
    mlflow.sklearn.log_model(
        pipeline,
        name="model",
        signature=infer_signature(X_train, predicted),
        input_example=X_train.head(3),
        registered_model_name="script",
        skops_trusted_types=TRUSTED,
        **({"pip_requirements": ["scikit-learn", "pandas", "numpy", "skops"]} if "lean" in sys.argv else {}),
    )
"""

TRUSTED = {
    "random_forest": ["sklearn.tree._tree.Tree"],
    "gradient_boosting": ["sklearn.tree._tree.Tree", "numpy.random.mtrand.RandomState",
                          "sklearn._loss.loss.HalfBinomialLoss", "sklearn._loss._loss.CyHalfBinomialLoss",
                          "sklearn._loss.link.LogitLink", "sklearn._loss.link.Interval"],
    "hist_gradient_boosting": ["sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
                               "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
                               "sklearn._loss.loss.HalfBinomialLoss",
                               "sklearn._loss._loss.CyHalfBinomialLoss",
                               "sklearn._loss.link.LogitLink", "sklearn._loss.link.Interval"],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--estimator", choices=sorted(ESTIMATORS), default="random_forest")
    parser.add_argument("--rows", type=int, default=0, help="generated rows instead of breast_cancer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="train-vs-script-") as folder:
        root = Path(folder)
        write_data(root / "data.csv", options.rows)
        module, _, name = ESTIMATORS[options.estimator].rpartition(".")
        script = SCRIPT.replace("sklearn.ESTIMATOR_MODULE", module).replace("ESTIMATOR", name)
        script = script.replace("TRUSTED", repr(TRUSTED.get(options.estimator)))
        (root / "script.py").write_text(script, "utf-8")
        (root / "workbench.toml").write_text(
            '[project]\nname = "benchmark"\n\n[pipelines.bench]\ndata = "data.csv"\ntarget = "target"\n'
            f'estimator = "{options.estimator}"\n',
            "utf-8",
        )
        commands = {
            "workbench train": [sys.executable, "-m", "workbench", "train", "bench", "--promote", "force",
                                "--reason", "benchmark"],
            "script, lean": [sys.executable, "script.py", "lean"],
            "script, usual": [sys.executable, "script.py"],
        }  # fmt: skip
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(options.rounds + 1):  # the first round only warms the disk's cache
            for name, command in commands.items():
                taken = timed(command, root)
                if turn:
                    seconds[name].append(taken)
        report(seconds)


def write_data(path: Path, rows: int) -> None:
    from sklearn.datasets import load_breast_cancer, make_classification

    if rows:
        import pandas as pd

        X, y = make_classification(rows, 20, n_informative=8, random_state=0)
        frame = pd.DataFrame(X, columns=[f"x{number}" for number in range(20)]).assign(target=y)
    else:
        frame = load_breast_cancer(as_frame=True).frame
    frame.to_csv(path, index=False)


def timed(command: list[str], root: Path) -> float:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": (root / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    started = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return taken


def report(seconds: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ours = medians["workbench train"]
    print(f"{'':18}{'median s':>10}{'min s':>8}{'max s':>8}{'workbench ÷ this':>18}")
    for name, values in seconds.items():
        ratio = ours / medians[name]
        print(f"{name:18}{medians[name]:>10.2f}{min(values):>8.2f}{max(values):>8.2f}{ratio:>18.2f}")


if __name__ == "__main__":
    main()
