"""The desk: one open project, or a bare store of runs, from which screens ask what they show.

Functions of the modules beside this one take a Desk first and are called from worker threads; whatever they
return is a snapshot that nothing changes afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from store.errors import NotFoundError, UsageError
from workbench.desk.place import Place, bare_layout

if TYPE_CHECKING:
    from store.layout import Layout
    from store.registry import Registry
    from store.runs import RunStore
    from workbench.desk.data import DataDesk
    from workbench.desk.drift import DriftDesk
    from workbench.desk.events import EventsDesk
    from workbench.desk.models import ModelsDesk
    from workbench.desk.recent import RecentPredictions
    from workbench.desk.serving import ServingDesk
    from workbench.settings import Project
    from workbench.ui_settings import UiSettings

T = TypeVar("T")


class Desk:
    """An open place. `project` is None for a bare store of runs."""

    def __init__(
        self, place: Place, project: Project | None, ui: UiSettings, layout: Layout, tracking_uri: str
    ) -> None:
        self.place = place
        self.project = project
        self.ui = ui
        self.layout = layout
        self.tracking_uri = tracking_uri
        self.owns_server = False
        """Whether the server that runs was started from this UI, so that quitting asks what becomes of it."""
        self.owns_watcher = False
        """The same of the watcher."""
        self.is_closed = False

        self._cache: dict[str, Any] = {}
        self.lock = threading.RLock()
        """Held by whoever fills a cache kept here."""

    @property
    def name(self) -> str:
        return self.project.name if self.project is not None else str(self.place.store)

    @cached_property
    def runs(self) -> RunStore:
        from store.tracking import open_runs

        return open_runs(self.tracking_uri, self.layout)

    @cached_property
    def registry(self) -> Registry:
        from store.tracking import open_registry

        return open_registry(self.tracking_uri, self.layout, runs=self.runs)

    def close(self) -> None:
        """Leave whatever is being asked of a database or a server without an answer."""
        from store.tracking import close_clients

        self.is_closed = True
        close_clients(self.tracking_uri)

    def cached(self, name: str, make: Callable[[], T]) -> T:
        """What was made under that name for this desk; made now if it wasn't. Hold `lock` around its use."""
        with self.lock:
            if name not in self._cache:
                self._cache[name] = make()
            made: T = self._cache[name]
            return made

    @cached_property
    def models(self) -> ModelsDesk:
        from workbench.desk.models import ModelsDesk

        return ModelsDesk(self.registry, self.runs, self.layout)

    @cached_property
    def serving(self) -> ServingDesk:
        from workbench.desk.serving import ServingDesk

        return ServingDesk(self)

    @cached_property
    def data(self) -> DataDesk:
        from workbench.desk.data import DataDesk

        return DataDesk(self)

    @cached_property
    def drift(self) -> DriftDesk:
        from workbench.desk.drift import DriftDesk

        return DriftDesk(self)

    @cached_property
    def events(self) -> EventsDesk:
        from workbench.desk.events import EventsDesk

        return EventsDesk(self.layout)

    @cached_property
    def predictions(self) -> RecentPredictions:
        from workbench.desk.recent import RecentPredictions

        return RecentPredictions(self.layout)

    def require_project(self, what: str) -> Project:
        """The project; raises UsageError where there is none, for `what` needs one."""
        if self.project is None:
            raise UsageError(
                f"{what} needs a project, and {self.place.store} has none",
                "Start one beside it: workbench init",
            )
        return self.project


def open_desk(place: Place) -> Desk:
    """Read the settings of a place and open it.

    Raises NotFoundError where there is nothing, SettingsError for anything wrong in the settings.
    """
    from store.tracking import resolve_uri
    from workbench.settings import load_project, without_file

    if place.is_project:
        project = load_project(place.root)
        uri = resolve_uri(project.settings.tracking.uri, project.root)
        return Desk(place, project, project.settings.ui, project.layout, uri)
    if place.store is None:
        raise NotFoundError(
            f"no project and no runs in {place.root}", "Start with workbench init or workbench demo."
        )
    ui = without_file(place.root).settings.ui
    return Desk(place, None, ui, bare_layout(place.store), resolve_uri(str(place.store), place.root))
