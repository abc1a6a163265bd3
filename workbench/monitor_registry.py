"""What the monitor asks the tracking store: importances of features, and whether a challenger still waits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from store.errors import NotFoundError, WorkbenchError

if TYPE_CHECKING:
    from store.profile import Profile
    from store.slices import Key
    from workbench.settings import Project

ASKED_AGAIN = timedelta(minutes=10)
"""How often the store is asked for what it did not have or could not say; a database's client is costly."""


class RegistryNews:
    """Remembers what was asked, for one project."""

    def __init__(self) -> None:
        self._importances: dict[tuple[str, int], tuple[Mapping[str, float], datetime]] = {}
        self._challengers_at: datetime | None = None

    def importances(self, project: Project, key: Key, profile: Profile) -> Mapping[str, float]:
        """Those of the profile, or of an older one's run; empty where nobody knows."""
        if profile.importances:
            return profile.importances
        now = datetime.now(UTC)
        found, asked_at = self._importances.get((key.model, key.version), ({}, None))
        if not found and (asked_at is None or now - asked_at > ASKED_AGAIN):
            found = importances_of_run(project, key.model, key.version)
            self._importances[key.model, key.version] = found, now
        return found

    def settle_challengers(self, project: Project) -> None:
        """Clear what says that a challenger waits where plain MLflow has since decided about it."""
        from store.challenger_alerts import settle_challenger_alerts, waiting_models
        from store.tracking import is_file_store, open_registry, resolve_uri

        models = waiting_models(project.layout)
        if not models:
            return
        uri, now = resolve_uri(project.settings.tracking.uri, project.root), datetime.now(UTC)
        is_early = self._challengers_at is not None and now - self._challengers_at < ASKED_AGAIN
        if is_early and not is_file_store(uri):
            return
        self._challengers_at = now
        with suppress(WorkbenchError):
            registry = open_registry(uri, project.layout)
            for model in models:
                challenger = None
                with suppress(NotFoundError):
                    challenger = registry.model(model).challenger
                settle_challenger_alerts(project.layout, model, challenger)


def importances_of_run(project: Project, model: str, version: int) -> dict[str, float]:
    """Permutation importances that training left with the version's run; empty where there are none.

    A database or a server is asked by a child process; where it can't be reached there are none either.
    """
    from store.tracking import open_registry, open_runs, resolve_uri

    try:
        uri = resolve_uri(project.settings.tracking.uri, project.root)
        run_id = open_registry(uri, project.layout).version(model, version).run_id
        if run_id is None:
            return {}
        path = open_runs(uri).artifact_path(run_id, "feature_importances.json")
        values = json.loads(path.read_bytes())
        return {str(name): float(value) for name, value in values.items()}
    except (WorkbenchError, OSError, ValueError, TypeError, AttributeError):
        return {}
