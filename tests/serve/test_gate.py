"""What every request passes first: how often, from where, in which form, and what is noted of it."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sklearn.linear_model import LogisticRegression

from serve.access_log import KEPT_FILES, AccessLog
from serve.clients import Clients, is_from_here, network_of
from serve.local_key import key_path, local_key, read_local_key
from serve.main import _OneLine, _written_layout
from serve.rate import MOST_CLIENTS, RateLimit
from serve.settings import ServeSettings
from store.alerts import raise_alert
from store.findings import save_report
from store.keys import create_key
from store.layout import Layout

VALUES = [1.0, -0.5, 0.25, 2.0]


@pytest.fixture
def flowers(project: Any, flower_data: Any, columns: Any) -> Any:
    """A project with one model, which has an example row."""
    import pandas as pd

    X, y = flower_data
    frame = pd.DataFrame(X, columns=list("abcd"))
    inputs = columns(**dict.fromkeys("abcd", "double"))
    project.add("two", LogisticRegression().fit(frame, y), inputs=inputs, example=X[:2].tolist())
    return project


def scope(peer: str, *forwarded: str) -> Any:
    return {"client": (peer, 1), "headers": [(b"x-forwarded-for", text.encode()) for text in forwarded]}


def test_a_bucket_empties_and_fills_again() -> None:
    now = 0.0
    rate = RateLimit("2/s", clock=lambda: now)
    assert [rate.wait_s("a") for _ in range(3)] == [0, 0, 1]
    assert rate.wait_s("b") == 0
    now = 0.5
    assert [rate.wait_s("a") for _ in range(2)] == [0, 1]
    now = 100.0
    assert [rate.wait_s("a") for _ in range(3)] == [0, 0, 1]
    slow = RateLimit("1/h", clock=lambda: now)
    assert (slow.wait_s("a"), slow.wait_s("a")) == (0, 3600)


def test_buckets_take_bounded_memory() -> None:
    rate = RateLimit("1/h")
    before = len(rate._memory)
    waits = [rate.wait_s(str(number)) for number in range(MOST_CLIENTS + 500)]
    assert len(rate._memory) == before
    assert not any(waits)
    assert rate.wait_s(str(MOST_CLIENTS + 499)) > 0


def test_processes_that_were_forked_share_the_buckets() -> None:
    rate = RateLimit("20/h")
    allowed = []
    for _ in range(4):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writing, bytes([sum(rate.wait_s("a") == 0 for _ in range(10))]))
            os._exit(0)
        allowed.append(reading)
        os.close(writing)
    assert sum(os.read(reading, 1)[0] for reading in allowed) == 20
    for reading in allowed:
        os.close(reading)
        os.wait()


def test_only_trusted_proxies_say_who_the_client_is() -> None:
    trusting = Clients(["10.0.0.0/8", "::1"])
    assert trusting.address(scope("203.0.113.9", "1.2.3.4")) == "203.0.113.9"
    assert trusting.address(scope("10.1.2.3", "1.2.3.4")) == "1.2.3.4"
    assert trusting.address(scope("10.1.2.3", "6.6.6.6, 1.2.3.4", "10.9.9.9")) == "1.2.3.4"
    assert trusting.address(scope("10.1.2.3", "[2001:db8::7]:443")) == "2001:db8::7"
    assert trusting.address(scope("10.1.2.3", "1.2.3.4, nonsense")) == "10.1.2.3"
    assert Clients().address(scope("10.1.2.3", "1.2.3.4")) == "10.1.2.3"
    assert network_of("2001:db8:0:1:aaaa::7") == network_of("2001:db8:0:1:bbbb::8")
    assert network_of("2001:db8::7") != network_of("2001:db8:0:1::7")


def test_this_machine_is_not_whoever_a_proxy_on_it_speaks_for() -> None:
    assert is_from_here(scope("127.0.0.1"))
    assert not is_from_here(scope("127.0.0.1", "8.8.8.8"))
    assert not is_from_here(scope("192.0.2.1"))


def test_settings_refuse_what_is_no_rate_or_network() -> None:
    for wrong in ({"rate": "fast"}, {"rate": "0/s"}, {"trusted_proxies": ["everyone"]}):
        with pytest.raises(ValueError):
            ServeSettings.model_validate(wrong)


@pytest.mark.slow
def test_a_guarded_server_end_to_end(flowers: Any, running: Any, wait_until: Any) -> None:
    """Rate limit, access log, keys, the local key and drift, on one server."""
    layout: Layout = flowers.layout
    secret = create_key(layout.ensure(), "shop", ("predict", "feedback"))
    admin = create_key(layout, "boss", ("admin",))
    settings = {
        "rate": "40/h",
        "trusted_proxies": ["127.0.0.1"],
        "access_log": "logs/access.log",
        "access_log_bodies": True,
        "cors_origins": ["https://shop.example"],
    }
    report = {
        "model": "two",
        "version": 1,
        "role": "champion",
        "features": [{"name": "a", "effect": 0.31, "severity": "critical", "flagged": True}],
        "prediction": {"effect": 0.01, "severity": "ok"},
        "performance": [{"metric": "accuracy", "value": 0.9, "estimated": True}],
    }
    with running(flowers, settings=settings) as server:
        key = {"X-API-Key": secret}

        # Example rows are data: they need a key that may predict.
        assert server.get("/models/two").json()["example"] is None
        assert server.get("/models/two", headers=key).json()["example"] is not None
        assert server.get("/models/two", headers={"X-API-Key": admin}).json()["example"] is None
        assert "examples" not in server.get("/openapi.json").json()["components"]["schemas"]["twoRecord"]

        # The key of this machine's own user.
        local = read_local_key(layout)
        assert stat.S_IMODE(key_path(layout).stat().st_mode) == 0o600
        assert server.post("/predict", VALUES).status_code == 401
        page = {"Origin": "https://shop.example"}
        refused = server.post("/predict", VALUES, headers=page)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"
        stranger = server.post("/predict", VALUES, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers
        own = {"X-API-Key": str(local)}
        assert server.post("/predict", VALUES, headers=own).status_code == 200
        assert (
            server.post("/predict", VALUES, headers={**own, "X-Forwarded-For": "8.8.8.8"}).status_code == 401
        )
        assert server.post("/admin/reload", headers=own).status_code == 403

        # Drift, from the findings of the monitor.
        assert server.get("/models/two/drift").status_code == 401
        assert server.get("/models/two/drift", headers=key).status_code == 404
        save_report(layout, report)
        raise_alert(
            layout, "drift/two/a", kind="drift", severity="critical", message="a", model="two", version=1
        )
        assert server.get("/models/two/drift", headers=key).json()["features"][0]["effect"] == 0.31
        assert server.get("/models/two/drift?role=king", headers=key).status_code == 422
        text = server.get("/metrics").text
        labels = 'feature="a",model="two",role="champion",version="1"'
        assert f"workbench_drift_effect{{{labels}}} 0.31" in text
        assert f"workbench_drift_severity{{{labels}}} 3.0" in text
        assert 'workbench_alerts{kind="drift",model="two",severity="critical"} 1.0' in text
        whose = 'estimated="true",metric="accuracy",model="two",role="champion",version="1"'
        assert f"workbench_performance{{{whose}}} 0.9" in text

        # Each key and each address has its own budget; health is free.
        for _ in range(60):
            limited = server.get("/models", headers={"X-Forwarded-For": "198.51.100.7"})
        assert limited.status_code == 429
        assert "access-control-allow-origin" not in limited.headers
        limited = server.get("/models", headers={"X-Forwarded-For": "198.51.100.7", **page})
        assert limited.status_code == 429
        assert limited.headers["access-control-allow-origin"] == "https://shop.example"
        assert "Retry-After" in limited.headers["access-control-expose-headers"]
        assert int(limited.headers["retry-after"]) > 1
        assert "198.51.100.7" in limited.json()["detail"]
        assert server.get("/health", headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 200
        assert server.get("/models", headers={"X-Forwarded-For": "198.51.100.8"}).status_code == 200
        assert server.metric('workbench_requests_refused_total{reason="rate"}') > 10

        log = flowers.root / "logs" / "access.log"
        server.post("/predict", VALUES, headers={**key, "X-Request-ID": "order-7"})

        def entry() -> Any:
            entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
            return next((one for one in entries if one["request_id"] == "order-7"), None)

        found = wait_until(entry, "the line in the access log")
        assert (found["key"], found["method"], found["path"]) == ("shop", "POST", "/predict")
        assert found["status"] == 200
        assert json.loads(found["body"]) == VALUES
        assert secret not in log.read_text()
    assert not key_path(layout).exists()


def test_the_local_key_is_another_one_each_time(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path).ensure()
    found = set()
    for _ in range(2):
        with local_key(layout) as key:
            secret = read_local_key(layout)
            assert secret is not None
            assert key.scopes == {"predict", "feedback"}
            found.add(secret)
    assert len(found) == 2
    assert read_local_key(layout) is None


def note(log: AccessLog, path: str = "/predict", body: bytes | None = None) -> None:
    log.write(
        request_id="r",
        client="127.0.0.1",
        key=None,
        method="POST",
        path=path,
        status=200,
        took_ms=1.5,
        sent=10,
        body=body,
    )


@pytest.mark.parametrize("style", ["plain", "json"])
def test_lines_never_carry_what_a_terminal_acts_on(tmp_path: Path, style: Any) -> None:
    async def write(path: Path) -> None:
        log = AccessLog(path, style=style, has_bodies=True)
        note(log, "/models/\x1b[31mred\n\udcff/predict", b'{"a": "\x9b31m\r\nx"}')
        log.close()

    path = tmp_path / "access.log"
    asyncio.run(write(path))
    text = path.read_bytes().decode("utf-8")
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "\r" not in text


def test_the_access_log_is_renamed_when_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.access_log.ROTATE_BYTES", 2_000)

    async def write(path: Path) -> None:
        logs = [AccessLog(path), AccessLog(path)]  # of two workers
        for number in range(400):
            note(logs[number % 2], f"/{number}")
            logs[number % 2].flush()
        for log in logs:
            log.close()

    asyncio.run(write(tmp_path / "access.log"))
    files = sorted(tmp_path.iterdir())
    assert len(files) == KEPT_FILES + 1
    assert all(file.stat().st_size < 3_000 for file in files)
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    numbers = sorted(int(line["path"][1:]) for line in lines)
    assert numbers == list(range(numbers[0], 400))


def exchange(server: Any, sent: bytes) -> bytes:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(sent)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"GET /" + b"a" * 70_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 70_000, 431),
    ],
    ids=["no HTTP", "no header", "two lengths", "long line", "long header"],
)
def test_what_is_no_proper_request_gets_a_problem(server: Any, sent: bytes, status: int) -> None:
    head, _, body = exchange(server, sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["status"] == status
    assert json.loads(body)["request_id"].encode() in head


def test_a_head_that_comes_too_slowly_is_408_and_silence_is_closed(flowers: Any, running: Any) -> None:
    with running(flowers, settings={"timeout": 0.3}) as server:
        assert exchange(server, b"GET /health HTTP/1.1\r\nHost: ").startswith(b"HTTP/1.1 408")
        assert exchange(server, b"") == b""
        first = exchange(server, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
        assert first.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 408" in first


def test_the_log_shows_a_name_and_does_not_obey_it(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("w", logging.INFO, "", 0, "%s is\n%s", ("\x1b[31mred", "\u202eleft"), None)
    line = _OneLine("%(levelname)s %(message)s").format(record)
    assert line == "INFO \\x1b[31mred is\\n\\u202eleft"


def test_a_project_that_can_only_be_read_is_served_without_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layout = Layout.of(tmp_path).ensure()
    assert _written_layout(layout) == (layout, None)
    assert _written_layout(None) == (None, None)

    def refuse(number: int) -> Any:
        def temporary_file(**_options: Any) -> Any:
            raise OSError(number, os.strerror(number))

        return temporary_file

    monkeypatch.setattr("serve.main.tempfile.TemporaryFile", refuse(errno.EROFS))
    monkeypatch.setattr(logging.getLogger("workbench"), "propagate", True)
    written, why = _written_layout(layout)
    assert written is None
    assert why is not None
    assert "can't be written" in why
    assert "NOT LOGGED" in caplog.text
    monkeypatch.setattr("serve.main.tempfile.TemporaryFile", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="space"):
        _written_layout(layout)
