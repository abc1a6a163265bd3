"""The verdict on each feature of a window: tests adjusted for their number, effects against their bands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from pipelines.drift.bands import CLASSIC_BANDS, FEATURE_BANDS, PREDICTION_BANDS, Bands, Severity
from pipelines.drift.evidence import SIGNIFICANT, Evidence, weigh, weigh_classic
from pipelines.drift.floors import missing_floor, reference_floor, shape_floor
from pipelines.drift.moments import days_of, moment_text
from pipelines.drift.significance import Outcome, benjamini_hochberg, weights_of
from store.counts import Counts
from store.profile import FeatureProfile, Profile

Method = Literal["calibrated", "classic"]
LEAST_ROWS = 100
"""Below this a window is shown but not judged."""
MAX_BINS_SHOWN = 40
ONE_EVENT = 0.25
"""Share of a window that one event may be."""


@dataclass(frozen=True)
class Options:
    """How windows are judged."""

    method: Method = "calibrated"
    bands: Mapping[str, Bands] = field(default_factory=dict)
    """By column, where they are not the usual ones."""
    least_rows: int = LEAST_ROWS
    importances: Mapping[str, float] = field(default_factory=dict)
    """Permutation importance by column, of the model that is watched."""


@dataclass(frozen=True)
class Side:
    """What one of the two samples is like."""

    n: int
    missing: float | None
    """Share; None where there are no rows."""
    mean: float | None
    sd: float | None

    @classmethod
    def of(cls, counts: Counts) -> Side:
        return cls(counts.n, counts.missing / counts.n if counts.n else None, counts.mean, counts.sd)

    def as_json(self) -> dict[str, Any]:
        return {"n": self.n, "missing": self.missing, "mean": self.mean, "sd": self.sd}


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of one window, with every number that led to its severity."""

    name: str
    kind: str
    severity: Severity
    flagged: bool
    p_value: float | None
    p_adjusted: float | None
    effect: float | None
    effect_of: str
    bands: Bands
    floor: float
    floor_of: str
    """`windows`: so much do windows of the reference differ; `size`: so little does a small one tell."""
    reason: str
    """Why, in words."""
    outcomes: tuple[Outcome, ...]
    statistics: Mapping[str, float]
    reference: Side
    current: Side
    distribution: Mapping[str, Any]
    """`labels` of bins or categories, counts of both sides; of numbers the `edges` between the bins too."""
    importance: float | None = None

    @property
    def weight(self) -> float:
        """Effect × permutation importance: which drift matters to the model."""
        effect = self.effect or 0.0
        return effect if self.importance is None else effect * max(0.0, self.importance)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "n": self.current.n,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "effect": self.effect,
            "severity": self.severity,
            "flagged": self.flagged,
            "reason": self.reason,
            "effect_of": self.effect_of,
            "statistics": dict(self.statistics),
            "tests": [
                {"name": o.name, "statistic": o.statistic, "p_value": o.p_value, "degrees": o.degrees}
                for o in self.outcomes
            ],
            "thresholds": self.bands.as_json(),
            "floor": self.floor,
            "floor_of": self.floor_of,
            "importance": self.importance,
            "weight": self.weight,
            "reference": self.reference.as_json(),
            "current": self.current.as_json(),
            "distribution": dict(self.distribution),
        }


@dataclass(frozen=True)
class Sample:
    """One feature's reference and its counts in the window."""

    feature: FeatureProfile
    current: Counts
    reference: Counts | None = None
    """Counts to compare with in place of the profile's own."""
    problem: str | None = None
    """Why its values can't be compared: the column is gone, or of another type."""

    @property
    def against(self) -> Counts:
        return self.feature.counts if self.reference is None else self.reference


