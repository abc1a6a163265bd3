"""What comes after a training: the challenger's alert, the roll back, scoring by the clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.job_process import Starter
from pipelines.launch import train
from pipelines.request import TrainRequest
from pipelines.rollback import watch_champion
from pipelines.score_files import score_files
from pipelines.score_request import ScoreRequest
from pipelines.score_settings import ScoreSettings
from pipelines.settings import PipelineSettings
from store.alerts import list_alerts
from store.errors import DataError
from store.findings import save_report
from store.journal import read_events
from store.layout import Layout
from store.registry import Registry
from store.settings import StoreSettings
from store.tracking import open_registry, resolve_uri

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)


def settings(**gate: Any) -> PipelineSettings:
    return PipelineSettings.model_validate(
        {
            "data": "t.csv",
            "target": "y",
            "estimator": "decision_tree",
            "split": {"cv_folds": 0},
            "gate": {"min_delta": 0, **gate},
        }
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, forked: Starter) -> Layout:
    """Two versions, one after the other: champion and challenger."""
    layout = Layout.of(tmp_path_factory.mktemp("after")).ensure()
    (layout.root / "t.csv").write_text("a,y\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(60)), "utf-8")
    train(TrainRequest("p", settings(), "mlruns", layout), start=forked)
    # It learns what the first could not.
    (layout.root / "t.csv").write_text(
        "a,y\n" + "".join(f"{n % 7},{n % 7 % 2}\n" for n in range(60)), "utf-8"
    )
    train(TrainRequest("p", settings(), "mlruns", layout), start=forked)
    return layout


@pytest.fixture
def registry(project: Layout) -> Registry:
    return open_registry(resolve_uri("mlruns", project.root), project)


def report(layout: Layout, version: int, value: float, **more: Any) -> None:
    row = {
        "metric": "roc_auc",
        "value": value,
        "low": value - 0.02,
        "high": value + 0.02,
        "reference": 0.9,
        "smaller_is_better": False,
        "estimated": False,
        "n": 500,
        **more,
    }
    save_report(layout, {"model": "p", "version": version, "role": "champion", "performance": [row]})


def alerts(layout: Layout) -> list[str]:
    return [alert.key for alert in list_alerts(layout) if alert.is_live]


def scoring(layout: Layout, **changes: Any) -> ScoreRequest:
    values = {"input": "in/*.csv", "output": "out/{name}-{time}.csv", "cron": "* * * * *", **changes}
    return ScoreRequest("p", "p", ScoreSettings.model_validate(values), layout, StoreSettings(), "mlruns")


def test_a_challenger_is_told_of_and_a_worse_champion_rolled_back(
    project: Layout, registry: Registry
) -> None:
    assert (registry.model("p").champion, registry.model("p").challenger) == (1, 2)
    assert alerts(project) == ["challenger_ready/p/2"]
    registry.promote("p", 2)
    assert alerts(project) == []

    careful = settings(auto_rollback=True)
    assert watch_champion(project, registry, "p", careful) is None
    report(project, 1, 0.85)
    report(project, 2, 0.83)  # their intervals meet
    assert watch_champion(project, registry, "p", careful) is None
    report(project, 2, 0.7, n=40)
    assert watch_champion(project, registry, "p", careful) is None
    report(project, 2, 0.7)
    assert watch_champion(project, registry, "p", settings()) is None
    assert watch_champion(project, registry, "p", careful, NOW + timedelta(days=8)) is None
    reason = watch_champion(project, registry, "p", careful)
    assert reason == "version 2 does worse: roc_auc is 0.7, that of the champion before was 0.85"
    assert registry.model("p").champion == 1
    assert alerts(project) == ["rolled_back/p"]
    (event,) = read_events(project, model="p", what="rolled_back")
    assert (event.who, event.from_, event.to, event.reason) == ("workbench", "2", "1", reason)
    assert watch_champion(project, registry, "p", careful) is None

    # Whoever promotes it again has decided; the alert is over, and it is watched anew.
    registry.promote("p", 2)
    assert watch_champion(project, registry, "p", settings()) is None
    assert alerts(project) == []


def test_files_are_scored_once_by_the_champion(project: Layout) -> None:
    (project.root / "in").mkdir()
    request = scoring(project)
    assert score_files(request, "j", NOW) == []
    (project.root / "in/x.csv").write_text("a\n1\n2\n")
    (project.root / "in/bad.csv").write_text("other\n1\n")
    bad, good = score_files(request, "j", NOW)
    assert "error" in bad
    assert (good["rows"], good["not_logged"]) == (2, 0)
    lines = (project.root / good["output"]).read_text().splitlines()
    assert lines[0].startswith("a,prediction,probability")
    assert len(lines) == 3
    assert score_files(request, "j", NOW) == []
    assert len(score_files(replace(request, tries_failed=True), "j", NOW)) == 1
    anew = replace(scoring(project, again=True), occasion="today")
    assert len(score_files(anew, "j", NOW)) == 2
    assert score_files(anew, "j", NOW) == []
    with pytest.raises(DataError, match="names one file for 2 inputs"):
        score_files(scoring(project, output="out/all.csv", again=True), "j", NOW)
    with pytest.raises(DataError, match="lies in the folder of its input"):
        score_files(scoring(project, output="in/{name}-scored.csv", again=True), "j", NOW)
