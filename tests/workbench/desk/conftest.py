"""A project's models as the desk sees them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from store.layout import Layout
from store.tracking import open_registry, open_runs, resolve_uri
from workbench.desk.models import ModelsDesk


@pytest.fixture
def models_desk(project: Path) -> ModelsDesk:
    layout = Layout.of(project)
    uri = resolve_uri("mlruns", project)
    return ModelsDesk(open_registry(uri, layout), open_runs(uri), layout)


@pytest.fixture
def keep_verdict(project: Path) -> Callable[..., None]:
    """Writes the gate's verdict into a run's artifacts."""

    def write(run_id: str, *, accepted: bool, **further: object) -> None:
        (folder,) = project.glob(f"mlruns/*/{run_id}/artifacts")
        rule = {"rule": "roc_auc better by", "value": 0.02, "needed": "≥ 0.005", "passed": accepted}
        verdict = {"accepted": accepted, "reasons": ["roc_auc 0.95 against 0.9"], "rules": [rule]}
        (folder / "gate.json").write_text(
            json.dumps({**verdict, "rows": 60, "champion_version": 1, **further})
        )

    return write