def judge(
    samples: Sequence[Sample], options: Options, *, block_rows: int | None = None, bands: Bands | None = None
) -> list[FeatureDrift]:
    """The verdicts on the features of one window, in the order given; their tests are adjusted together."""
    classic = options.method == "classic"
    evidence: list[Evidence | None] = []
    for sample in samples:
        enough = min(sample.current.n, sample.against.n) >= options.least_rows
        if sample.problem is not None or not enough:
            evidence.append(None)
        else:
            evidence.append(
                (weigh_classic if classic else weigh)(sample.feature, sample.against, sample.current)
            )
    p_values = [one.p_value for one in evidence if one is not None]
    weights = None
    if bands is None:  # what is judged are features, not two sides of one answer
        judged = [sample for sample, one in zip(samples, evidence, strict=True) if one is not None]
        weights = weights_of([sample.feature.is_categorical for sample in judged])
    adjusted = iter(p_values if classic else benjamini_hochberg(p_values, weights))
    usual = bands or (CLASSIC_BANDS if classic else FEATURE_BANDS)
    total = sum(max(0.0, importance) for importance in options.importances.values())
    verdicts = []
    for sample, one in zip(samples, evidence, strict=True):
        name = sample.feature.name
        floor, floor_of = (0.0, "") if classic else _floor(sample, one, block_rows, len(p_values))
        own = options.bands.get(name, usual).raised(floor)
        p_adjusted = None if one is None else next(adjusted)
        severity, reason = _verdict(
            sample, one, p_adjusted, own, (floor, floor_of), classic, options.least_rows
        )
        importance = options.importances.get(name)
        verdicts.append(
            FeatureDrift(
                name=name,
                kind=sample.feature.kind,
                severity=severity,
                flagged=severity in ("watch", "warning", "critical"),
                p_value=None if one is None else one.p_value,
                p_adjusted=p_adjusted,
                effect=None if one is None else one.effect,
                effect_of="shape" if one is None else one.effect_of,
                bands=own,
                floor=floor,
                floor_of=floor_of,
                reason=reason,
                outcomes=() if one is None else one.outcomes,
                statistics={} if one is None else one.statistics,
                reference=Side.of(sample.against),
                current=Side.of(sample.current),
                distribution=_distribution(sample),
                importance=None
                if importance is None
                else (max(0.0, importance) / total if total > 0 else 0.0),
            )
        )
    return verdicts


def judge_prediction(
    profile: Profile,
    prediction: Counts,
    score: Counts | None,
    options: Options,
    *,
    references: Mapping[str, Counts] | None = None,
) -> FeatureDrift:
    """The verdict on what the model predicts: its values or classes, and its probability where it has one.

    The worse of the two, their two tests adjusted for being two.
    """
    against = references or {}
    samples = [Sample(profile.prediction, prediction, against.get("prediction"))]
    if profile.score is not None and score is not None and score.n:
        samples.append(Sample(profile.score, score, against.get("score")))
    bands = CLASSIC_BANDS if options.method == "classic" else PREDICTION_BANDS
    plain = Options(
        options.method,
        {
            name: options.bands["prediction"]
            for name in ("prediction", "score")
            if "prediction" in options.bands
        },
        options.least_rows,
    )
    verdicts = judge(samples, plain, block_rows=profile.block_rows, bands=bands)
    return max(verdicts, key=lambda one: (one.flagged, one.effect or 0.0))


