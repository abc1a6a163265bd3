"""Registered models as a person decides about them: versions, verdicts, where they come from, history."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from store.errors import NotFoundError, WorkbenchError
from store.journal import JournalTail
from store.registry import CHALLENGER, CHAMPION, ModelVersion, RegisteredModel
from workbench.desk.verdicts import KeptVerdict, read_verdict
from workbench.desk.words import main_metrics

if TYPE_CHECKING:
    from pipelines.verdict import Verdict
    from store.journal import Event
    from store.layout import Layout
    from store.registry import Registry
    from store.runs import Run, RunStore


@dataclass(frozen=True)
class VersionRow:
    """A version with its role and whether the gate accepted it (None: it was never asked)."""

    version: ModelVersion
    role: str = ""
    gate_accepted: bool | None = None

    @property
    def number(self) -> int:
        return self.version.version

    @property
    def id(self) -> str:
        return str(self.version.version)

    @property
    def other_aliases(self) -> tuple[str, ...]:
        """The aliases that are no roles."""
        return tuple(alias for alias in self.version.aliases if alias not in (CHAMPION, CHALLENGER))


@dataclass(frozen=True)
class ModelRow:
    """A registered model; `versions` newest first, `metric_names` those that say most about them."""

    model: RegisteredModel
    versions: tuple[VersionRow, ...]
    metric_names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def changed_at(self) -> datetime | None:
        """When its newest version was made."""
        return max((row.version.created_at for row in self.versions), default=None)

    def version(self, number: int | None) -> VersionRow | None:
        return next((row for row in self.versions if row.number == number), None)


@dataclass(frozen=True)
class Fact:
    """One line about a version. `tone` is muted, success, warning or error, or empty."""

    label: str
    value: str
    tone: str = ""


@dataclass(frozen=True)
class VersionDetails:
    """Everything about one version; `history` is that of its model, oldest first."""

    row: VersionRow
    run: Run | None
    verdict: Verdict | None
    verdict_problem: str | None
    lineage: tuple[Fact, ...]
    history: tuple[Event, ...]

    @property
    def version(self) -> ModelVersion:
        return self.row.version


class ModelsDesk:
    """The registered models of one project; answers from any thread."""

    def __init__(self, registry: Registry, runs: RunStore, layout: Layout) -> None:
        self.registry = registry
        self.runs = runs
        self.layout = layout
        self._journal = JournalTail(layout.journal)
        self._verdicts: dict[str, bool | None] = {}
        self._seen: Hashable = None
        self._models: tuple[ModelRow, ...] = ()

    def models(self) -> tuple[ModelRow, ...]:
        """Every model by name; the same object as before where nothing has changed."""
        events = self._journal.read()
        seen = (self.registry.fingerprint(), len(events))
        if seen != self._seen:
            for event in events:
                run_id = event.details.get("run_id")
                if event.what == "gate" and isinstance(run_id, str):
                    self._verdicts[run_id] = bool(event.details.get("accepted"))
            self._models = tuple(self._row(model) for model in self.registry.models())
            self._seen = seen
        return self._models

    def details(self, name: str, version: int) -> VersionDetails:
        """A version with its verdict, its run and the model's history. Raises NotFoundError."""
        model = self.registry.model(name)
        found = next((item for item in model.versions if item.version == version), None)
        if found is None:
            raise NotFoundError(f"model {name!r} has no version {version}", "Somebody deleted it.")
        run, kept = self._run(found), KeptVerdict()
        if run is not None:
            kept = read_verdict(self.runs, run.run_id)
        accepted = kept.verdict.accepted if kept.verdict is not None else self.accepted(found)
        return VersionDetails(
            row=VersionRow(found, _role(model, found), accepted),
            run=run,
            verdict=kept.verdict,
            verdict_problem=kept.problem,
            lineage=tuple(_lineage(found, run)),
            history=tuple(self.registry.history(name)),
        )

    def _row(self, model: RegisteredModel) -> ModelRow:
        return ModelRow(
            model,
            tuple(
                VersionRow(version, _role(model, version), self.accepted(version))
                for version in model.versions
            ),
            main_metrics(version.metrics for version in model.versions),
        )

    def accepted(self, version: ModelVersion) -> bool | None:
        """Whether the gate accepted it, as the journal knows; of a run trained elsewhere, its artifact."""
        run_id = version.run_id
        if run_id is None:
            return None
        if run_id not in self._verdicts:
            try:
                kept = read_verdict(self.runs, run_id)
            except (WorkbenchError, OSError):
                kept = KeptVerdict()
            self._verdicts[run_id] = kept.verdict.accepted if kept.verdict is not None else None
        return self._verdicts[run_id]

    def _run(self, version: ModelVersion) -> Run | None:
        if version.run_id is None:
            return None
        try:
            return self.runs.get(version.run_id)
        except NotFoundError:
            return None


def _role(model: RegisteredModel, version: ModelVersion) -> str:
    if version.version == model.champion:
        return CHAMPION
    return CHALLENGER if version.version == model.challenger else ""


def _lineage(version: ModelVersion, run: Run | None) -> list[Fact]:
    """Where a version comes from: run, data, code, files."""
    facts = []
    if run is None:
        gone = f"{version.run_id[:8]} is gone" if version.run_id else "none: registered from files"
        facts.append(Fact("run", gone, "warning" if version.run_id else "muted"))
    else:
        facts += [Fact("run", f"{run.name} ({run.run_id[:8]})"), Fact("experiment", run.experiment)]
        facts += _of_run(run.tags)
    if version.model_dir is not None:
        facts.append(Fact("files", str(version.model_dir), "muted"))
    else:
        facts.append(Fact("files", f"gone or elsewhere: {version.source}", "error"))
    if version.description:
        facts.append(Fact("description", version.description))
    return facts


def _of_run(tags: Mapping[str, str]) -> list[Fact]:
    facts = []
    if data := tags.get("workbench.dataset"):
        facts.append(Fact("data", data[:12]))
    if commit := tags.get("mlflow.source.git.commit"):
        is_dirty = tags.get("workbench.git_dirty") == "true"
        changed = ", with changes not committed" if is_dirty else ""
        facts.append(Fact("git commit", commit[:10] + changed, "warning" if is_dirty else ""))
    else:
        facts.append(Fact("git commit", "none: not in a repository", "muted"))
    for label, tag in (
        ("code", "mlflow.source.name"),
        ("python", "workbench.python"),
        ("trained by", "mlflow.user"),
        ("trigger", "workbench.trigger"),
        ("reason", "workbench.reason"),
    ):
        if value := tags.get(tag):
            facts.append(Fact(label, value))
    return facts
