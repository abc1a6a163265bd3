"""What tests of the terminal UI share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

Script = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture
def drive() -> Callable[..., None]:
    """Runs an app without a terminal and lets a script press its keys."""

    def run(app: App[Any], script: Script, size: tuple[int, int] = (80, 24)) -> None:
        async def session() -> None:
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                await script(pilot)

        asyncio.run(session())

    return run


async def _settle(pilot: Pilot[Any], deadline_s: float = 30.0) -> None:
    """Wait until every question to the desk is answered and shown."""
    from workbench.tui.frame.asking import Asking

    app = pilot.app
    ends_at = time.monotonic() + deadline_s
    while True:
        await app.workers.wait_for_complete()
        await pilot.pause()
        asking = [node for node in (app, *app.screen_stack) if isinstance(node, Asking) and node._waiting()]
        if not asking and not any(not worker.is_finished for worker in app.workers):
            return
        assert time.monotonic() < ends_at, f"still asking: {asking}"


@pytest.fixture
def settle() -> Callable[..., Awaitable[None]]:
    """Awaits whatever was asked in workers, and its being shown."""
    return _settle


@pytest.fixture
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[datetime]:
    """It is noon on 2 May 2026, in UTC, as far as what is shown goes."""
    from workbench.tui.widgets import formats

    now = datetime(2026, 5, 2, 12, tzinfo=UTC)
    monkeypatch.setattr(formats, "current_time", lambda: now)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield now
    monkeypatch.undo()
    time.tzset()