def ranked(features: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    """The features whose drift matters most first: flagged ones, by effect × permutation importance.

    Those that can't be compared at all, as their column is gone, come before.
    """
    return sorted(
        features,
        key=lambda one: (
            not one.flagged,
            one.flagged and one.effect is not None,
            -one.weight,
            -(one.effect or 0.0),
            one.name,
        ),
    )


def _floor(
    sample: Sample, evidence: Evidence | None, block_rows: int | None, features: int
) -> tuple[float, str]:
    """Below which effect nothing is flagged, and why."""
    windows = reference_floor(sample.feature, block_rows, max(1, sample.current.n))
    size = 0.0
    if evidence is not None:
        against, current = sample.against, sample.current
        if evidence.effect_of == "missing":
            share = (against.missing + current.missing) / (against.n + current.n)
            size = missing_floor(share, against.n, features)
        else:
            size = shape_floor(evidence.degrees, against.n - against.missing, features)
    return (windows, "windows") if windows >= size else (size, "size")


def _verdict(
    sample: Sample,
    evidence: Evidence | None,
    p: float | None,
    bands: Bands,
    known: tuple[float, str],
    classic: bool,
    least_rows: int,
) -> tuple[Severity, str]:
    if sample.problem is not None:
        return "critical", sample.problem
    if evidence is None or p is None:
        rows, side = min((sample.current.n, "window"), (sample.against.n, "reference"))
        return "insufficient", f"{rows} of {least_rows} rows in the {side}"
    if classic:
        severity = bands.severity(evidence.effect)
        is_significant = p < SIGNIFICANT
        if severity == "ok" and is_significant:
            severity = "warning"
        name = evidence.outcomes[0].name
        return severity, f"{name} p {_p(p)}, PSI {evidence.effect:.3f} (classic rules)"
    floor, floor_of = known
    severity = bands.severity(evidence.effect)
    what = _what(sample, evidence)
    if severity == "critical" and evidence.effect_of == "shape" and may_be_one_event(sample):
        severity, what = "warning", f"{what}, perhaps of one event: a second window tells"
    if p >= SIGNIFICANT:
        return "ok", f"no more than chance: adjusted p {_p(p)}"
    if severity == "ok":
        limit = f"under {bands.watch:g}"
        if floor >= bands.watch:
            limit = {
                "windows": f"under the reference's own {floor:.3f}",
                "size": f"under {floor:.3f}, which a reference of {sample.against.n:,} rows may be off",
            }[floor_of]
        return "ok", f"{what}: real (adjusted p {_p(p)}) but {limit}"
    limit = getattr(bands, severity)
    own = ""
    if floor >= bands.watch:
        own = {
            "windows": f", its own windows differ by {floor:.2g}",
            "size": f", a reference of {sample.against.n:,} rows may be off by {floor:.2g}",
        }[floor_of]
    return severity, f"{what} ({severity} from {limit:.2g} on{own}); adjusted p {_p(p)}"


def may_be_one_event(sample: Sample) -> bool:
    """Whether what never changed in an ordered reference is something else in a small part of the window.

    Rows of one day are no witnesses independent of each other: a holiday is 24 rows in an hour's log. What
    does change tells by its own windows how such days come; a constant can't.
    """
    bins, current = sample.against.bins, sample.current
    rest = sample.against.unseen + sample.against.positive_infinite + sample.against.negative_infinite
    if not sample.feature.own_windows or rest or sum(n > 0 for n in bins) != 1:
        return False
    present = current.n - current.missing
    same = sum(now for now, was in zip(current.bins, bins, strict=True) if was)
    return 0 < present - same < ONE_EVENT * present


def _what(sample: Sample, evidence: Evidence) -> str:
    if evidence.effect_of == "missing":
        now, was = Side.of(sample.current).missing or 0.0, Side.of(sample.against).missing or 0.0
        return f"missing values {now:.1%}, were {was:.1%}"
    text = f"effect {evidence.effect:.3f}"
    if sample.current.unseen:
        text += f", {sample.current.unseen:,} values of categories the reference doesn't have"
    return text


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}" if p > 0 else "< 1e-300"


def _distribution(sample: Sample) -> dict[str, Any]:
    """The coarse bins or the most frequent categories, for charts."""
    feature, reference, current = sample.feature, sample.against, sample.current
    if feature.is_categorical:
        labels = list(feature.categories[:MAX_BINS_SHOWN])
        shown = len(labels)
        rows = [list(counts.bins[:shown]) for counts in (reference, current)]
        rest = [sum(counts.bins[shown:]) for counts in (reference, current)]
        if any(rest):
            labels.append("other")
            rows = [[*row, more] for row, more in zip(rows, rest, strict=True)]
        if reference.unseen or current.unseen:
            labels.append("new")
            rows = [[*rows[0], reference.unseen], [*rows[1], current.unseen]]
        return {"labels": labels, "reference": rows[0], "current": rows[1]}
    edges = [feature.edges[place] for place in feature.coarse]
    return {
        "labels": _bin_labels(edges, is_time=feature.kind == "datetime"),
        "edges": edges,
        "reference": list(feature.coarse_bins(reference.bins)),
        "current": list(feature.coarse_bins(current.bins)),
    }


def _bin_labels(edges: Sequence[float], *, is_time: bool) -> list[str]:
    if not edges:
        return ["all"]
    texts = [f"{edge:.4g}" for edge in edges]
    if is_time:
        texts = [moment_text(edge) for edge in days_of([*edges])]
    is_whole = not is_time and all(edge.is_integer() for edge in edges[1:])

    def between(low: float, high: float, texts: tuple[str, str]) -> str:
        # A bin that can hold but one value: the smallest, or one of whole numbers.
        is_one = low == math.nextafter(high, -math.inf) or (is_whole and low == high - 1)
        return texts[1] if is_one else f"{texts[0]} … {texts[1]}"

    has_smallest = len(edges) > 1 and edges[0] == math.nextafter(edges[1], -math.inf)
    first = f"< {texts[1]}" if has_smallest else f"≤ {texts[0]}"
    middle = [between(*pair) for pair in zip(edges, edges[1:], pairwise(texts), strict=False)]
    return [first, *middle, f"> {texts[-1]}"]
