"""The Models screen, by its keys, on a real registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from store.layout import Layout
from store.registry import Registry
from store.tracking import open_registry, resolve_uri
from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.frame.dialogs import ConfirmDialog
from workbench.tui.screens.models import ModelsScreen

Settle = Callable[..., Awaitable[None]]
Drive = Callable[..., None]


@pytest.fixture
def registry(project: Path, versions: list[str]) -> Registry:
    """Of `churn`: version 2 is champion, 1 was it before, 3 is new."""
    registry = open_registry(resolve_uri("mlruns", project), Layout.of(project))
    registry.promote("churn", 1)
    registry.promote("churn", 2)
    return registry


@pytest.fixture
def on_models(
    project: Path, drive: Drive, settle: Settle
) -> Callable[[Callable[[Pilot[Any], ModelsScreen], Awaitable[None]]], None]:
    """Opens the screen, lets a script press keys, in 100 × 30 cells."""

    def run(
        script: Callable[[Pilot[Any], ModelsScreen], Awaitable[None]], size: tuple[int, int] = (100, 30)
    ) -> None:
        async def session(pilot: Pilot[Any]) -> None:
            await settle(pilot)
            await pilot.press("3")
            await settle(pilot)
            screen = pilot.app.screen
            assert isinstance(screen, ModelsScreen)
            await script(pilot, screen)

        drive(WorkbenchApp(find_place(project)), session, size)

    return run


def standing(registry: Registry) -> tuple[int | None, int | None]:
    model = registry.model("churn")
    return model.champion, model.challenger


def page_text(screen: ModelsScreen) -> str:
    assert screen.page._shown is not None
    return screen.page._shown.plain


def test_it_lists_the_versions_and_everything_about_one(
    on_models: Any, registry: Registry, settle: Settle
) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        assert [row.number for row in screen.versions.shown_rows] == [3, 2, 1]
        assert "churn v3" in page_text(screen)
        await pilot.press("down")
        await settle(pilot)
        text = page_text(screen)
        assert "churn v2  champion · Production" in text
        assert "try-2" in text
        assert "promoted" in text

    on_models(script)


@pytest.mark.parametrize(
    ("key", "down", "after"),
    [("p", 0, (3, None)), ("c", 0, (2, 3)), ("b", 0, (1, None)), ("a", 1, (None, None))],
)
def test_a_key_a_preview_and_y_change_what_is_in_production(
    on_models: Any,
    registry: Registry,
    settle: Settle,
    key: str,
    down: int,
    after: tuple[int | None, int | None],
) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        await pilot.press(*["down"] * down)
        await settle(pilot)
        await pilot.press(key)
        await settle(pilot)
        assert isinstance(pilot.app.screen, ConfirmDialog)
        assert standing(registry) == (2, None)
        await pilot.press("y")
        await settle(pilot)
        assert standing(registry) == after
        assert screen.models.rows[0].model.champion == after[0]

    on_models(script)


def test_a_reason_is_kept_in_the_audit_trail(on_models: Any, registry: Registry, settle: Settle) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        await pilot.press("p")
        await settle(pilot)
        await pilot.press("r", *"why not", "enter", "y")
        await settle(pilot)
        assert registry.history("churn")[-1].reason == "why not"
        assert "why not" in page_text(screen)

    on_models(script)


@pytest.mark.parametrize("key", ["n", "escape"])
def test_declining_changes_nothing(on_models: Any, registry: Registry, settle: Settle, key: str) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        await pilot.press("p")
        await settle(pilot)
        await pilot.press(key)
        await settle(pilot)
        assert pilot.app.screen is screen
        assert standing(registry) == (2, None)

    on_models(script)


def test_keys_that_cannot_apply_are_off(on_models: Any, registry: Registry, settle: Settle) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        await pilot.press("down")
        await settle(pilot)
        assert [screen.is_available(verb) for verb in ("promote", "challenger", "archive")] == [
            False,
            False,
            True,
        ]
        await pilot.press("p")
        await settle(pilot)
        assert pilot.app.screen is screen

    on_models(script)


def test_nothing_is_changed_when_it_is_read_only(
    on_models: Any, registry: Registry, settle: Settle, project: Path
) -> None:
    with (project / "workbench.toml").open("a") as settings:
        settings.write("\n[ui]\nread_only = true\n")

    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        await pilot.press("p", "b", "a", "c")
        await settle(pilot)
        assert pilot.app.screen is screen

    on_models(script)
    assert standing(registry) == (2, None)


def test_what_others_change_appears_and_the_cursor_stays(
    on_models: Any, registry: Registry, settle: Settle
) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        await pilot.press("end")
        await settle(pilot)
        registry.promote("churn", 3)
        await pilot.press("f5")
        await settle(pilot)
        assert screen.versions.rows[0].role == "champion"
        assert screen.versions.cursor_id == "1"

    on_models(script)


def test_a_champion_changed_while_the_question_stands_is_not_overwritten(
    on_models: Any, registry: Registry, settle: Settle
) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        await pilot.press("p")
        await settle(pilot)
        registry.rollback("churn")
        await pilot.press("y")
        await settle(pilot)
        assert standing(registry) == (1, None)

    on_models(script)


def test_escape_goes_one_step_back(on_models: Any, registry: Registry, settle: Settle) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        await pilot.press("enter")
        assert screen.page.has_focus
        await pilot.press("escape")
        assert screen.versions.has_focus
        await pilot.press("escape")
        assert screen.models.has_focus
        await pilot.press("enter")
        assert screen.versions.has_focus

    on_models(script)


def test_text_from_data_is_never_markup(
    on_models: Any, project: Path, make_run: Callable[..., str], settle: Settle
) -> None:
    registry = open_registry(resolve_uri("mlruns", project), Layout.of(project))
    run_id = make_run('"[b]run[/b]"', has_model=True)
    registry.register("odd [red]name", run_id=run_id, description="[link=x]y[/link] [")

    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        text = page_text(screen)
        assert "odd [red]name v1" in text
        assert "[b]run[/b]" in text
        assert "[link=x]y[/link] [" in text

    on_models(script)


def test_without_models_it_says_how_to_make_one(on_models: Any, settle: Settle) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        assert screen.models.row_count == 0
        await pilot.press("p", "b", "enter")
        await settle(pilot)
        assert pilot.app.screen is screen

    on_models(script)


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (200, 60)])
def test_it_fits_every_size(
    on_models: Any, registry: Registry, settle: Settle, size: tuple[int, int]
) -> None:
    async def script(pilot: Pilot[Any], screen: ModelsScreen) -> None:
        for widget in (screen.versions, screen.page):
            assert widget.size.width >= 25
            assert widget.size.height >= 2
            assert screen.region.contains_region(widget.region)

    on_models(script, size)
