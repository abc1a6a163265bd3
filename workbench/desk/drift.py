"""What the Drift screen shows of one model version: the ranking, its history, the alerts.

The monitor's own findings are read, not made: only a window that a person asks for in place of the setting
is judged here. Nothing is read again while no file has changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.alerts import LIVE, Alert, acknowledge, list_alerts, silence
from store.findings import FILE, Finding, read_reports, recent
from store.journal import JournalTail
from store.references import fingerprint, published_references
from workbench.desk.drift_rows import DriftRow, rows_of, worst
from workbench.desk.drift_words import chart_words, name_of, no_version, title_of
from workbench.drift_history import FEWEST, judged_now, performance_of_windows, short_windows

if TYPE_CHECKING:
    from pipelines.performance import Stretch
    from store.series import SeriesReader
    from workbench.desk.desk import Desk
    from workbench.monitoring import Monitor

_DESCRIBE_AGAIN_S = 15.0
HISTORY = 96
"""Windows in a chart at most."""
WINDOWS = ("5m", "30m", "1h", "6h", "24h", "7d", "500", "5000")
"""What a person may judge in place of the setting."""


@dataclass(frozen=True)
class Wanted:
    """What a person asked to see; whatever is None is chosen for them."""

    model: str | None = None
    version: int | None = None
    role: str | None = None
    window: str | None = None
    segment: str = ""


@dataclass(frozen=True)
class WatchedVersion:
    """A version in service, or one that a report is kept of."""

    model: str
    version: int
    role: str
    severity: str = ""
    """Of its newest report; empty where there is none."""

    @property
    def id(self) -> str:
        return f"{self.model}/{self.version}/{self.role}"


@dataclass(frozen=True)
class Deployment:
    """When another version took over."""

    at: datetime
    label: str


@dataclass(frozen=True)
class DriftView:
    """Everything on the screen, as it was found together."""

    versions: tuple[WatchedVersion, ...] = ()
    shown: WatchedVersion | None = None
    report: Mapping[str, Any] | None = None
    rows: tuple[DriftRow, ...] = ()
    history: tuple[Finding, ...] = ()
    """Oldest first."""
    performance: tuple[Stretch, ...] = ()
    """One for each window of the history; empty where nothing is labelled."""
    alerts: tuple[Alert, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    title: str = ""
    windows: str = ""
    """How long the windows of the chart are, in words."""
    nothing: str = ""
    """Why there is nothing to see, and what to do about it."""


class DriftDesk:
    """What the Drift screen asks, from any thread; an answer is the same object until something is new."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._layout = desk.layout
        self._lock = threading.Lock()
        self._journal = JournalTail(desk.layout.journal)
        self._seen: Hashable = None
        self._view = DriftView()
        self._is_described = False
        self._monitor: Monitor | None = None
        self._series: SeriesReader | None = None

    def view(self, wanted: Wanted) -> DriftView:
        """What is known; raises WorkbenchError where a file can't be read."""
        with self._lock:
            models = self._desk.models.models()
            stamp = (wanted, id(models), self._stamp())
            if stamp != self._seen:
                made = self._make(wanted)
                if made != self._view:
                    self._view = made
                self._seen = stamp
            return self._view

    def acknowledge(self, alert: Alert) -> Alert:
        """Note that somebody has seen it."""
        return acknowledge(self._layout, alert.id)

    def silence(self, alert: Alert, for_: timedelta) -> Alert:
        """Keep quiet about its cause for so long; for no time at all ends the silence."""
        return silence(self._layout, alert.id, datetime.now(UTC) + for_)

    def _stamp(self) -> Hashable:
        findings, state = self._layout.state / FILE, self._layout.state_db
        files = (findings, _beside(findings), state, _beside(state), self._layout.journal)
        # What no monitor judges changes no file of findings: it is looked at again after a while.
        again = int(time.monotonic() / _DESCRIBE_AGAIN_S) if self._is_described else 0
        return (*map(_file_stamp, files), fingerprint(self._layout), again)

    def _make(self, wanted: Wanted) -> DriftView:
        reports = read_reports(self._layout)
        versions = self._versions(reports)
        if not versions:
            return DriftView(nothing=no_version(bool(self._desk.models.models())))
        shown = _chosen(versions, wanted)
        self._is_described = not self._has_reference(shown)
        if self._is_described and self._desk.project is not None:
            shown, report = self._described(shown, wanted)
        else:
            report = self._report(reports, shown, wanted)
        alerts = tuple(
            sorted(
                list_alerts(self._layout, states=LIVE, model=shown.model),
                key=lambda one: (
                    one.state != "open",
                    -_SEVERITIES.index(one.severity),
                    bool(one.details.get("segment")),
                    one.message,
                ),
            )
        )
        deployments = self._deployments(shown.model)
        if report is None:
            return DriftView(
                versions,
                shown,
                alerts=alerts,
                deployments=deployments,
                title=name_of(shown),
                nothing=self._why_nothing(shown),
            )
        history, window = self._history(shown, wanted, report)
        segments = () if wanted.segment else self._segments(shown)
        performance = self._performance(report, history, window)
        return DriftView(
            versions=versions,
            shown=shown,
            report=report,
            rows=tuple(rows_of(report, history, alerts, segments, performance)),
            history=tuple(history),
            performance=performance,
            alerts=alerts,
            deployments=deployments,
            title=title_of(shown, report, wanted, self._window_setting(shown.model)),
            windows=chart_words(window),
        )

    def _versions(self, reports: Sequence[Mapping[str, Any]]) -> tuple[WatchedVersion, ...]:
        """Those in service first by model, then those that only a report is kept of, the newest first."""
        severities = {(one["model"], one["version"], one["role"]): one["severity"] for one in reports}
        keys: list[tuple[str, int, str]] = []
        for row in self._desk.models.models():
            if row.model.champion is not None:
                keys.append((row.name, row.model.champion, "champion"))
            if row.model.challenger is not None:
                keys.append((row.name, row.model.challenger, "challenger"))
        others = [key for key in severities if key not in keys]
        keys += sorted(others, key=lambda key: (key[0], -key[1], key[2]))
        return tuple(WatchedVersion(*key, severities.get(key, "")) for key in keys)

    def _report(
        self, reports: Sequence[Mapping[str, Any]], shown: WatchedVersion, wanted: Wanted
    ) -> Mapping[str, Any] | None:
        if wanted.window is not None or wanted.segment:
            from store.slices import Key, Segment

            part = Segment(*wanted.segment.split("=", 1)) if wanted.segment else None
            key = Key(shown.model, shown.version, shown.role)
            return self._judge().current(key, window=wanted.window, segment=part)
        key_ = (shown.model, shown.version, shown.role)
        return next((one for one in reports if (one["model"], one["version"], one["role"]) == key_), None)

    def _has_reference(self, shown: WatchedVersion) -> bool:
        return (shown.model, shown.version) in published_references(self._layout)

    def _described(
        self, shown: WatchedVersion, wanted: Wanted
    ) -> tuple[WatchedVersion, Mapping[str, Any] | None]:
        """What the predictions of a version look like that nothing is known to compare with."""
        from store.slices import Key
        from workbench.logged_roles import chosen_role, logged_roles

        key = Key(shown.model, shown.version, shown.role)
        role = wanted.role or chosen_role(key, logged_roles(self._layout), None).role
        shown = replace(shown, role=role)
        report = self._judge().current(replace(key, role=role), window=wanted.window)
        return shown, report if report["current_rows"] else None

    def _history(
        self, shown: WatchedVersion, wanted: Wanted, report: Mapping[str, Any]
    ) -> tuple[list[Finding], str]:
        """Verdicts on the windows before, oldest first, and the newest; how long they are."""
        from store.slices import Key

        key = Key(shown.model, shown.version, shown.role)
        setting = self._window_setting(shown.model)
        if wanted.window is not None and not wanted.segment:
            return judged_now(self._judge(), key, wanted.window), wanted.window
        found = recent(
            self._layout,
            shown.model,
            version=shown.version,
            role=shown.role,
            segment=wanted.segment,
            limit=HISTORY,
        )[::-1]
        if len(found) < FEWEST and not wanted.segment and report["current_rows"]:
            return short_windows(self._judge(), key, report["current_rows"])
        newest = _finding(report)
        if newest is not None and (not found or newest.end > found[-1].end):
            found.append(newest)
        return found, setting

    def _performance(
        self, report: Mapping[str, Any], history: Sequence[Finding], window: str
    ) -> tuple[Stretch, ...]:
        from store.series import SeriesReader

        if self._series is None:
            self._series = SeriesReader(self._layout, timeout_s=0.5)
        return performance_of_windows(self._layout, history, window, report, reader=self._series)

    def _segments(self, shown: WatchedVersion) -> Sequence[Sequence[Finding]]:
        """The history of each segment that is watched, oldest first."""
        found: dict[str, list[Finding]] = {}
        for one in recent(
            self._layout, shown.model, version=shown.version, role=shown.role, limit=4 * HISTORY
        ):
            if one.segment:
                found.setdefault(one.segment, []).append(one)
        histories = [one[::-1] for one in found.values()]
        return sorted(histories, key=lambda one: (-_SEVERITIES_ALL.index(one[-1].severity), one[-1].segment))

    def _deployments(self, model: str) -> tuple[Deployment, ...]:
        return tuple(
            Deployment(event.at, f"v{event.to} {'back' if event.what == 'rolled_back' else 'deployed'}")
            for event in self._journal.read()
            if event.what in ("promoted", "rolled_back")
            and event.model == model
            and event.to is not None
            and str(event.details.get("alias", "champion")) == "champion"
        )

    def _why_nothing(self, shown: WatchedVersion) -> str:
        if not self._has_reference(shown):
            return (
                f"{name_of(shown)} has no reference to compare with; make one: "
                f"workbench monitor profile {shown.model}/{shown.version} --data FILE"
            )
        return (
            f"no prediction of {name_of(shown)} judged yet: workbench serve logs and judges them,"
            " workbench monitor judges once"
        )

    def _window_setting(self, model: str) -> str:
        project = self._desk.project
        if project is not None:
            for name, pipeline in project.settings.pipelines.items():
                if project.model_name(name) == model:
                    return str(pipeline.monitor.window)
        return "1h"

    def _judge(self) -> Monitor:
        from workbench.monitoring import Monitor

        if self._monitor is None:
            self._monitor = Monitor(self._desk.require_project("judging a window").root)
        return self._monitor


