"""Changes of a registry that survive a crash, and changes by others that are adopted.

A change is an intent in the journal, then the files, then a commit: the event people read. What a crash
left in between is finished by the next writer; what plain MLflow changed meanwhile becomes an `external`
event, with alias and stage brought into step.
"""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from store.challenger_alerts import settle_challenger_alerts
from store.journal import Event, JournalTail, append_event
from store.layout import Layout
from store.registry import CHALLENGER, CHAMPION, RegisteredModel
from store.standing import ARCHIVED, STAGE_OF, Past, Standing, adopt, in_step

OUTSIDER = "outside workbench"
"""Who made a change that MLflow doesn't sign."""

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


class Settler:
    """The journal's side of a registry. Its writing methods need the registry's lock."""

    def __init__(self, backend: Backend, layout: Layout) -> None:
        self._backend = backend
        self._layout = layout
        self._journal = JournalTail(layout.journal)
        self._pasts: dict[str, Past] = {}
        self._taken: tuple[int, int] = (0, 0)
        self._lock = threading.Lock()

    def events(self) -> Sequence[Event]:
        return self._journal.read()

    def past(self, name: str) -> Past:
        """What the journal says about a model, as of now."""
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

    def intend(self, action: str, name: str, *, details: Mapping[str, Any], **fields: Any) -> Event:
        """Record what is about to change; the event that `commit` writes carries the same fields."""
        body = {**details, "id": uuid.uuid4().hex, "action": action}
        return append_event(self._layout, "intent", model=name, details=body, **fields)

    def commit(self, intent: Event, *, details: Mapping[str, Any], to: str | None = None) -> Event:
        """Record that the change is made."""
        return append_event(
            self._layout,
            intent.details["action"],
            who=intent.who,
            model=intent.model,
            from_=intent.from_,
            to=to or intent.to,
            reason=intent.reason,
            details={**details, "intent": intent.details["id"]},
        )

    def drop(self, intent: Event, why: str) -> None:
        """Record that the change won't be made."""
        append_event(
            self._layout,
            "intent_dropped",
            model=intent.model,
            reason=why,
            details={"intent": intent.details["id"]},
        )

    def bring_into_step(self, name: str, standing: Standing, archived: int | None = None) -> None:
        """Aliases first (readers follow them), then the holders' stages, then the stages of the former."""
        model = self._backend.read(name)
        if model is None:
            return
        for role in STAGE_OF:
            holder = next((item.version for item in model.versions if role in item.aliases), None)
            if holder != standing.of(role):
                self._backend.set_alias(name, role, standing.of(role))
        changes = {
            new.version: new.stage
            for old, new in zip(model.versions, in_step(standing, model.versions), strict=True)
            if new.stage != old.stage
        }
        if archived is not None:
            changes[archived] = ARCHIVED
        for number, stage in sorted(changes.items(), key=lambda change: change[1] == ARCHIVED):
            self._backend.set_stage(name, number, stage)

    def is_unsettled(self, name: str) -> bool:
        """Whether `settle` has something to do for a model; needs no lock."""
        past = self.past(name)
        model = self._backend.read(name)
        if model is None:
            return bool(past.versions or past.unfinished)
        if model.problem:
            return bool(past.unfinished)
        standing = adopt(past.standing, model.versions)
        as_they_are = [replace(item, aliases=tuple(sorted(item.aliases))) for item in model.versions]
        return bool(
            past.unfinished
            or {version.version for version in model.versions} != past.versions
            or standing != (past.standing or Standing())
            or in_step(standing, model.versions) != as_they_are
        )

    def settle(self, name: str) -> list[Event]:
        """Finish what is unfinished and adopt what others changed in one model."""
        events = [event for intent in self.past(name).unfinished for event in self._finish(intent)]
        past = self.past(name)
        model = self._backend.read(name)
        if model is None:
            if past.versions or past.standing:
                former = past.standing.champion if past.standing else None
                settle_challenger_alerts(self._layout, name, None)
                events.append(self._adopted(name, former, None, {"change": "model deleted"}))
            return events
        if model.problem:
            return events
        if adopt(past.standing, model.versions) != adopt(past.standing, model.versions, demote=False):
            time.sleep(_SECOND_LOOK_S)  # MLflow archives the old champion just before it names the new one
            model = self._backend.read(name) or model
        present = {version.version for version in model.versions}
        if new := sorted(present - past.versions):
            events.append(self._adopted(name, None, new[-1], {"change": "registered", "registered": new}))
        if gone := sorted(past.versions - present):
            events.append(self._adopted(name, gone[-1], None, {"change": "deleted", "deleted": gone}))
        return events + self._adopt_standing(name, past.standing or Standing(), model)

    def _adopt_standing(self, name: str, known: Standing, model: RegisteredModel) -> list[Event]:
        stages = {version.version: version.stage for version in model.versions}
        standing = adopt(self.past(name).standing, model.versions)
        self.bring_into_step(name, standing)
        events = []
        for role in STAGE_OF:
            old, new = known.of(role), standing.of(role)
            if old == new:
                continue
            known = Standing(new, known.challenger) if role == CHAMPION else Standing(known.champion, new)
            details: dict[str, Any] = {
                "change": role,
                "champion": known.champion,
                "challenger": known.challenger,
            }
            if old is not None and new is None and stages.get(old) == ARCHIVED:
                details["put_away"] = [old]
            if role == CHALLENGER:
                settle_challenger_alerts(self._layout, name, new)
            events.append(self._adopted(name, old, new, details))
        return events

    def _adopted(self, name: str, old: int | None, new: int | None, details: Mapping[str, Any]) -> Event:
        return append_event(
            self._layout,
            "external",
            who=OUTSIDER,
            model=name,
            from_=as_text(old),
            to=as_text(new),
            details=details,
        )

    def _finish(self, intent: Event) -> list[Event]:
        """Complete a change that a crash cut off, in the name of whoever began it."""
        details, model = intent.details, self._backend.read(intent.model or "")
        if details.get("action") == "registered":
            return self._finish_registering(intent, model)
        after = Standing(details.get("champion"), details.get("challenger"))
        alive = {version.version for version in model.versions} if model else set()
        needed = {after.champion, after.challenger, details.get("version")} - {None}
        if model is None or not needed <= alive:
            self.drop(intent, "its version is gone")
            return []
        champion = next((item.version for item in model.versions if CHAMPION in item.aliases), None)
        before = details.get("before", [None, None])
        if champion in (before[0], after.champion):  # else somebody chose another one since: adopted next
            self.bring_into_step(model.name, after, details.get("version"))
        about = {key: value for key, value in details.items() if key not in ("id", "action", "before")}
        return [self.commit(intent, details=about)]

    def _finish_registering(self, intent: Event, model: RegisteredModel | None) -> list[Event]:
        about = {key: intent.details.get(key) for key in ("run_id", "source")}
        known = self.past(intent.model or "").versions
        created = [
            version.version
            for version in (model.versions if model else ())
            if version.version not in known
            and version.run_id == about["run_id"]
            and version.source == about["source"]
            and version.created_at >= intent.at
        ]
        if not created:
            self.drop(intent, "not registered")
            return []
        number = min(created)
        return [self.commit(intent, to=str(number), details={**about, "registered": [number]})]


def as_text(version: int | None) -> str | None:
    return None if version is None else str(version)
