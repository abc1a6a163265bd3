"""A form made from a served model's signature, and one prediction made with what was typed into it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any
from urllib.parse import quote

from store.errors import NotFoundError, WorkbenchError
from workbench.desk.loopback import UnreachableError, ask

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})
_MOST_CHOICES = 6
_TIMEOUT_S = 30.0
"""A large model may take its time for the first row."""


@dataclass(frozen=True)
class FormField:
    """One feature. `kinds` are JSON schema's types, `hint` what it takes in words, `text` the example."""

    name: str
    kinds: tuple[str, ...]
    is_required: bool
    hint: str
    text: str = ""
    choices: tuple[Any, ...] = ()
    description: str = ""

    def value(self, text: str) -> Any:
        """The JSON value that a person means; None is missing. Raises ValueError with what is expected.

        Only the type is looked at: limits are the server's to check.
        """
        text = text.strip()
        if text == "" or (text.lower() in ("null", "none") and "string" not in self.kinds):
            if self.is_required:
                raise ValueError(f"needed: {self.hint}")
            return None
        for choice in self.choices:
            if text == _as_text(choice):
                return choice
        if {"number", "integer"} & set(self.kinds) and (number := _number(text)) is not None:
            return number
        if "boolean" in self.kinds and text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        if "string" in self.kinds:
            return text
        raise ValueError(f"expected {self.hint}")


@dataclass(frozen=True)
class TryForm:
    """The fields of one model version."""

    model: str
    version: int
    fields: tuple[FormField, ...]
    key: str | None = attribute(default=None, repr=False)
    """The API key to send."""

    def record(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The features to send. Raises FormError for what can't be meant."""
        features, errors = {}, {}
        for field in self.fields:
            try:
                value = field.value(texts.get(field.name, ""))
            except ValueError as error:
                errors[field.name] = str(error)
                continue
            if value is not None:
                features[field.name] = value
        if errors:
            raise FormError(errors)
        return features


class FormError(WorkbenchError):
    """Fields that can't be sent or that the server refused, each with what was expected."""

    def __init__(self, errors: Mapping[str, str], message: str = "") -> None:
        first = next(iter(errors.items()), ("", ""))
        super().__init__(message or f"{first[0]}: {first[1]}")
        self.errors = dict(errors)


@dataclass(frozen=True)
class Answer:
    """What the server predicted. `facts` are (label, value), the most important first."""

    model: str
    version: int
    prediction: str
    facts: tuple[tuple[str, str], ...]
    probabilities: tuple[tuple[str, float], ...] = ()
    """By class, the likeliest first."""
    is_logged: bool = True


def form_for(url: str, model: str, key: str | None = None) -> TryForm:
    """The form of a model in service, filled with its example. Raises WorkbenchError where there is none."""
    reply = ask(url, f"/models/{quote(model, safe='')}", key=key)
    found = reply.json()
    if reply.status != 200:
        raise NotFoundError(_detail(found, reply.status), "Promote a version that loads.")
    example = found.get("example") or {}
    return TryForm(
        str(found["name"]),
        int(found["version"]),
        tuple(_field(item, example) for item in found.get("signature", ())),
        key,
    )


def predict(url: str, form: TryForm, texts: Mapping[str, str]) -> Answer:
    """Send one record. Raises FormError for its fields, WorkbenchError for anything else."""
    features = form.record(texts)
    started = time.perf_counter()
    path = f"/models/{quote(form.model, safe='')}/predict"
    reply = ask(url, path, method="POST", body={"features": features}, timeout_s=_TIMEOUT_S, key=form.key)
    took_ms = (time.perf_counter() - started) * 1000
    body = reply.json()
    if reply.status != 200:
        raise _refusal(form, body, reply.status)
    if not isinstance(body, dict) or "prediction" not in body:
        raise UnreachableError("the server's answer is no prediction")
    return _answer(body, took_ms)


def _field(item: Mapping[str, Any], example: Mapping[str, Any]) -> FormField:
    kinds = item.get("type") or ()
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    choices = tuple(value for value in item.get("enum") or () if value is not None)
    return FormField(
        name=str(item["name"]),
        kinds=kinds,
        is_required=bool(item.get("required")),
        hint=_hint(item, kinds, choices),
        text=_as_text(example.get(item["name"])),
        choices=choices,
        description=str(item.get("description") or ""),
    )


def _hint(item: Mapping[str, Any], kinds: tuple[str, ...], choices: tuple[Any, ...]) -> str:
    """What a field takes, in few words: `0 … 23`, `spring | summer`, `number`."""
    if choices:
        listed = " | ".join(_as_text(choice) for choice in choices[:_MOST_CHOICES])
        hint = listed + (" | …" if len(choices) > _MOST_CHOICES else "")
    else:
        named = [kind for kind in kinds if kind != "null"]
        hint = "date or time" if item.get("format") == "date-time" else " or ".join(named)
        hint = hint.replace("integer", "whole number").replace("boolean", "yes or no")
        low, high = item.get("minimum"), item.get("maximum")
        if low is not None and high is not None:
            hint += f" {low:g} … {high:g}"
        elif low is not None:
            hint += f" ≥ {low:g}"
        elif high is not None:
            hint += f" ≤ {high:g}"
    return hint if item.get("required") else f"{hint}, may be empty"


def _number(text: str) -> float | int | None:
    """A number as people write it; a comma is a decimal point where it can only be one."""
    if "_" in text:
        return None
    if "." not in text and text.count(",") == 1:
        text = text.replace(",", ".")
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _as_text(value: Any) -> str:
    """An example's value as somebody would type it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return value if isinstance(value, str) else json.dumps(value)


def _answer(body: Mapping[str, Any], took_ms: float) -> Answer:
    facts: list[tuple[str, str]] = []
    probability = body.get("probability")
    if isinstance(probability, (int, float)):
        facts.append(("probability", f"{probability:.4f}"))
    if body.get("confidence"):
        facts.append(("confidence", str(body["confidence"])))
    latency = body.get("latency_ms")
    if isinstance(latency, (int, float)):
        facts.append(("latency", f"{latency:.2f} ms, {took_ms:.1f} ms with the way there and back"))
    prediction_id = body.get("prediction_id")
    facts.append(("prediction id", str(prediction_id) if prediction_id else "none: it could not be logged"))
    by_class = body.get("probabilities")
    probabilities = sorted(by_class.items(), key=lambda item: -item[1]) if isinstance(by_class, dict) else []
    prediction = body["prediction"]
    return Answer(
        model=str(body.get("model", "")),
        version=int(body.get("version") or 0),
        prediction=f"{prediction:.6g}" if isinstance(prediction, float) else _as_text(prediction),
        facts=tuple(facts),
        probabilities=tuple(probabilities),
        is_logged=prediction_id is not None,
    )


def _refusal(form: TryForm, body: Any, status: int) -> WorkbenchError:
    errors = body.get("errors") if isinstance(body, dict) else None
    known = {field.name for field in form.fields}
    found = {
        str(item.get("field")): str(item.get("message"))
        for item in (errors if isinstance(errors, list) else ())
        if isinstance(item, dict) and item.get("field") in known
    }
    if found:
        return FormError(found, _detail(body, status))
    return WorkbenchError(_detail(body, status))


def _detail(body: Any, status: int) -> str:
    detail = body.get("detail") if isinstance(body, dict) else None
    return str(detail) if detail else f"the server answers {status}"
