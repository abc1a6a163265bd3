"""MLflow's search language for runs: the same filters and orders, with the same answers.

metrics.rmse < 0.9 and params.`learning rate` = "0.1" and tags.owner IS NOT NULL
"""

from __future__ import annotations

import ast
import math
import operator
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from store.errors import UsageError
from store.mlflow_files import to_ms
from store.runs import Run

Datasets = Callable[[Run], Sequence[dict[str, str]]]
"""The datasets of a run ({"name", "digest", "context"}), read only when a filter asks for them."""

_ENTITIES = {
    "metric": ("metric", "metrics"),
    "parameter": ("parameter", "parameters", "param", "params"),
    "tag": ("tag", "tags"),
    "attribute": ("attribute", "attributes", "attr", "run"),
    "dataset": ("dataset", "datasets"),
}
_ENTITY = {word: entity for entity, words in _ENTITIES.items() for word in words}
_ALIASES = {
    "created": "start_time",
    "Created": "start_time",
    "run name": "run_name",
    "Run name": "run_name",
    "Run Name": "run_name",
}
_NUMERIC_ATTRIBUTES = frozenset(("start_time", "end_time"))
_ATTRIBUTES = frozenset(("artifact_uri", "run_id", "run_name", "status", "user_id")) | _NUMERIC_ATTRIBUTES
_DATASET_KEYS = frozenset(("name", "digest", "context"))
_NUMERIC = frozenset((">", ">=", "!=", "=", "<", "<="))
_TEXT = frozenset(("!=", "=", "LIKE", "ILIKE"))
_NULL = frozenset(("IS NULL", "IS NOT NULL"))
_LIST = frozenset(("IN", "NOT IN"))

_QUOTED = r"""'(?:''|\\'|[^'])*'|"(?:""|\\"|[^"])*\""""
_IDENTIFIER = (
    r"""(?:`[^`]*`|"(?:""|\\"|[^"])*"|[^\W\d]\w*)(?:\.(?:`[^`]*`|"(?:""|\\"|[^"])*"|'[^']*'|\w+))*"""
)
_CLAUSE = re.compile(
    rf"""\s*(?P<identifier>{_IDENTIFIER})\s*
    (?:(?P<null>\bIS\s+(?:NOT\s+)?NULL\b)
      |(?P<comparator>[<>=!~]+|\b(?:NOT\s+)?(?:I?LIKE|IN)\b)\s*
       (?P<value>{_QUOTED}|\([^()]*\)|-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])))""",
    re.IGNORECASE | re.VERBOSE,
)
_AND = re.compile(r"\s*\bAND\b", re.IGNORECASE)
_ORDER = re.compile(rf"\s*({_IDENTIFIER})(?:\s+(\w+))?\s*", re.IGNORECASE)
_HINT = "Example: metrics.rmse < 0.9 and params.`a b` = 'x' (clauses joined by AND)."


@dataclass(frozen=True)
class Clause:
    """One comparison; `value` is None for IS NULL and IS NOT NULL."""

    entity: str
    key: str
    comparator: str
    value: Any

    def matches(self, run: Run, datasets: Datasets) -> bool:
        if self.entity == "dataset":
            compare = _COMPARE[self.comparator]
            return any(
                compare(dataset[self.key], self.value) for dataset in datasets(run) if self.key in dataset
            )
        left = value_of(run, self.entity, self.key)
        if self.comparator == "IS NULL":
            return left is None
        if self.comparator == "IS NOT NULL" or left is None:
            return left is not None
        return bool(_COMPARE[self.comparator](left, self.value))


@dataclass(frozen=True)
class Order:
    entity: str
    key: str
    ascending: bool


def parse_filter(text: str | None) -> tuple[Clause, ...]:
    """The clauses, all of which must hold; UsageError says what MLflow wouldn't accept."""
    clauses: list[Clause] = []
    position = 0
    rest = (text or "").rstrip()
    while position < len(rest):
        if clauses:
            joint = _AND.match(rest, position)
            if joint is None:
                raise _refused(rest, rest[position:])
            position = joint.end()
        match = _CLAUSE.match(rest, position)
        if match is None:
            raise _refused(rest, rest[position:])
        clauses.append(_clause(match, rest))
        position = match.end()
    return tuple(clauses)


def parse_order(text: str) -> Order:
    """`metrics.rmse ASC`; ascending unless it says DESC."""
    match = _ORDER.fullmatch(text)
    direction = (match.group(2) or "asc").lower() if match else ""
    if match is None or direction not in ("asc", "desc"):
        raise UsageError(f"cannot order by {text!r}", "Example: metrics.rmse ASC, or start_time DESC.")
    identifier = match.group(1)
    if match.group(2):
        identifier = shlex.split(identifier.replace("`", '"'))[0]
    entity, key = _identify(identifier, f"order {text!r}")
    if entity == "dataset":
        raise UsageError("runs can't be ordered by a dataset", "Use metrics, params, tags or attributes.")
    return Order(entity, key, direction == "asc")


def filter_runs(runs: Iterable[Run], clauses: Sequence[Clause], datasets: Datasets) -> list[Run]:
    return [run for run in runs if all(clause.matches(run, datasets) for clause in clauses)]


