"""What each channel sends, to real servers on loopback."""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from store.alert_delivery import Notice
from store.alerts import Alert, clear_alert, list_alerts, raise_alert
from store.layout import Layout
from workbench.alerting import AlertSettings, deliver, deliver_now
from workbench.alerting.channels import (
    CommandChannel,
    DeliveryError,
    SmtpChannel,
    WebhookChannel,
    channels_of,
)
from workbench.alerting.delivery import send_test
from workbench.alerting.message import Message, format_of
from workbench.alerting.settings import CommandSettings, SmtpSettings, WebhookSettings

AT = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def an_alert(**changes: Any) -> Alert:
    values: dict[str, Any] = {
        "id": "3fa9c1d0", "key": "drift:bikes:temp", "kind": "drift", "model": "bikes", "version": 3,
        "feature": "temp", "severity": "critical", "worst": "critical", "state": "open",
        "message": "PSI 0.31 <b>& more</b>\nsecond line", "since": AT, "last_seen": AT,
    }  # fmt: skip
    return Alert(**(values | changes))


def a_message(*alerts: Alert) -> Message:
    notices = tuple(Notice(alert, "raised") for alert in alerts or (an_alert(),))
    return Message("bike-lab", notices, AT)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path).ensure()


@dataclass
class Receiver:
    """An HTTP server that answers as it is told and keeps what it got."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()
    kept.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.got.append(json.loads(body))
            kept.headers.append({key.lower(): value for key, value in self.headers.items()})
            kept.arrived.set()
            kept.hold.wait(30)
            status = kept.answers.pop(0) if kept.answers else 204
            self.send_response(status)
            self.send_header("Retry-After", "120")
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/hook/s3cret"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield kept
        kept.hold.set()
        server.shutdown()
        thread.join()


class SmtpPeer(socketserver.BaseRequestHandler):
    """As much of SMTP as a client needs to deliver one mail with a login."""

    said: list[str]
    refuse_login = False

    def handle(self) -> None:
        file = self.request.makefile("rwb")

        def answer(text: str) -> None:
            file.write(text.encode() + b"\r\n")
            file.flush()

        answer("220 peer")
        in_data = False
        for raw in file:
            line = raw.decode().rstrip("\r\n")
            self.said.append(line)
            if in_data:
                if line == ".":
                    in_data = False
                    answer("250 taken")
                continue
            word = line.split(" ")[0].upper()
            if word == "EHLO":
                answer("250-peer\r\n250 AUTH PLAIN")
            elif word == "AUTH":
                answer("535 no" if self.refuse_login else "235 welcome")
            elif word == "DATA":
                in_data = True
                answer("354 go on")
            elif word == "QUIT":
                answer("221 bye")
                return
            else:
                answer("250 ok")


@pytest.fixture
def smtp() -> Iterator[tuple[int, type[SmtpPeer]]]:
    peer = type("Peer", (SmtpPeer,), {"said": []})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), peer) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server.server_address[1], peer
        server.shutdown()
        thread.join()


def test_plain_json_has_all_there_is_to_know(receiver: Receiver) -> None:
    settings = WebhookSettings(url=receiver.url, headers={"Authorization": "Bearer t"})
    WebhookChannel("webhook:ops", settings).send(a_message(an_alert(), an_alert(id="b", feature="hum")))
    (document,) = receiver.got
    assert document["project"] == "bike-lab"
    assert document["title"] == "critical: 2 alerts (bike-lab)"
    assert document["alerts"][0].items() >= {"what": "raised", "id": "3fa9c1d0", "feature": "temp"}.items()
    assert receiver.headers[0]["authorization"] == "Bearer t"


def test_the_shapes_of_slack_discord_and_teams() -> None:
    slack = a_message().payload("slack")
    assert slack["text"] == "critical: bikes v3 · temp (bike-lab)"
    text = slack["attachments"][0]["blocks"][0]["text"]["text"]
    assert "&lt;b&gt;&amp; more&lt;/b&gt; second line" in text

    embed = a_message().payload("discord")
    assert embed["allowed_mentions"] == {"parse": []}
    assert embed["embeds"][0]["description"].startswith("■ critical · bikes v3 · temp: PSI 0.31")

    card = a_message().payload("teams")["attachments"][0]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["body"][0]["color"] == "Attention"

    many = a_message(*(an_alert(id=f"{n:08}", message="x" * 900) for n in range(50)))
    assert len(many.payload("discord")["embeds"][0]["description"]) <= 4096
    assert len(many.payload("slack")["attachments"][0]["blocks"][0]["text"]["text"]) <= 3000
    assert many.lines[-1] == "… and 30 more: workbench alerts list"


@pytest.mark.parametrize(
    ("url", "shape"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://acme.webhook.office.com/webhookb2/x", "teams"),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/x", "teams"),
        ("https://hooks.slack.com.evil.example/x", "json"),
    ],
)
def test_addresses_tell_their_shape(url: str, shape: str) -> None:
    assert format_of(url) == shape


def test_what_a_webhook_refuses_is_said_without_its_secret(receiver: Receiver) -> None:
    channel = WebhookChannel("webhook:ops", WebhookSettings(url=receiver.url, timeout=0.3))
    receiver.answers = [503, 302]
    with pytest.raises(DeliveryError, match="503") as refused:
        channel.send(a_message())
    assert refused.value.retry_after_s == 120
    assert "s3cret" not in str(refused.value)
    with pytest.raises(DeliveryError, match="302"):  # a redirect is not followed
        channel.send(a_message())
    receiver.hold.clear()
    with pytest.raises(DeliveryError, match="did not answer within"):
        channel.send(a_message())
    gone = WebhookChannel("webhook:ops", WebhookSettings(url="http://127.0.0.1:1/s3cret"))
    with pytest.raises(DeliveryError, match="can't be reached") as unreachable:
        gone.send(a_message())
    assert "s3cret" not in str(unreachable.value)


def test_an_answer_whose_body_never_ends_is_an_answer() -> None:
    """Else the message would be sent again and again to a receiver that has it."""
    over = threading.Event()

    class Slow(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nta")
            over.wait(30)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        WebhookChannel("webhook:slow", WebhookSettings(url=url, timeout=0.5)).send(a_message())
        over.set()
        server.shutdown()
        thread.join()


def test_channels_are_tried_side_by_side() -> None:
    both = threading.Barrier(2, timeout=60)

    @dataclass
    class Waiting:
        name: str
        timeout_s: float = 1.0

        def send(self, message: Message) -> None:
            both.wait()

    outcomes = send_test([Waiting("a"), Waiting("b")], an_alert(), "shop")
    assert [(one.channel, one.error) for one in outcomes] == [("a", None), ("b", None)]


def test_a_command_gets_json_and_has_a_time_limit(tmp_path: Path) -> None:
    copy = "import sys, pathlib; pathlib.Path('got.json').write_text(sys.stdin.read())"
    CommandChannel(CommandSettings(run=(sys.executable, "-c", copy)), tmp_path).send(a_message())
    assert json.loads((tmp_path / "got.json").read_text())["alerts"][0]["id"] == "3fa9c1d0"

    for run, reason in (
        ((sys.executable, "-c", "import sys; sys.exit('no bell')"), "ended with 1: no bell"),
        (("no-such-program",), "can't be run"),
        (("sh", "-c", "sleep 60 & sleep 60"), "took longer than 0.3 s"),
    ):
        with pytest.raises(DeliveryError, match=reason):
            CommandChannel(CommandSettings(run=run, timeout=0.3 if "sh" in run else 20), tmp_path).send(
                a_message()
            )


def test_mail_goes_to_all_with_a_password_from_the_environment(
    smtp: tuple[int, type[SmtpPeer]], tmp_path: Path
) -> None:
    port, peer = smtp
    settings = SmtpSettings(
        host="127.0.0.1",
        port=port,
        security="none",
        username="wb@example.org",
        to=("a@example.org", "b@example.org"),
    )
    (channel,) = channels_of(
        AlertSettings(log=False, smtp=settings), tmp_path, {"WORKBENCH_SMTP_PASSWORD": "pw"}
    )
    channel.send(a_message())
    said = "\n".join(peer.said)
    assert "mail from:<wb@example.org>" in said.lower()  # 3.13 writes the verbs in small letters
    assert "rcpt to:<a@example.org>" in said.lower()
    assert "rcpt to:<b@example.org>" in said.lower()
    assert (
        "Subject: [workbench] critical: bikes v3" in said.replace("=?utf-8?", "")
        or "Subject: =?utf-8?" in said
    )

    peer.refuse_login = True
    with pytest.raises(DeliveryError, match="WORKBENCH_SMTP_PASSWORD"):
        channel.send(a_message())
    with pytest.raises(DeliveryError, match="STARTTLS"):  # no password over a line that stayed open to read
        SmtpChannel(settings.model_copy(update={"security": "starttls"}), "pw").send(a_message())


def test_delivering_never_waits_and_one_call_at_a_time_is_at_it(layout: Layout, receiver: Receiver) -> None:
    raise_alert(layout, "k", kind="drift", severity="warning", message="m", model="bikes")
    settings = AlertSettings(log=False, webhooks={"ops": WebhookSettings(url=receiver.url)})
    receiver.hold.clear()
    thread = deliver(layout, settings)
    assert thread is not None
    assert receiver.arrived.wait(60)
    assert deliver(layout, settings) is None
    receiver.hold.set()
    thread.join(90)
    assert len(receiver.got) == 1
    assert deliver_now(layout, settings) == []


_HOST = """
import sys
from pathlib import Path
from store.layout import Layout
from workbench.alerting import AlertSettings, deliver_now
from workbench.alerting.settings import WebhookSettings
settings = AlertSettings(log=False, webhooks={"ops": WebhookSettings(url=sys.argv[2])})
sys.stdin.readline()
deliver_now(Layout.of(Path(sys.argv[1])), settings)
"""


def test_hosts_in_other_processes_do_not_tell_twice_and_one_that_is_killed_loses_nothing(
    layout: Layout, receiver: Receiver
) -> None:
    def host() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _HOST, str(layout.root), receiver.url]
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    raise_alert(layout, "k", kind="drift", severity="warning", message="m", model="bikes")
    hosts = [host() for _ in range(3)]
    for one in hosts[:2]:
        one.communicate(b"\n", timeout=120)
    assert len(receiver.got) == 1

    clear_alert(layout, "k")
    raise_alert(layout, "worse", kind="drift", severity="critical", message="m", model="bikes")
    receiver.arrived.clear()
    receiver.hold.clear()
    last = hosts[2]
    assert last.stdin is not None
    last.stdin.write(b"\n")
    last.stdin.close()
    assert receiver.arrived.wait(60)
    last.kill()  # before anybody answered
    last.wait(90)
    receiver.hold.set()

    from store.state import connect

    with connect(layout) as connection:  # its lease runs out
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        connection.execute("UPDATE alert_channels SET claimed_until = ?", (past,))
    settings = AlertSettings(log=False, webhooks={"ops": WebhookSettings(url=receiver.url)})
    (outcome,) = deliver_now(layout, settings)
    assert outcome.told == 2
    assert sorted(one["what"] for one in receiver.got[-1]["alerts"]) == ["cleared", "raised"]


def test_a_channel_that_fails_holds_no_other_up_and_is_tried_again(
    layout: Layout, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    alert = raise_alert(layout, "k", kind="drift", severity="warning", message="m", model="bikes")
    settings = AlertSettings(webhooks={"ops": WebhookSettings(url=receiver.url)})
    receiver.answers = [500]
    outcomes = {outcome.channel: outcome for outcome in deliver_now(layout, settings)}
    assert outcomes["log"].told == 1
    assert "500" in str(outcomes["webhook:ops"].error)
    assert any(alert.id in record.getMessage() for record in caplog.records)

    from store.state import connect

    with connect(layout) as connection:
        connection.execute("UPDATE alert_channels SET retry_at = NULL")
    (again,) = deliver_now(layout, settings)
    assert (again.channel, again.told) == ("webhook:ops", 1)
    clear_alert(layout, "k")
    assert [alert.state for alert in list_alerts(layout)] == ["cleared"]


def test_messages_of_what_is_over() -> None:
    over = an_alert(state="cleared", cleared_at=AT + timedelta(hours=1))
    message = Message("bike-lab", (Notice(over, "cleared"),), AT)
    assert message.is_over
    assert message.title == "cleared: bikes v3 · temp (bike-lab)"
    assert message.lines[0].startswith("✓ cleared · bikes v3")
    assert message.payload("teams")["attachments"][0]["content"]["body"][0]["color"] == "Good"
