"""Telling every channel what it is due, in a thread of its own: the caller never waits."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from store.alert_delivery import Notice, Rules, channel_states, claim, delivered, failed
from store.errors import WorkbenchError
from workbench.alerting.channels import Channel, DeliveryError, channels_of
from workbench.alerting.message import message_of

if TYPE_CHECKING:
    from store.alerts import Alert
    from store.layout import Layout
    from workbench.alerting.settings import AlertSettings

_LEASE_MARGIN_S = 10.0
_log = logging.getLogger("workbench.alerts")


@dataclass(frozen=True)
class Outcome:
    """What became of telling one channel: how many alerts it took, or why it did not."""

    channel: str
    told: int
    error: str | None = None


_threads: dict[Path, threading.Thread] = {}
_starting = threading.Lock()


def _start_anew() -> None:
    """In a forked child there are none of the parent's threads."""
    global _starting
    _starting = threading.Lock()
    _threads.clear()


os.register_at_fork(after_in_child=_start_anew)


def deliver(
    layout: Layout, settings: AlertSettings, *, project: str | None = None
) -> threading.Thread | None:
    """Begin to tell all channels what is due, and return at once; for a loop that calls it every few seconds.

    Returns the thread that does it; None where there is nothing to tell, or an earlier call's is still at it.
    """
    if not layout.state_db.exists():
        return None
    with _starting:
        running = _threads.get(layout.state)
        if running is not None and running.is_alive():
            return None
        thread = threading.Thread(
            target=deliver_now,
            args=(layout, settings),
            kwargs={"project": project},
            name="alerts",
            daemon=True,
        )
        _threads[layout.state] = thread
        thread.start()
    return thread


def deliver_now(layout: Layout, settings: AlertSettings, *, project: str | None = None) -> list[Outcome]:
    """Tell all channels what is due, side by side, and wait for them. Never raises."""
    if not layout.state_db.exists():
        return []
    channels = channels_of(settings, layout.root)
    outcomes: list[Outcome | None] = [None] * len(channels)

    def tell(place: int) -> None:
        outcomes[place] = _tell(layout, channels[place], rules_of(settings), project or layout.root.name)

    threads = [threading.Thread(target=tell, args=(place,), daemon=True) for place in range(1, len(channels))]
    for thread in threads:
        thread.start()
    if channels:
        tell(0)
    for thread in threads:
        thread.join()
    return [outcome for outcome in outcomes if outcome is not None]


def send_test(channels: Sequence[Channel], alert: Alert, project: str) -> list[Outcome]:
    """Send `alert` to all channels side by side, whatever is due; nothing is noted."""
    from concurrent.futures import ThreadPoolExecutor

    message = message_of(project, [Notice(alert, "raised")], datetime.now(UTC))

    def tell(channel: Channel) -> Outcome:
        try:
            channel.send(message)
        except DeliveryError as error:
            return Outcome(channel.name, 0, str(error))
        return Outcome(channel.name, 1)

    with ThreadPoolExecutor(max(1, len(channels))) as threads:
        return list(threads.map(tell, channels))


def rules_of(settings: AlertSettings) -> Rules:
    """What the settings say about how often."""
    return Rules(
        severity=settings.severity,
        repeat=timedelta(hours=settings.repeat_hours) if settings.repeat_hours else None,
        cleared=settings.cleared,
        pause=timedelta(seconds=settings.pause_seconds),
        max_per_hour=settings.max_per_hour,
    )


def failing_channels(layout: Layout) -> list[str]:
    """Channels that did not take their last message, each with the reason in words."""
    return [
        f"{state.channel}: {state.error} ({state.failures} times)"
        for state in channel_states(layout)
        if state.failures
    ]


def _tell(layout: Layout, channel: Channel, rules: Rules, project: str) -> Outcome | None:
    host = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    try:
        claimed = claim(layout, channel.name, host, rules, lease_s=channel.timeout_s + _LEASE_MARGIN_S)
        if claimed is None:
            return None
        message = message_of(project, claimed.notices, datetime.now(UTC))
        try:
            channel.send(message)
        except DeliveryError as error:
            state = failed(layout, claimed, str(error), retry_after_s=error.retry_after_s)
            if state.failures == 1:
                _log.warning("alerts can't be told to %s: %s; tried again later", channel.name, error)
            return Outcome(channel.name, 0, str(error))
        delivered(layout, claimed)
        return Outcome(channel.name, len(claimed.notices))
    except (WorkbenchError, OSError) as error:  # the state file is full, locked or gone: the next call tries
        return Outcome(channel.name, 0, str(error))
