"""Which models are in service: finds champions in the registry, loads them, and swaps them on promotion."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serve.problems import Problem
from serve.served_model import ServedModel, load_served
from store.errors import NotFoundError, UsageError, WorkbenchError
from store.journal import append_event
from store.registry import ModelVersion, Registry

if TYPE_CHECKING:
    from store.layout import Layout

log = logging.getLogger("workbench.serve")


@dataclass(frozen=True)
class Failure:
    """A version that should be in service and isn't."""

    name: str
    version: int
    """0 where there is no such version yet."""
    reason: str


@dataclass(frozen=True)
class ModelReference:
    """`models:/NAME/STAGE`, `models:/NAME@alias` or `models:/NAME/N`: one model, followed where it moves."""

    name: str
    which: int | str

    @classmethod
    def parse(cls, uri: str) -> ModelReference:
        """Raises UsageError for what is no such URI."""
        rest = uri.removeprefix("models:").strip("/")
        if uri.startswith("models:"):
            name, at, alias = rest.rpartition("@")
            if at and name and alias:
                return cls(name, alias)
            name, slash, which = rest.rpartition("/")
            if slash and name and which:
                return cls(name, int(which) if which.isdigit() else which)
        raise UsageError(
            f"{uri!r} names no registered model",
            "Use models:/NAME/STAGE, models:/NAME@ALIAS or models:/NAME/3.",
        )


class ModelHost:
    """The models in service. Requests read `models`; only `refresh`, in one thread at a time, changes it."""

    def __init__(
        self,
        registry: Registry,
        *,
        layout: Layout | None,
        model_order: Sequence[str] = (),
        default: str | None = None,
        trusted_types: Collection[str] = (),
        only: ModelReference | None = None,
    ) -> None:
        self._registry = registry
        self._layout = layout
        self._order = tuple(model_order)
        self._default = default
        self._trusted_types = trusted_types
        self._only = only
        self._lock = threading.Lock()
        self._seen: Hashable = object()
        self._reported: set[tuple[str, int]] = set()
        self.models: dict[str, ServedModel] = {}
        self.failures: dict[str, Failure] = {}
        """By name; an older version of the same model may still be in service."""
        self.registry_problem: str | None = None
        """Why the registry couldn't be read the last time, where it couldn't."""

    def refresh(self, *, force: bool = False) -> bool:
        """Bring the models in service in line with the registry; True when anything changed.

        Costs a look at the registry's fingerprint when nothing did. A version that fails to load leaves the
        one before it in service; the journal says so once.
        """
        with self._lock:
            try:
                fingerprint = self._registry.fingerprint()
                if fingerprint == self._seen and not force:
                    return False
                wanted = self._wanted()
            except (WorkbenchError, OSError) as error:
                if str(error) != self.registry_problem:
                    log.warning("cannot read the registry: %s", error)
                self.registry_problem = str(error)
                return False
            self._seen = fingerprint
            self.registry_problem = None
            return self._serve(wanted)

    def find(self, name: str | None) -> ServedModel:
        """The model of that name, or the default one; Problem 404 or 503 when it can't answer."""
        wanted = name if name is not None else self.default_name()
        if wanted is not None:
            model = self.models.get(wanted)
            if model is not None:
                return model
            failure = self.failures.get(wanted)
            if failure is not None:
                version = f" version {failure.version}" if failure.version else ""
                raise Problem(
                    503,
                    f"model {wanted!r}{version} is not loaded: {failure.reason}",
                    headers={"Retry-After": "10"},
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
        there_are = ", ".join(sorted(self.models)) or "none"
        raise Problem(404, f"no model of that name is served; there are: {there_are}", reason="no_such_model")

    def default_name(self) -> str | None:
        """The model that answers /predict: the one the settings name, else that of the first pipeline."""
        if self._default is not None:
            return self._default
        known = self.models.keys() | self.failures.keys()
        ordered = [name for name in self._order if name in known] or sorted(known)
        return ordered[0] if ordered else None

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
        changed = models.keys() != self.models.keys()
        for name, version in wanted.items():
            present = models.get(name)
            if present is not None and present.version == version.version and _same_files(present, version):
                continue
            try:
                models[name] = load_served(
                    self._with_files(version), trusted_types=self._trusted_types, layout=self._layout
                )
                log.info("%s version %s is in service", name, version.version)
                for difference in models[name].differences:
                    log.warning("%s version %s: %s", name, version.version, difference)
            except WorkbenchError as error:
                failures[name] = Failure(name, version.version, str(error))
                self._report(failures[name])
            changed = True
        # One assignment: a request sees either the old models or the new ones.
        self.models, self.failures = models, failures
        if changed:
            gc.collect()
            gc.freeze()
        return changed

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
        try:
            append_event(
                self._layout,
                "load_failed",
                model=failure.name,
                from_=str(present.version) if present else None,
                to=str(failure.version),
                reason=failure.reason,
            )
        except WorkbenchError as error:
            log.warning("cannot journal it: %s", error)


def _same_files(present: ServedModel, version: ModelVersion) -> bool:
    """Whether the version still is where it was loaded from; one that was fetched stays what it was."""
    return version.model_dir is None or present.registered.model_dir == version.model_dir
