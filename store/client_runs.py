"""The runs of a database or a tracking server, through MLflow's client."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from store.client import PAGE, all_pages, connect, explained
from store.errors import NotFoundError, UsageError, WorkbenchError
from store.mlflow_files import from_ms
from store.moved import local_path
from store.run_lookup import SHORTEST_PREFIX, choose_run, nearest_hint
from store.runs import (
    NOTE_TAG,
    PARENT_TAG,
    RUN_NAME_TAG,
    Experiment,
    Run,
    RunQuery,
    RunStore,
    count_children,
    without_nested,
)

_ACTIVE, _DELETED, _ALL = 1, 2, 3  # mlflow.entities.ViewType
_ON_TOP, _BELOW = f"tags.`{PARENT_TAG}` IS NULL", f"tags.`{PARENT_TAG}` IS NOT NULL"


class ClientRunStore(RunStore):
    """A RunStore on an MlflowClient, which is made when it is first needed."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._copies: dict[str, Path] = {}

    @cached_property
    def client(self) -> Any:
        return connect(self.uri)

    def experiments(self, *, deleted: bool = False) -> builtins.list[Experiment]:
        found = self._experiments(_DELETED if deleted else _ACTIVE)
        return sorted((_experiment(item) for item in found), key=lambda experiment: experiment.name)

    def select(self, query: RunQuery) -> builtins.list[Run]:
        experiments = {
            item.experiment_id: item.name for item in self._experiments(_ALL if query.deleted else _ACTIVE)
        }
        if query.experiment is not None:
            asked = query.experiment
            chosen = {key: name for key, name in experiments.items() if asked in (key, name)}
            if not chosen:
                raise NotFoundError(f"no experiment {asked!r}", nearest_hint(asked, experiments.values()))
            experiments = chosen
        text, view = query.filter or "", _DELETED if query.deleted else _ACTIVE
        if query.nested:
            return self._search(experiments, text, view, query.order_by, query.limit)
        try:
            # Also without those whose parent is deleted: the language has no word for that.
            on_top = f"{text} AND {_ON_TOP}" if text.strip() else _ON_TOP
            return self._search(experiments, on_top, view, query.order_by, query.limit)
        except UsageError:  # of a filter that was wrong before, or of a server that knows no IS NULL
            rows = without_nested(self._search(experiments, text, view, query.order_by))
            return rows if query.limit is None else rows[: query.limit]

    def children(self) -> Mapping[str, int]:
        experiments = {item.experiment_id: item.name for item in self._experiments(_ACTIVE)}
        try:
            return count_children(self._search(experiments, _BELOW, _ACTIVE))
        except UsageError:
            return count_children(self._search(experiments, "", _ACTIVE))

    def get(self, run: str) -> Run:
        client = self.client
        if len(run) == 32 and run.isalnum():
            try:
                with explained(self.uri):
                    found = client.get_run(run)
                    name = client.get_experiment(found.info.experiment_id).name
                return _run(found, name)
            except NotFoundError:
                pass
        experiments = {item.experiment_id: item.name for item in self._experiments(_ALL)}
        candidates = []
        if len(run) >= SHORTEST_PREFIX and run.isalnum():
            candidates = self._search(experiments, f"attributes.run_id LIKE '{run.lower()}%'", _ALL)
        quote = '"' if "'" in run else "'"
        candidates += self._search(experiments, f"attributes.run_name = {quote}{run}{quote}", _ALL)
        if not candidates:
            candidates = self._search(experiments, "", _ALL, limit=200)
        chosen = choose_run(run, [(item.run_id, item.name) for item in candidates])
        return next(item for item in candidates if item.run_id == chosen)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        found = self.get(run_id)
        if found.lifecycle_stage != "active":
            raise UsageError(f"run {found.run_id[:12]} is deleted", "Restore it first.")
        with explained(self.uri):
            self.client.set_tag(found.run_id, key, value)

    def set_note(self, run_id: str, text: str) -> None:
        self.set_tag(run_id, NOTE_TAG, text)

    def rename(self, run_id: str, name: str) -> None:
        if not name.strip():
            raise UsageError("a run needs a name", "Give at least one character.")
        self.set_tag(run_id, RUN_NAME_TAG, name)

    def delete(self, run_id: str) -> None:
        found = self.get(run_id).run_id
        with explained(self.uri):
            self.client.delete_run(found)

    def restore(self, run_id: str) -> None:
        found = self.get(run_id).run_id
        with explained(self.uri):
            self.client.restore_run(found)

    def history(self, run_id: str, metric: str) -> builtins.list[tuple[int, int, float]]:
        found = self.get(run_id)
        with explained(self.uri):
            points = self.client.get_metric_history(found.run_id, metric)
        if not points:
            hint = nearest_hint(metric, found.metrics)
            raise NotFoundError(f"run {found.run_id[:12]} has no metric {metric!r}", hint)
        return [(point.timestamp, point.step, point.value) for point in points]

    def artifacts(self, run_id: str) -> builtins.list[str]:
        found = self.get(run_id).run_id
        client = self.client
        with explained(self.uri):
            paths = _walk(partial(client.list_artifacts, found))
            for prefix, model_id in self._models(found).items():
                inside = _walk(partial(client.list_logged_model_artifacts, model_id))
                paths += [f"{prefix}/{path}" for path in inside]
        return sorted(set(paths))

    def artifact_path(self, run_id: str, relative: str) -> Path:
        found = self.get(run_id)
        wanted = relative.strip("/")
        if ".." in Path(wanted).parts:
            raise UsageError(f"{relative!r} leads out of the run", "Name one of its artifacts.")
        first, _, rest = wanted.partition("/")
        client = self.client
        own = local_path(found.artifact_uri)
        if own is not None and (own / wanted).exists():
            return own / wanted
        with explained(self.uri):
            model_id = self._models(found.run_id).get(first)
            source = f"runs:/{found.run_id}/{wanted}"
            if model_id is not None:
                place = client.get_logged_model(model_id).artifact_location
                location = local_path(place)
                if location is not None and (location / rest).exists():
                    return location / rest
                source = f"{place.rstrip('/')}/{rest}".rstrip("/")
        try:
            return self._fetched(source, is_final=found.ended_at is not None)
        except WorkbenchError:
            known = self.artifacts(found.run_id)
            if any(path == wanted or path.startswith(f"{wanted}/") for path in known):
                raise
            hint = nearest_hint(relative, known)
            raise NotFoundError(f"run {found.run_id[:12]} has no artifact {relative!r}", hint) from None

    def problems(self) -> builtins.list[str]:
        try:
            self._experiments(_ACTIVE)
        except WorkbenchError as error:
            return [str(error)]
        return []

    def repair(self) -> builtins.list[str]:
        return []

    def _experiments(self, view: int) -> builtins.list[Any]:
        client = self.client
        with explained(self.uri):
            return all_pages(
                lambda token: client.search_experiments(view_type=view, max_results=PAGE, page_token=token)
            )

    def _search(
        self,
        experiments: dict[str, str],
        text: str,
        view: int,
        order_by: Sequence[str] = (),
        limit: int | None = None,
    ) -> builtins.list[Run]:
        client = self.client
        found: builtins.list[Run] = []
        token: str | None = None
        while experiments and (limit is None or len(found) < limit):
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            with explained(self.uri):
                page = client.search_runs(
                    builtins.list(experiments), text, view, size, builtins.list(order_by), token
                )
            found += [_run(item, experiments[item.info.experiment_id]) for item in page]
            token = page.token
            if not token:
                break
        return found

    def _fetched(self, source: str, *, is_final: bool) -> Path:
        """A copy here of what is elsewhere; of a run that has ended it is fetched once."""
        kept = self._copies.get(source)
        if kept is not None and kept.exists():
            return kept
        with explained(self.uri):
            copy = _download(source, self.uri)
        if is_final:
            self._copies[source] = copy
        return copy

    def _models(self, run_id: str) -> dict[str, str]:
        """Name to id of the run's logged models; an older one of the same name goes by its id."""
        models = logged_models(self.client, run_id)
        named: dict[str, str] = {}
        for model in models:
            named[model.model_id if model.name in named else model.name] = model.model_id
        return named


