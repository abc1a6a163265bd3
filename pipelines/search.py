"""Looks for the best parameters of a pipeline: a grid, random draws, or halving, fold by fold."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipelines.answers import interpret
from pipelines.columns import TaskName
from pipelines.fitting import Fitter
from pipelines.metrics import Metric
from pipelines.search_settings import Distribution, SearchSettings
from store.errors import SettingsError, TrainingError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_LEAST_ROWS = 50
"""Rows that the first round of halving has at least."""


@dataclass
class Candidate:
    """One set of parameters and how it did."""

    number: int
    params: Mapping[str, Any]
    scores: dict[int, float] = field(default_factory=dict)
    """By fold; NaN where the metric can't be computed."""
    rows: int = 0
    """Rows that the folds of its last round were made of."""
    round: int = 0
    seconds: float = 0.0
    error: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def mean(self) -> float:
        values = [self.scores[fold] for fold in sorted(self.scores)]
        return float(np.mean(values)) if values and self.error is None else math.nan

    @property
    def std(self) -> float:
        values = [self.scores[fold] for fold in sorted(self.scores)]
        return float(np.std(values)) if values and self.error is None else math.nan

    def as_json(self) -> dict[str, Any]:
        return {
            "params": dict(self.params),
            "mean": None if math.isnan(self.mean) else self.mean,
            "std": None if math.isnan(self.std) else self.std,
            "scores": [self.scores[fold] for fold in sorted(self.scores)],
            "rows": self.rows,
            "round": self.round,
            "seconds": round(self.seconds, 3),
            "error": self.error,
        }


@dataclass(frozen=True)
class SearchResult:
    """Every candidate, in the order tried, and the best."""

    metric: str
    candidates: tuple[Candidate, ...]
    best: Candidate

    def as_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "best": self.best.as_json(),
            "candidates": [candidate.as_json() for candidate in self.candidates],
        }


@dataclass(frozen=True)
class FoldTask:
    """One fit that is wanted: positions are those of the training rows."""

    candidate: Candidate
    fold: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    fit_options: Mapping[str, Any]


class Workers(Protocol):
    """Where the fits run."""

    def answers(self, tasks: Sequence[FoldTask]) -> Iterator[tuple[FoldTask, dict[str, Any]]]:
        """Yield each task with the answers of `fold_task.fit_fold`, in whatever order they end."""


def search(
    settings: SearchSettings,
    pipeline: Any,
    X: pd.DataFrame,
    labels: NDArray[Any],
    y: NDArray[Any],
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    *,
    task: TaskName,
    classes: Sequence[Any],
    metric: Metric,
    fitter: Fitter,
    workers: Workers,
    seed: int,
    on_fit: Callable[[Candidate, int, int], None],
    on_end: Callable[[Candidate], None],
) -> SearchResult:
    """The best parameters by the mean of `metric` over the folds; of equals the first tried.

    `on_fit` hears of a candidate when all its folds of a round are done, with how many fits are done and how
    many there are, `on_end` when it is tried no further. Raises TrainingError when every candidate failed.
    """
    candidates = [Candidate(number, drawn) for number, drawn in enumerate(draw(settings, seed), 1)]
    rounds = plan_rounds(settings, len(candidates), len(X))
    total = sum(count for count, _ in rounds) * len(folds)
    done = 0
    alive = candidates
    for number, (count, rows) in enumerate(rounds):
        ranked = _best(alive, metric) if number else alive
        for dropped in ranked[count:]:
            on_end(dropped)
        alive = ranked[:count]
        part = _subset(len(X), rows, seed + number)
        tasks = []
        for candidate in alive:
            candidate.scores, candidate.rows, candidate.round = {}, rows, number
            candidate.started_at = candidate.started_at or datetime.now(UTC)
            for fold, (train, test) in enumerate(folds):
                train, test = train[part[train]], test[part[test]]
                options = fitter.options(pipeline, labels[train])
                tasks.append(FoldTask(candidate, fold, train, test, options))
        waiting = {candidate.number: len(folds) for candidate in alive}
        for each, answers in workers.answers(tasks):
            candidate = each.candidate
            done += 1
            candidate.seconds += float(answers["seconds"])
            if "error" in answers:
                candidate.error = str(answers["error"])
            else:
                scores = interpret(answers, task, classes, None)
                candidate.scores[each.fold] = float(metric.compute(y[each.test], scores, None))
            waiting[candidate.number] -= 1
            if not waiting[candidate.number]:
                candidate.ended_at = datetime.now(UTC)
                on_fit(candidate, done, total)
                if number == len(rounds) - 1:
                    on_end(candidate)
    judged = [each for each in _best(alive, metric) if not math.isnan(each.mean)]
    if not judged:
        why = next((each.error for each in alive if each.error), f"{metric.name} could not be computed")
        raise TrainingError(f"every candidate of the search failed: {why}", "Mend [search] params or data.")
    return SearchResult(metric.name, tuple(candidates), judged[0])


