"""What /metrics shows: our own names by Prometheus' conventions, and those that common tutorials use."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serve.board import Board, Cell, Histogram, Slot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serve.board import Occupant
    from serve.served_model import ServedModel

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Family:
    """A metric that workers count in the board."""

    name: str
    help: str
    kind: Literal["counter", "gauge", "histogram"] = "counter"
    labels: tuple[str, ...] = ()


PREDICTIONS = Family(
    "workbench_predictions",
    "Rows predicted, refused as invalid, or failed.",
    labels=("model", "version", "role", "status"),
)
LATENCY = Family(
    "workbench_prediction_latency_seconds",
    "Time from the complete request to its answer.",
    "histogram",
    ("model", "version"),
)
IN_FLIGHT = Family("workbench_requests_in_flight", "Requests in progress.", "gauge")
QUEUED = Family("workbench_queue_depth", "Requests that wait for a model.", "gauge")
REFUSED = Family(
    "workbench_requests_refused", "Requests refused before they were read, by reason.", labels=("reason",)
)
FEEDBACK = Family("workbench_feedback", "Labels received.", labels=("status",))
SWAPS = Family("workbench_model_swaps", "Times the models in service changed.")
LOST = Family("workbench_spool_lost", "Rows that could not be logged since the start.", "gauge")
# The names of common tutorials, so that their dashboards work unchanged.
TUTORIAL_PREDICTIONS = Family("predictions", "Predictions by status.", labels=("status",))
TUTORIAL_LATENCY = Family("prediction_latency_seconds", "Prediction latency.", "histogram")
INPUT_ERRORS = Family("input_errors", "Requests with invalid input.")

FAMILIES = (
    PREDICTIONS,
    LATENCY,
    IN_FLIGHT,
    QUEUED,
    REFUSED,
    FEEDBACK,
    SWAPS,
    LOST,
    TUTORIAL_PREDICTIONS,
    TUTORIAL_LATENCY,
    INPUT_ERRORS,
)


class Labelled:
    """The numbers of a family with labels."""

    def __init__(self, slot: Slot, family: Family) -> None:
        self._slot = slot
        self._family = family
        self._cells: dict[tuple[str, ...], Cell] = {}

    def labels(self, *values: str) -> Cell:
        found = self._cells.get(values)
        if found is None:
            found = self._cells[values] = self._slot.cell(self._family.name, values)
        return found


class LabelledHistogram:
    """The histograms of a family with labels."""

    def __init__(self, slot: Slot, family: Family) -> None:
        self._slot = slot
        self._family = family

    def labels(self, *values: str) -> Histogram:
        return self._slot.histogram(self._family.name, BUCKETS, values)


class ModelTelemetry:
    """The counters of one model version, found once: a label look-up a request would cost more."""

    def __init__(self, telemetry: Telemetry, name: str, version: str, role: str) -> None:
        predictions = telemetry.predictions
        self.answered = predictions.labels(name, version, role, "success")
        self.invalid = predictions.labels(name, version, role, "invalid")
        self.failed = predictions.labels(name, version, role, "error")
        self.latency = telemetry.latency.labels(name, version)


class Telemetry:
    """All metrics: this process writes those of its slot, and shows the sum over all workers."""

    def __init__(self, board: Board | None = None, slot: int = 0) -> None:
        self.board = board if board is not None else Board()
        own = self.board.take(slot)
        self.registry = CollectorRegistry()
        """For what is looked up at each scrape; what workers count is in the board."""
        self.predictions = Labelled(own, PREDICTIONS)
        self.latency = LabelledHistogram(own, LATENCY)
        self.in_flight = own.cell(IN_FLIGHT.name)
        self.queued = own.cell(QUEUED.name)
        # What a worker that was killed had in hand, its successor hasn't.
        self.in_flight.set(0)
        self.queued.set(0)
        self.refused = Labelled(own, REFUSED)
        self.feedback = Labelled(own, FEEDBACK)
        self.swaps = own.cell(SWAPS.name)
        self.lost_rows = own.cell(LOST.name)
        tutorial = Labelled(own, TUTORIAL_PREDICTIONS)
        self.tutorial_success = tutorial.labels("success")
        self.tutorial_error = tutorial.labels("error")
        self.tutorial_latency = own.histogram(TUTORIAL_LATENCY.name, BUCKETS)
        self.input_errors = own.cell(INPUT_ERRORS.name)
        self._models: dict[tuple[str, int, str], ModelTelemetry] = {}
        self.registry.register(_Counted(self.board))
        self.registry.register(_Workers(self.board))

    def of(self, model: ServedModel) -> ModelTelemetry:
        """The counters of a model version."""
        key = (model.name, model.version, model.role)
        found = self._models.get(key)
        if found is None:
            found = self._models[key] = ModelTelemetry(self, model.name, str(model.version), model.role)
        return found

    def count_refused(self, reason: str) -> None:
        """Count a request that was refused before it was one."""
        self.refused.labels(reason).inc()

    def lost(self) -> int:
        """How many rows all workers could not log since the start."""
        return round(sum(self.board.totals().get((LOST.name, ()), [0.0])))

    def watch(self, models: Callable[[], Iterable[ServedModel]], spool_bytes: Callable[[], int]) -> None:
        """Show at each scrape which models are in service, and how much of the log waits to be folded."""
        self.registry.register(_State(models, spool_bytes))

    def exposition(self) -> bytes:
        """The text Prometheus reads."""
        return generate_latest(self.registry)


class _Looked(Collector):
    """Metrics that are looked up when they are asked for."""

    def describe(self) -> Iterable[Metric]:
        return []


class _Counted(_Looked):
    """What the workers count, added up."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        totals = self._board.totals()
        by_name: dict[str, list[tuple[tuple[str, ...], list[float]]]] = {}
        for (name, labels), values in totals.items():
            by_name.setdefault(name, []).append((labels, values))
        for family in FAMILIES:
            yield _metric(family, by_name.get(family.name, ()))


