"""How often one client may ask: a bucket of requests for each, which fills up again as time goes by."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

_SECONDS = {"s": 1.0, "second": 1.0, "m": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
MOST_CLIENTS = 10_000
"""Clients remembered; the one that asked longest ago is forgotten first."""


class RateLimit:
    """`100/s`, `600/m` or `5000/h`: so many requests at once, and again as many in that time."""

    def __init__(self, rate: str, clock: Callable[[], float] = time.monotonic) -> None:
        number, _, unit = rate.partition("/")
        self._most = float(number)
        self._a_second = self._most / _SECONDS[unit]
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> int:
        """Take a request of a client's; 0, or the whole seconds after which it may ask again."""
        now = self._clock()
        left, at = self._buckets.pop(client, (self._most, now))
        left = min(self._most, left + (now - at) * self._a_second)
        is_allowed = left >= 1.0
        self._buckets[client] = (left - 1.0 if is_allowed else left, now)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if is_allowed else max(1, math.ceil((1.0 - left) / self._a_second))
