"""The names that training scripts' configuration files use, and the setting each one stands for."""

from __future__ import annotations

import re

_NAMES: dict[str, str] = {
    "data": "data data_path data_file data_dir path file filepath file_path filename csv csv_path dataset"
    " dataset_path train_path train_data train_data_path train_file training_data raw_path raw_data"
    " raw_data_path input input_path source deps",
    "target": "target target_col target_column target_name target_variable label label_col label_column"
    " y_col y_column outcome",
    "features": "features feature_cols feature_columns feature_names input_features predictors x_cols"
    " selected_features",
    "kind_features": "numeric_features numerical_features numeric_cols numerical_cols num_cols"
    " numeric_columns numerical_columns numeric numerical categorical_features categorical_cols cat_cols"
    " categorical_columns cat_features categorical boolean_features binary_features",
    "ignore": "ignore ignore_cols ignore_columns drop drop_cols drop_columns columns_to_drop exclude"
    " exclude_cols exclude_columns",
    "id_column": "id id_col id_column index_col key_column",
    "time_column": "time_col time_column date_col date_column timestamp_column timestamp_col datetime_column",
    "group": "group_col group_column groups",
    "split.test_size": "test_size test_split test_ratio test_fraction holdout holdout_size",
    "split.seed": "random_state random_seed seed",
    "split.strategy": "split_strategy split_method",
    "split.cv_folds": "cv_folds cv n_splits folds n_folds k_folds kfold num_folds",
    "stratify": "stratify stratified shuffle",
    "estimator": "algorithm algo estimator model_type classifier regressor estimator_name model_class",
    "params": "params parameters hyperparameters hyperparams hyper_parameters model_params",
    "model": "registered_model_name registered_model registry_name model_name",
    "experiment": "experiment experiment_name mlflow_experiment mlflow_experiment_name",
    "task": "task task_type problem_type problem objective_type",
    "class_weight": "class_weight class_weights",
    "threshold": "threshold decision_threshold prediction_threshold classification_threshold",
    "evaluate.metrics": "metrics metric_names eval_metrics scoring_metrics",
    "gate.metric": "metric primary_metric main_metric eval_metric selection_metric scoring optimize_metric",
    "gate.min": "thresholds min_metrics minimums metric_thresholds",
    "gate.min_delta": "min_delta min_improvement improvement_threshold min_gain",
    "tracking.uri": "tracking_uri mlflow_tracking_uri mlflow_uri",
    "serve.host": "host",
    "serve.port": "port",
    "project.name": "project_name",
}
_MEANING = {name: setting for setting, names in _NAMES.items() for name in names.split()}
_MODEL_SECTIONS = {
    "model", "params", "hyperparameters", "hyperparams", "parameters", "train", "training", "estimator",
    "classifier", "regressor", "model_params",
}  # fmt: skip
_SERVE_SECTIONS = {"api", "serve", "serving", "server", "deployment", "service", "app", "inference"}

_METRIC_NAMES = {
    "f1_score": "f1", "accuracy_score": "accuracy", "precision_score": "precision", "recall_score": "recall",
    "auc": "roc_auc", "auc_roc": "roc_auc", "roc_auc_score": "roc_auc", "auroc": "roc_auc", "acc": "accuracy",
    "r2_score": "r2", "root_mean_squared_error": "rmse", "mean_absolute_error": "mae",
}  # fmt: skip
_FOREIGN_SECTIONS = (
    r"(drift|monitor|alert|retrain|psi|wandb|comet|neptune|logging|test|tests|great_expectations).*"
)

