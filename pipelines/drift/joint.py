"""Whether two sets of rows can be told apart by all columns together: a classifier between them tries.

Columns that stay as they were one by one may still have come to go together differently. What the classifier
says of a row comes from a fold that had not seen it, so that it can't be better than chance by learning rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ROWS = 5_000
"""Rows of each side that are looked at, drawn by chance with a fixed seed."""
LEAST_ROWS = 200
SEED = 0
_FOLDS = 5
_MAX_CODES = 200
"""Categories that are told apart, the most frequent ones of both sides; the classifier takes 255."""
_WIDER = math.sqrt(1 + _FOLDS / (_FOLDS - 1))
"""Areas of folds vary together, since they learn from the same rows (Nadeau and Bengio, 2003)."""


@dataclass(frozen=True)
class JointColumn:
    """One column on both sides: numbers (n,) with NaN for missing, or text with None for missing."""

    name: str
    kind: Literal["numeric", "categorical"]
    reference: Any
    current: Any


@dataclass(frozen=True)
class JointDrift:
    """How well the two sides can be told apart; without `auc` the `note` says why not."""

    reference_rows: int
    current_rows: int
    auc: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    """Of an area as large by chance, where both sides are alike."""
    features: tuple[tuple[str, float], ...] = ()
    """What the area loses when the column is shuffled, the largest first: by what they are told apart."""
    left_out: tuple[str, ...] = ()
    note: str | None = None

    @property
    def sentence(self) -> str:
        """What it says, for somebody who knows no statistics."""
        if self.auc is None or self.p_value is None:
            return f"Not judged: {self.note}."
        if self.p_value >= 0.05:
            return (
                "Taken together, the columns don't tell the two apart: a classifier that tries has an AUC "
                f"of {self.auc:.3f}, and 0.5 is a guess."
            )
        named = [name for name, lost in self.features[:3] if lost > (self.auc - 0.5) / 10]
        by = f", most of all by {', '.join(named)}" if named else ""
        return (
            f"Shown a row of each, a classifier knows which is the current one in {self.auc:.1%} of cases "
            f"(a guess would in 50 %){by}."
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "auc": self.auc,
            "low": self.low,
            "high": self.high,
            "p_value": self.p_value,
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "features": [{"name": name, "auc_lost": lost} for name, lost in self.features],
            "left_out": list(self.left_out),
            "folds": _FOLDS,
            "seed": SEED,
            "sentence": self.sentence,
            "note": self.note,
        }


def joint_drift(columns: Sequence[JointColumn], *, left_out: Sequence[str] = ()) -> JointDrift:
    """Try to tell the rows of both sides apart. Rows beyond MAX_ROWS of a side are drawn by `chosen_rows`."""
    import numpy as np

    if not columns:
        return JointDrift(0, 0, left_out=tuple(left_out), note="no column is on both sides")
    sizes = len(columns[0].reference), len(columns[0].current)
    if min(sizes) < LEAST_ROWS:
        note = f"{min(sizes)} of {LEAST_ROWS} rows in the {'reference' if sizes[0] < sizes[1] else 'window'}"
        return JointDrift(*sizes, left_out=tuple(left_out), note=note)
    X = np.column_stack([_encoded(column) for column in columns])
    X[:, np.isnan(X).all(axis=0)] = 0  # the classifier fails on a column without any value
    y = np.repeat([False, True], sizes)
    is_category = np.array([column.kind == "categorical" for column in columns])
    areas, errors, lost = _areas(X, y, is_category)
    auc = float(np.mean(areas))
    se = math.sqrt(float(np.sum(np.square(errors)))) / len(areas) * _WIDER
    # Where both sides are alike, the spread of one area is known without looking at the answers.
    spread = math.sqrt((len(y) + 1) / (12 * sizes[0] * sizes[1])) * _WIDER
    order = np.argsort(-lost, kind="stable")
    return JointDrift(
        *sizes,
        auc=auc,
        low=max(0.0, auc - 1.96 * se),
        high=min(1.0, auc + 1.96 * se),
        p_value=0.5 * math.erfc((auc - 0.5) / spread / math.sqrt(2)),
        features=tuple((columns[place].name, float(lost[place])) for place in order),
        left_out=tuple(left_out),
    )


def chosen_rows(rows: int, *, seed: int = SEED) -> NDArray[Any]:
    """Places of at most MAX_ROWS of so many rows, in order."""
    import numpy as np

    if rows <= MAX_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, MAX_ROWS, replace=False))


def _areas(
    X: NDArray[Any], y: NDArray[Any], is_category: NDArray[Any]
) -> tuple[list[float], list[float], NDArray[Any]]:
    """Area and its standard error of each fold, and what it loses by shuffling each column, on average."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    from pipelines.performance.figures import roc_auc

    areas, errors = list[float](), list[float]()
    lost = np.zeros(X.shape[1])
    generator = np.random.default_rng(SEED)
    # Threads of so many small fits would only wait for each other. (What they are must be loaded by now.)
    with threadpool_limits(1):
        for learn, judge in StratifiedKFold(_FOLDS, shuffle=True, random_state=SEED).split(X, y):
            model = HistGradientBoostingClassifier(
                max_iter=60,
                max_leaf_nodes=15,
                early_stopping=False,
                categorical_features=is_category,
                random_state=SEED,
            ).fit(X[learn], y[learn])
            held_out, truth = X[judge], y[judge]
            figure = roc_auc(truth, model.decision_function(held_out))
            assert figure is not None
            assert figure.se is not None
            areas.append(figure.value)
            errors.append(figure.se)
            shuffled = generator.permutation(len(judge))
            for place in range(X.shape[1]):
                changed = held_out.copy()
                changed[:, place] = held_out[shuffled, place]
                without = roc_auc(truth, model.decision_function(changed))
                assert without is not None
                lost[place] += (figure.value - without.value) / _FOLDS
    return areas, errors, lost


def _encoded(column: JointColumn) -> NDArray[Any]:
    """A column of both sides below each other, as numbers; missing values are NaN."""
    import numpy as np

    if column.kind == "categorical":
        texts = [*column.reference, *column.current]
        frequent = Counter(text for text in texts if text is not None).most_common(_MAX_CODES)
        codes: Mapping[str, int] = {text: code for code, (text, _) in enumerate(frequent)}
        return np.array([np.nan if text is None else codes.get(text, _MAX_CODES) for text in texts], float)
    values = np.concatenate([np.asarray(column.reference, float), np.asarray(column.current, float)])
    finite = values[np.isfinite(values)]
    # The classifier takes no infinities: they become a little more than all others.
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    placed: NDArray[Any] = np.clip(values, np.nextafter(low, -np.inf), np.nextafter(high, np.inf))
    return placed
