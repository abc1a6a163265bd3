"""The gate: what passes, what is refused, and that both rules are always shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.gate import Candidate, Champion, judge
from pipelines.metrics import Scores
from pipelines.settings import GateSettings
from pipelines.verdict import Rule, Verdict

N = 400
RNG = np.random.default_rng(2)
Y = RNG.integers(0, 2, N)
ROWS = pd.DataFrame(
    {"region": np.where(np.arange(N) < 300, "north", "south"), "rare": ["a"] * 390 + ["b"] * 10}
)


def scores(strength: float, seed: int = 0) -> Scores:
    noise = np.random.default_rng(seed).normal(0, 1, N)
    p = 1 / (1 + np.exp(-(strength * (Y - 0.5) + noise)))
    return Scores((p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def gate(own: Scores, theirs: Scores | None, problem: str = "", **settings: Any) -> Verdict:
    champion = Champion(3, theirs, problem) if theirs is not None or problem else None
    return judge(GateSettings(**settings), "binary", Y, ROWS, Candidate(own, 2.0, 1.5), champion)


def rule(verdict: Verdict, start: str) -> Rule:
    return next(rule for rule in verdict.rules if rule.rule.startswith(start))


def test_without_a_champion_only_the_minimums_decide() -> None:
    assert gate(scores(2), None).accepted
    assert gate(scores(2), None, min=0.6).accepted
    refused = gate(scores(2), None, min={"accuracy": 0.999})
    assert not refused.accepted
    assert "minimum accuracy" in refused.reasons[1]


def test_a_clearly_better_model_passes_by_either_rule() -> None:
    for chosen in ("threshold", "paired"):
        verdict = gate(scores(3), scores(1), rule=chosen)
        assert verdict.accepted
        assert verdict.probability_better is not None
        assert verdict.probability_better > 0.99
        assert {r.decides for r in verdict.rules} == {True, False}


def test_a_tie_keeps_the_champion_even_when_no_improvement_is_asked() -> None:
    verdict = gate(scores(2), scores(2), min_delta=0)
    assert not verdict.accepted
    assert verdict.difference == 0.0


def test_a_small_lead_passes_the_threshold_but_not_the_paired_rule() -> None:
    own, theirs = scores(2.05, seed=1), scores(2.0, seed=2)
    lead = gate(own, theirs).difference
    assert lead is not None
    if lead < 0:
        own, theirs = theirs, own
    assert gate(own, theirs, min_delta=abs(lead) / 2, rule="threshold").accepted
    assert not gate(own, theirs, rule="paired", confidence=0.9999).accepted


def test_the_lead_needed_is_met_exactly_despite_rounding() -> None:
    y = np.array([0, 1] * 100)
    own, theirs = y.copy(), y.copy()
    own[:1], theirs[:2] = 1 - own[:1], 1 - theirs[:2]
    verdict = judge(
        GateSettings(metric="accuracy", min_delta=0.005),
        "binary",
        y,
        ROWS.head(200),
        Candidate(Scores(own), 1, 1),
        Champion(1, Scores(theirs)),
    )
    assert verdict.accepted


def test_other_metrics_may_get_worse_only_as_far_as_allowed() -> None:
    strict = Scores((scores(3).ranking >= 0.999).astype(int), scores(3).probabilities)
    refused = gate(strict, scores(1), max_regression={"recall": 0.05})
    assert not refused.accepted
    assert not rule(refused, "recall worse by").passed
    assert gate(strict, scores(1), max_regression={"recall": 1.0}).accepted


def test_a_segment_that_gets_worse_stops_it_unless_it_is_small() -> None:
    own = scores(4).probabilities
    assert own is not None
    south = np.arange(N) >= 300
    mixed = own.copy()
    mixed[south] = 1 - mixed[south]
    verdict = gate(Scores(mixed.argmax(axis=1), mixed), scores(0.2), segments=("region",), min_delta=0)
    assert not rule(verdict, "segment region = south").passed
    few = own.copy()
    few[390:] = 1 - few[390:]
    verdict = gate(Scores(few.argmax(axis=1), few), scores(0.2), segments=("rare",))
    assert verdict.accepted
    assert verdict.segments["rare"]["b"]["judged"] is False


def test_budgets() -> None:
    assert not gate(scores(3), None, max_latency_ms=1.0).accepted
    assert not gate(scores(3), None, max_size_mb=1.0).accepted
    assert gate(scores(3), None, max_latency_ms=5.0, max_size_mb=2.0).accepted


def test_a_champion_that_cannot_be_scored_is_kept_and_the_reason_given() -> None:
    verdict = gate(scores(3), None, problem="its files are gone")
    assert not verdict.accepted
    assert "its files are gone" in verdict.reasons[1]


def test_rows_that_the_champion_alone_learnt_from_are_left_out_of_the_comparison() -> None:
    has_learnt = np.arange(N) < 250
    honest, own = scores(1, seed=1), scores(2)
    assert honest.probabilities is not None
    memory = np.where(has_learnt[:, None], np.eye(2)[Y], honest.probabilities)
    knows_them = Scores(memory.argmax(axis=1), memory)

    def against(mask: Any) -> Verdict:
        champion = Champion(3, knows_them, has_learnt=mask)
        return judge(GateSettings(), "binary", Y, ROWS, Candidate(own, 2.0, 1.5), champion)

    assert not against(None).accepted
    fair = against(has_learnt)
    assert fair.accepted
    assert fair.rows == 150
    assert "learnt from the other 250" in rule(fair, "rows new to both").note
    too_few = against(np.arange(N) < N - 50)
    assert not too_few.accepted
    assert too_few.rows == N
    assert "may look better than it is" in rule(too_few, "rows new to both").note


def test_errors_are_better_when_smaller() -> None:
    y = RNG.normal(0, 1, N)
    near, far = Scores(y + 0.1), Scores(y + 0.5)
    assert judge(
        GateSettings(min=0.2), "regression", y, ROWS, Candidate(near, 1, 1), Champion(1, far)
    ).accepted
    assert not judge(GateSettings(min=0.05), "regression", y, ROWS, Candidate(near, 1, 1), None).accepted


def test_a_verdict_survives_json() -> None:
    import json

    verdict = gate(scores(3), scores(1), segments=("region",), min=0.5)
    assert Verdict.from_json(json.loads(json.dumps(verdict.as_json()))) == verdict
    assert list(verdict.as_json())[:3] == ["accepted", "reasons", "rules"]


@pytest.mark.parametrize("rule_name", ["threshold", "paired"])
def test_the_headline_tells_difference_and_certainty(rule_name: str) -> None:
    headline = gate(scores(3), scores(1), rule=rule_name).reasons[0]
    assert "champion v3" in headline
    assert "% sure" in headline
