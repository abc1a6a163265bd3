"""The `[serve]` section of workbench.toml."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import Field, field_validator

from serve.clients import SOCKET_PROXY
from store.settings_base import Settings

_BODIES_AT_ONCE = 4
"""Of the largest size, unless the settings say otherwise."""


class ServeSettings(Settings):
    """The prediction server."""

    host: str = "127.0.0.1"
    """Address to listen on; beyond loopback it is open to your network."""

    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 picks a free one."""

    socket: str | None = Field(None, min_length=1)
    """Unix socket to listen on instead of a port, relative to the project; its mode is 0660."""

    admin_port: int | None = Field(None, ge=0, le=65535)
    """Port of its own for `/admin` and `/metrics`, which the other one then hasn't; 0 picks a free one."""

    admin_host: str = "127.0.0.1"
    """Address that `admin_port` is listened on at."""

    workers: int = Field(1, ge=1, le=64)
    """Processes that answer; they share the memory of the models that are loaded at the start."""

    default: str | None = None
    """Model that answers `/predict`; the first in the settings unless named."""

    engine: Literal["native", "onnx"] = "native"
    """What computes predictions: scikit-learn, or `onnx` where a graph agrees with it (`workbench[onnx]`)."""

    lazy: bool = False
    """Load models when they are first asked for; the default model is loaded at the start all the same."""

    max_loaded_mb: int = Field(0, ge=0)
    """Memory for loaded models, about; those not used for longest are let go. 0: as much as they need."""

    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call the server from a browser; none by default."""

    allowed_hosts: tuple[str, ...] = ()
    """Names that clients behind a proxy on this machine call the server by; `*` for any."""

    allow_public_without_keys: bool = False
    """Listen beyond loopback although no API key exists: whoever reaches the port may predict."""

    max_body: int = Field(10_000_000, ge=1_000)
    """Largest request body, bytes; more is a 413, except for `/predict/batch`, read in parts."""

    max_bodies: int = Field(0, ge=0)
    """Bytes of bodies that a worker holds at once; others are 503s, single rows apart. 0: four `max_body`."""

    max_stream: int = Field(0, ge=0)
    """Largest body of `/predict/batch`, bytes; 0: of any size."""

    timeout: float = Field(30.0, gt=0)
    """Seconds a request may take before it is answered with 503."""

    drain_seconds: float = Field(10.0, gt=0)
    """How long requests in progress may take to end when the server is told to stop."""

    concurrency: int = Field(256, ge=64)
    """Requests in progress before further ones are 503s; those whose body still comes don't count."""

    rate: str | None = Field(None, pattern=r"^[1-9][0-9]*/(s|second|m|minute|h|hour)$")
    """Requests that a key, or an address without one, may make: `100/s`, `600/m`; more are 429s."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded-For names the client; `unix`: on the socket."""

    access_log: str = "off"
    """`off`, `stderr`, or a file relative to the project, which is renamed at 10 MB; five are kept."""

    access_log_format: Literal["json", "plain"] = "json"
    """`json` (an object a line) or `plain`."""

    access_log_bodies: bool = False
    """Write the beginning of each request's body too: these are feature values and labels."""

    otel_endpoint: str | None = Field(None, pattern=r"^https?://[^ ]+$")
    """OpenTelemetry collector (OTLP over HTTP) that is told of each request; needs the extra `otel`."""

    trusted_types: tuple[str, ...] = ()
    """Types beyond workbench's own allow-list that a skops model may contain."""

    reload_seconds: float = Field(1.0, gt=0)
    """How often the registry is looked at for a promotion, in seconds."""

    @property
    def most_held(self) -> int:
        """Bytes of bodies that a worker holds at once: one of the largest size at least."""
        return max(self.max_bodies, self.max_body) if self.max_bodies else _BODIES_AT_ONCE * self.max_body

    @field_validator("socket", mode="before")
    @classmethod
    def _is_none_where_empty(cls, path: object) -> object:
        return None if path == "" else path

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            if proxy == SOCKET_PROXY:
                continue
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(f"{proxy!r} is no address or network, such as 10.0.0.0/8") from None
        return proxies
