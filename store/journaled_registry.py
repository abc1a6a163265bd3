"""A model registry whose every change is in the audit trail, and that settles after a crash.

A change is an intent in the journal, then the files, then a commit: the event people read. What a crash
left in between is finished by the next writer; what plain MLflow changed meanwhile is adopted.
"""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from store.errors import NotFoundError, UsageError
from store.journal import INTERNAL, Event, JournalTail, append_event
from store.layout import Layout
from store.locks import locked
from store.registry import CHALLENGER, CHAMPION, ModelVersion, RegisteredModel, Role, Transition
from store.run_lookup import nearest_hint
from store.standing import ARCHIVED, STAGE_OF, Past, Standing, adopt, in_step

_LOCK_WAIT_S = 60.0
_SECOND_LOOK_S = 0.05


class Backend(Protocol):
    """Where models are kept. `read` gives aliases and stages as they are, without champion or challenger."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> RegisteredModel | None: ...

    def locate(self, run_id: str, source: str | None) -> Mapping[str, Any]:
        """What `create` needs to register a run's model; NotFoundError when there is no such run or model."""

    def create(
        self, name: str, located: Mapping[str, Any], description: str, tags: Mapping[str, str]
    ) -> int: ...

    def set_alias(self, name: str, alias: str, version: int | None) -> None: ...

    def set_stage(self, name: str, version: int, stage: str) -> None: ...

    def fingerprint(self) -> Hashable: ...


