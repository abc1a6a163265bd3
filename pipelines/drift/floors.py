"""How much windows of an ordered reference differ from the rest of it, although nothing drifted.

Real data is not a shuffled sample: a week of summer is not a year. An effect that the reference's own weeks
show is no news.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from store.profile import FeatureProfile

DEVIATIONS = 3.0
SHARES = (0.75, 0.875, 1.0)
"""Of a window's rows: those that it is held against need not be as full, and a week with a gap is no news."""
LEAST_WINDOWS = 10
SURE_OF_REFERENCE = 0.0001
"""How likely it may be that any feature's reference is off by more than its floor, by chance."""


def reference_floor(feature: FeatureProfile, block_rows: int | None, window_rows: int) -> float:
    """Mean and three standard deviations of the effect of windows of `window_rows` rows of the reference.

    The largest of windows of that length and somewhat shorter ones. 0 where the reference's order in time is
    not known or it is too short to tell; of longer windows than half of it that of a half. A floor that was
    stored with the profile counts too.
    """
    stored = feature.floor or 0.0
    if feature.own_windows:
        return max(stored, *(_interpolated(feature, window_rows * share) for share in SHARES))
    if feature.blocks is None or not block_rows or len(feature.blocks) < LEAST_WINDOWS:
        return stored
    return max(stored, _of_blocks(feature, block_rows, window_rows))


def _interpolated(feature: FeatureProfile, rows: float) -> float:
    import numpy as np

    lengths, means, deviations = zip(*feature.own_windows, strict=True)
    at, known = math.log(max(1.0, rows)), np.log(lengths)
    return float(np.interp(at, known, means) + DEVIATIONS * np.interp(at, known, deviations))


def _of_blocks(feature: FeatureProfile, block_rows: int, window_rows: int) -> float:
    """The same of a profile that was made when only 100 blocks were kept."""
    import numpy as np

    from pipelines.drift.own_reference import effects_of_windows

    blocks = np.asarray(feature.blocks, dtype=np.float64)
    length = int(np.clip(round(window_rows / block_rows), 1, len(blocks) // 2))
    effects = effects_of_windows(blocks, length)
    if len(effects) < LEAST_WINDOWS:
        return 0.0
    return float(effects.mean() + DEVIATIONS * effects.std(ddof=1))


def shape_floor(degrees: int, reference_rows: int, features: int) -> float:
    """The effect that a reference of so many rows has by chance on windows of any size, at the very most.

    A reference that is off by chance is so in every window, and no second window tells. PSI times the rows is
    χ² with `degrees` (bins less one) of freedom; its quantile is that of Wilson and Hilferty (1931).
    """
    if degrees < 1 or reference_rows < 1:
        return 0.0
    part = 2 / (9 * degrees)
    most = degrees * (1 - part + _deviations(features) * math.sqrt(part)) ** 3
    return max(0.0, most - degrees) / reference_rows


def missing_floor(share: float, reference_rows: int, features: int) -> float:
    """The same of the share of missing values, which is `share` of both sides together."""
    if reference_rows < 1:
        return 0.0
    return _deviations(features) * math.sqrt(share * (1 - share) / reference_rows)


def _deviations(features: int) -> float:
    return NormalDist().inv_cdf(1 - SURE_OF_REFERENCE / max(1, features))
