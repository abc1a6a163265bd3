"""What /metrics shows: our own names by Prometheus' conventions, and those that common tutorials use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from serve.served_model import ServedModel

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ModelTelemetry:
    """The counters of one model version, found once: a label look-up a request would cost more."""

    def __init__(self, telemetry: Telemetry, name: str, version: str, role: str) -> None:
        predictions = telemetry.predictions
        self.answered = predictions.labels(name, version, role, "success")
        self.invalid = predictions.labels(name, version, role, "invalid")
        self.failed = predictions.labels(name, version, role, "error")
        self.latency = telemetry.latency.labels(name, version)


class Telemetry:
    """All metrics of one server process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.predictions = Counter(
            "workbench_predictions",
            "Rows predicted, refused as invalid, or failed.",
            ("model", "version", "role", "status"),
            registry=self.registry,
        )
        self.latency = Histogram(
            "workbench_prediction_latency_seconds",
            "Time from the complete request to its answer.",
            ("model", "version"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "workbench_requests_in_flight", "Requests in progress.", registry=self.registry
        )
        self.refused = Counter(
            "workbench_requests_refused",
            "Requests refused before they were read, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.feedback = Counter("workbench_feedback", "Labels received.", ("status",), registry=self.registry)
        self.swaps = Counter(
            "workbench_model_swaps", "Times the models in service changed.", registry=self.registry
        )
        # The names of common tutorials, so that their dashboards work unchanged.
        tutorial = Counter("predictions", "Predictions by status.", ("status",), registry=self.registry)
        self.tutorial_success = tutorial.labels("success")
        self.tutorial_error = tutorial.labels("error")
        self.tutorial_latency = Histogram(
            "prediction_latency_seconds", "Prediction latency.", buckets=_BUCKETS, registry=self.registry
        )
        self.input_errors = Counter("input_errors", "Requests with invalid input.", registry=self.registry)
        ProcessCollector(registry=self.registry)
        self.lost: Callable[[], int] = lambda: 0
        """How many rows could not be logged since the start."""
        self._models: dict[tuple[str, int, str], ModelTelemetry] = {}

    def of(self, model: ServedModel) -> ModelTelemetry:
        """The counters of a model version."""
        key = (model.name, model.version, model.role)
        found = self._models.get(key)
        if found is None:
            found = self._models[key] = ModelTelemetry(self, model.name, str(model.version), model.role)
        return found

    def watch(self, models: Callable[[], Iterable[ServedModel]], lost: Callable[[], int]) -> None:
        """Show at each scrape which models are in service, and how many rows could not be logged."""
        self.lost = lost
        self.registry.register(_State(models, lost))

    def exposition(self) -> bytes:
        """The text Prometheus reads."""
        return generate_latest(self.registry)


class _State(Collector):
    """Metrics that are looked up when they are asked for."""

    def __init__(self, models: Callable[[], Iterable[ServedModel]], lost: Callable[[], int]) -> None:
        self._models = models
        self._lost = lost

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily(
            "workbench_model_info", "Models in service.", labels=("model", "version", "role", "task")
        )
        for model in self._models():
            info.add_metric((model.name, str(model.version), model.role, model.loaded.task), 1)
        yield info
        yield GaugeMetricFamily(
            "workbench_spool_lost", "Rows that could not be logged since the start.", value=self._lost()
        )
