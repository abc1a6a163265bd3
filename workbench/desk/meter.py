"""Rates from successive samples of a server's counters."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise

from workbench.desk.exposition import Counters, ModelCounters

KEPT_S = 1800.0
RECENT_S = 60.0


@dataclass(frozen=True)
class Traffic:
    """What happened in a stretch of time."""

    seconds: float
    """How long it is; 0 where there is nothing to compare with yet."""
    counters: ModelCounters = field(default_factory=ModelCounters)
    refused: float = 0.0

    @property
    def requests_per_s(self) -> float | None:
        """Answered and refused ones; None while nothing is known."""
        if self.seconds <= 0:
            return None
        return (self.counters.requests + self.errors) / self.seconds

    @property
    def errors(self) -> float:
        return self.counters.errors + self.refused


@dataclass(frozen=True)
class RateSeries:
    """Requests and errors per second at times (epoch seconds)."""

    times: tuple[float, ...] = ()
    requests: tuple[float | None, ...] = ()
    errors: tuple[float | None, ...] = ()


class Meter:
    """Keeps the samples of one server process; `at` is epoch seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Counters]] = deque()

    def add(self, at: float, counters: Counters) -> None:
        """Take in a sample. Of those of a pause, the first two and the last are kept."""
        samples = self._samples
        if samples and at <= samples[-1][0]:
            return
        if samples and _went_back(samples[-1][1], counters):
            samples.clear()
        if len(samples) > 2 and all(_same(kept[1], counters) for kept in islice(reversed(samples), 3)):
            samples.pop()
        samples.append((at, counters))
        while samples and samples[0][0] < at - KEPT_S and len(samples) > 2:
            samples.popleft()

    def clear(self) -> None:
        """Forget: another server answers, or none."""
        self._samples.clear()

    def recent(self, seconds: float = RECENT_S) -> Traffic:
        """The traffic of the last `seconds`, or of as much of them as was watched."""
        if len(self._samples) < 2:
            return Traffic(0.0)
        at, last = self._samples[-1]
        since, first = self._start(at - seconds)
        return Traffic(
            min(seconds, at - since) if since < at else 0.0,
            last.total - first.total,
            max(0.0, last.refused - first.refused),
        )

    def series(self) -> RateSeries:
        """Rates between samples, up to the first zero of a pause: it changes only while something does."""
        times: list[float] = []
        requests: list[float | None] = []
        errors: list[float | None] = []
        for (start, before), (end, after) in pairwise(self._samples):
            done = after.total - before.total
            failed = done.errors + after.refused - before.refused
            times.append(end)
            requests.append((done.requests + failed) / (end - start))
            errors.append(failed / (end - start))
        while len(requests) > 1 and not requests[-1] and not requests[-2]:
            for column in (times, requests, errors):
                column.pop()
        return RateSeries(tuple(times), tuple(requests), tuple(errors))

    @property
    def last_request_at(self) -> float | None:
        """When the last request was seen; None when none was since this meter watches."""
        for (_, before), (at, after) in reversed(list(pairwise(self._samples))):
            if not _same(before, after):
                return at
        return None

    def _start(self, wanted: float) -> tuple[float, Counters]:
        """The sample that was the latest one at `wanted`, or the first."""
        samples: Sequence[tuple[float, Counters]] = self._samples
        start = samples[0]
        for sample in samples:
            if sample[0] > wanted:
                break
            start = sample
        return start


def _went_back(before: Counters, after: Counters) -> bool:
    """Whether the counters started anew: another process answers."""
    old, new = before.total, after.total
    return new.requests < old.requests or new.rows < old.rows or after.refused < before.refused


def _same(before: Counters, after: Counters) -> bool:
    old, new = before.total, after.total
    return (old.requests, old.errors, before.refused) == (new.requests, new.errors, after.refused)