def sort_runs(runs: Iterable[Run], orders: Sequence[Order]) -> list[Run]:
    """Newest first, ties by id, then by `orders`; missing values last whatever the direction."""
    ordered = sorted(runs, key=lambda run: (-to_ms(run.started_at) if run.started_at else 0, run.run_id))
    for order in reversed(orders):
        ordered.sort(key=lambda run: _sort_key(run, order), reverse=not order.ascending)
    return ordered


def value_of(run: Run, entity: str, key: str) -> Any:
    """What a filter or order compares; None where the run has no such value."""
    if entity == "metric":
        return run.metrics.get(key)
    if entity == "parameter":
        return run.params.get(key)
    if entity == "tag":
        return run.tags.get(key)
    if key in _NUMERIC_ATTRIBUTES:
        at = run.started_at if key == "start_time" else run.ended_at
        return None if at is None else to_ms(at)
    return getattr(run, "name" if key == "run_name" else key)


def _clause(match: re.Match[str], text: str) -> Clause:
    entity, key = _identify(match["identifier"], f"filter {text!r}")
    comparator = " ".join((match["null"] or match["comparator"]).upper().split())
    shown = match.group().strip()
    allowed = _allowed(entity, key)
    if comparator not in allowed:
        raise UsageError(f"{comparator} doesn't apply in {shown!r}", f"Here: {', '.join(sorted(allowed))}.")
    if match["null"]:
        return Clause(entity, key, comparator, None)
    value = match["value"]
    if entity == "metric" or key in _NUMERIC_ATTRIBUTES:
        if value[0] in "'\"(":
            raise UsageError(f"{shown!r} compares a number with text", "Leave the quotes out.")
        number: Any = float(value)
        if entity == "attribute" and re.fullmatch(r"-?\d+", value):
            number = int(value)
        return Clause(entity, key, comparator, number)
    if value[0] == "(":
        return Clause(entity, key, comparator, _parse_list(value, comparator, shown))
    if value[0] not in "'\"":
        raise UsageError(f"{shown!r} compares text with a number", f"Put it in quotes: '{value}'.")
    return Clause(entity, key, comparator, value[1:-1])


def _allowed(entity: str, key: str) -> frozenset[str]:
    if entity == "metric" or key in _NUMERIC_ATTRIBUTES:
        return _NUMERIC
    if entity in ("parameter", "tag"):
        return _TEXT | _NULL
    return _TEXT | _LIST


def _parse_list(value: str, comparator: str, shown: str) -> tuple[str, ...]:
    try:
        parsed = ast.literal_eval(value)
    except (SyntaxError, ValueError):
        parsed = ()
    items = parsed if isinstance(parsed, tuple) else (parsed,)
    if comparator not in _LIST or not items or not all(isinstance(item, str) for item in items):
        raise UsageError(f"{shown!r} needs a list of quoted texts after IN", "Example: run_id IN ('a', 'b').")
    return items


def _identify(identifier: str, where: str) -> tuple[str, str]:
    word, dot, key = identifier.partition(".")
    if not dot:
        word, key = "attribute", word
    entity = _ENTITY.get(_unquote(word, "`"))
    if entity is None:
        raise UsageError(
            f"unknown word {word!r} in {where}", "Use metrics, params, tags, attributes or datasets."
        )
    key = _unquote(_unquote(_unquote(key, "'"), '"'), "`")
    if entity == "attribute":
        key = _ALIASES.get(key, key)
        if key not in _ATTRIBUTES:
            raise UsageError(
                f"unknown attribute {key!r} in {where}", f"Known: {', '.join(sorted(_ATTRIBUTES))}."
            )
    if entity == "dataset" and key not in _DATASET_KEYS:
        raise UsageError(f"unknown key {key!r} of datasets in {where}", "Known: name, digest, context.")
    return entity, key


def _unquote(text: str, quote: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == quote == text[-1] else text


def _sort_key(run: Run, order: Order) -> tuple[bool, Any]:
    value = value_of(run, order.entity, order.key)
    last = math.inf if order.ascending else -math.inf
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    if missing:  # NaN before what isn't there at all
        value = last if value is None else -last
    return (missing if order.ascending else not missing), value


@lru_cache(maxsize=64)
def like(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """What LIKE matches with its pattern, from the start of a text."""
    regex = re.escape(pattern).replace("%", ".*").replace("_", ".")
    start = "" if pattern.startswith("%") else "^"
    end = "" if pattern.endswith("%") else "$"
    return re.compile(f"{start}{regex}{end}", flags)


def _like(text: str, pattern: str, flags: int = 0) -> bool:
    return like(pattern, flags).match(text) is not None


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    "LIKE": _like,
    "ILIKE": lambda text, pattern: _like(text, pattern, re.IGNORECASE),
    "IN": lambda value, items: value in items,
    "NOT IN": lambda value, items: value not in items,
}


def _refused(text: str, rest: str) -> UsageError:
    return UsageError(f"cannot read {rest.strip()!r} in filter {text!r}", _HINT)