_SEVERITIES_ALL = ("insufficient", "ok", "watch", "warning", "critical")
_SEVERITIES = ("watch", "warning", "critical")


def _chosen(versions: Sequence[WatchedVersion], wanted: Wanted) -> WatchedVersion:
    """What a person asked for; else the version in service that fares worst, in the role that is judged."""
    of_model = [one for one in versions if wanted.model in (None, one.model)] or versions
    exact = [one for one in of_model if (one.version, one.role) == (wanted.version, wanted.role)]
    if exact:
        return exact[0]
    in_service = [one for one in of_model if one.role == "champion"] or of_model
    judged = [_judged_role(one, versions) for one in in_service]
    return judged[0] if wanted.model is not None else max(judged, key=lambda one: worst([one.severity]))


def _judged_role(version: WatchedVersion, versions: Sequence[WatchedVersion]) -> WatchedVersion:
    """The version, or where there is no report on it in its role, in another, such as that of batches."""
    same = (one for one in versions if (one.model, one.version) == (version.model, version.version))
    return version if version.severity else next((one for one in same if one.severity), version)


def _finding(report: Mapping[str, Any]) -> Finding | None:
    """The newest report as a point of its history."""
    window = report["window"]
    if not window["start"] or not report["current_rows"]:
        return None
    end = min(datetime.fromisoformat(window["end"]), datetime.fromisoformat(report["created_at"]))
    return Finding(
        model=report["model"],
        version=report["version"],
        role=report["role"],
        segment=report["segment"] or "",
        start=datetime.fromisoformat(window["start"]),
        end=end,
        rows=report["current_rows"],
        severity=report["severity"],
        features={one["name"]: one for one in report["features"]},
        prediction=report["prediction"],
        evaluated_at=datetime.fromisoformat(report["created_at"]),
    )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _file_stamp(path: Path) -> tuple[int, int]:
    """A log of SQLite that is empty is as good as none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return (status.st_mtime_ns, status.st_size) if status.st_size else (0, 0)
