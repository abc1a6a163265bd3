"""What follows from a verdict: trust, registration, promotion, and their events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.answers import ask_loaded
from pipelines.gate import Champion
from pipelines.learnt_rows import LEARNT_ROWS_FILE, from_bytes, learnt_by_other_alone, row_marks
from pipelines.prepare import Prepared
from pipelines.request import TrainRequest
from pipelines.user_module import UserModule
from pipelines.verdict import Verdict
from store.challenger_alerts import raise_challenger_ready
from store.errors import NotFoundError, WorkbenchError
from store.journal import append_event
from store.profile import Profile
from store.references import publish_reference
from store.tracking import open_runs, resolve_uri
from store.trust import trust

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from store.registry import Registry


def load_champion(registry: Registry, request: TrainRequest, prepared: Prepared) -> Champion | None:
    """The registered champion's answers for the held-out rows; None when there is no champion."""
    from store.model_files import load_model

    registry.settle()
    try:
        number = registry.model(request.model).champion
    except NotFoundError:
        return None
    if number is None:
        return None
    try:
        version = registry.version(request.model, number)
        if version.model_dir is None:
            return Champion(number, None, f"its files are not here: {version.source}")
        model = load_model(
            version.model_dir,
            trusted_types=request.trusted_types,
            layout=request.layout,
        )
        if (model.task == "regression") != (prepared.task == "regression"):
            return Champion(number, None, f"it is for {model.task}, and this task is {prepared.task}")
        missing = [name for name in model.names if name not in prepared.frame.columns]
        if missing and model.file.inputs is not None:
            return Champion(number, None, f"it needs column {missing[0]!r}, which the data lacks")
        rows = prepared.rows_test if missing else prepared.rows_test[list(model.names)]
        return Champion(
            number,
            ask_loaded(model, rows, prepared.task, prepared.classes),
            has_learnt=_has_learnt(request, version.run_id, prepared),
        )
    except WorkbenchError as error:
        return Champion(number, None, error.message)
    except Exception as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Champion(number, None, f"it failed on the held-out rows: {text}")


def _has_learnt(request: TrainRequest, run_id: str | None, prepared: Prepared) -> NDArray[Any] | None:
    """Which held-out rows the model of a run, and not this one, was fitted on; None where that is unknown."""
    if run_id is None:
        return None
    uri = resolve_uri(request.tracking_uri, request.layout.root)
    runs = open_runs(uri, request.layout, in_process=True)
    try:
        content = runs.artifact_path(run_id, LEARNT_ROWS_FILE).read_bytes()
        columns, learnt = from_bytes(content)
        if not set(columns) <= set(prepared.frame.columns):
            return None
    except (WorkbenchError, OSError, ValueError):
        return None  # its run is gone, or was not made by this product
    marks = row_marks(prepared.frame, columns, prepared.labels)
    return learnt_by_other_alone(learnt, marks[prepared.split.test], marks[prepared.split.train])


def publish(
    registry: Registry,
    request: TrainRequest,
    verdict: Verdict,
    *,
    run_id: str,
    metrics: Mapping[str, float],
    user: UserModule | None,
    profile: str,
) -> tuple[int | None, bool]:
    """Register and promote as verdict and policy say; returns the version, and whether it is champion."""
    layout, who, model = request.layout, request.who, request.model
    append_event(
        layout,
        "trained",
        who=who,
        model=model,
        reason=request.reason,
        details={
            "pipeline": request.pipeline,
            "run_id": run_id,
            "trigger": request.trigger,
            "metrics": dict(metrics),
        },
    )
    append_event(
        layout,
        "gate",
        who=who,
        model=model,
        reason=verdict.reasons[0] if verdict.reasons else None,
        details={"run_id": run_id, **verdict.as_json()},
    )
    if not verdict.accepted and request.promote != "force":
        return None, False
    if user is not None:
        reason = request.reason or f"module of pipeline {request.pipeline}"
        for source in user.sources.values():
            trust(layout, "code", hashlib.sha256(source).hexdigest(), who=who, reason=reason)
    version = registry.register(
        model,
        run_id=run_id,
        description=verdict.reasons[0] if verdict.reasons else "",
        tags={"workbench.pipeline": request.pipeline},
        who=who,
        reason=request.reason,
    ).version
    # Before anything predicts with it, so that its histograms are complete from the first row on.
    publish_reference(layout, model, version, Profile.from_json(profile))
    if request.promote == "never":
        return version, False
    is_champion = (
        request.promote in ("force", "auto") or verdict.is_first or request.settings.gate.auto_promote
    )
    registry.promote(
        model,
        version,
        to="champion" if is_champion else "challenger",
        who=who,
        reason=request.reason or (verdict.reasons[0] if verdict.reasons else None),
        details={"run_id": run_id, "gate": "accepted" if verdict.accepted else "refused"},
    )
    if not is_champion:
        why = verdict.reasons[0] if verdict.reasons else "it was accepted"
        raise_challenger_ready(layout, model, version, champion=verdict.champion_version, why=why)
    return version, is_champion
