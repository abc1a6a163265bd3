"""How Models and Serve look. After a change that is meant: pytest --snapshot-update, and look at them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from pipelines.verdict import Rule, Verdict
from serve.control import ServerInfo
from store.journal import Event
from store.registry import ModelVersion, RegisteredModel
from workbench.desk.desk import Desk, open_desk
from workbench.desk.exposition import Counters, Histogram, ModelCounters
from workbench.desk.meter import RateSeries
from workbench.desk.models import Fact, ModelRow, VersionDetails, VersionRow
from workbench.desk.place import Place, find_place
from workbench.desk.recent import PredictionRow, Recent
from workbench.desk.serving import Latency, ServedRow, ServingState
from workbench.desk.try_one import TryForm, _field
from workbench.tui.app import WorkbenchApp
from workbench.tui.screens.try_dialog import TryDialog

pytestmark = pytest.mark.usefixtures("fixed_time")

SIZES = [(80, 24), (120, 36), (200, 60)]
NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)


def model(name: str, champion: int, challenger: int | None, count: int) -> ModelRow:
    rows = []
    for number in range(count, 0, -1):
        role = {champion: "champion", challenger: "challenger"}.get(number, "")
        stage = {"champion": "Production", "challenger": "Staging"}.get(role, "Archived")
        version = ModelVersion(
            name=name,
            version=number,
            aliases=(role,) if role else (),
            stage=stage,
            run_id=f"{number:032x}",
            source=f"models:/m-{number}",
            model_dir=Path("/srv/shop/mlruns/101/models/m-1/artifacts"),
            created_at=NOON - timedelta(days=7 * (count - number), minutes=5),
            metrics={"rmse": 60 - 3.7 * number, "mae": 40 - 2.2 * number, "cv_rmse_mean": 58.1}
            | {"cv_rmse_std": 2.25, "test_samples": 424.0},
        )
        rows.append(VersionRow(version, role, None if number == 1 else number != 4))
    registered = RegisteredModel(name, tuple(row.version for row in rows), champion, challenger)
    return ModelRow(registered, tuple(rows), ("rmse", "mae"))


MODELS = (model("bikes", 3, 5, 5), model("churn [b]not bold[/]", 1, None, 1))
VERDICT = Verdict(
    accepted=False,
    reasons=(
        "rmse 45.2 against 48.9 of champion v3 (+3.7, 83% sure that it is better)",
        "segment season = winter: 4.1, needed worse by ≤ 2",
    ),
    rules=(
        Rule("minimum rmse", 45.2, "≤ 60", True),
        Rule("rmse better by", 3.7, "≥ 0.005", True, note="threshold"),
        Rule("rmse surely better", 0.83, "≥ 95% sure", False, False, "paired, bootstrap: +3.7 [-1.2, +8.6]"),
        Rule("segment season = winter", 4.1, "worse by ≤ 2", False),
    ),
    champion_version=3,
    rows=424,
    segments={"season": {"winter": {"rows": 101, "worse_by": 4.1, "judged": True}}},
)


class FixedModels:
    """What the desk would have read."""

    def models(self) -> tuple[ModelRow, ...]:
        return MODELS

    def details(self, name: str, version: int) -> VersionDetails:
        row = next(
            row for each in MODELS if each.name == name for row in each.versions if row.id == str(version)
        )
        lineage = (
            Fact("run", "boosting (00000005)"),
            Fact("data", "ea9fdcfcabdf"),
            Fact("git commit", "0123456789, with changes not committed", "warning"),
            Fact("files", str(row.version.model_dir), "muted"),
        )
        history = (
            Event(NOON - timedelta(days=9), "ann@lab", "promoted", name, "2", "3", "better in winter"),
            Event(NOON - timedelta(minutes=5), "ann@lab", "registered", name, None, "5"),
        )
        return VersionDetails(row, None, VERDICT, None, lineage, history)


SERVER = ServerInfo("http://127.0.0.1:8000", "127.0.0.1", 8000, 4321, NOON - timedelta(hours=3))
SERVED = (
    ServedRow("bikes", 3, "serving", "regression", 4812, 5100, 12, 3.4, is_default=True),
    ServedRow("churn", 6, "old", "binary", 120, 120, 0, 1.2, problem="v7: model.skops is missing"),
)
BUSY = ServingState(
    server=SERVER,
    is_ours=True,
    models=SERVED,
    requests_per_s=12.4,
    recent_errors=2,
    latency=Latency(744, 1.42, 3.4, 12.9, True),
    counters=Counters(
        {("bikes", 3): ModelCounters(4812, 5100, 11, 1, Histogram())}, refused=4, feedback=3410
    ),
    series=RateSeries(
        tuple(NOON.timestamp() - 120 + at for at in range(120)),
        tuple(12 + (at % 17) / 3 for at in range(120)),
        tuple(1.0 if at % 40 == 0 else 0.0 for at in range(120)),
    ),
    last_request_at=NOON,
)
RECENT = Recent(
    tuple(
        PredictionRow(
            f"id{n}",
            NOON - timedelta(seconds=n * 7),
            "bikes" if n % 3 else "churn",
            3,
            41.5 + n if n % 3 else "yes",
            None if n % 3 else 0.93,
            None if n % 2 else ("yes" if n % 3 == 0 else 40.0),
            1.4,
            {"season": "spring", "temp": 0.31, "hr": n % 24},
        )
        for n in range(60)
    )
)


@pytest.fixture
def picture(project: Path, settle: Callable[..., Awaitable[None]], snap_compare: Any) -> Callable[..., bool]:
    """Compares a screen that shows what the desk is said to have read."""

    def compare(state: ServingState, *keys: str, size: tuple[int, int]) -> bool:
        def opened(place: Place) -> Desk:
            desk = open_desk(place)
            serving = SimpleNamespace(look=lambda: state)
            predictions = SimpleNamespace(read=lambda: RECENT)
            desk.__dict__.update(models=FixedModels(), serving=serving, predictions=predictions)
            return desk

        async def press(pilot: Pilot[Any]) -> None:
            await settle(pilot)
            await pilot.press(*keys)
            await settle(pilot)
            await pilot.pause()

        app = WorkbenchApp(find_place(project), open_place=opened)
        return bool(snap_compare(app, terminal_size=size, run_before=press))

    return compare


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
class TestLooks:
    def test_models(self, picture: Callable[..., bool], size: tuple[int, int]) -> None:
        assert picture(ServingState(), "3", size=size)

    def test_serve(self, picture: Callable[..., bool], size: tuple[int, int]) -> None:
        assert picture(BUSY, "5", size=size)

    def test_serve_off(self, picture: Callable[..., bool], size: tuple[int, int]) -> None:
        assert picture(ServingState(), "5", size=size)


def test_a_server_that_does_not_answer(picture: Callable[..., bool]) -> None:
    silent = replace(BUSY, problem="the server at http://127.0.0.1:8000 has not answered within 1.5 s.")
    assert picture(silent, "5", size=(100, 30))


def test_the_form(snap_compare: Any, settle: Callable[..., Awaitable[None]]) -> None:
    items = [
        {"name": "temp", "type": "number", "required": True, "minimum": 0, "maximum": 1},
        {"name": "season", "type": ["string", "null"], "enum": ["spring", "summer"], "required": False},
        {"name": "holiday", "type": "boolean", "required": True},
    ]
    example = {"temp": 0.31, "season": "spring", "holiday": False}
    form = TryForm("bikes", 3, tuple(_field(item, example) for item in items))

    async def press(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        pilot.app.push_screen(TryDialog(form, lambda texts: form.record(texts), {"temp": "warm"}))  # type: ignore[arg-type, return-value]
        await pilot.pause()
        await pilot.press("enter")
        await settle(pilot)

    assert snap_compare(App[None](), terminal_size=(100, 30), run_before=press)
