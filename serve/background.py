"""What the server does beside answering: follow promotions and keys, and fold the prediction log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from serve.clerk_desk import FOLD_SECONDS, FoldingLog
from serve.control import LOG_SECONDS
from serve.systemd import notify

if TYPE_CHECKING:
    from serve.access import KeyRing
    from serve.clerk import Clerk
    from serve.hosting import ModelHost
    from serve.telemetry import Telemetry

log = logging.getLogger("workbench.serve")

RETRY_SECONDS = 30.0
"""How often a version that failed to load is tried again: its files or its trust may have come back."""

LOSS_SECONDS = 2.0


@asynccontextmanager
async def working_beside(
    host: ModelHost | None,
    telemetry: Telemetry,
    *,
    keys: KeyRing,
    reload_seconds: float,
    clerk: Clerk | None,
    watchdog_s: float | None = None,
    losses: Callable[[], None] | None = None,
    keep_log_small: Callable[[], None] | None = None,
) -> AsyncIterator[None]:
    """Do it while the block runs; each task has threads of its own and never waits on the event loop.

    Promotions are followed where there is a `host` to tell of them; `clerk` folds the log, where this process
    is the one to do it; `watchdog_s` is how often systemd wants to hear that the event loop turns; `losses`
    is told to look for rows that could not be logged, `keep_log_small` to look after the server's own log.
    """
    tasks = [asyncio.create_task(_follow(host, telemetry, keys, reload_seconds))]
    if watchdog_s is not None:
        tasks.append(asyncio.create_task(_keep_saying_alive(watchdog_s)))
    if clerk is not None:
        tasks.append(asyncio.create_task(_keep_folding(clerk)))
    if losses is not None:
        tasks.append(asyncio.create_task(_keep_looking_for_losses(losses)))
    if keep_log_small is not None:
        tasks.append(asyncio.create_task(_keep_doing(keep_log_small, LOG_SECONDS)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _follow(host: ModelHost | None, telemetry: Telemetry, keys: KeyRing, every_s: float) -> None:
    tried_at = time.monotonic()
    while True:
        await asyncio.sleep(every_s)
        is_due = host is not None and bool(host.failures) and time.monotonic() - tried_at >= RETRY_SECONDS
        if is_due:
            tried_at = time.monotonic()
        try:
            await asyncio.to_thread(keys.refresh)
            if host is not None and await asyncio.to_thread(host.refresh, force=is_due):
                telemetry.swaps.inc()
        except Exception:  # whatever it is, the models in service go on answering and the next look may do
            log.exception("looking for a promotion failed")


async def _keep_folding(clerk: Clerk) -> None:
    folding = FoldingLog()
    wait_s = FOLD_SECONDS
    while True:
        await asyncio.sleep(wait_s)
        await asyncio.to_thread(folding.fold, clerk)
        wait_s = folding.pause_s(clerk)


async def _keep_looking_for_losses(look: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(LOSS_SECONDS)
        try:
            await asyncio.to_thread(look)
        except Exception:
            log.exception("the alert about lost predictions failed")


async def _keep_doing(work: Callable[[], None], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(work)


async def _keep_saying_alive(every_s: float) -> None:
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(every_s)
