"""Telling people of alerts: to the log, webhooks, a command and by mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.alerting.delivery import deliver as deliver
    from workbench.alerting.delivery import deliver_now as deliver_now
    from workbench.alerting.settings import AlertSettings as AlertSettings

__all__ = ["AlertSettings", "deliver", "deliver_now"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = "settings" if name == "AlertSettings" else "delivery"
    return getattr(import_module(f"{__name__}.{home}"), name)
