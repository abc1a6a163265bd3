"""The `[alerts]` section of workbench.toml."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from store.settings_base import Settings


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be a http:// or https:// address")
    return url


class WebhookSettings(Settings):
    """One address that alerts are posted to."""

    url: Annotated[str, AfterValidator(_web_address)]
    """Where to post; the address is a secret: better in `WORKBENCH_ALERTS__WEBHOOKS__NAME__URL`."""

    format: Literal["auto", "json", "slack", "discord", "teams"] = "auto"
    """Shape of the message; `auto` knows Slack, Discord and Teams by their addresses."""

    headers: dict[str, str] = Field(default_factory=dict)
    """Further headers, such as `Authorization`; secrets too."""

    timeout: float = Field(10.0, gt=0, le=60)
    """Seconds to wait for an answer."""


class CommandSettings(Settings):
    """A program that is run with alerts as JSON on its standard input."""

    run: tuple[str, ...] = ()
    """The program and its arguments; no shell is involved unless you name one."""

    timeout: float = Field(30.0, gt=0, le=600)
    """Seconds it may take before it is ended."""


class SmtpSettings(Settings):
    """Mail. The password is never a setting: it is read from `WORKBENCH_SMTP_PASSWORD`."""

    host: str = ""
    """Mail server; no mail is sent unless it is named."""

    port: int = Field(587, ge=1, le=65535)
    """Port of the mail server."""

    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted: `starttls` (587), `tls` from the start (465) or `none`."""

    username: str = ""
    """Name to log in with; the password is read from `WORKBENCH_SMTP_PASSWORD`."""

    sender: str = ""
    """Address that mail comes from; `username` unless given."""

    to: tuple[str, ...] = ()
    """Addresses that mail goes to."""

    timeout: float = Field(20.0, gt=0, le=120)
    """Seconds to wait for the mail server."""


class AlertSettings(Settings):
    """Who is told of alerts, and how often."""

    severity: Literal["watch", "warning", "critical"] = "warning"
    """Least severity that is told; the screens and `workbench alerts` show all."""

    repeat_hours: float = Field(4.0, ge=0)
    """An alert that is still open and not acknowledged is told again after this time; 0: never."""

    pause_seconds: float = Field(30.0, ge=0)
    """Least time between two messages to a channel; what comes meanwhile goes together, critical at once."""

    max_per_hour: int = Field(20, ge=1)
    """Messages an hour to a channel; what is too much waits and goes together."""

    cleared: bool = True
    """Tell also when it is over."""

    log: bool = True
    """Write each to the log of the process that watches (the server's or the watcher's)."""

    webhooks: dict[str, WebhookSettings] = Field(default_factory=dict)
    """Addresses to post to, by name."""

    command: CommandSettings = CommandSettings()
    """A program to run."""

    smtp: SmtpSettings = SmtpSettings()
    """Mail."""
