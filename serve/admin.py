"""POST /admin/reload, /admin/promote, /admin/rollback and /admin/retrain: production, changed from afar."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve.bodies import parse_json
from serve.gate import answering_problems
from serve.problems import Problem, shown
from serve.request_body import read_body
from serve.retraining import queue_training
from store.errors import BusyError, NotFoundError, StorageError, UsageError, WorkbenchError
from store.journal import append_event

if TYPE_CHECKING:
    from serve.hosting import ModelHost
    from serve.settings import ServeSettings
    from store.layout import Layout
    from store.registry import Registry, Role, Transition

_ROLES = ("champion", "challenger", "staging")
_LONGEST_REASON = 2_000
T = TypeVar("T")


class AdminDesk:
    """The endpoints that need a key with the admin scope; the audit trail names that key."""

    def __init__(
        self,
        host: ModelHost,
        registry: Registry,
        settings: ServeSettings,
        layout: Layout | None,
        *,
        on_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._registry = registry
        self._settings = settings
        self._layout = layout
        self._on_changed = on_changed

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(path, answering_problems(endpoint), methods=["POST"])
            for path, endpoint in (
                ("/admin/reload", self.reload),
                ("/admin/promote", self.promote),
                ("/admin/rollback", self.rollback),
                ("/admin/retrain", self.retrain),
            )
        ]

    async def reload(self, request: Request) -> Response:
        """Look at the registry again, and try once more what failed to load."""
        who = _who(request)
        layout = self._layout
        if layout is not None:
            await _changing(lambda: append_event(layout, "reloaded", who=who))
        await asyncio.to_thread(self._host.refresh, force=True)
        self._on_changed()
        return self._standing()

    async def promote(self, request: Request) -> Response:
        """{"model", "version", optional "to" and "reason"}: make a version champion or challenger."""
        asked = await self._read(request, {"model", "version", "to", "reason"})
        model, reason = _text(asked, "model"), _reason(asked)
        version, to = asked.get("version"), asked.get("to", "champion")
        if type(version) is not int or version < 1:
            raise _wrong("version", f"expected the number of a version, got {shown(version)}")
        if to not in _ROLES:
            raise _wrong("to", f"expected one of {', '.join(_ROLES)}; got {shown(to)}")
        role, who = cast("Role", to), _who(request)
        return await self._change(
            lambda: self._registry.promote(model, version, to=role, who=who, reason=reason)
        )

    async def rollback(self, request: Request) -> Response:
        """{"model", optional "reason"}: make the champion before the present one champion again."""
        asked = await self._read(request, {"model", "reason"})
        model, reason, who = _text(asked, "model"), _reason(asked), _who(request)
        return await self._change(lambda: self._registry.rollback(model, who=who, reason=reason))

    async def retrain(self, request: Request) -> Response:
        """{"pipeline", optional "reason"}: queue a training, which the project's watcher runs."""
        asked = await self._read(request, {"pipeline", "reason"})
        pipeline, reason, who = _text(asked, "pipeline"), _reason(asked), _who(request)
        layout = self._layout
        if layout is None:
            raise Problem(404, "this server serves no project")
        job = await _changing(lambda: queue_training(layout, pipeline, reason=reason, who=who))
        return Response(orjson.dumps(job.as_json()), status_code=202, media_type="application/json")

    async def _change(self, change: Callable[[], Transition]) -> Response:
        transition = await _changing(change)
        await asyncio.to_thread(self._host.refresh)
        self._on_changed()
        return self._standing(
            model=transition.model, **{"from": transition.from_version, "to": transition.to_version}
        )

    def _standing(self, **more: Any) -> Response:
        failures = [
            {"name": failure.name, "version": failure.version, "reason": failure.reason}
            for failure in self._host.failures.values()
        ]
        models = {model.name: model.version for model in self._host.ordered()}
        return Response(
            orjson.dumps({**more, "models": models, "failures": failures}), media_type="application/json"
        )

    async def _read(self, request: Request, known: set[str]) -> Mapping[str, Any]:
        asked = parse_json(await read_body(request, self._settings.max_body, self._settings.timeout))
        if not isinstance(asked, Mapping):
            raise Problem(422, f"expected an object, got {shown(asked)}")
        for name in asked:
            if name not in known:
                raise _wrong(name, f"unknown field; expected {', '.join(sorted(known))}")
        return asked


async def _changing(change: Callable[[], T]) -> T:
    """Run it in a thread; its errors become problems."""
    try:
        return await asyncio.to_thread(change)
    except NotFoundError as error:
        raise Problem(404, str(error)) from error
    except UsageError as error:
        raise Problem(422, str(error)) from error
    except (BusyError, StorageError) as error:
        raise Problem(503, str(error), headers={"Retry-After": "5"}) from error
    except WorkbenchError as error:
        raise Problem(409, str(error)) from error


def _who(request: Request) -> str:
    name: str = request.scope["key"].name
    return name


def _text(asked: Mapping[str, Any], field: str) -> str:
    value = asked.get(field)
    if not isinstance(value, str) or not value:
        raise _wrong(field, f"expected a name, got {shown(value)}")
    return value


def _reason(asked: Mapping[str, Any]) -> str | None:
    reason = asked.get("reason")
    if reason is None:
        return None
    if not isinstance(reason, str) or len(reason) > _LONGEST_REASON:
        raise _wrong("reason", f"expected a text of at most {_LONGEST_REASON} characters")
    try:
        reason.encode("utf-8")
    except UnicodeEncodeError:
        raise _wrong("reason", "its text can't be encoded") from None
    return reason


def _wrong(field: str, message: str) -> Problem:
    name = field[:100].encode("utf-8", "replace").decode("utf-8")
    return Problem(422, f"{name}: {message}", errors=[{"field": name, "message": message}])