def _metric(family: Family, series: Iterable[tuple[Sequence[str], list[float]]]) -> Metric:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, values in series:
            counts = list(accumulate(values[:-1]))
            bounds = [*map(str, BUCKETS), "+Inf"]
            histogram.add_metric(labels, list(zip(bounds, counts, strict=True)), values[-1])
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, values in series:
        metric.add_metric(labels, values[0])
    return metric


class _Workers(_Looked):
    """CPU time and memory of each worker, and their sums under the names all Python servers have."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        cpu = CounterMetricFamily("workbench_worker_cpu_seconds", "CPU time of a worker.", labels=("worker",))
        memory = GaugeMetricFamily(
            "workbench_worker_resident_memory_bytes", "Memory of a worker.", labels=("worker",)
        )
        started = GaugeMetricFamily(
            "workbench_worker_start_time_seconds", "When a worker began, since 1970.", labels=("worker",)
        )
        looks = [(occupant, _look_at(occupant)) for occupant in self._board.occupants()]
        for occupant, look in looks:
            worker = (str(occupant.slot),)
            cpu.add_metric(worker, occupant.earlier_cpu_s + look.get("cpu", 0.0))
            if look:
                memory.add_metric(worker, look["rss"])
                started.add_metric(worker, occupant.started_at)
        yield from (cpu, memory, started)
        seconds = sum(occupant.earlier_cpu_s + look.get("cpu", 0.0) for occupant, look in looks)
        alive = [look for _, look in looks if look]
        yield CounterMetricFamily("process_cpu_seconds", "CPU time of all workers.", value=seconds)
        yield GaugeMetricFamily(
            "process_resident_memory_bytes",
            "Memory of all workers; what they share counts for each.",
            value=sum(look["rss"] for look in alive),
        )
        yield GaugeMetricFamily(
            "process_open_fds", "Open files of all workers.", value=sum(look["fds"] for look in alive)
        )
        yield GaugeMetricFamily(
            "process_start_time_seconds",
            "When the first of the workers began, since 1970.",
            value=min((occupant.started_at for occupant, look in looks if look), default=0.0),
        )
        yield GaugeMetricFamily("workbench_workers", "Workers that answer.", value=len(alive))


def _look_at(occupant: Occupant) -> Mapping[str, float]:
    """What the system says of a worker; nothing where it is gone."""
    import psutil

    if not occupant.pid:
        return {}
    look: dict[str, float] = {}
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(occupant.pid)
        with process.oneshot():
            times = process.cpu_times()
            look = {
                "cpu": times.user + times.system,
                "rss": process.memory_info().rss,
                "fds": process.num_fds(),
            }
    return look


class _State(_Looked):
    """What the models in service are, and what waits in the spool."""

    def __init__(self, models: Callable[[], Iterable[ServedModel]], spool_bytes: Callable[[], int]) -> None:
        self._models = models
        self._spool_bytes = spool_bytes

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily(
            "workbench_model_info", "Models in service.", labels=("model", "version", "role", "task")
        )
        for model in self._models():
            info.add_metric((model.name, str(model.version), model.role, model.loaded.task), 1)
        yield info
        yield GaugeMetricFamily(
            "workbench_spool_bytes", "Size of the log that is not folded yet.", value=self._spool_bytes()
        )