def parameter_names(pipeline: Any, wanted: Mapping[str, Any]) -> dict[str, str]:
    """Each wanted parameter's name within the pipeline: that of the last step unless a step is named."""
    step = pipeline.steps[-1][0]
    known = pipeline.get_params(deep=True)
    found = {}
    for name in wanted:
        for full in (f"{step}__{name}", name):
            if full in known and "__" in full:
                found[name] = full
                break
        else:
            own = [key.removeprefix(f"{step}__") for key in known if key.startswith(f"{step}__")]
            close = difflib.get_close_matches(name, own, n=1, cutoff=0.5)
            hint = f"Did you mean {close[0]!r}?" if close else f"It takes: {', '.join(sorted(own))}."
            raise SettingsError(f"[search] params names {name!r}, which the pipeline doesn't take", hint)
    return found


def draw(settings: SearchSettings, seed: int) -> list[dict[str, Any]]:
    """The candidates' parameters: every combination, or `n_iter` draws, the same for the same seed."""
    values = settings.params
    has_distribution = any(isinstance(each, Distribution) for each in values.values())
    if settings.method == "grid" or (settings.method == "halving" and not has_distribution):
        lists = [each for each in values.values() if isinstance(each, tuple)]
        return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*lists)]
    generator = np.random.default_rng(seed)
    if not has_distribution:
        grid = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
        if len(grid) <= settings.n_iter:
            return grid
        return [grid[position] for position in generator.permutation(len(grid))[: settings.n_iter]]
    drawn: list[dict[str, Any]] = []
    for _ in range(settings.n_iter * 20):
        one = {name: _draw_one(each, generator) for name, each in values.items()}
        if one not in drawn:
            drawn.append(one)
        if len(drawn) == settings.n_iter:
            break
    return drawn


def plan_rounds(settings: SearchSettings, candidates: int, rows: int) -> list[tuple[int, int]]:
    """How many candidates each round has, and on how many rows (the last on all).

    Successive halving as Jamieson and Talwalkar (2016) give it: each round keeps one candidate in `factor`,
    on `factor` times the rows.
    """
    if settings.method != "halving" or candidates < 2:
        return [(candidates, rows)]
    rounds = math.floor(math.log(candidates, settings.factor) + 1e-9)
    least = max(_LEAST_ROWS, 10 * settings.cv)
    while rounds and rows / settings.factor**rounds < least:
        rounds -= 1
    return [
        (max(1, candidates // settings.factor**number), round(rows / settings.factor ** (rounds - number)))
        for number in range(rounds + 1)
    ]


def _draw_one(values: tuple[Any, ...] | Distribution, generator: np.random.Generator) -> Any:
    if not isinstance(values, Distribution):
        return values[int(generator.integers(len(values)))]
    if values.log:
        drawn = math.exp(generator.uniform(math.log(values.low), math.log(values.high)))
    else:
        drawn = float(generator.uniform(values.low, values.high))
    if values.type == "int":
        if not values.log:
            return int(generator.integers(math.ceil(values.low), math.floor(values.high) + 1))
        return min(max(round(drawn), math.ceil(values.low)), math.floor(values.high))
    return min(max(drawn, values.low), values.high)


def _subset(n: int, rows: int, seed: int) -> NDArray[np.bool_]:
    """Mask of `rows` of `n` rows."""
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[:rows]] = True
    return mask


def _best(candidates: Sequence[Candidate], metric: Metric) -> list[Candidate]:
    """Best first, failed ones last; equals in the order tried."""

    def key(candidate: Candidate) -> tuple[bool, float, int]:
        mean = candidate.mean
        is_known = not math.isnan(mean)
        value = (mean if metric.is_error else -mean) if is_known else 0.0
        return not is_known, value, candidate.number

    return sorted(candidates, key=key)
