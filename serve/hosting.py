"""Which models are in service: finds champions in the registry, loads them, and swaps them on promotion."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import threading
import time
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serve.disclosure import without_folders
from serve.model_reference import ModelReference
from serve.problems import Problem
from serve.served_model import Engine, ServedModel, load_served
from store.alerts import clear_alert, raise_alert
from store.errors import NotFoundError, WorkbenchError
from store.journal import append_event, read_events
from store.registry import ModelVersion, Registry

if TYPE_CHECKING:
    from store.layout import Layout

log = logging.getLogger("workbench.serve")

_GARBAGE = 10_000
"""How many containers have to pile up before the garbage collector looks for cycles among them: more than the
lists of a thousand rows, which it would look through for nothing."""


@dataclass(frozen=True)
class Failure:
    """A version that should be in service and isn't."""

    name: str
    version: int
    """0 where there is no such version yet."""
    reason: str


class ModelHost:
    """The models in service. Requests read `models`; one thread at a time changes it."""

    def __init__(
        self,
        registry: Registry,
        *,
        layout: Layout | None,
        model_order: Sequence[str] = (),
        default: str | None = None,
        trusted_types: Collection[str] = (),
        only: ModelReference | None = None,
        is_lazy: bool = False,
        max_loaded_bytes: int = 0,
        engine: Engine = "native",
    ) -> None:
        self._registry = registry
        self._layout = layout
        self._order = tuple(model_order)
        self._default = default
        self._trusted_types = trusted_types
        self._only = only
        self._is_lazy = is_lazy
        self._engine = engine
        self._max_bytes = max_loaded_bytes
        """What the models loaded may take together; 0: as much as they need."""
        self._lock = threading.Lock()
        self._seen: Hashable = object()
        self._reported: set[tuple[str, int]] = set()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._used_at: dict[str, float] = {}
        self._default_now = default
        self.models: dict[str, ServedModel] = {}
        self.unloaded: dict[str, ModelVersion] = {}
        """Versions that are loaded when somebody asks for them."""
        self.failures: dict[str, Failure] = {}
        """By name; an older version of the same model may still be in service."""
        self.fingerprint: Hashable = None
        self.registry_problem: str | None = None
        """Why the registry couldn't be read the last time, where it couldn't."""

    def use(self, registry: Registry) -> None:
        """Look at the registry through this from now on, as a forked process must."""
        self._registry = registry
        self._lock = threading.Lock()

    def is_outdated(self) -> bool:
        """Whether the registry has changed since the last refresh; `fingerprint` is what it looks like."""
        try:
            self.fingerprint = self._registry.fingerprint()
        except (WorkbenchError, OSError) as error:
            self._note_problem(error)
            return False
        self.registry_problem = None
        return self.fingerprint != self._seen

    def standing(self) -> Hashable:
        """Tells one state of the models in service from another."""
        models = frozenset((model.name, id(model)) for model in self.models.values())
        return models, frozenset(self.failures.values()), frozenset(self.unloaded)

    def refresh(self, *, force: bool = False) -> bool:
        """Bring the models in service in line with the registry; True when anything changed.

        Costs a look at the registry's fingerprint when nothing did. A version that fails to load leaves the
        one before it in service; the journal says so once, and an alert until it is over.
        """
        with self._lock:
            try:
                fingerprint = self._registry.fingerprint()
                if fingerprint == self._seen and not force:
                    return False
                wanted = self._wanted()
            except (WorkbenchError, OSError) as error:
                self._note_problem(error)
                return False
            self._seen = fingerprint
            self.registry_problem = None
            return self._serve(wanted)

    def note_crash(self, reason: str) -> None:
        """What should be in service and isn't has failed elsewhere, so badly that it isn't tried here."""
        with self._lock:
            failures = dict(self.failures)
            for name, version in self._wanted().items():
                present = self.models.get(name)
                if present is None or present.version != version.version:
                    failures[name] = Failure(name, version.version, reason)
                    self._report(failures[name])
            self.failures = failures

    def _note_problem(self, error: Exception) -> None:
        if str(error) != self.registry_problem:
            log.warning("cannot read the registry: %s", error)
        self.registry_problem = str(error)

    async def fetch(self, name: str | None) -> ServedModel:
        """As `find`; a model that is not loaded is waited for."""
        wanted = name if name is not None else self._default_now
        if wanted is not None and wanted not in self.models and wanted in self.unloaded:
            task = self._loading.get(wanted)
            if task is None:
                task = self._loading[wanted] = asyncio.create_task(asyncio.to_thread(self._load, wanted))
                task.add_done_callback(lambda _: self._loading.pop(wanted, None))
            await asyncio.shield(task)  # a client that gives up doesn't take it from the others
        return self.find(name)

    def present(self, name: str | None) -> ServedModel | None:
        """The model of that name, or the default one, where it is loaded."""
        wanted = name if name is not None else self._default_now
        model = self.models.get(wanted) if wanted is not None else None
        if model is not None and self._max_bytes:
            self._used_at[model.name] = time.monotonic()
        return model

    def find(self, name: str | None) -> ServedModel:
        """The model of that name, or the default one; Problem 404 or 503 when it can't answer."""
        model = self.present(name)
        if model is not None:
            return model
        wanted = name if name is not None else self._default_now
        if wanted is not None:
            failure = self.failures.get(wanted)
            if failure is not None:
                version = f" version {failure.version}" if failure.version else ""
                raise Problem(
                    503,
                    f"model {wanted!r}{version} is not loaded: {without_folders(failure.reason)}",
                    headers={"Retry-After": "10"},
                    reason="model_not_loaded",
                )
            if wanted in self.unloaded:
                raise Problem(
                    503,
                    f"model {wanted!r} is not loaded: its first prediction loads it",
                    headers={"Retry-After": "1"},
                    reason="model_not_loaded",
                )
        if name is None:
            raise Problem(
                503,
                "no model is loaded: promote a version to champion, and it is served within seconds"
                if wanted is None
                else f"the default model {wanted!r} has no champion",
                headers={"Retry-After": "10"},
                reason="model_not_loaded",
            )
        there_are = ", ".join(sorted(self.models.keys() | self.unloaded.keys())) or "none"
        raise Problem(404, f"no model of that name is served; there are: {there_are}", reason="no_such_model")

    def default_name(self) -> str | None:
        """The model that answers /predict: the one the settings name, else that of the first pipeline."""
        return self._default_now

    def ordered(self) -> list[ServedModel]:
        """The models in service, in the order of the settings, others after them by name."""
        place = {name: position for position, name in enumerate(self._order)}
        return sorted(self.models.values(), key=lambda m: (place.get(m.name, len(place)), m.name))

    def _wanted(self) -> dict[str, ModelVersion]:
        if self._only is not None:
            try:
                version = self._registry.version(self._only.name, self._only.which)
            except NotFoundError as error:
                self.failures = {self._only.name: Failure(self._only.name, 0, str(error))}
                return {}
            return {version.name: version}
        wanted = {}
        for model in self._registry.models():
            for version in model.versions:
                if version.version == model.champion:
                    wanted[model.name] = version
        return wanted

    def _serve(self, wanted: dict[str, ModelVersion]) -> bool:
        models = {name: model for name, model in self.models.items() if name in wanted}
        failures = {} if wanted or self._only is None else dict(self.failures)
        unloaded: dict[str, ModelVersion] = {}
        default = self._default_of(wanted.keys() | failures.keys())
        changed = models.keys() != self.models.keys()
        # The default model first: a limit of memory is never at its expense.
        for name in sorted(wanted, key=lambda name: (name != default, name)):
            version, present = wanted[name], models.get(name)
            if present is not None and present.version == version.version and _same_files(present, version):
                continue
            if present is None and name != default and (self._is_lazy or self._is_over(models)):
                unloaded[name] = version
                changed = changed or name not in self.unloaded
                continue
            loaded = self._loaded(version)
            if isinstance(loaded, Failure):
                failures[name] = loaded
            else:
                models[name] = loaded
            changed = True
        self._default_now = default
        self._take_over(models, unloaded, failures, keep=default)
        if changed:
            _settle_memory()
        return changed

    def _load(self, name: str) -> None:
        """Load what somebody asked for."""
        with self._lock:
            version = self.unloaded.get(name)
            if version is None:
                return
            models, unloaded, failures = dict(self.models), dict(self.unloaded), dict(self.failures)
            loaded = self._loaded(version)
            del unloaded[name]
            if isinstance(loaded, Failure):
                failures[name] = loaded
            else:
                models[name] = loaded
            self._take_over(models, unloaded, failures, keep=name)
            _settle_memory()

    def _take_over(
        self,
        models: dict[str, ServedModel],
        unloaded: dict[str, ModelVersion],
        failures: dict[str, Failure],
        *,
        keep: str | None,
    ) -> None:
        """Have requests see these, after letting go of what has no room: least recently used first."""
        candidates = [name for name in models if name not in (keep, self._default_now)]
        for name in sorted(candidates, key=lambda name: self._used_at.get(name, 0.0)):
            if not self._is_over(models):
                break
            dropped = models.pop(name)
            unloaded[name] = dropped.registered
            log.info("%s version %s is let go: the models loaded take too much", name, dropped.version)
        # Each is one assignment, a model being in one of them at any moment.
        self.unloaded = {**unloaded, **{n: m.registered for n, m in self.models.items() if n in unloaded}}
        self.models = models
        self.unloaded, self.failures = unloaded, failures

    def _is_over(self, models: dict[str, ServedModel]) -> bool:
        return bool(self._max_bytes) and sum(model.n_bytes for model in models.values()) > self._max_bytes

    def _default_of(self, known: Collection[str]) -> str | None:
        if self._default is not None:
            return self._default
        ordered = [name for name in self._order if name in known] or sorted(known)
        return ordered[0] if ordered else None

    def _loaded(self, version: ModelVersion) -> ServedModel | Failure:
        """The version, loaded and verified, or why it can't be."""
        try:
            model = load_served(
                self._with_files(version),
                trusted_types=self._trusted_types,
                layout=self._layout,
                is_measured=self._max_bytes > 0,
                engine=self._engine,
            )
        except WorkbenchError as error:
            failure = Failure(version.name, version.version, str(error))
            self._report(failure)
            return failure
        self._used_at[model.name] = time.monotonic()
        log.info("%s version %s is in service", model.name, model.version)
        if self._engine != "native":
            level = logging.INFO if model.engine == self._engine else logging.WARNING
            log.log(
                level,
                "%s version %s: engine %s: %s",
                model.name,
                model.version,
                model.engine,
                model.engine_note,
            )
        for difference in model.differences:
            log.warning("%s version %s: %s", model.name, model.version, difference)
        if self._layout is not None:
            with contextlib.suppress(WorkbenchError, OSError):
                clear_alert(
                    self._layout, _alert_key(model.name), reason=f"version {model.version} is in service"
                )
        return model

    def _with_files(self, version: ModelVersion) -> ModelVersion:
        """The version with its files on this machine; a registry elsewhere fetches them."""
        if version.model_dir is not None:
            return version
        return self._registry.version(version.name, version.version)

    def _report(self, failure: Failure) -> None:
        key = (failure.name, failure.version)
        if key in self._reported:
            return
        self._reported.add(key)
        log.error("%s version %s is not served: %s", failure.name, failure.version, failure.reason)
        if self._layout is None:
            return
        present = self.models.get(failure.name)
        serving = f"; version {present.version} goes on answering" if present is not None else ""
        try:
            if not self._is_journalled(failure):
                append_event(
                    self._layout,
                    "load_failed",
                    model=failure.name,
                    from_=str(present.version) if present else None,
                    to=str(failure.version),
                    reason=failure.reason,
                )
            raise_alert(
                self._layout,
                _alert_key(failure.name),
                kind="load_failed",
                severity="critical" if present is None else "warning",
                message=f"{failure.name} version {failure.version} is not served: {failure.reason}{serving}",
                model=failure.name,
                version=failure.version,
                quiet=True,
            )
        except WorkbenchError as error:
            log.warning("cannot journal it: %s", error)

    def _is_journalled(self, failure: Failure) -> bool:
        """Whether another worker was first to say so: since anything else happened to the model, that is."""
        assert self._layout is not None
        for event in reversed(read_events(self._layout, model=failure.name, limit=20)):
            if not event.what.startswith("alert_"):
                return (event.what, event.to, event.reason) == (
                    "load_failed",
                    str(failure.version),
                    failure.reason,
                )
        return False


def _alert_key(name: str) -> str:
    return f"load_failed:{name}"


def _settle_memory() -> None:
    """Let the garbage collector never look at what stays: its pauses would be every request's. What loading
    took for a moment goes back to the system, which glibc alone keeps."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _same_files(present: ServedModel, version: ModelVersion) -> bool:
    """Whether the version still is where it was loaded from; one that was fetched stays what it was."""
    return version.model_dir is None or present.registered.model_dir == version.model_dir
