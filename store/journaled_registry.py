"""A model registry whose every change is in the audit trail, on any backend."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from store.challenger_alerts import settle_challenger_alerts
from store.errors import NotFoundError, UsageError, WorkbenchError
from store.journal import INTERNAL, Event
from store.layout import Layout
from store.locks import locked
from store.registry import CHALLENGER, CHAMPION, ModelVersion, RegisteredModel, Role, Transition
from store.run_lookup import nearest_hint
from store.settling import Backend, Settler, as_text
from store.standing import STAGE_OF, Standing, adopt

_LOCK_WAIT_S = 60.0


class JournaledRegistry:
    """A Registry; the journal and the lock are those of `layout`."""

    fetches_files = False

    def __init__(self, backend: Backend, layout: Layout) -> None:
        self._backend = backend
        self._layout = layout
        self._settler = Settler(backend, layout)

    def models(self) -> list[RegisteredModel]:
        found = (self._present(name) for name in self._backend.names())
        return [model for model in found if model is not None]

    def model(self, name: str) -> RegisteredModel:
        model = self._present(name)
        if model is None:
            raise NotFoundError(f"no registered model {name!r}", nearest_hint(name, self._backend.names()))
        return model

    def version(self, name: str, which: int | str) -> ModelVersion:
        model = self.model(name)
        number = _number(model, str(which).removeprefix("@"))
        for version in model.versions:
            if version.version == number:
                return version
        known = {item.stage for item in model.versions if item.stage != "None"}
        known |= {alias for item in model.versions for alias in item.aliases}
        known |= {str(item.version) for item in model.versions[:8]}
        hint = nearest_hint(str(which), known)
        raise NotFoundError(f"model {name!r} has no version {str(which)!r}", hint)

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
        located = self._backend.locate(run_id, source)
        about = {"run_id": located["run_id"], "source": located["source"]}
        with self._writing(f"registering {name}", name):
            intent = self._settler.intend("registered", name, who=who, reason=reason, details=about)
            try:
                number = self._backend.create(name, located, description, tags or {})
            except Exception:
                with suppress(WorkbenchError):
                    self._settler.settle(name)  # it may have come so far that the version exists
                raise
            self._settler.commit(intent, to=str(number), details={**about, "registered": [number]})
        return JournaledRegistry.version(self, name, number)

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
            number = JournaledRegistry.version(self, name, version).version
            before = self._standing(name)
            if role == CHALLENGER and before.champion == number:
                raise UsageError(
                    f"version {number} of {name!r} is the champion",
                    "Promote another version, or roll back first.",
                )
            after = before.with_role(role, number)
            fields = {"from_": as_text(before.of(role)), "to": str(number), "who": who, "reason": reason}
            event = self._change("promoted", name, before, after, {**(details or {}), "role": role}, fields)
            return Transition(name, "promoted", before.of(role), number, event)

    def rollback(self, name: str, *, who: str | None = None, reason: str | None = None) -> Transition:
        with self._writing(f"rolling back {name}", name):
            model = self.model(name)
            before = self._standing(name)
            alive = [version.version for version in model.versions]
            earlier = self._settler.past(name).earlier_champion(before.champion, alive)
            if earlier is None:
                raise NotFoundError(
                    f"no earlier champion of {name!r}",
                    f"See workbench models history {name}, or promote a version.",
                )
            after = before.with_role(CHAMPION, earlier)
            fields = {"from_": as_text(before.champion), "to": str(earlier), "who": who, "reason": reason}
            event = self._change("rolled_back", name, before, after, {"role": CHAMPION}, fields)
            return Transition(name, "rolled_back", before.champion, earlier, event)

    def archive(
        self, name: str, version: int, *, who: str | None = None, reason: str | None = None
    ) -> Transition:
        with self._writing(f"archiving {name}", name):
            number = JournaledRegistry.version(self, name, version).version
            before = self._standing(name)
            role = next((role for role in STAGE_OF if before.of(role) == number), None)
            after = before.with_role(role, None) if role else before
            fields = {"from_": str(number), "who": who, "reason": reason}
            about = {"role": role, "version": number}
            event = self._change("archived", name, before, after, about, fields)
            return Transition(name, "archived", number, None, event)

    def history(self, name: str) -> list[Event]:
        events = [
            event for event in self._settler.events() if event.model == name and event.what not in INTERNAL
        ]
        if not events:
            self.model(name)
        return events

    def settle(self) -> list[Event]:
        names = dict.fromkeys(event.model for event in self._settler.events() if event.model)
        names.update(dict.fromkeys(self._backend.names()))
        unsettled = [name for name in names if self._settler.is_unsettled(name)]
        if not unsettled:
            return []  # the usual case needs neither the lock nor a writable folder
        with self._locked("settling the registry"):
            return [event for name in unsettled for event in self._settler.settle(name)]

    def fingerprint(self) -> Hashable:
        return self._backend.fingerprint()

    def _present(self, name: str) -> RegisteredModel | None:
        """The model with the standing it will have once settled."""
        model = self._backend.read(name)
        if model is None:
            return None
        known = self._settler.past(name).standing
        standing = adopt(known, model.versions, demote=False)
        if model.problem and known:  # what can't be read at the moment is no reason to unseat anybody
            standing = known
        return replace(model, champion=standing.champion, challenger=standing.challenger)

    def _standing(self, name: str) -> Standing:
        return self._settler.past(name).standing or Standing()

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        self._layout.ensure()
        with locked(self._layout.run / "registry.lock", what=what, timeout_s=_LOCK_WAIT_S):
            yield

    @contextmanager
    def _writing(self, what: str, name: str) -> Iterator[None]:
        with self._locked(what):
            self._settler.settle(name)
            yield

    def _change(
        self,
        action: str,
        name: str,
        before: Standing,
        after: Standing,
        about: Mapping[str, Any],
        fields: Mapping[str, Any],
    ) -> Event:
        standing = {"champion": after.champion, "challenger": after.challenger}
        details = {**about, **standing}
        intended = {**details, "before": [before.champion, before.challenger]}
        intent = self._settler.intend(action, name, details=intended, **fields)
        self._settler.bring_into_step(name, after, about.get("version") if action == "archived" else None)
        event = self._settler.commit(intent, details=details)
        if before.challenger != after.challenger:
            settle_challenger_alerts(self._layout, name, after.challenger)
        return event


def _number(model: RegisteredModel, which: str) -> int | None:
    """The version that a number, an alias, a stage or `latest` means."""
    if which.isdecimal():
        return int(which)
    if which == "latest":
        return model.versions[0].version if model.versions else None
    if which == CHAMPION or which.lower() == STAGE_OF[CHAMPION].lower():
        return model.champion
    if which == CHALLENGER or which.lower() == STAGE_OF[CHALLENGER].lower():
        return model.challenger
    named = [item.version for item in model.versions if which in item.aliases]
    staged = [item.version for item in model.versions if item.stage.lower() == which.lower()]
    return max(named or staged, default=None)
