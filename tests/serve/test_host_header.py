"""The Host header: exactly one, and a host; whatever way a request takes."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from serve.host_header import is_host

ROW = json.dumps([0.5, -1, 2.25, 3]).encode()
PREDICT = b"POST /models/two/predict HTTP/%b\r\n%bContent-Length: %d\r\n\r\n%b"


def quick(hosts: bytes, version: bytes = b"1.1") -> bytes:
    """A request that the quick lane answers, if it is one."""
    return PREDICT % (version, hosts, len(ROW), ROW)


def common(hosts: bytes, version: bytes = b"1.1", path: bytes = b"/health") -> bytes:
    return b"GET %b HTTP/%b\r\n%b\r\n" % (path, version, hosts)


def answers(server: Any, *sent: bytes) -> list[tuple[int, dict[str, str], Any]]:
    """Those on one connection, each read before the next request goes out."""
    address = urlsplit(server.url)
    found = []
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        for request in sent:
            connection.sendall(request)
            data = b""
            while b"\r\n\r\n" not in data or len(data) < _size(data):
                piece = connection.recv(65_536)
                assert piece, data
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            found.append((int(first.split()[1]), headers, json.loads(body)))
    return found


def _size(data: bytes) -> int:
    head, _, _ = data.partition(b"\r\n\r\n")
    return len(head) + 4 + int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])


WRONG = {
    "missing": b"",
    "two": b"Host: localhost\r\nHost: localhost\r\n",
    "two that differ": b"Host: localhost\r\nX-Between: 1\r\nhost: evil.example\r\n",
    "a space": b"Host: local host\r\n",
    "a path": b"Host: localhost/x\r\n",
    "user": b"Host: user@localhost\r\n",
    "no port": b"Host: localhost:http\r\n",
    "no IPv6": b"Host: [::1\r\n",
    "half IPv6": b"Host: [1:2]\r\n",
    "bytes": b"Host: \xff\xfe\r\n",
}


@pytest.mark.parametrize("hosts", WRONG.values(), ids=WRONG)
def test_a_wrong_host_is_a_400_on_every_way_and_the_connection_goes_on(server: Any, hosts: bytes) -> None:
    right = b"Host: localhost\r\n"
    found = answers(
        server,
        quick(right),
        quick(hosts),
        common(hosts),
        common(hosts, path=b"/v2/health/live"),
        common(hosts, path=b"/admin/reload"),
        quick(right),
    )
    assert [status for status, _, _ in found] == [200, 400, 400, 400, 400, 200]
    for _, headers, body in found[1:-1]:
        assert headers["content-type"] == "application/problem+json"
        assert "Host" in body["detail"]
        assert body["request_id"] == headers["x-request-id"]


def test_http_1_0_may_be_without_a_host_but_not_with_two_or_a_wrong_one(server: Any) -> None:
    assert answers(server, quick(b"", b"1.0"))[0][0] == 200
    assert answers(server, common(b"", b"1.0"))[0][0] == 200
    for wrong in ("two", "a space"):
        assert answers(server, common(WRONG[wrong], b"1.0"))[0][0] == 400
        assert answers(server, quick(WRONG[wrong], b"1.0"))[0][0] == 400


@pytest.mark.parametrize(
    "host", [b"localhost", b"127.0.0.1:8000", b"[::1]:80", b"[::1]", b"a_b.example", b"x%41", b"x:", b""]
)
def test_hosts_with_and_without_a_port_are_right(server: Any, host: bytes) -> None:
    assert is_host(host)
    assert answers(server, common(b"Host: " + host + b"\r\n"))[0][0] == 200


def test_a_host_of_any_length_is_looked_at_no_further() -> None:
    assert not is_host(b"a" * 60_000)
    assert not is_host(b"[" + b":" * 200 + b"]")
