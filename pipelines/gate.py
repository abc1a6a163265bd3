"""The gate: whether a challenger may replace the champion, judged on the same held-out rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import metrics, paired
from pipelines.columns import TaskName
from pipelines.metrics import Metric, Scores
from pipelines.settings import GateSettings
from pipelines.verdict import Rule, Verdict

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Candidate", "Champion", "Rule", "Verdict", "judge"]

MIN_SEGMENT_ROWS = 30
MIN_UNSEEN_ROWS = 100
"""Fewer rows than that, which the champion had not learnt from, decide nothing."""
MIN_UNSEEN_OF_A_CLASS = 10
_FUZZ = 1e-12
"""0.995 − 0.99 is a hair more or less than 0.005."""


@dataclass(frozen=True)
class Candidate:
    """The new model: its answers for the held-out rows and what it costs to run."""

    scores: Scores
    latency_ms: float
    size_mb: float


@dataclass(frozen=True)
class Champion:
    """The model to beat: its answers for the same rows, or why there are none."""

    version: int
    scores: Scores | None
    problem: str = ""
    has_learnt: NDArray[np.bool_] | None = None
    """Which of the held-out rows it was fitted on, and the challenger was not; None where unknown."""


def judge(
    settings: GateSettings,
    task: TaskName,
    y: NDArray[Any],
    rows: pd.DataFrame,
    candidate: Candidate,
    champion: Champion | None,
    *,
    seed: int = 0,
) -> Verdict:
    """Apply every rule; `rows` are the held-out rows, for segments, in the order of `y`.

    The comparison with the champion is computed by both rules, and one decides. Without a champion only
    the minimums and budgets do. Rows that the champion alone has learnt from are left out of the comparison,
    as long as enough others remain.
    """
    metric = metrics.find(settings.metric or metrics.DECIDING[task], task)
    own = metric.compute(y, candidate.scores, None)
    rules = [*_minimums(settings, metric, task, y, candidate), *_budgets(settings, candidate)]
    theirs = difference = sure = None
    segments: dict[str, Any] = {}
    if champion is not None and champion.scores is None:
        rules.append(Rule("champion", None, "can be scored", False, note=champion.problem))
    elif champion is not None and champion.scores is not None:
        fair, seen_note = _fair_rows(champion, y, task)
        y, rows, scores = y[fair], rows.iloc[fair], champion.scores.rows(fair)
        candidate = replace(candidate, scores=candidate.scores.rows(fair))
        if seen_note:
            rules.append(seen_note)
        own, theirs = metric.compute(y, candidate.scores, None), metric.compute(y, scores, None)
        difference = metric.better_by(own, theirs)
        test = paired.compare(metric, y, candidate.scores, scores, seed=seed)
        sure = None if test is None else test.probability_better
        rules += _comparisons(settings, metric, difference, test)
        rules += _regressions(settings, task, y, candidate.scores, scores)
        for rule, column, values in _segments(settings, metric, y, rows, candidate.scores, scores):
            rules.append(rule)
            segments[column] = values
    accepted = all(rule.passed for rule in rules if rule.decides)
    version = None if champion is None else champion.version
    headline = _headline(metric, own, theirs, difference, sure, version)
    failed = [_failure(rule) for rule in rules if rule.decides and not rule.passed]
    return Verdict(
        accepted=accepted,
        reasons=(headline, *failed),
        rules=tuple(rules),
        metric=metric.name,
        champion_version=version,
        challenger_value=_finite(own),
        champion_value=_finite(theirs),
        difference=_finite(difference),
        probability_better=sure,
        rows=len(y),
        segments=segments,
    )


def _fair_rows(champion: Champion, y: NDArray[Any], task: TaskName) -> tuple[NDArray[np.intp], Rule | None]:
    """Positions of the rows to compare on, and what to say of the others."""
    everything = np.arange(len(y))
    learnt = champion.has_learnt
    if learnt is None or not learnt.any():
        return everything, None
    fair = np.flatnonzero(~learnt)
    wanted = f"≥ {MIN_UNSEEN_ROWS}"
    enough = len(fair) >= MIN_UNSEEN_ROWS
    if enough and task != "regression":
        counts = np.bincount(y[fair].astype(np.intp), minlength=int(y.max()) + 1)
        enough = bool(counts[np.unique(y).astype(np.intp)].min() >= MIN_UNSEEN_OF_A_CLASS)
        wanted += f", {MIN_UNSEEN_OF_A_CLASS} of each class"
    if enough:
        note = f"champion v{champion.version} learnt from the other {int(learnt.sum()):,} held-out rows"
    else:
        note = (
            f"champion v{champion.version} learnt from {int(learnt.sum()):,} of the held-out rows"
            " and may look better than it is"
        )
    rule = Rule("rows new to both", float(len(fair)), wanted, enough, decides=False, note=note)
    return (fair if enough else everything), rule


def _minimums(
    settings: GateSettings, metric: Metric, task: TaskName, y: NDArray[Any], candidate: Candidate
) -> Iterator[Rule]:
    wanted = settings.min
    if wanted is None:
        return
    bounds: Mapping[str, float] = wanted if isinstance(wanted, Mapping) else {metric.name: wanted}
    for name, bound in bounds.items():
        measured = metrics.find(name, task)
        value = measured.compute(y, candidate.scores, None)
        passed = value <= bound + _FUZZ if measured.is_error else value >= bound - _FUZZ
        sign = "≤" if measured.is_error else "≥"
        yield Rule(f"minimum {measured.name}", _finite(value), f"{sign} {bound:g}", bool(passed))


def _budgets(settings: GateSettings, candidate: Candidate) -> Iterator[Rule]:
    for name, value, budget, unit in (
        ("latency", candidate.latency_ms, settings.max_latency_ms, "ms"),
        ("size", candidate.size_mb, settings.max_size_mb, "MB"),
    ):
        if budget is not None:
            yield Rule(name, round(value, 3), f"≤ {budget:g} {unit}", value <= budget)


def _comparisons(
    settings: GateSettings, metric: Metric, difference: float, test: paired.PairedTest | None
) -> Iterator[Rule]:
    is_better = difference > _FUZZ and difference >= settings.min_delta - _FUZZ
    by_threshold = settings.rule == "threshold"
    yield Rule(
        f"{metric.name} better by",
        _finite(difference),
        f"≥ {settings.min_delta:g}" if settings.min_delta else "> 0",
        bool(is_better),
        decides=by_threshold,
        note="threshold",
    )
    needed = f"≥ {settings.confidence:.0%} sure"
    if test is None:
        note = "paired: too few rows of a class, or not computable"
        yield Rule(f"{metric.name} surely better", None, needed, False, not by_threshold, note)
        return
    yield Rule(
        f"{metric.name} surely better",
        round(test.probability_better, 4),
        needed,
        bool(test.difference > _FUZZ and test.probability_better >= settings.confidence),
        decides=not by_threshold,
        note=f"paired, {test.method}: {test.difference:+.4g} [{test.low:+.4g}, {test.high:+.4g}]",
    )


def _regressions(
    settings: GateSettings, task: TaskName, y: NDArray[Any], own: Scores, theirs: Scores
) -> Iterator[Rule]:
    for name, allowed in settings.max_regression.items():
        metric = metrics.find(name, task)
        worse = -metric.better_by(metric.compute(y, own, None), metric.compute(y, theirs, None))
        yield Rule(
            f"{metric.name} worse by", _finite(worse), f"≤ {allowed:g}", bool(worse <= allowed + _FUZZ)
        )


def _segments(
    settings: GateSettings,
    metric: Metric,
    y: NDArray[Any],
    rows: pd.DataFrame,
    own: Scores,
    theirs: Scores,
) -> Iterator[tuple[Rule, str, dict[str, Any]]]:
    """For each segment column the value that got worst; values with few rows are not judged."""
    for column in settings.segments:
        if column not in rows.columns:
            yield Rule(f"segment {column}", None, "a column of the data", False), column, {}
            continue
        found: dict[str, Any] = {}
        values = rows[column].astype(str).to_numpy()
        for value in np.unique(values):
            selected = np.flatnonzero(values == value)
            worse = -metric.better_by(
                metric.compute(y[selected], own.rows(selected), None),
                metric.compute(y[selected], theirs.rows(selected), None),
            )
            judged = len(selected) >= MIN_SEGMENT_ROWS and bool(np.isfinite(worse))
            found[str(value)] = {"rows": len(selected), "worse_by": _finite(worse), "judged": judged}
        judged_values = {value: cell["worse_by"] for value, cell in found.items() if cell["judged"]}
        needed = f"worse by ≤ {settings.max_segment_regression:g}"
        if not judged_values:
            note = f"no value has {MIN_SEGMENT_ROWS} rows"
            yield Rule(f"segment {column}", None, needed, True, note=note), column, found
            continue
        worst = max(judged_values, key=lambda value: judged_values[value])
        passed = judged_values[worst] <= settings.max_segment_regression + _FUZZ
        name = f"segment {column} = {worst}"
        yield Rule(name, judged_values[worst], needed, bool(passed)), column, found


def _headline(
    metric: Metric,
    own: float,
    theirs: float | None,
    difference: float | None,
    sure: float | None,
    version: int | None,
) -> str:
    if version is None:
        return f"{metric.name} {own:.4g}; there is no champion yet"
    if theirs is None or difference is None:
        return f"{metric.name} {own:.4g}; champion v{version} could not be scored"
    certainty = "" if sure is None else f", {sure:.0%} sure that it is better"
    return (
        f"{metric.name} {own:.4g} against {theirs:.4g} of champion v{version} ({difference:+.4g}{certainty})"
    )


def _failure(rule: Rule) -> str:
    shown = "not known" if rule.value is None else f"{rule.value:.4g}"
    note = f" ({rule.note})" if rule.value is None and rule.note else ""
    return f"{rule.rule}: {shown}, needed {rule.needed}{note}"


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
