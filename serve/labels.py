"""POST /feedback: the labels that turned out to be true, for predictions made any time before."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from serve.bodies import body_format, parse_json
from serve.disclosure import without_folders
from serve.problems import MOST_ERRORS, Problem, shown
from serve.request_body import read_body
from serve.telemetry import Telemetry
from store.errors import WorkbenchError
from store.feedback import Item, give_feedback, published_classes

if TYPE_CHECKING:
    from serve.clerk import Clerk
    from serve.clerk_desk import RemoteClerk
    from serve.hosting import ModelHost
    from serve.settings import ServeSettings
    from store.layout import Layout
    from store.log import PredictionLog

_LONGEST_ID = 200
_LONGEST_LABEL = 1_000
_KNOWN = frozenset({"prediction_id", "actual", "timestamp"})


class FeedbackDesk:
    """Takes labels in; where there is no project to keep them, says so."""

    def __init__(
        self,
        settings: ServeSettings,
        telemetry: Telemetry,
        prediction_log: PredictionLog | None,
        clerk: Clerk | RemoteClerk | None,
        host: ModelHost | None = None,
        layout: Layout | None = None,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._log = prediction_log
        self._clerk = clerk
        self._host = host
        self._published = published_classes(layout) if layout is not None else None
        self._one_at_a_time = asyncio.Lock()

    async def take(self, request: Request) -> Response:
        """The endpoint: 202 with how many labels belong to predictions that are known here."""
        body = await read_body(request, self._settings.max_body, self._settings.timeout)
        kind = body_format(request.headers.get("content-type", ""))
        if kind == "csv":
            raise Problem(415, "feedback is read as JSON or JSON lines")
        value = (
            parse_json(body)
            if kind == "json"
            else [parse_json(line) for line in body.splitlines() if line.strip()]
        )
        items = read_items(value)
        if self._log is None or self._clerk is None:
            raise Problem(503, "this server keeps no predictions, so it can't keep their labels")
        try:
            async with self._one_at_a_time:
                receipt = await asyncio.to_thread(
                    give_feedback, self._log, self._clerk, items, self._classes_of
                )
        except WorkbenchError as error:
            raise Problem(
                503,
                f"no feedback for the moment: {without_folders(str(error))}",
                headers={"Retry-After": "5"},
            ) from error
        if receipt.lost:
            self._telemetry.feedback.labels("lost").inc(receipt.lost)
            self._telemetry.lost_rows.inc(receipt.lost)
            raise Problem(
                503,
                f"the labels could not be written: {without_folders(str(self._log.problem))}",
                headers={"Retry-After": "30"},
            )
        self._telemetry.feedback.labels("accepted").inc(receipt.accepted)
        self._telemetry.feedback.labels("unknown").inc(receipt.unknown)
        answer: dict[str, Any] = {"accepted": receipt.accepted, "unknown": receipt.unknown}
        if receipt.unknown_ids:
            answer["unknown_ids"] = list(receipt.unknown_ids)
        if receipt.unexpected:
            self._telemetry.feedback.labels("unexpected").inc(receipt.unexpected)
            few = ", ".join(map(shown, receipt.unexpected_labels))
            answer["unexpected"] = receipt.unexpected
            answer["warning"] = (
                f"kept, but no class of the model that predicted: {few}; its classes are: "
                f"{', '.join(receipt.expected_classes)[:200]}"
            )
        return Response(orjson.dumps(answer), 202, media_type="application/json")

    def _classes_of(self, model: str, version: int) -> Sequence[Any] | None:
        """Of a version in service its own, of any other those of its published reference."""
        served = self._host.models.get(model) if self._host is not None else None
        if served is not None and served.version == version:
            return served.loaded.classes
        return self._published(model, version) if self._published is not None else None


def read_items(value: Any) -> list[Item]:
    """Labels from parsed JSON; Problem 422 naming what is wrong in which."""
    records = value if isinstance(value, list) else [value]
    if not records:
        raise Problem(422, "no feedback in the body; expected at least one label")
    errors: list[dict[str, Any]] = []
    items = []
    for position, record in enumerate(records):
        item = _read_item(record, position if isinstance(value, list) else None, errors)
        if item is not None:
            items.append(item)
        if len(errors) >= MOST_ERRORS:
            break
    if errors:
        first = errors[0]
        where = f"item {first['row']}: " if "row" in first else ""
        raise Problem(422, f"{where}{first['field']}: {first['message']}", errors=errors)
    return items


def _read_item(record: Any, position: int | None, errors: list[dict[str, Any]]) -> Item | None:
    found: list[tuple[str, str]] = []
    prediction_id = actual = observed_at = None
    if not isinstance(record, dict):
        found.append(("feedback", f'expected {{"prediction_id", "actual"}}, got {shown(record)}'))
    else:
        found.extend(_unknown(record))
        prediction_id, actual = record.get("prediction_id"), record.get("actual")
        if not _is_short_text(prediction_id, _LONGEST_ID):
            found.append(("prediction_id", f"expected the id of a prediction, got {shown(prediction_id)}"))
        if not _is_label(actual):
            got = shown(actual) if "actual" in record else "nothing"
            found.append(("actual", f"expected a number, string or boolean, got {got}"))
        try:
            observed_at = _read_time(record.get("timestamp"))
        except (TypeError, ValueError, OverflowError):
            found.append(("timestamp", f"expected a time (ISO 8601), got {shown(record['timestamp'])}"))
    if found:
        place = {} if position is None else {"row": position}
        errors.extend({**place, "field": field, "message": message} for field, message in found)
        return None
    return str(prediction_id), actual, observed_at  # type: ignore[return-value]


def _read_time(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _unknown(record: dict[str, Any]) -> Sequence[tuple[str, str]]:
    unknown = [name for name in record if name not in _KNOWN]
    message = f"unknown field; expected {', '.join(sorted(_KNOWN))}"
    return [(name[:100].encode("utf-8", "replace").decode("utf-8"), message) for name in unknown]


def _is_short_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and _is_encodable(value)


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_label(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return -1e300 < value < 1e300 and math.isfinite(value)
    return _is_short_text(value, _LONGEST_LABEL)
