"""One message of one or many alerts, in the shape that each receiver wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from store.alert_delivery import Notice
from store.alerts import SEVERITIES, Alert
from store.journal import format_time

Format = Literal["json", "slack", "discord", "teams"]

MAX_LINES = 20
"""Alerts that a message names one by one; of more it says how many."""
_MARKS = {"critical": "■", "warning": "▲", "watch": "·"}
_COLOURS = {"critical": 0xC62828, "warning": 0xEF8F00, "watch": 0x607D8B}
_GREEN = 0x2E7D32
_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True)
class Message:
    """What a channel is told at once."""

    project: str
    notices: tuple[Notice, ...]
    at: datetime

    @property
    def is_over(self) -> bool:
        """Whether everything in it is good news."""
        return all(notice.what in ("cleared", "over") for notice in self.notices)

    @property
    def severity(self) -> str:
        """The worst of what is wrong now; of what was, where all is over."""
        wrong = [n.alert for n in self.notices if n.alert.is_live] or [n.alert for n in self.notices]
        return max((alert.severity for alert in wrong), key=SEVERITIES.index)

    @property
    def title(self) -> str:
        """One line: how bad, where, how many."""
        n = len(self.notices)
        if n == 1:
            notice = self.notices[0]
            return one_line(f"{_word(notice)}: {subject(notice.alert)} ({self.project})")
        word = "cleared" if self.is_over else self.severity
        return one_line(f"{word}: {n} alerts ({self.project})")

    @property
    def lines(self) -> list[str]:
        """A line for each alert, the worst first."""
        ordered = sorted(
            self.notices,
            key=lambda n: (not n.alert.is_live, -SEVERITIES.index(n.alert.severity), n.alert.since),
        )
        found = [describe(notice) for notice in ordered[:MAX_LINES]]
        if len(ordered) > MAX_LINES:
            found.append(f"… and {len(ordered) - MAX_LINES} more: workbench alerts list")
        return found

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        return "\n".join([self.title, "", *self.lines])

    def as_json(self) -> dict[str, Any]:
        """What commands and plain webhooks get."""
        return {
            "project": self.project,
            "sent_at": format_time(self.at),
            "severity": self.severity,
            "title": self.title,
            "text": self.text,
            "alerts": [{"what": notice.what, **notice.alert.as_json()} for notice in self.notices],
        }

    def payload(self, shape: Format) -> dict[str, Any]:
        """The body of a webhook's request."""
        if shape == "slack":
            return self._slack()
        if shape == "discord":
            return self._discord()
        return self._teams() if shape == "teams" else self.as_json()

    @property
    def _colour(self) -> int:
        return _GREEN if self.is_over else _COLOURS[self.severity]

    def _slack(self) -> dict[str, Any]:
        title, body = (text.translate(_SLACK) for text in (self.title, _cut("\n".join(self.lines), 2900)))
        section = {"type": "section", "text": {"type": "mrkdwn", "text": body}}
        return {
            "text": title,
            "attachments": [{"color": f"#{self._colour:06x}", "fallback": title, "blocks": [section]}],
        }

    def _discord(self) -> dict[str, Any]:
        return {
            "embeds": [
                {
                    "title": _cut(self.title, 250),
                    "description": _cut("\n".join(self.lines), 4000),
                    "color": self._colour,
                    "timestamp": format_time(self.at),
                }
            ],
            "allowed_mentions": {"parse": []},
        }

    def _teams(self) -> dict[str, Any]:
        colour = "Good" if self.is_over else "Attention" if self.severity == "critical" else "Warning"
        head = {"type": "TextBlock", "text": self.title, "weight": "Bolder", "color": colour, "wrap": True}
        body = [{"type": "TextBlock", "text": line, "wrap": True} for line in self.lines]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [head, *body],
        }
        kind = "application/vnd.microsoft.card.adaptive"
        return {
            "type": "message",
            "summary": self.title,
            "attachments": [{"contentType": kind, "contentUrl": None, "content": card}],
        }


def format_of(url: str) -> Format:
    """The shape that an address wants."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if host == "hooks.slack.com":
        return "slack"
    if host in ("discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"):
        return "discord"
    teams = (".webhook.office.com", ".logic.azure.com", ".api.powerplatform.com")
    return "teams" if host.endswith(teams) else "json"


def subject(alert: Alert) -> str:
    """What an alert is about: `bikes v3 · temp`."""
    model = alert.model and (f"{alert.model} v{alert.version}" if alert.version is not None else alert.model)
    return " · ".join(part for part in (model, alert.feature) if part) or alert.kind


def describe(notice: Notice) -> str:
    """One line about an alert."""
    alert = notice.alert
    mark = "✓" if not alert.is_live else _MARKS[alert.severity]
    when = f"since {alert.since:%Y-%m-%d %H:%M} UTC"
    if alert.cleared_at is not None:
        when = f"from {alert.since:%Y-%m-%d %H:%M} to {alert.cleared_at:%H:%M} UTC"
    says_whose = alert.model is not None and alert.message.startswith(alert.model)
    about = alert.message if says_whose else f"{subject(alert)}: {alert.message}"
    return one_line(f"{mark} {_word(notice)} · {about} ({when}, {alert.id})")


def one_line(text: str) -> str:
    """Text without line ends and other control characters, for headers and logs."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _word(notice: Notice) -> str:
    words = {
        "worse": f"{notice.alert.severity}, worse",
        "repeated": f"still {notice.alert.severity}",
        "cleared": "cleared",
        "over": "came and went",
    }
    return words.get(notice.what, notice.alert.severity)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def message_of(project: str, notices: Sequence[Notice], at: datetime) -> Message:
    return Message(project, tuple(notices), at)
