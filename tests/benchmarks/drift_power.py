"""How often the drift verdict is wrong, by simulation: false alarms and power of 30 independent features.

    python -m tests.benchmarks.drift_power [--seed 7] [--windows 1000]

25 numeric features (normal, skewed, uniform, whole numbers) and 5 categorical ones, one of them with
categories of equal size. How well a change of 10 points is seen depends on how large the categories are that
it concerns, so both are printed: between equals, and from the most frequent to the rarest. Behind each stands
what theory allows: the power of the χ² test on exact shares at the level that 30 features at 5 % leave to one
of the five categorical ones (see `weights_of`), and that of the best test there could be, which is told
beforehand which two categories change. Nobody is: where the first is under the aim, the rows are too few.

`flagged` is a window in which any of the 30 is flagged though nothing drifted; `confirmed` is one after
which there is an alert about one, as the monitor decides it: flagged in 2 of 3 windows that together are no
chance either. Found is a drifted feature that is flagged. Exits with 1 where a figure misses its aim.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from pipelines.drift.persistence import decide
from pipelines.drift.significance import weights_of
from pipelines.drift.verdicts import FeatureDrift, Options, Sample, judge
from store.findings import Finding
from store.profile import FeatureProfile, count, profile_feature

N_NUMERIC, N_CATEGORICAL = 25, 5
EIGHT = np.array([0.35, 0.25, *[0.4 / 6] * 6])
SHARES = np.array([0.35, 0.25, 0.2, 0.12, 0.08])
EQUAL = np.full(5, 0.2)
EQUALS = N_NUMERIC + 1
"""The place of the feature whose categories are of equal size."""
LABELS = np.array(list("abcdefgh"))
OF_EIGHT = N_NUMERIC + 2
"""The place of the one with eight categories."""
SHARES_OF = {EQUALS: EQUAL, OF_EIGHT: EIGHT}
NEW = "new"
EPOCH, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
OPTIONS = Options()
QUIET = 3
"""How many times as many windows without drift are looked at: what is to be seen once in 1,000 is rare."""

Column = Any
Drift = Callable[[int, Column, np.random.Generator], Column]


def column(place: int, n: int, rng: np.random.Generator) -> Column:
    """Values (n,) of one feature, the same distribution for the same place."""
    if place >= N_NUMERIC:
        shares = SHARES_OF.get(place, SHARES)
        return LABELS[rng.choice(len(shares), n, p=shares)]
    kind = place % 4
    if kind == 0:
        return rng.normal(10.0, 2.0, n)
    if kind == 1:
        return rng.lognormal(0.0, 1.0, n)
    if kind == 2:
        return rng.uniform(-1.0, 1.0, n)
    return rng.poisson(4.0, n).astype(float)


def shifted(by_sd: float) -> Drift:
    """The first feature, which is normal, moves by so many standard deviations."""
    return lambda place, values, rng: values + by_sd * 2.0 if place == 0 else values


def category_change(points: float, changed: int) -> Drift:
    """The first category of a feature loses so many points to the last; where there are 8, to the second."""
    share, last = shares_of(changed)[0], "b" if changed == OF_EIGHT else "e"

    def change(place: int, values: Column, rng: np.random.Generator) -> Column:
        if place != changed:
            return values
        moved = (values == "a") & (rng.random(len(values)) < points / share)
        return np.where(moved, last, values)

    return change


def shares_of(place: int) -> np.ndarray[Any, Any]:
    return SHARES_OF.get(place, SHARES)


def possible_power(changed: int, points: float, rows: int, n: int) -> tuple[float, float]:
    """What the χ² test of exact shares finds at the level of one of 30, and the test of the two alone."""
    from scipy.stats import chi2, ncx2, norm

    was = shares_of(changed)
    now = was.copy()
    now[0] -= points
    now[1 if changed == OF_EIGHT else -1] += points
    pooled = (rows * was + n * now) / (rows + n)
    distance = n * rows / (n + rows) * float(((was - now) ** 2 / pooled).sum())
    weight = weights_of([False] * N_NUMERIC + [True] * N_CATEGORICAL)[-1]
    level, degrees = 0.05 * weight / (N_NUMERIC + N_CATEGORICAL), len(was) - 1
    return (
        float(ncx2.sf(chi2.isf(level, degrees), degrees, distance)),
        float(norm.sf(norm.isf(level / 2) - distance**0.5)),
    )


def new_category(share: float) -> Drift:
    """So many values of the first categorical feature are of a category that is new."""

    def change(place: int, values: Column, rng: np.random.Generator) -> Column:
        if place != N_NUMERIC:
            return values
        return np.where(rng.random(len(values)) < share, NEW, values)

    return change


def references(rows: int, rng: np.random.Generator) -> list[FeatureProfile]:
    return [
        profile_feature(
            f"f{place}", "numeric" if place < N_NUMERIC else "categorical", column(place, rows, rng)
        )
        for place in range(N_NUMERIC + N_CATEGORICAL)
    ]


def verdicts(
    reference: list[FeatureProfile], n: int, rng: np.random.Generator, drift: Drift | None = None
) -> list[FeatureDrift]:
    """What one window of n rows says of each feature."""
    samples = []
    for place, feature in enumerate(reference):
        values = column(place, n, rng)
        if drift is not None:
            values = drift(place, values, rng)
        samples.append(Sample(feature, count(feature, values)))
    return judge(samples, OPTIONS)


def window_of(place: int, found: list[FeatureDrift]) -> Finding:
    """The same as the monitor keeps it, of the hour at `place`."""
    kept = {
        one.name: {
            "severity": one.severity,
            "p_value": one.p_value,
            "n": one.current.n,
            "reference": {"n": one.reference.n},
        }
        for one in found
    }
    start = EPOCH + HOUR * place
    return Finding("m", 1, "champion", "", start, start + HOUR, found[0].current.n, "", kept)


def is_confirmed(latest: list[Finding]) -> bool:
    """Whether there is an alert about any feature after these windows, newest first."""
    names = latest[0].features
    return any(
        decide(latest, lambda window: window.features[name], features=len(names)).action == "raise"  # noqa: B023
        for name in names
        if sum(window.features[name]["severity"] != "ok" for window in latest)
    )


def false_alarms(rows: int, n: int, windows: int, rng: np.random.Generator) -> tuple[float, float]:
    """Shares of windows with any feature flagged, and of windows that confirm one by 2 of 3."""
    any_flagged = confirmed = seen = triples = 0
    # A small reference that is off by chance is so in all its windows: many of them, with few windows each.
    each = 100 if rows > 10_000 else 10
    for _ in range(max(1, windows // each)):
        reference = references(rows, rng)
        latest: list[Finding] = []
        for place in range(each):
            now = verdicts(reference, n, rng)
            any_flagged += any(one.flagged for one in now)
            seen += 1
            latest = [window_of(place, now), *latest[:2]]
            if len(latest) == 3:
                triples += 1
                confirmed += is_confirmed(latest)
    return any_flagged / seen, confirmed / triples


def power(place: int, drift: Drift, rows: int, n: int, windows: int, rng: np.random.Generator) -> float:
    """Share of windows in which the feature at `place`, which drifted, is flagged."""
    # A small reference is a chance in itself: many of them, so that none decides the figure.
    each = 100 if rows > 10_000 else 5
    found = 0
    for _ in range(max(1, windows // each)):
        reference = references(rows, rng)
        found += sum(verdicts(reference, n, rng, drift)[place].flagged for _ in range(each))
    return found / (max(1, windows // each) * each)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--windows", type=int, default=1000)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    started = time.perf_counter()
    misses = 0

    def line(
        what: str, rows: int, n: int, share: float, aim: float | None, *, most: bool, note: str = ""
    ) -> None:
        nonlocal misses
        if aim is None:
            print(f"{what:<39} {rows:>9,} {n:>6,} {share:>8.2%}         {note}")
            return
        is_met = share <= aim if most else share >= aim
        misses += not is_met
        sign, missed = "≤" if most else "≥", "" if is_met else "  MISSED"
        print(f"{what:<39} {rows:>9,} {n:>6,} {share:>8.2%}  {sign} {aim:.1%}{note}{missed}")

    print(f"{'':<39} {'reference':>9} {'window':>6} {'share':>8}  aim")
    for rows in (50_000, 1_000):
        for n in (100, 500, 5_000):
            flagged, confirmed = false_alarms(rows, n, QUIET * options.windows, rng)
            line("no drift, any of 30 flagged", rows, n, flagged, 0.05, most=True)
            line("no drift, confirmed by 2 of 3", rows, n, confirmed, 0.001, most=True)
        for what, place, drift, n, aims in (
            ("shift of 0.5 sd", 0, shifted(0.5), 500, (0.99, 0.99)),
            ("shift of 0.25 sd", 0, shifted(0.25), 500, (0.80, 0.55)),
            ("10 points between equals", EQUALS, category_change(0.10, EQUALS), 500, (0.99, 0.99)),
            ("10 points to the rarest", N_NUMERIC, category_change(0.10, N_NUMERIC), 500, (0.99, 0.99)),
            (
                "35 % and 25 % of 8 change places",
                OF_EIGHT,
                category_change(0.10, OF_EIGHT),
                500,
                (None, None),
            ),
            ("new category, 5 %", N_NUMERIC, new_category(0.05), 100, (0.70, 0.70)),
        ):
            share = power(place, drift, rows, n, options.windows, rng)
            note = ""
            if place >= N_NUMERIC and "new" not in what:
                test, best = possible_power(place, 0.10, rows, n)
                note = f"  (χ² {test:.1%}, told which {best:.1%})"
            line(f"found: {what}", rows, n, share, aims[rows == 1_000], most=False, note=note)
    took = time.perf_counter() - started
    print(
        f"{options.windows} windows each, {QUIET} times that without drift, seed {options.seed}, {took:.0f} s"
    )
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
