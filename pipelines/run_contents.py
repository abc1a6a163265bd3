"""What a training writes into its run: figures, files and the model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import metrics
from pipelines.answers import ask
from pipelines.curves import curves
from pipelines.data import LoadedData
from pipelines.estimators import algorithm
from pipelines.importance import permutation_importance
from pipelines.learning_curve import Curve, learning_curves
from pipelines.metrics import Scores
from pipelines.packaging import (
    code_paths,
    make_example,
    make_metadata,
    make_signature,
    profile_kinds,
    step_modules,
    types_in,
)
from pipelines.performance.reference import reference_of
from pipelines.prepare import Prepared
from pipelines.provenance import CodeState, requirements
from pipelines.recorder import LoggedModel, RunRecorder
from pipelines.request import TrainRequest
from pipelines.search import SearchResult
from pipelines.user_module import UserModule
from store.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Fitted:
    """A fitted pipeline and what is known about it so far."""

    model: Any
    estimator: Any
    threshold: float | None
    cross_validation: dict[str, float]
    reference: Scores
    """Answers for the training rows by models that had not seen them, where there are such."""
    unseen: NDArray[np.bool_]
    """For which of the training rows there are such."""
    search: SearchResult | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """How the fit went, by the names of metrics."""


def evaluation_files(
    request: TrainRequest, fitted: Fitted, prepared: Prepared, scores: Scores
) -> dict[str, Any]:
    """Importances, curves and the reference profile, as artifacts by path."""
    from pipelines.drift.own_reference import with_own_reference
    from store.profile import PROFILE_FILE, build_profile

    seed = request.settings.split.seed
    deciding = metrics.find(request.settings.gate.metric or metrics.DECIDING[prepared.task], prepared.task)
    y_test = prepared.y[prepared.split.test]
    importances = permutation_importance(
        lambda X: ask(fitted.model, X, prepared.task, prepared.classes, fitted.threshold),
        prepared.X_test,
        y_test,
        deciding,
        seed=seed,
    )
    reference, rows = fitted.reference, prepared.X_train
    answers = (
        [prepared.classes[code] for code in reference.predicted] if prepared.classes else reference.predicted
    )
    columns = {name: rows[name] for name in prepared.features}
    profile = build_profile(
        columns,
        profile_kinds(prepared),  # type: ignore[arg-type]
        answers,
        task=prepared.task,
        classes=prepared.classes or None,
        scores=reference.probabilities,
        ordered_by_time=request.settings.split.strategy == "time",
        redact=request.store.redact,
    )
    profile = with_own_reference(
        profile, columns, answers, reference.probabilities, segments=request.settings.monitor.segments
    )
    unseen = fitted.unseen
    performance = reference_of(
        prepared.task,
        y_test,
        scores,
        profile.prediction.categories,
        further=[(prepared.y[prepared.split.train][unseen], reference.rows(unseen))],
    )
    means = {name: cell["mean"] for name, cell in importances.items()}
    profile = replace(
        profile,
        performance=performance.as_json(),
        importances={name: mean for name, mean in means.items() if name not in profile.redacted},
    )
    return {
        "feature_importances.json": means,
        "permutation_importance.json": {"metric": deciding.name, "features": importances},
        PROFILE_FILE: profile.to_json(),
        **curves(prepared.task, y_test, scores, prepared.classes, seed=seed),
    }


def note_curves(request: TrainRequest, fitted: Fitted, prepared: Prepared) -> list[str]:
    """Note in `fitted` how its fit went. A training is whole without: the answer is why there is nothing."""
    deciding = metrics.find(request.settings.gate.metric or metrics.DECIDING[prepared.task], prepared.task)
    try:
        fitted.curves = learning_curves(
            fitted.model,
            prepared.X_test,
            prepared.y[prepared.split.test],
            prepared.task,
            prepared.classes,
            deciding.name,
            seed=request.settings.split.seed,
        )
    except Exception as error:  # an estimator of somebody's own may do anything
        return [f"no learning curve: {type(error).__name__}: {error}"]
    return []


def log_run(
    recorder: RunRecorder,
    request: TrainRequest,
    data: LoadedData,
    code: CodeState,
    prepared: Prepared,
    fitted: Fitted,
    logged: Mapping[str, float],
) -> None:
    """Parameters, metrics, tags and the dataset of the run."""
    own = {
        key: value
        for key, value in fitted.estimator.get_params(deep=False).items()
        if value is None or isinstance(value, str | int | float | bool | list | tuple | dict)
    }
    params = {
        **request.settings.params,
        **own,
        **({} if fitted.search is None else fitted.search.best.params),
        "algorithm": algorithm(fitted.estimator),
        "estimator": f"{type(fitted.estimator).__module__}.{type(fitted.estimator).__qualname__}",
        "dataset": request.data or request.settings.data,
        "target": request.settings.target,
        "task": prepared.task,
        "split": request.settings.split.strategy,
        "test_size": request.settings.split.test_size,
        "seed": request.settings.split.seed,
        "cv_folds": request.settings.split.cv_folds,
        "train_samples": len(prepared.split.train),
        "test_samples": len(prepared.split.test),
        "n_features": len(prepared.features),
    }
    tags = {
        "mlflow.source.git.commit": code.commit or "",
        "workbench.git_dirty": str(code.is_dirty).lower() if code.commit else "",
    }
    recorder.log(params, logged, tags, fitted.curves)
    recorder.log_dataset(request.pipeline, data.manifest())


def log_model(
    recorder: RunRecorder,
    request: TrainRequest,
    fitted: Fitted,
    prepared: Prepared,
    user: UserModule | None,
) -> LoggedModel:
    """The fitted pipeline with all that goes with it; TrainingError for types that are not trusted."""
    own_code = () if user is None else tuple(f"{name}." for name in user.sources)
    trusted, others = types_in(fitted.model, request.trusted_types)
    ours = [name for name in others if name.startswith(("pipelines.transforms.", *own_code))]
    if set(others) - set(ours):
        raise TrainingError(
            f"the model holds types that are not trusted: {', '.join(sorted(set(others) - set(ours)))}",
            "Review them, then list them in [serve] trusted_types.",
        )
    example = make_example(prepared, request.store.redact)
    metadata = make_metadata(request.pipeline, request.settings, prepared, fitted.threshold, user)
    # A server checks that the loaded model still answers its example in this way.
    metadata["workbench"]["example_predictions"] = np.asarray(fitted.model.predict(example.copy())).tolist()
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        return recorder.log_model(
            fitted.model,
            make_signature(prepared),
            example,
            metadata=metadata,
            trusted_types=[*trusted, *ours],
            requirements=requirements(step_modules(fitted.model)),
            code_paths=code_paths(fitted.model, user, Path(folder)),
        )
