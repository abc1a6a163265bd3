"""A server on a Unix socket, and /admin and /metrics on a port of their own."""

from __future__ import annotations

import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sklearn.linear_model import LogisticRegression

from serve.clients import Clients, is_from_here
from serve.control import running_server, socket_url
from serve.local_key import read_local_key
from serve.main import ServerConfig, listen_on
from serve.ports import identity, listen_on_socket, remove_socket
from serve.settings import ServeSettings
from store.errors import BusyError, UsageError
from store.keys import create_key, revoke_key
from store.layout import Layout
from store.settings import StoreSettings
from workbench.desk.loopback import ask

VALUES = [1.0, -0.5, 0.25, 2.0]
SCOPE = {"server": ("/run/w.sock", None), "client": None, "headers": []}


def test_a_dead_socket_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    first = listen_on_socket(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with pytest.raises(BusyError, match=r"w\.sock is in use by pid"):
        listen_on_socket(path)
    dead = identity(first)
    first.close()
    second = listen_on_socket(path)
    remove_socket(path, dead)
    assert path.exists()
    remove_socket(path, identity(second))
    assert not path.exists()
    second.close()


@pytest.mark.parametrize("name", ["notes.txt", "no/such/folder/w.sock", "w" * 110])
def test_a_path_that_can_be_no_socket_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError):
        listen_on_socket(tmp_path / name)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("path", [".workbench/w.sock", "x/../.workbench/run/w.sock", "link/w.sock"])
def test_no_socket_is_made_among_what_is_copied_and_backed_up(tmp_path: Path, path: str) -> None:
    layout = Layout.of(tmp_path).ensure()
    (tmp_path / "link").symlink_to(layout.run)
    config = ServerConfig(ServeSettings(socket=path), StoreSettings(), "mlruns", layout)
    with pytest.raises(UsageError, match=r"inside \.workbench/") as refused:
        listen_on(config)
    assert str(tmp_path / "w.sock") in refused.value.hint
    assert not list(layout.state.rglob("*.sock"))


def test_clients_on_a_socket_are_of_this_machine_unless_they_speak_for_others() -> None:
    forwarded = {**SCOPE, "headers": [(b"x-forwarded-for", b"203.0.113.5")]}
    assert is_from_here(SCOPE)
    assert not is_from_here(forwarded)
    assert Clients(["127.0.0.1"]).address(forwarded) == ""
    assert Clients(["unix"]).address(forwarded) == "203.0.113.5"


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory, flower_data: Any, columns: Any) -> Any:
    from tests.serve.conftest import Project

    project = Project(tmp_path_factory.mktemp("flowers"))
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y), inputs=columns(**dict.fromkeys("abcd", "double")))
    return project


@pytest.fixture(scope="module", params=[2, 1], ids=["two workers", "one"])
def served(request: Any, flowers: Any, running: Any) -> Iterator[Any]:
    """The project and its server, on a socket whose former server was killed."""
    path = flowers.root / "w.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    settings = {"socket": "w.sock", "admin_port": 0, "workers": request.param}
    with running(flowers, settings=settings) as server:
        yield flowers, server
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(90) == 0
    assert not path.exists()


def test_predictions_by_the_socket_and_metrics_by_the_port(served: Any) -> None:
    project, server = served
    info = running_server(project.layout)
    assert info is not None
    assert info.url == server.url == socket_url(project.root / "w.sock")
    assert (info.place, info.port) == ("w.sock", 0)
    admin_url = info.admin_url
    assert admin_url is not None
    assert admin_url.startswith("http://127.0.0.1:")

    # As a person's UI asks.
    assert ask(info.url, "/predict", method="POST", body=VALUES).status == 200
    assert ask(info.url, "/health").status == 200
    assert "workbench_predictions_total{" in ask(admin_url, "/metrics").body
    for url, path in ((info.url, "/metrics"), (info.url, "/metrics/"), (admin_url, "/models")):
        assert ask(url, path).status == 404
    assert ask(admin_url, "/predict", method="POST", body=VALUES).status == 404
    assert ask(info.url, "/admin/reload", method="POST").status == 404
    assert ask(admin_url, "/admin/reload", method="POST").status == 401
    assert ask(admin_url, "/health/live").status == 200
    assert not {"/metrics", "/admin/reload"} & ask(info.url, "/openapi.json").json()["paths"].keys()

    # As a proxy asks.
    transport = httpx.HTTPTransport(uds=str(project.root / "w.sock"))
    with httpx.Client(transport=transport, base_url="http://localhost") as client:
        assert client.post("/predict", json=VALUES).status_code == 200
        assert client.post("/predict", json=VALUES, headers={"Host": "evil.example"}).status_code == 403
    # A page in a browser of this machine, whose DNS points here.
    assert httpx.get(f"{admin_url}/metrics", headers={"Host": "evil.example"}).status_code == 403


def test_keys_hold_on_both(served: Any, wait_until: Any) -> None:
    project, server = served
    name = f"boss{server.process.pid}"
    admin_url = running_server(project.layout).admin_url  # type: ignore[union-attr]
    secret = create_key(project.layout, name, ("admin",))
    wait_until(
        lambda: ask(admin_url, "/admin/reload", method="POST", key=secret).status == 200, "the new key"
    )
    wait_until(lambda: ask(server.url, "/predict", method="POST", body=VALUES).status == 401, "the new key")
    local = read_local_key(project.layout)
    assert ask(server.url, "/predict", method="POST", body=VALUES, key=local).status == 200
    revoke_key(project.layout, name)