class JournaledRegistry:
    """A Registry on any backend; the journal and the lock are those of `layout`."""

    def __init__(self, backend: Backend, layout: Layout) -> None:
        self.backend = backend
        self.layout = layout
        self._journal = JournalTail(layout.journal)
        self._pasts: dict[str, Past] = {}
        self._taken: tuple[int, int] = (0, 0)
        self._lock = threading.Lock()

    def models(self) -> list[RegisteredModel]:
        found = (self._present(name) for name in self.backend.names())
        return [model for model in found if model is not None]

    def model(self, name: str) -> RegisteredModel:
        model = self._present(name)
        if model is None:
            raise NotFoundError(f"no registered model {name!r}", nearest_hint(name, self.backend.names()))
        return model

    def version(self, name: str, which: int | str) -> ModelVersion:
        model = self.model(name)
        wanted = str(which).removeprefix("@")
        number: int | None = None
        if wanted.isdecimal():
            number = int(wanted)
        elif wanted == "latest" and model.versions:
            number = model.versions[0].version
        elif wanted in (CHAMPION, STAGE_OF[CHAMPION]) or wanted.lower() == "production":
            number = model.champion
        else:
            staged = [item.version for item in model.versions if item.stage.lower() == wanted.lower()]
            aliased = [item.version for item in model.versions if wanted in item.aliases]
            number = max(aliased or staged, default=None)
        for version in model.versions:
            if version.version == number:
                return version
        known = {item.stage for item in model.versions if item.stage != "None"}
        known |= {alias for item in model.versions for alias in item.aliases}
        known |= {str(item.version) for item in model.versions[:8]}
        raise NotFoundError(f"model {name!r} has no version {which!r}", nearest_hint(str(which), known))

    def register(
        self,
        name: str,
        *,
        run_id: str,
        source: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        who: str | None = None,
        reason: str | None = None,
    ) -> ModelVersion:
        located = self.backend.locate(run_id, source)
        with self._writing(f"registering {name}", name):
            about = {"run_id": located["run_id"], "source": located["source"]}
            intent = self._intend("registered", name, who=who, reason=reason, details=about)
            try:
                number = self.backend.create(name, located, description, tags or {})
            except BaseException:
                self._drop(intent, "not registered")
                raise
            self._commit(intent, to=str(number), details={**about, "registered": [number]})
        return self.version(name, number)

    def promote(
        self,
        name: str,
        version: int,
        *,
        to: Role = "champion",
        who: str | None = None,
        reason: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Transition:
        role = CHALLENGER if to == "staging" else to
        if role not in STAGE_OF:
            raise UsageError(f"cannot promote to {to!r}", "Use champion, challenger or staging.")
        with self._writing(f"promoting {name}", name):
            chosen = self.version(name, version)
            before = self._standing(name)
            if role == CHALLENGER and before.champion == chosen.version:
                raise UsageError(
                    f"version {version} of {name!r} is the champion",
                    "Promote another one, or roll back first.",
                )
            after = before.with_role(role, chosen.version)
            return self._change(
                "promoted", name, before, after, role=role, who=who, reason=reason, details=details or {}
            )

    def rollback(self, name: str, *, who: str | None = None, reason: str | None = None) -> Transition:
        with self._writing(f"rolling back {name}", name):
            model = self.model(name)
            before = self._standing(name)
            alive = [version.version for version in model.versions]
            earlier = self._past(name).earlier_champion(before.champion, alive)
            if earlier is None:
                raise NotFoundError(
                    f"no earlier champion of {name!r}",
                    f"See workbench models history {name}, or promote a version.",
                )
            after = before.with_role(CHAMPION, earlier)
            return self._change("rolled_back", name, before, after, role=CHAMPION, who=who, reason=reason)

    def archive(
        self, name: str, version: int, *, who: str | None = None, reason: str | None = None
    ) -> Transition:
        with self._writing(f"archiving {name}", name):
            number = self.version(name, version).version
            before = self._standing(name)
            role = next((role for role in STAGE_OF if before.of(role) == number), None)
            after = before.with_role(role, None) if role else before
            return self._change(
                "archived", name, before, after, role=role, who=who, reason=reason, archived=number
            )

    def history(self, name: str) -> list[Event]:
        events = [
            event for event in self._journal.read() if event.model == name and event.what not in INTERNAL
        ]
        if not events:
            self.model(name)
        return events

    def settle(self) -> list[Event]:
        names = dict.fromkeys(event.model for event in self._journal.read() if event.model)
        names.update(dict.fromkeys(self.backend.names()))
        if not any(self._is_unsettled(name) for name in names):
            return []  # the usual case needs neither the lock nor a writable folder
        events: list[Event] = []
        with self._locked("settling the registry"):
            for name in names:
                events += self._settle(name)
        return events

    def fingerprint(self) -> Hashable:
        return self.backend.fingerprint()

    def _present(self, name: str) -> RegisteredModel | None:
        """The model with the standing it will have once settled."""
        model = self.backend.read(name)
        if model is None:
            return None
        standing = adopt(self._past(name).standing, model.versions, demote=False)
        return replace(model, champion=standing.champion, challenger=standing.challenger)

    def _past(self, name: str) -> Past:
        with self._lock:
            events = self._journal.read()
            identity, count = self._taken
            if identity != id(events) or count > len(events):
                self._pasts, count = {}, 0
            for event in events[count:]:
                if event.model:
                    self._pasts.setdefault(event.model, Past()).add(event)
            self._taken = (id(events), len(events))
            return copy.deepcopy(self._pasts.get(name, Past()))

    def _standing(self, name: str) -> Standing:
        return self._past(name).standing or Standing()

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        self.layout.ensure()
        with locked(self.layout.run / "registry.lock", what=what, timeout_s=_LOCK_WAIT_S):
            yield

    @contextmanager
    def _writing(self, what: str, name: str) -> Iterator[None]:
        with self._locked(what):
            self._settle(name)
            yield

    def _change(
        self,
        action: str,
        name: str,
        before: Standing,
        after: Standing,
        *,
        role: str | None,
        who: str | None,
        reason: str | None,
        details: Mapping[str, Any] | None = None,
        archived: int | None = None,
    ) -> Transition:
        moved = role or CHAMPION
        from_version = archived if archived is not None else before.of(moved)
        to_version = None if archived is not None else after.of(moved)
        about: dict[str, Any] = {
            **(details or {}),
            "role": role,
            "champion": after.champion,
            "challenger": after.challenger,
        }
        if archived is not None:
            about["version"] = archived
        intent = self._intend(
            action,
            name,
            from_=_text(from_version),
            to=_text(to_version),
            who=who,
            reason=reason,
            details={**about, "before": [before.champion, before.challenger]},
        )
        self._bring_into_step(name, after, archived)
        event = self._commit(intent, details=about)
        return Transition(name, action, from_version, to_version, event)

    def _intend(self, action: str, name: str, *, details: Mapping[str, Any], **fields: Any) -> Event:
        body = {**details, "id": uuid.uuid4().hex, "action": action}
        return append_event(self.layout, "intent", model=name, details=body, **fields)

    def _commit(self, intent: Event, *, details: Mapping[str, Any], to: str | None = None) -> Event:
        return append_event(
            self.layout,
            intent.details["action"],
            who=intent.who,
            model=intent.model,
            from_=intent.from_,
            to=to or intent.to,
            reason=intent.reason,
            details={**details, "intent": intent.details["id"]},
        )

    def _drop(self, intent: Event, why: str) -> None:
        append_event(
            self.layout,
            "intent_dropped",
            model=intent.model,
            reason=why,
            details={"intent": intent.details["id"]},
        )

    def _bring_into_step(self, name: str, standing: Standing, archived: int | None = None) -> None:
        """Aliases first (readers follow them), then the holders' stages, then the stages of the former."""
        model = self.backend.read(name)
        if model is None:
            return
        for role in STAGE_OF:
            holder = next((item.version for item in model.versions if role in item.aliases), None)
            if holder != standing.of(role):
                self.backend.set_alias(name, role, standing.of(role))
        wanted = in_step(standing, model.versions)
        changes = [
            (new.version, new.stage)
            for old, new in zip(model.versions, wanted, strict=True)
            if new.stage != old.stage
        ]
        if archived is not None:
            changes = [change for change in changes if change[0] != archived] + [(archived, ARCHIVED)]
        for number, stage in sorted(changes, key=lambda change: change[1] == ARCHIVED):
            self.backend.set_stage(name, number, stage)

    def _is_unsettled(self, name: str) -> bool:
        past = self._past(name)
        model = self.backend.read(name)
        if model is None:
            return bool(past.versions or past.unfinished)
        if model.problem:
            return bool(past.unfinished)
        standing = adopt(past.standing, model.versions)
        numbers = {version.version for version in model.versions}
        return bool(
            past.unfinished
            or numbers != past.versions
            or standing != (past.standing or Standing())
            or in_step(standing, model.versions) != [_sorted_aliases(item) for item in model.versions]
        )

    def _settle(self, name: str) -> list[Event]:
        """Finish what is unfinished and adopt what others changed in one model; the lock is held."""
        past = self._past(name)
        events = [event for intent in past.unfinished for event in self._finish(intent)]
        past = self._past(name)
        model = self.backend.read(name)
        if model is None:
            if past.versions or past.standing:
                events.append(
                    append_event(
                        self.layout,
                        "external",
                        model=name,
                        from_=_text(past.standing.champion if past.standing else None),
                        details={"change": "model deleted", "champion": None, "challenger": None},
                    )
                )
            return events
        if model.problem:
            return events
        standing = adopt(past.standing, model.versions)
        if standing != adopt(past.standing, model.versions, demote=False):
            time.sleep(_SECOND_LOOK_S)  # MLflow archives the old champion just before it names the new one
            model = self.backend.read(name) or model
            standing = adopt(past.standing, model.versions)
        events += self._adopt_versions(name, past, {version.version for version in model.versions})
        return events + self._adopt_standing(name, past.standing or Standing(), standing, model)

    def _adopt_versions(self, name: str, past: Past, present: set[int]) -> list[Event]:
        events = []
        if new := sorted(present - past.versions):
            details = {"change": "registered", "registered": new}
            events.append(append_event(self.layout, "external", model=name, to=str(new[-1]), details=details))
        if gone := sorted(past.versions - present):
            details = {"change": "deleted", "deleted": gone}
            events.append(
                append_event(self.layout, "external", model=name, from_=str(gone[-1]), details=details)
            )
        return events

    def _adopt_standing(
        self, name: str, known: Standing, standing: Standing, model: RegisteredModel
    ) -> list[Event]:
        stages = {version.version: version.stage for version in model.versions}
        self._bring_into_step(name, standing)
        events = []
        present = known
        for role in STAGE_OF:
            old, new = known.of(role), standing.of(role)
            if old == new:
                continue
            present = (
                Standing(new, present.challenger) if role == CHAMPION else Standing(present.champion, new)
            )
            details: dict[str, Any] = {
                "change": role,
                "champion": present.champion,
                "challenger": present.challenger,
            }
            if old is not None and stages.get(old) == ARCHIVED and new is None:
                details["put_away"] = [old]
            events.append(
                append_event(
                    self.layout, "external", model=name, from_=_text(old), to=_text(new), details=details
                )
            )
        return events

    def _finish(self, intent: Event) -> list[Event]:
        """Complete a change that a crash cut off, in the name of whoever began it."""
        name, details = intent.model or "", intent.details
        model = self.backend.read(name)
        if details.get("action") == "registered":
            known = self._past(name).versions
            created = [
                version.version
                for version in (model.versions if model else ())
                if version.version not in known
                and version.run_id == details.get("run_id")
                and version.source == details.get("source")
                and version.created_at >= intent.at
            ]
            if not created:
                self._drop(intent, "not registered")
                return []
            about = {key: details[key] for key in ("run_id", "source")}
            return [
                self._commit(intent, to=str(min(created)), details={**about, "registered": [min(created)]})
            ]
        after = Standing(details.get("champion"), details.get("challenger"))
        alive = {version.version for version in model.versions} if model else set()
        if model is None or not {after.champion, after.challenger, details.get("version")} <= alive | {None}:
            self._drop(intent, "its version is gone")
            return []
        seen = next((item.version for item in model.versions if CHAMPION in item.aliases), None)
        before = tuple(details.get("before", (None, None)))
        if seen in (before[0], after.champion):  # else somebody chose another one since; that is adopted next
            self._bring_into_step(name, after, details.get("version"))
        about = {key: value for key, value in details.items() if key not in ("id", "action", "before")}
        return [self._commit(intent, details=about)]


def _sorted_aliases(version: ModelVersion) -> ModelVersion:
    return replace(version, aliases=tuple(sorted(version.aliases)))


def _text(version: int | None) -> str | None:
    return None if version is None else str(version)
