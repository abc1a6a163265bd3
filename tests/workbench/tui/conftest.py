"""What tests of the terminal UI share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
