"""How much windows of an ordered reference differ from the rest of it, although nothing drifted.

Real data is not a shuffled sample: a week of summer is not a year. An effect that the reference's own weeks
show is no news.
"""

from __future__ import annotations

from store.profile import FeatureProfile

LEAST_WINDOWS = 10
DEVIATIONS = 3.0


def reference_floor(feature: FeatureProfile, block_rows: int | None, window_rows: int) -> float:
    """Mean and three standard deviations of the effect of windows of `window_rows` rows of the reference.

    0 where its order in time is not known or it is too short to tell. A floor that was stored with the
    profile counts too.
    """
    stored = feature.floor or 0.0
    if feature.blocks is None or not block_rows or len(feature.blocks) < LEAST_WINDOWS:
        return stored
    import numpy as np

    blocks = np.asarray(feature.blocks, dtype=np.float64)
    length = int(np.clip(round(window_rows / block_rows), 1, len(blocks) // 2))
    ends = np.concatenate([np.zeros((1, blocks.shape[1])), np.cumsum(blocks, axis=0)])
    windows = ends[length:] - ends[:-length]
    if len(windows) < LEAST_WINDOWS:
        return stored
    rest = ends[-1] - windows
    used = ends[-1] > 0
    windows, rest = windows[:, used], rest[:, used]
    bins = int(used.sum())
    n, m = rest.sum(axis=1), windows.sum(axis=1)
    full = (n > 0) & (m > 0)
    if bins < 2 or full.sum() < LEAST_WINDOWS:
        return stored
    windows, rest, n, m = windows[full], rest[full], n[full], m[full]
    p = (rest + 0.5) / (n + 0.5 * bins)[:, None]
    q = (windows + 0.5) / (m + 0.5 * bins)[:, None]
    effects = ((q - p) * np.log(q / p)).sum(axis=1) - (bins - 1) * (1 / n + 1 / m)
    return max(stored, float(effects.mean() + DEVIATIONS * effects.std(ddof=1)))
