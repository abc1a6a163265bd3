"""Watching for drift: judges what has ended, keeps the newest report, raises and clears alerts.

`tick` does all that is due and returns; whoever runs anyway calls it every few seconds: the watcher, or the
server's helper process. A lock sees to it that one does at a time.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import BusyError, UsageError, WorkbenchError
from store.layout import SETTINGS_FILE
from workbench.monitor_registry import RegistryNews

if TYPE_CHECKING:
    from pipelines.drift.live import LiveDrift
    from pipelines.drift.windows import Watched
    from pipelines.monitor_settings import MonitorSettings
    from pipelines.settings import PipelineSettings
    from store.findings import Finding
    from store.profile import Profile
    from store.slices import Key, Segment
    from workbench.settings import Project

log = logging.getLogger("workbench.monitor")

LOCK = "monitor.lock"
ACTIVE = timedelta(days=8)
"""A version nobody has asked for longer is no longer watched."""
AT_REST = timedelta(minutes=1)
"""How often the newest report is made again while nothing is predicted: its window moves on."""
OUT_OF_SERVICE = timedelta(hours=1)
"""How long a version may be silent beside another in its role before its alerts are over."""
PERFORMANCE_SPAN = timedelta(days=7)
PERFORMANCE_ROWS = 20_000
PERFORMANCE_EVERY = timedelta(seconds=30)


@dataclass(frozen=True)
class Tick:
    """What one look did."""

    watched: tuple[Key, ...] = ()
    windows: int = 0
    """Windows judged, segments included."""
    raised: tuple[str, ...] = ()
    """Keys of the alerts that hold."""
    problems: tuple[str, ...] = ()
    skipped: str | None = None
    """Who else is watching."""


@dataclass
class _Seen:
    """What is remembered of a version between two looks."""

    predictions: int = -1
    reported_at: datetime | None = None
    profile_at: tuple[int, int] = (0, 0)
    profile: Profile | None = None
    performance: list[dict[str, Any]] = field(default_factory=list)
    concept: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] | None = None
    performance_at: datetime | None = None


_monitors: dict[Path, Monitor] = {}


def tick(root: Path, now: datetime | None = None) -> Tick:
    """Do all that is due in the project at `root`; cheap where nothing is. For repeated calls."""
    root = root.resolve()
    monitor = _monitors.get(root)
    if monitor is None:
        monitor = _monitors[root] = Monitor(root)
    return monitor.tick(now)


def run_beside(root: str) -> dict[str, Any]:
    """`tick` for a helper process: what it did, as JSON."""
    done = tick(Path(root))
    return {"windows": done.windows, "problems": list(done.problems), "skipped": done.skipped}


class Monitor:
    """Watches one project. Its settings are read again when they change."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._settings_at: tuple[int, int] | None = None
        self._project: Project | None = None
        self._live: LiveDrift | None = None
        self._seen: dict[Key, _Seen] = {}
        self._news = RegistryNews()

    def tick(self, now: datetime | None = None) -> Tick:
        """Do all that is due. Raises WorkbenchError for broken settings; what one version's data does wrong
        is in `problems`."""
        from store.locks import locked

        project = self._load()
        lock = project.layout.run / LOCK
        try:
            with locked(lock, what="watching for drift", timeout_s=0):
                return self._tick(project, now or datetime.now(UTC))
        except BusyError as error:
            return Tick(skipped=error.message)

    def catch_up(self) -> None:
        """Take in what the spool holds and do what is due, where nobody else does it and the disk allows."""
        from store.fold import fold

        project = self._load()
        with contextlib.suppress(WorkbenchError):
            fold(project.layout, project.settings.store)
            self.tick()

    def current(
        self,
        key: Key,
        *,
        window: str | None = None,
        segment: Segment | None = None,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """The report, as JSON, on the newest window of a version as it is now.

        `window` stands for the setting of that name; of a version without reference there are no verdicts.
        Raises UsageError for a window or a segment that is none.
        """
        from pipelines.drift.own_reference import segment_in
        from store.shared_reading import shared_reading

        now = now or datetime.now(UTC)
        project = self._load()
        watched = self._watched(project, key)
        if watched is None:
            return self._without_reference(project, key, window, segment, now)
        if window is not None:
            watched = replace(watched, settings=_with_window(watched.settings, window))
        live = self._live_drift(project)
        if segment is not None:
            segment = segment_in(watched.profile, segment)
        with shared_reading(project.layout):
            if segment is None:
                report = live.report(watched, now)
            else:
                report = live.segment_report(watched, segment, now)
            if not report.current_rows or report.start is None or report.end is None:
                return report.as_json()
            details = self._performance(project, key, report.start, report.end, segment)
        report = replace(report, performance=details.pop("metrics"))
        return {**report.as_json(), "performance_details": details}

    def history(
        self, key: Key, *, window: str | None = None, now: datetime | None = None, windows: int = 48
    ) -> list[Finding]:
        """Verdicts for a chart on the latest windows of a version, oldest first; empty without reference.

        Raises UsageError for a `window` that is none.
        """
        project = self._load()
        watched = self._watched(project, key)
        if watched is None:
            return []
        if window is not None:
            watched = replace(watched, settings=_with_window(watched.settings, window))
        return self._live_drift(project).history(watched, now or datetime.now(UTC), windows)

    def _tick(self, project: Project, now: datetime) -> Tick:
        from store.slices import SliceReader

        layout = project.layout
        by_key: dict[Key, list[tuple[datetime, int]]] = {}
        for volume in SliceReader(layout).volumes(now - ACTIVE):
            by_key.setdefault(volume.key, []).append((volume.start, volume.predictions))
        watched_keys: list[Key] = []
        windows, raised, problems = 0, list[str](), list[str]()
        for key, volumes in by_key.items():
            try:
                watched = self._watched(project, key)
                if watched is None:
                    continue
                watched_keys.append(key)
                judged, alerts = self._look(project, watched, volumes, now)
                windows += judged
                raised += alerts
            except WorkbenchError as error:
                problems.append(f"{key.model} version {key.version}: {error}")
        self._retire(project, by_key, now)
        self._news.settle_challengers(project)
        from workbench.alerting import deliver

        deliver(layout, project.settings.alerts, project=project.name)
        return Tick(tuple(watched_keys), windows, tuple(raised), tuple(problems))

    def _look(
        self, project: Project, watched: Watched, volumes: list[tuple[datetime, int]], now: datetime
    ) -> tuple[int, list[str]]:
        """Judge what has ended of one version, make its newest report, settle its alerts."""
        from pipelines.drift.checks import staleness
        from pipelines.drift.live import last_finding
        from store.findings import add_findings, save_report
        from store.shared_reading import shared_reading
        from workbench.drift_alerts import settle_live, settle_windows

        layout, key, live = project.layout, watched.key, self._live_drift(project)
        seen = self._seen.setdefault(key, _Seen())
        found = live.due(watched, now, last_finding(layout, key))
        add_findings(layout, found)
        raised: list[str] = []
        if found:
            raised += settle_windows(layout, watched, {one.segment for one in found})
        total = sum(n for _, n in volumes)
        is_fresh = seen.reported_at is not None and now - seen.reported_at < AT_REST
        if total == seen.predictions and is_fresh and not found:
            return len(found), raised
        silence = staleness([start for start, _ in volumes], now)
        with shared_reading(layout):
            report = live.report(watched, now)
            self._measure(project, key, volumes, seen, now)
        extra = [] if silence is None else [silence]
        report = replace(report, checks=[*report.checks, *extra], performance=seen.performance)
        save_report(layout, {**report.as_json(), "performance_details": seen.details})
        raised += settle_live(layout, watched, report, seen.concept)
        seen.predictions, seen.reported_at = total, now
        return len(found), raised

    def _measure(
        self,
        project: Project,
        key: Key,
        volumes: list[tuple[datetime, int]],
        seen: _Seen,
        now: datetime,
    ) -> None:
        """How well the version does, over its latest rows; costs more than the rest, so less often."""
        if seen.performance_at is not None and now - seen.performance_at < PERFORMANCE_EVERY:
            return
        start, rows = now, 0
        for begin, n in reversed(volumes):
            if rows >= PERFORMANCE_ROWS or begin < now - PERFORMANCE_SPAN:
                break
            start, rows = begin, rows + n
        details = self._performance(project, key, start, now)
        seen.performance, seen.concept = details.pop("metrics"), details["concept"]
        seen.details = details
        seen.performance_at = now

    def _performance(
        self, project: Project, key: Key, start: datetime, end: datetime, segment: Segment | None = None
    ) -> dict[str, Any]:
        """Of all rows, and by segments; or of those of one `segment`."""
        from pipelines.performance import performance_details, segment_features

        profile = self._seen[key].profile
        watched = monitor_settings(project, key.model).segments
        by = segment_features(profile, watched) if profile is not None else []
        return performance_details(
            project.layout,
            key.model,
            key.version,
            key.role,
            start=start,
            end=end + timedelta(seconds=1),
            reference=profile,
            segments=[name for name in by if segment is None or name != segment.column],
            segment=segment,
        )

    def _watched(self, project: Project, key: Key) -> Watched | None:
        """A version with its reference and settings; None without reference."""
        from pipelines.drift.windows import Watched
        from store.references import read_reference, reference_path

        seen = self._seen.setdefault(key, _Seen())
        try:
            status = reference_path(project.layout, key.model, key.version).stat()
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp != seen.profile_at:
            seen.profile = read_reference(project.layout, key.model, key.version)
            seen.profile_at = stamp
        if seen.profile is None:
            return None
        pipeline = _pipeline_of(project, key.model)
        return Watched(
            key=key,
            profile=seen.profile,
            settings=monitor_settings(project, key.model),
            rules={} if pipeline is None else pipeline.columns,
            importances=self._news.importances(project, key, seen.profile),
        )

    def _without_reference(
        self, project: Project, key: Key, window: str | None, segment: Segment | None, now: datetime
    ) -> dict[str, Any]:
        """What can be said of a version that nothing is known to compare with."""
        from pipelines.drift.unreferenced import describe_window
        from pipelines.monitor_settings import duration

        settings = monitor_settings(project, key.model)
        if window is not None:
            settings = _with_window(settings, window)
        length = settings.window if isinstance(settings.window, int) else duration(settings.window)
        note = (
            f"{key.model} version {key.version} has no reference; make one: "
            f"workbench monitor profile {key.model}/{key.version} --data FILE"
        )
        return describe_window(project.layout, key, length, now, ACTIVE, segment=segment, note=note).as_json()

    def _retire(
        self, project: Project, by_key: Mapping[Key, list[tuple[datetime, int]]], now: datetime
    ) -> None:
        """Clear the alerts of versions that another has followed in their role."""
        from store.alerts import LIVE, clear_alert, list_alerts
        from workbench.drift_alerts import KINDS

        last = {key: max(start for start, _ in volumes) for key, volumes in by_key.items()}
        for alert in list_alerts(project.layout, states=LIVE):
            if alert.kind not in KINDS or alert.version is None or "role" not in alert.details:
                continue
            others = [
                at
                for key, at in last.items()
                if key.model == alert.model
                and key.role == alert.details["role"]
                and key.version != alert.version
            ]
            own = [
                at
                for key, at in last.items()
                if (key.model, key.version, key.role) == (alert.model, alert.version, alert.details["role"])
            ]
            if others and max(others) - max(own, default=now - ACTIVE) > OUT_OF_SERVICE:
                reason = f"version {alert.version} is no longer in service"
                clear_alert(project.layout, alert.key, reason=reason, quiet=True)

    def _live_drift(self, project: Project) -> LiveDrift:
        from pipelines.drift.live import LiveDrift

        if self._live is None:
            self._live = LiveDrift(project.layout)
        return self._live

    def _load(self) -> Project:
        from workbench.settings import load_project

        try:
            status = (self._root / SETTINGS_FILE).stat()
            stamp = (status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = None
        if self._project is None or stamp != self._settings_at:
            self._project, self._settings_at, self._live = load_project(self._root), stamp, None
        return self._project


def _pipeline_of(project: Project, model: str) -> PipelineSettings | None:
    """The pipeline whose model is called so."""
    pipelines = project.settings.pipelines.items()
    return next((one for name, one in pipelines if project.model_name(name) == model), None)


def monitor_settings(project: Project, model: str) -> MonitorSettings:
    """How predictions of a model are watched."""
    from pipelines.monitor_settings import MonitorSettings

    pipeline = _pipeline_of(project, model)
    return MonitorSettings() if pipeline is None else pipeline.monitor


def _with_window(settings: MonitorSettings, window: str) -> MonitorSettings:
    from pydantic import ValidationError

    try:
        return type(settings).model_validate({**settings.model_dump(), "window": window})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"--window {window}: {reason}", "For example: --window 24h, --window 500."
        ) from error
