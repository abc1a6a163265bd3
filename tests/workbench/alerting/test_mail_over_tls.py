"""Mail over TLS, to a real server on loopback with a certificate of its own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from store.alert_delivery import Notice
from store.alerts import Alert
from workbench.alerting.channels import DeliveryError, SmtpChannel
from workbench.alerting.message import Message
from workbench.alerting.settings import SmtpSettings

AT = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
ALERT = Alert(
    id="3fa9c1d0", key="k", kind="drift", model="bikes", version=3, feature="temp", severity="critical",
    worst="critical", state="open", message="effect 0.31", since=AT, last_seen=AT,
)  # fmt: skip
MESSAGE = Message("bike-lab", (Notice(ALERT, "raised"),), AT)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for `localhost` that nobody has signed but itself, and its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    found, kept = folder / "certificate.pem", folder / "key.pem"
    found.write_bytes(signed.public_bytes(Encoding.PEM))
    kept.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return found, kept


@dataclass
class MailServer:
    """As much of SMTP with STARTTLS and AUTH as a client needs to deliver a mail."""

    context: ssl.SSLContext
    is_encrypted_from_the_start: bool
    port: int = 0
    said_in_the_open: list[str] = field(default_factory=list)
    said_in_secret: list[str] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # a client that does not trust hangs up
                connection.settimeout(20)
                if self.is_encrypted_from_the_start or self._talk(connection, self.said_in_the_open):
                    with self.context.wrap_socket(connection, server_side=True) as encrypted:
                        if self.is_encrypted_from_the_start:
                            encrypted.sendall(b"220 localhost\r\n")
                        self._talk(encrypted, self.said_in_secret)

    def _talk(self, connection: socket.socket, said: list[str]) -> bool:
        """Answer until the client leaves, or wants to go on in secret: then true."""
        is_secret, in_data = said is self.said_in_secret, False
        if not is_secret:
            connection.sendall(b"220 localhost\r\n")
        with connection.makefile("rb") as lines:
            while raw := lines.readline():
                line = raw.decode().rstrip("\r\n")
                said.append(line)
                word = line.split(" ")[0].upper()
                if in_data:
                    in_data = line != "."
                    if not in_data:
                        connection.sendall(b"250 taken\r\n")
                elif word == "EHLO":
                    offer = b"AUTH PLAIN" if is_secret else b"STARTTLS"
                    connection.sendall(b"250-localhost\r\n250 " + offer + b"\r\n")
                elif word == "STARTTLS":
                    connection.sendall(b"220 go ahead\r\n")
                    return True
                elif word == "AUTH":
                    connection.sendall(b"235 welcome\r\n")
                elif word == "DATA":
                    in_data = True
                    connection.sendall(b"354 go on\r\n")
                elif word == "QUIT":
                    connection.sendall(b"221 bye\r\n")
                    return False
                else:
                    connection.sendall(b"250 ok\r\n")
        return False


@pytest.fixture(params=["starttls", "tls"])
def server(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> Iterator[MailServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    found = MailServer(context, request.param == "tls")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found.port = listening.getsockname()[1]
        thread = threading.Thread(target=found.serve, args=(listening,), daemon=True)
        thread.start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(90)


def channel_to(server: MailServer, host: str = "localhost") -> SmtpChannel:
    settings = SmtpSettings(
        host=host,
        port=server.port,
        security="tls" if server.is_encrypted_from_the_start else "starttls",
        username="wb@example.org",
        to=("a@example.org",),
        timeout=20,
    )
    return SmtpChannel(settings, "s3cret")


def test_a_mail_goes_over_an_encrypted_line(
    server: MailServer, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    channel_to(server).send(MESSAGE)
    secret = "\n".join(server.said_in_secret)
    assert "AUTH PLAIN " in secret
    assert "rcpt to:<a@example.org>" in secret.lower()
    assert "effect 0.31" in secret
    assert [line.split(" ")[0].upper() for line in server.said_in_the_open] == (
        [] if server.is_encrypted_from_the_start else ["EHLO", "STARTTLS"]
    )


def test_a_certificate_that_nobody_vouches_for_gets_neither_password_nor_mail(server: MailServer) -> None:
    with pytest.raises(DeliveryError, match=r"no certificate that can be trusted: self.signed") as error:
        channel_to(server).send(MESSAGE)
    assert "SSL_CERT_FILE" in str(error.value)
    assert f"localhost:{server.port}" in str(error.value)
    assert server.said_in_secret == []


def test_a_certificate_of_another_name_is_not_trusted(
    server: MailServer, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with pytest.raises(DeliveryError, match=r"no certificate that can be trusted: IP address mismatch"):
        channel_to(server, "127.0.0.1").send(MESSAGE)
    assert server.said_in_secret == []
