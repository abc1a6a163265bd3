"""What is kept of a version's performance on rows it had not learnt from: to compare windows with.

It is the part `performance` of the reference profile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.performance import classes as of_classes
from pipelines.performance import numbers as of_numbers
from pipelines.performance.calibration import Calibrator
from pipelines.performance.figures import POINT, Figure
from pipelines.performance.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipelines.metrics import Scores

ERRORS = frozenset({"rmse", "mae", "brier", "ece"})
PREDICTION_BINS = 20


@dataclass(frozen=True)
class PerformanceReference:
    """Figures by metric, the calibration of each class, and the residuals of a regression."""

    figures: Mapping[str, Figure]
    calibrators: tuple[Calibrator, ...] = ()
    """Of the second class for two, of each for more."""
    residuals: Mapping[str, Any] | None = None
    """n, mean, sd, target_sd; by bins of the prediction (`edges`) the mean errors `absolute`, `squared`."""

    def as_json(self) -> dict[str, Any]:
        """The part `performance` of a reference profile."""
        finite = {name: one for name, one in self.figures.items() if math.isfinite(one.value)}
        values: dict[str, Any] = {"figures": {name: one.as_json() for name, one in finite.items()}}
        if self.calibrators:
            values["calibrators"] = [calibrator.as_json() for calibrator in self.calibrators]
        if self.residuals is not None and all(np.all(np.isfinite(one)) for one in self.residuals.values()):
            values["residuals"] = dict(self.residuals)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> PerformanceReference | None:
        """The reference of a profile's part; None where it has none, or one that can't be read."""
        if not values:
            return None
        try:
            return cls(
                {
                    name: Figure(
                        name,
                        float(one["value"]),
                        int(one["n"]),
                        one.get("se"),
                        one.get("hits"),
                        is_error=name in ERRORS,
                    )
                    for name, one in values["figures"].items()
                },
                tuple(map(Calibrator.from_json, values.get("calibrators", ()))),
                values.get("residuals"),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def reference_of(
    task: str,
    y: NDArray[Any],
    scores: Scores,
    classes: Sequence[str] | None,
    *,
    further: Sequence[tuple[NDArray[Any], Scores]] = (),
) -> PerformanceReference:
    """The reference from held-out rows: y (n,) class positions or numbers, and the model's answers.

    `further` rows that no answering model had learnt from only make the calibration surer.
    """
    if task == "regression":
        return _of_numbers(np.asarray(y, dtype=np.float64), np.asarray(scores.predicted, dtype=np.float64))
    rows = Rows(
        tuple(classes or ()),
        np.asarray(scores.predicted),
        np.asarray(y),
        np.ones(len(y), dtype=bool),
        scores.probabilities,
    )
    n_classes = len(rows.classes or ())
    found = of_classes.figures_of_confusion(of_classes.confusion(rows), n_classes)
    found += of_classes.figures_of_scores(rows)
    return PerformanceReference(
        {figure.metric: figure for figure in found}, _calibrators(y, scores, n_classes, further)
    )


def _calibrators(
    y: NDArray[Any], scores: Scores, n_classes: int, further: Sequence[tuple[NDArray[Any], Scores]]
) -> tuple[Calibrator, ...]:
    if scores.probabilities is None or not len(y):
        return ()
    parts = [(y, scores.probabilities)]
    parts += [(more, other.probabilities) for more, other in further if other.probabilities is not None]
    actual = np.concatenate([labels for labels, _ in parts])
    matrix = np.concatenate([probabilities for _, probabilities in parts])
    wanted = [1] if n_classes == 2 else range(n_classes)
    return tuple(Calibrator.fit(actual == k, matrix[:, k]) for k in wanted)


def _of_numbers(actual: NDArray[Any], predicted: NDArray[Any]) -> PerformanceReference:
    finite = np.isfinite(actual) & np.isfinite(predicted)
    actual, predicted = actual[finite], predicted[finite]
    found = of_numbers.figures(actual, predicted)
    n = len(actual)
    if n < 2:
        return PerformanceReference({})
    residual = actual - predicted
    edges = np.unique(np.quantile(predicted, np.arange(1, PREDICTION_BINS) / PREDICTION_BINS))
    place = np.searchsorted(edges, predicted)
    rows = np.maximum(np.bincount(place, minlength=len(edges) + 1), 1)
    return PerformanceReference(
        {figure.metric: figure for figure in found},
        residuals={
            "n": n,
            "mean": float(residual.mean()),
            "sd": float(residual.std(ddof=1)),
            "target_sd": float(actual.std(ddof=1)),
            "edges": edges.tolist(),
            "absolute": (np.bincount(place, np.abs(residual), minlength=len(edges) + 1) / rows).tolist(),
            "squared": (np.bincount(place, residual**2, minlength=len(edges) + 1) / rows).tolist(),
        },
    )


def point_of(reference: PerformanceReference | None, figure: Figure) -> float:
    """What one point is of this figure: a hundredth, of an error in the target's standard deviations."""
    if not figure.is_error or figure.metric in ("brier", "ece"):
        return POINT
    spread = (reference.residuals or {}).get("target_sd") if reference is not None else None
    return POINT * spread if spread else figure.point