_NO_SETTING: tuple[tuple[str, str], ...] = (
    (r"(model|save|artifact|checkpoint)s?_?(output|path|dir|file|save_path)|output_(model|path|dir)|save_(model|path)",
     "models are kept in the model registry"),
    (r"(metrics|eval|report|results|plots?)_?(output|path|dir|file)", "each run logs its metrics and curves"),
    (r"(test|val|valid|validation|eval)_?(data|path|file|data_path|set)",
     "held-out rows are split from data, by the split section"),
    (r"(val|valid|validation)_(size|split|ratio|fraction)",
     "cross-validation on the training rows (split.cv_folds) takes its place"),
    (r"run_name", "a name belongs to one run: workbench train --name NAME"),
    (r"log_?level|logging|verbose|debug|log_?dir", "not a setting of a project; --debug shows tracebacks"),
    (r"n_jobs|num_workers|workers|device|gpu", "not a setting of a pipeline"),
    (r"epochs|batch_size|optimizer|dropout|early_stopping.*", "no parameter of this estimator"),
    (r"wandb.*|comet.*|neptune.*|entity|api_key|token|password|secret.*",
     "no other tracking service is used, and secrets don't belong in settings"),
    (r"scal(er|ing|e)|normali[sz]e|imput(er|ation|e)|encod(er|ing)|handle_missing|fill(na|_missing)?.*",
     "scaling, imputing and encoding are chosen from each column's kind"),
    (r"drift.*|psi.*|ks_.*|alert.*|monitor.*|reference.*", "there is no such setting for monitoring"),
    (r"retrain.*|schedule|cron", "there is no such setting for retraining"),
    (r"(param_?)?(grid|space|distributions?)|.*search.*|n_iter|n_trials|optuna.*",
     "no search over parameters; try them in turn with workbench train --set params.NAME=VALUE"),
    (r"version|description|author|created.*|env(ironment)?", "not a setting"),
    (r"sep|delimiter|encoding|decimal|quotechar", "found out from the file itself"),
    (r"defaults|hydra", "it belongs to Hydra; convert the composed file instead"),
)  # fmt: skip


def normalized(name: object) -> str:
    """A key as the tables spell it: `testSize`, `test-size` and `TEST_SIZE` are `test_size`."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name).strip())
    return re.sub(r"[\s\-]+", "_", text).lower()


def meaning(path: tuple[str, ...]) -> str | None:
    """The setting that a key (normalized, with its sections) stands for, or None."""
    name, sections = path[-1], path[:-1]
    section = sections[-1] if sections else ""
    if any(re.fullmatch(_FOREIGN_SECTIONS, word) for word in sections):
        return None
    if name == "name":
        if section in _MODEL_SECTIONS:
            return "estimator"
        return {
            "": "project.name",
            "project": "project.name",
            "experiment": "experiment",
            "mlflow": "experiment",
        }.get(section)
    if name in ("type", "class", "_target_"):
        return "estimator" if section in _MODEL_SECTIONS else None
    if name in ("model", "estimator") and not sections:
        return "estimator"
    if name in ("host", "port"):
        return _MEANING[name] if section in _SERVE_SECTIONS or not sections else None
    if name in ("path", "file", "filename", "source", "input", "csv", "raw_path") and section in (
        _MODEL_SECTIONS | {"output", "outputs", "logging", "artifacts"}
    ):
        return None
    if name == "uri":
        return "tracking.uri" if section in ("mlflow", "tracking") else None
    if name not in _MEANING and metric_of(name) and not _MODEL_SECTIONS.intersection(sections):
        return "gate.min.METRIC"
    return _MEANING.get(name)


def metric_of(name: str) -> str | None:
    """The metric of `min_accuracy`, `accuracy_threshold` or `max_rmse`, else None."""
    match = re.fullmatch(r"(?:min|minimum|max|maximum)_(\w+)|(\w+)_(?:threshold|min|minimum)", name)
    return metric_name(match.group(1) or match.group(2)) if match else None


def metric_name(word: str) -> str | None:
    """A metric as it is called here: f1 for f1_score, roc_auc for auc; None for an unknown one."""
    from pipelines.metrics import METRICS, canonical

    word = normalized(word).removeprefix("neg_")
    word = canonical(_METRIC_NAMES.get(word, word))
    return word if word in METRICS else None


def is_of_model(path: tuple[str, ...]) -> bool:
    """Whether a key lies where an estimator's parameters are written."""
    return len(path) == 1 or bool(_MODEL_SECTIONS.intersection(path[:-1]))


def why_not(path: tuple[str, ...]) -> str:
    """Why a key has no setting."""
    for word in (path[-1], *path[:-1]):
        for pattern, reason in _NO_SETTING:
            if re.fullmatch(pattern, word):
                return reason
    return "there is no such setting"