def logged_models(client: Any, run_id: str) -> builtins.list[Any]:
    """MLflow's logged models of a run that are ready, newest first."""
    outputs = client.get_run(run_id).outputs
    ids = dict.fromkeys(output.model_id for output in (outputs.model_outputs if outputs else ()))
    models = [client.get_logged_model(model_id) for model_id in ids]
    ready = [model for model in models if str(model.status) == "READY"]
    return sorted(ready, key=lambda model: (model.creation_timestamp, model.model_id), reverse=True)


def _experiment(item: Any) -> Experiment:
    return Experiment(
        experiment_id=item.experiment_id,
        name=item.name,
        lifecycle_stage=item.lifecycle_stage,
        artifact_location=item.artifact_location or "",
        created_at=from_ms(item.creation_time),
        tags=dict(item.tags),
    )


def _run(item: Any, experiment: str) -> Run:
    info, data = item.info, item.data
    return Run(
        run_id=info.run_id,
        name=info.run_name or "",
        experiment_id=info.experiment_id,
        experiment=experiment,
        status=info.status,
        started_at=from_ms(info.start_time),
        ended_at=from_ms(info.end_time),
        params=dict(data.params),
        metrics=dict(data.metrics),
        tags=dict(data.tags),
        artifact_uri=info.artifact_uri or "",
        lifecycle_stage=info.lifecycle_stage,
        user_id=info.user_id or "",
        # A server tells the step of the latest point alone: past the first, there were others.
        stepped=tuple(sorted(metric.key for metric in data._metric_objs if metric.step)),
    )


def _walk(listing: Any) -> builtins.list[str]:
    paths: builtins.list[str] = []
    pending: builtins.list[str | None] = [None]
    while pending:
        for item in listing(pending.pop()):
            (pending if item.is_dir else paths).append(item.path)
    return paths


def _download(uri: str, tracking_uri: str) -> Path:
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=uri, tracking_uri=tracking_uri))
