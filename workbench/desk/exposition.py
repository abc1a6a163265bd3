"""Reading a server's /metrics: counters by model, latency histograms, and quantiles of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_LINE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_LABEL = re.compile(r'(?P<key>\w+)="(?P<value>(?:[^"\\]|\\.)*)"')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

ModelKey = tuple[str, int]
"""A model's name and version."""


@dataclass(frozen=True)
class Histogram:
    """How many of `count` took at most each of `bounds` (seconds, the last one infinite)."""

    bounds: tuple[float, ...] = ()
    cumulative: tuple[float, ...] = ()

    @property
    def count(self) -> float:
        return self.cumulative[-1] if self.cumulative else 0.0

    def __add__(self, other: Histogram) -> Histogram:
        if not self.bounds or not other.bounds:
            return self if self.bounds else other
        return Histogram(self.bounds, _each(self.cumulative, other.cumulative, 1))

    def __sub__(self, earlier: Histogram) -> Histogram:
        """What came since `earlier`."""
        if not earlier.bounds:
            return self
        return Histogram(self.bounds, _each(self.cumulative, earlier.cumulative, -1))

    def quantile(self, share: float) -> float | None:
        """The value that `share` of all are below, in seconds; None of nothing.

        Linear within a bucket, as Prometheus' histogram_quantile; of the last bucket, its lower bound.
        """
        if self.count <= 0:
            return None
        rank = share * self.count
        low, below = 0.0, 0.0
        for bound, cumulative in zip(self.bounds, self.cumulative, strict=True):
            if cumulative >= rank and cumulative > below:
                if math.isinf(bound):
                    return low
                return low + (bound - low) * (rank - below) / (cumulative - below)
            low, below = bound, cumulative
        return low


@dataclass(frozen=True)
class ModelCounters:
    """What one model version has done since its server started; `requests` are the answered ones."""

    requests: float = 0.0
    rows: float = 0.0
    invalid: float = 0.0
    failed: float = 0.0
    latency: Histogram = field(default_factory=Histogram)

    @property
    def errors(self) -> float:
        return self.invalid + self.failed

    def __add__(self, other: ModelCounters) -> ModelCounters:
        return ModelCounters(
            self.requests + other.requests,
            self.rows + other.rows,
            self.invalid + other.invalid,
            self.failed + other.failed,
            self.latency + other.latency,
        )

    def __sub__(self, earlier: ModelCounters) -> ModelCounters:
        return ModelCounters(
            self.requests - earlier.requests,
            self.rows - earlier.rows,
            self.invalid - earlier.invalid,
            self.failed - earlier.failed,
            self.latency - earlier.latency,
        )


@dataclass(frozen=True)
class Counters:
    """Everything of one scrape."""

    models: Mapping[ModelKey, ModelCounters] = field(default_factory=dict)
    refused: float = 0.0
    """Requests turned away before they were read."""
    in_flight: int = 0
    lost: int = 0
    """Predictions that could not be logged."""
    feedback: int = 0
    swaps: int = 0

    @property
    def total(self) -> ModelCounters:
        return sum(self.models.values(), ModelCounters())

    @property
    def errors(self) -> float:
        return self.total.errors + self.refused


def read_counters(text: str) -> Counters:
    """The counters in Prometheus' text format; lines it doesn't know are passed over."""
    models: dict[ModelKey, dict[str, float]] = {}
    buckets: dict[ModelKey, list[tuple[float, float]]] = {}
    single = {"refused": 0.0, "in_flight": 0.0, "lost": 0.0, "feedback": 0.0, "swaps": 0.0}
    for name, labels, value in _samples(text):
        if name == "workbench_predictions_total":
            counted = models.setdefault(_key(labels), {})
            status = labels.get("status", "")
            counted[status] = counted.get(status, 0.0) + value
        elif name == "workbench_prediction_latency_seconds_bucket":
            buckets.setdefault(_key(labels), []).append((float(labels.get("le", "inf")), value))
        elif name in _SINGLE:
            single[_SINGLE[name]] += value
    found = {}
    for key in models.keys() | buckets.keys():
        counted = models.get(key, {})
        ordered = sorted(buckets.get(key, ()))
        latency = Histogram(tuple(bound for bound, _ in ordered), tuple(value for _, value in ordered))
        found[key] = ModelCounters(
            requests=latency.count,
            rows=counted.get("success", 0.0),
            invalid=counted.get("invalid", 0.0),
            failed=counted.get("error", 0.0),
            latency=latency,
        )
    return Counters(
        models=dict(sorted(found.items())),
        refused=single["refused"],
        in_flight=max(0, int(single["in_flight"]) - 1),  # one of them asks for these numbers
        lost=int(single["lost"]),
        feedback=int(single["feedback"]),
        swaps=int(single["swaps"]),
    )


_SINGLE = {
    "workbench_requests_refused_total": "refused",
    "workbench_requests_in_flight": "in_flight",
    "workbench_spool_lost": "lost",
    "workbench_feedback_total": "feedback",
    "workbench_model_swaps_total": "swaps",
}


def _samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip()) if line.startswith("workbench_") else None
        if match is None:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        found = _LABEL.finditer(match["labels"] or "")
        yield match["name"], {item["key"]: _unescaped(item["value"]) for item in found}, value


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), text)


def _key(labels: Mapping[str, str]) -> ModelKey:
    version = labels.get("version", "")
    return labels.get("model", ""), int(version) if version.isdecimal() else 0


def _each(first: Sequence[float], second: Sequence[float], sign: int) -> tuple[float, ...]:
    if len(first) != len(second):
        return tuple(first)
    return tuple(a + sign * b for a, b in zip(first, second, strict=True))
