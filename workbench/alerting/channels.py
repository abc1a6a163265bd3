"""The channels: each delivers a message within its time limit, or says why not."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from workbench.alerting.message import Message, describe, format_of, one_line
from workbench.alerting.settings import AlertSettings, CommandSettings, SmtpSettings, WebhookSettings

if TYPE_CHECKING:
    import ssl

PASSWORD_VARIABLE = "WORKBENCH_SMTP_PASSWORD"


class DeliveryError(Exception):
    """Why a channel did not take a message, without its secrets."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(one_line(message))
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """Somewhere to tell. `name` identifies it in the state file, `timeout_s` is the longest it may take."""

    @property
    def name(self) -> str: ...

    @property
    def timeout_s(self) -> float: ...

    def send(self, message: Message) -> None:
        """Deliver; raises DeliveryError."""


def channels_of(
    settings: AlertSettings, root: Path, environment: Mapping[str, str] = os.environ
) -> list[Channel]:
    """The channels that the settings name."""
    found: list[Channel] = []
    if settings.log:
        found.append(LogChannel())
    found += [WebhookChannel(f"webhook:{name}", one) for name, one in settings.webhooks.items()]
    if settings.command.run:
        found.append(CommandChannel(settings.command, root))
    if settings.smtp.host:
        found.append(SmtpChannel(settings.smtp, environment.get(PASSWORD_VARIABLE, "")))
    return found


class LogChannel:
    """A line for each alert in the log of the process."""

    name = "log"
    timeout_s = 5.0

    def send(self, message: Message) -> None:
        logger = logging.getLogger("workbench.alerts")
        for notice in message.notices:
            is_bad = notice.alert.is_live
            logger.log(logging.WARNING if is_bad else logging.INFO, "alert: %s", describe(notice))


@dataclass
class WebhookChannel:
    """A POST of JSON; 2xx is delivered. Redirects are not followed: a secret stays with its address."""

    name: str
    settings: WebhookSettings

    @property
    def timeout_s(self) -> float:
        return self.settings.timeout * 3  # to look the name up, to connect, to answer

    def send(self, message: Message) -> None:
        import http.client
        import ssl
        from urllib.error import HTTPError, URLError
        from urllib.request import HTTPRedirectHandler, Request, build_opener

        class _NoRedirects(HTTPRedirectHandler):
            def redirect_request(self, *_: Any) -> None:
                return None

        shape = format_of(self.settings.url) if self.settings.format == "auto" else self.settings.format
        headers = {"Content-Type": "application/json", "User-Agent": "workbench", **self.settings.headers}
        body = json.dumps(message.payload(shape), ensure_ascii=False).encode("utf-8", "replace")
        where = f"the webhook at {urlsplit(self.settings.url).hostname}"
        try:
            request = Request(self.settings.url, data=body, headers=headers, method="POST")
            # That it was taken is in the first line; a body may never end.
            build_opener(_NoRedirects).open(request, timeout=self.settings.timeout).close()
        except HTTPError as error:
            with error:
                raise DeliveryError(
                    f"{where} answered {error.code} {error.reason}",
                    retry_after_s=_seconds(error.headers.get("Retry-After")),
                ) from None
        except URLError as error:
            reason = error.reason
            if isinstance(reason, ssl.SSLError):
                raise DeliveryError(f"{where} {_distrust(reason)}") from None
            raise DeliveryError(f"{where} can't be reached: {reason}") from None
        except TimeoutError:
            raise DeliveryError(f"{where} did not answer within {self.settings.timeout:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeliveryError(f"{where} failed: {type(error).__name__}") from None


@dataclass
class CommandChannel:
    """A program with the message as JSON on its standard input; exit 0 is delivered."""

    settings: CommandSettings
    root: Path
    name: str = "command"

    @property
    def timeout_s(self) -> float:
        return self.settings.timeout

    def send(self, message: Message) -> None:
        program = self.settings.run[0]
        document = json.dumps(message.as_json(), ensure_ascii=False).encode("utf-8", "replace")
        try:
            process = subprocess.Popen(
                self.settings.run,
                cwd=self.root,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise DeliveryError(f"{program} can't be run: {error}") from None
        try:
            _, complaint = process.communicate(document, timeout=self.settings.timeout)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)  # its children too
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=5)
            raise DeliveryError(f"{program} took longer than {self.settings.timeout:g} s") from None
        if process.returncode != 0:
            last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise DeliveryError(": ".join([f"{program} ended with {process.returncode}", *last]))


@dataclass
class SmtpChannel:
    """A mail to all addresses."""

    settings: SmtpSettings
    password: str
    name: str = "smtp"

    @property
    def timeout_s(self) -> float:
        return self.settings.timeout * 6  # each step of the conversation may take that long

    def send(self, message: Message) -> None:
        import smtplib
        import ssl

        settings = self.settings
        if not settings.to:
            raise DeliveryError("mail has nobody to go to: set [alerts.smtp] to")
        where = f"the mail server {settings.host}:{settings.port}"
        context = ssl.create_default_context()
        try:
            if settings.security == "tls":
                connection: smtplib.SMTP = smtplib.SMTP_SSL(
                    settings.host, settings.port, timeout=settings.timeout, context=context
                )
            else:
                connection = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout)
            with connection:
                if settings.security == "starttls":
                    connection.starttls(context=context)
                if settings.username:
                    connection.login(settings.username, self.password)
                refused = connection.send_message(self._mail(message))
        except smtplib.SMTPAuthenticationError as error:
            raise DeliveryError(
                f"{where} refused the login ({error.smtp_code}): check username and {PASSWORD_VARIABLE}"
            ) from None
        except ssl.SSLError as error:
            raise DeliveryError(f"{where} {_distrust(error)}") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise DeliveryError(f"{where} failed: {error}") from None
        if refused:
            raise DeliveryError(f"{where} refused {', '.join(refused)}")

    def _mail(self, message: Message) -> Any:
        from email.message import EmailMessage
        from email.utils import formatdate, make_msgid

        sender = self.settings.sender or self.settings.username or f"workbench@{self.settings.host}"
        mail = EmailMessage()
        mail["Subject"] = f"[workbench] {message.title}"
        mail["From"] = sender
        mail["To"] = ", ".join(self.settings.to)
        mail["Date"] = formatdate(message.at.timestamp())
        mail["Message-ID"] = make_msgid(domain="workbench.invalid")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join([*message.lines, "All of them: workbench alerts list"]))
        return mail


def _distrust(error: ssl.SSLError) -> str:
    """Why a connection could not be encrypted, and what may help."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message or error.reason
        return f"has no certificate that can be trusted: {why}; name its authority in SSL_CERT_FILE"
    return f"can't be talked to over TLS: {error.reason or error}; see whether the port speaks it"


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds, an hour at most."""
    try:
        return min(3600.0, max(0.0, float(text))) if text else None
    except ValueError:
        return None
