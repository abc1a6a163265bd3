"""Listening sockets."""

from __future__ import annotations

import socket
import sys

import pytest

from serve.ports import listen, listen_beside, listen_together
from store.errors import BusyError


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="connections are shared out on Linux alone")
def test_workers_have_a_socket_each_on_one_port_and_another_server_is_kept_off() -> None:
    together = listen_together("127.0.0.1", 0, 3)
    try:
        addresses = {listener.getsockname() for listener in together}
        assert (len(together), len(addresses)) == (3, 1)
        ((_, port),) = addresses
        with pytest.raises(BusyError, match=f"port {port} is taken"):
            listen_together("127.0.0.1", port, 2)
        with pytest.raises(BusyError, match=f"port {port} is taken"):
            listen("127.0.0.1", port)
        # A worker that waits for its start has none; new connections find those of the others.
        together.pop().close()
        for _ in range(20):
            socket.create_connection(("127.0.0.1", port), timeout=60).close()
        together.append(listen_beside(socket.AF_INET, ("127.0.0.1", port)))
    finally:
        for listener in together:
            listener.close()
