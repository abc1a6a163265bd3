"""What a reference tells of itself: how much its own windows differ, and what its segments are like.

Real data is not a shuffled sample: a week of summer is not a year, and a shop in the north sells other things
than all shops. What is known of that when a version is trained is kept with its profile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipelines.drift.significance import rare_bins
from store.counts import as_texts, numbers_in_place
from store.errors import UsageError
from store.profile import FeatureProfile, Profile, SegmentProfile, count, deciding_score
from store.slices import Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORTEST = 100
"""Rows of the shortest windows looked at; the longest are half of the reference."""
STEP = 1.25
"""By how much the lengths looked at differ; between them it is interpolated."""
LEAST_WINDOWS = 10
SEGMENT_VALUES = 20
"""Values of a column of which segments are kept, the most frequent ones."""
_BLOCK_ROWS = 12
_BLOCKS_A_WINDOW = 8
"""Windows begin at every eighth of their length at least."""
_MAX_CATEGORIES = 100

OwnWindows = tuple[tuple[int, float, float], ...]


def with_own_reference(
    profile: Profile,
    columns: Mapping[str, Any],
    prediction: Any,
    scores: Any = None,
    *,
    segments: Sequence[str] = (),
) -> Profile:
    """The profile of these columns (as `build_profile` takes them) with what they tell beyond their counts.

    Windows where the rows are in order of time; `segments` are columns whose values make parts.
    """
    found = replace(profile, segments=_segments(profile, columns, prediction, scores, segments))
    if not profile.ordered_by_time:
        return found

    def ordered(feature: FeatureProfile, values: Any) -> FeatureProfile:
        return replace(feature, own_windows=own_windows(feature, values))

    return replace(
        found,
        features=tuple(ordered(feature, columns[feature.name]) for feature in profile.features),
        prediction=ordered(profile.prediction, prediction),
        score=None if profile.score is None else ordered(profile.score, deciding_score(scores)),
    )


def own_windows(feature: FeatureProfile, values: Any) -> OwnWindows:
    """Of windows of so many consecutive rows of a column (n,): mean and deviation of their effect.

    The effect is that of `evidence.weigh`, against the rest of the column.
    """
    codes, width = _codes(feature, values)
    blocks, block_rows = _blocks(codes, width, _BLOCK_ROWS), _BLOCK_ROWS
    found = []
    for rows in _lengths(len(codes)):
        while block_rows * 2 * _BLOCKS_A_WINDOW <= rows:
            even = len(blocks) // 2 * 2
            blocks, block_rows = blocks[0:even:2] + blocks[1:even:2], block_rows * 2
        length = round(rows / block_rows)
        effects = effects_of_windows(blocks, length, is_last_rare=feature.is_categorical)
        if len(effects) >= LEAST_WINDOWS:
            found.append((length * block_rows, float(effects.mean()), float(effects.std(ddof=1))))
    return tuple((rows, round(mean, 6), round(sd, 6)) for rows, mean, sd in found)


def _lengths(rows: int) -> Iterator[int]:
    length = float(SHORTEST)
    while length <= rows // 2:
        yield round(length)
        length *= STEP


def effects_of_windows(blocks: NDArray[Any], length: int, *, is_last_rare: bool = False) -> NDArray[Any]:
    """Effects (n_windows,) of all windows of so many blocks (n_blocks, n_bins) against the other blocks.

    `is_last_rare`: the last bin is of whatever is in no bin, which belongs to the rare values.
    """
    import numpy as np

    ends = np.concatenate([np.zeros((1, blocks.shape[1])), np.cumsum(blocks, axis=0)])
    total = ends[-1]
    windows = ends[length:] - ends[:-length]
    used = total > 0
    windows, total = windows[:, used], total[used]
    share = min(length / max(1, len(blocks)), 0.5)
    rare = rare_bins(total * share)
    if is_last_rare and used[-1]:
        rare[-1] = True
    if rare.any():
        windows = np.column_stack([windows[:, ~rare], windows[:, rare].sum(axis=1)])
        total = np.append(total[~rare], total[rare].sum())
    rest = total - windows
    bins = len(total)
    n, m = rest.sum(axis=1), windows.sum(axis=1)
    full = (n > 0) & (m > 0)
    if bins < 2:
        return np.zeros(int(full.sum()))
    windows, rest, n, m = windows[full], rest[full], n[full], m[full]
    p = (rest + 0.5) / (n + 0.5 * bins)[:, None]
    q = (windows + 0.5) / (m + 0.5 * bins)[:, None]
    effects = ((q - p) * np.log(q / p)).sum(axis=1) - (bins - 1) * (1 / n + 1 / m)
    return np.asarray(np.maximum(effects, 0.0))


def _blocks(codes: NDArray[Any], width: int, rows: int) -> NDArray[Any]:
    """Counts (n_blocks, width) of the codes in blocks of consecutive rows; a short last one is left out."""
    import numpy as np

    n_blocks = len(codes) // rows
    codes = codes[: n_blocks * rows]
    known = codes >= 0
    places = np.repeat(np.arange(n_blocks) * width, rows)[known] + codes[known]
    return np.bincount(places, minlength=n_blocks * width).reshape(n_blocks, width)


def _codes(feature: FeatureProfile, values: Any) -> tuple[NDArray[Any], int]:
    """In which of the bins that the effect is of each row (n,) lies, -1 without value; and their number."""
    import numpy as np

    if feature.is_categorical:
        places = {text: place for place, text in enumerate(feature.categories[:_MAX_CATEGORIES])}
        rest = len(places)
        texts = as_texts(values)
        return np.array([-1 if one is None else places.get(one, rest) for one in texts], dtype=int), rest + 1
    numbers = numbers_in_place(values)
    edges = np.asarray([feature.edges[place] for place in feature.coarse], dtype=np.float64)
    width = len(edges) + 3
    codes = np.searchsorted(edges, numbers, side="left") + 1
    codes[numbers == -np.inf] = 0
    codes[numbers == np.inf] = width - 1
    codes[np.isnan(numbers)] = -1
    return codes, width


def _segments(
    profile: Profile, columns: Mapping[str, Any], prediction: Any, scores: Any, wanted: Sequence[str]
) -> dict[str, dict[str, SegmentProfile]]:
    import numpy as np

    score = None if profile.score is None else deciding_score(scores)
    found: dict[str, dict[str, SegmentProfile]] = {}
    for feature in profile.features:
        if feature.name not in wanted:
            continue
        texts = segment_texts(feature, columns[feature.name])
        frequent = Counter(text for text in texts if text is not None).most_common(SEGMENT_VALUES)
        array = np.array(texts, dtype=object)
        parts = {}
        for value, rows in frequent:
            chosen = np.flatnonzero(array == value)
            parts[value] = SegmentProfile(
                rows,
                {
                    one.name: count(one, _taken(columns[one.name], chosen))
                    for one in profile.features
                    if one.name != feature.name
                },
                count(profile.prediction, _taken(prediction, chosen)),
                None if profile.score is None else count(profile.score, _taken(score, chosen)),
            )
        found[feature.name] = parts
    return found


def segment_texts(feature: FeatureProfile, values: Any) -> Sequence[str | None]:
    """Values of a column as the prediction log has them as text: numbers, truths and times are decimals."""
    if feature.is_categorical:
        return as_texts(values)
    return [None if number != number else repr(float(number)) for number in numbers_in_place(values)]


def segment_in(profile: Profile, segment: Segment) -> Segment:
    """The segment with its value written as the prediction log has it: `season=1` means 1.0 of a number.

    Raises UsageError for a column that the model doesn't see, and for a value that its column can't have.
    """
    feature = next((one for one in profile.features if one.name == segment.column), None)
    if feature is None:
        known = ", ".join(one.name for one in profile.features)
        raise UsageError(f"no column {segment.column!r} to make a segment of", f"There are: {known}.")
    if feature.is_categorical:
        return segment
    text = {"true": "1", "false": "0"}.get(segment.value.lower(), segment.value)
    try:
        return replace(segment, value=repr(float(text)))
    except ValueError:
        hint = f"{segment.column} is {feature.kind}: write it as {segment.column}=1."
        raise UsageError(f"{segment} can't be: {segment.value!r} is no number", hint) from None


def _taken(values: Any, places: NDArray[Any]) -> Any:
    if hasattr(values, "iloc"):
        return values.iloc[places]
    return values[places] if hasattr(values, "dtype") else [values[place] for place in places]
