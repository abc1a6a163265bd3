"""The reference profile: how each feature and the prediction were distributed when a version was trained.

It is stored with the run as `reference_profile.json`. Charts and drift tests count every window over its
bins.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from store.binning import bin_edges, coarsen
from store.counts import Counts, as_numbers, as_texts, center_of, count_categories, count_numbers
from store.errors import DataError
from store.records import Kind, class_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROFILE_FILE = "reference_profile.json"
FORMAT = 1
MAX_CATEGORIES = 1_000
"""Categories kept by name; the rarer ones count as `unseen` in the reference itself too."""
DUPLICATE_ROWS = 20_000
"""Rows looked at for copies of others: about as many as a window has."""

FeatureKind = Literal["numeric", "categorical", "boolean", "datetime"]
Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True)
class FeatureProfile:
    """One feature of the reference: its bins and what was in them."""

    name: str
    kind: FeatureKind
    counts: Counts
    edges: tuple[float, ...] = ()
    """Of numbers: 49 quantiles or fewer, or the values where they are few; see store.binning."""
    coarse: tuple[int, ...] = ()
    """Positions in `edges` of the 9 or fewer that PSI and χ² use."""
    categories: tuple[str, ...] = ()
    """Of categories: most frequent first; of classes: in the model's order."""
    minimum: float | None = None
    maximum: float | None = None
    own_windows: tuple[tuple[int, float, float], ...] = ()
    """Where the reference is ordered in time, for windows of so many rows of it: mean and standard deviation
    of their effect against the rest. So much do windows differ without any drift."""
    blocks: tuple[tuple[int, ...], ...] | None = None
    """What older profiles have for it: counts of the coarse bins in each of 100 blocks of rows."""
    floor: float | None = None
    """An effect below which this feature's windows are never flagged, where somebody computed one."""

    @property
    def is_categorical(self) -> bool:
        return self.kind == "categorical"

    @property
    def log_kind(self) -> Kind:
        """Where the prediction log keeps the feature: among the numbers or among the texts."""
        return "categorical" if self.is_categorical else "numeric"

    def coarse_bins(self, bins: Sequence[int]) -> tuple[int, ...]:
        """Counts of the bins for PSI and χ², from those of all bins; categories stay as they are."""
        import numpy as np

        if self.is_categorical:
            return tuple(bins)
        return tuple(coarsen(np.asarray(bins, dtype=np.int64), np.asarray(self.coarse)).tolist())

    def as_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {"name": self.name, "kind": self.kind, "counts": self.counts.as_json()}
        for name in (
            "edges",
            "coarse",
            "categories",
            "minimum",
            "maximum",
            "own_windows",
            "blocks",
            "floor",
        ):
            value = getattr(self, name)
            if value not in (None, ()):
                values[name] = value
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> FeatureProfile:
        blocks = values.get("blocks")
        return cls(
            name=values["name"],
            kind=values["kind"],
            counts=Counts.from_json(values["counts"]),
            edges=tuple(values.get("edges", ())),
            coarse=tuple(values.get("coarse", ())),
            categories=tuple(values.get("categories", ())),
            minimum=values.get("minimum"),
            maximum=values.get("maximum"),
            own_windows=tuple((rows, mean, sd) for rows, mean, sd in values.get("own_windows", ())),
            blocks=None if blocks is None else tuple(tuple(block) for block in blocks),
            floor=values.get("floor"),
        )


@dataclass(frozen=True)
class SegmentProfile:
    """The rows of the reference in which one column has one value, counted over the bins of the whole."""

    rows: int
    features: Mapping[str, Counts]
    prediction: Counts
    score: Counts | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "features": {name: counts.as_json() for name, counts in self.features.items()},
            "prediction": self.prediction.as_json(),
            "score": None if self.score is None else self.score.as_json(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SegmentProfile:
        score = values["score"]
        return cls(
            values["rows"],
            {name: Counts.from_json(counts) for name, counts in values["features"].items()},
            Counts.from_json(values["prediction"]),
            None if score is None else Counts.from_json(score),
        )


@dataclass(frozen=True)
class Profile:
    """The reference of one model version."""

    task: Task
    rows: int
    features: tuple[FeatureProfile, ...]
    prediction: FeatureProfile
    """Predicted values, or classes."""
    score: FeatureProfile | None = None
    """Of two classes the probability of the second, of more the highest one; None for regression."""
    ordered_by_time: bool = False
    block_rows: int | None = None
    """Rows in each of an older profile's blocks."""
    redacted: tuple[str, ...] = ()
    """Features that are left out on purpose."""
    duplicate_share: float | None = None
    """Share of rows with the same features as an earlier one, of at most 20,000; None: nobody counted."""
    created_at: str = ""
    performance: Mapping[str, Any] | None = None
    """How good the answers were on rows that the model had not learnt from; see pipelines.performance."""
    importances: Mapping[str, float] = field(default_factory=dict)
    """Permutation importance by feature, where training found it: which drift matters."""
    segments: Mapping[str, Mapping[str, SegmentProfile]] = field(default_factory=dict)
    """Parts of the reference, by column and value as the log has it as text."""

    def feature(self, name: str) -> FeatureProfile:
        """The feature called `name`; raises KeyError."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)

    def to_json(self) -> str:
        """The profile as the text of its file."""
        values = {
            "format": FORMAT,
            "task": self.task,
            "rows": self.rows,
            "created_at": self.created_at,
            "ordered_by_time": self.ordered_by_time,
            "block_rows": self.block_rows,
            "redacted": self.redacted,
            "duplicate_share": self.duplicate_share,
            "features": [feature.as_json() for feature in self.features],
            "prediction": self.prediction.as_json(),
            "score": None if self.score is None else self.score.as_json(),
        }
        if self.performance is not None:
            values["performance"] = dict(self.performance)
        if self.importances:
            values["importances"] = dict(self.importances)
        if self.segments:
            values["segments"] = {
                column: {value: part.as_json() for value, part in parts.items()}
                for column, parts in self.segments.items()
            }
        return json.dumps(values, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Profile:
        """Read a profile; raises DataError where it is none, or of a newer format."""
        try:
            values = json.loads(text)
            if values["format"] > FORMAT:
                raise DataError(
                    f"the reference profile has format {values['format']}, known here: {FORMAT}",
                    "Upgrade workbench.",
                )
            score = values["score"]
            return cls(
                task=values["task"],
                rows=values["rows"],
                features=tuple(FeatureProfile.from_json(feature) for feature in values["features"]),
                prediction=FeatureProfile.from_json(values["prediction"]),
                score=None if score is None else FeatureProfile.from_json(score),
                ordered_by_time=values["ordered_by_time"],
                block_rows=values["block_rows"],
                redacted=tuple(values["redacted"]),
                duplicate_share=values.get("duplicate_share"),
                created_at=values["created_at"],
                performance=values.get("performance"),
                importances=values.get("importances", {}),
                segments={
                    column: {value: SegmentProfile.from_json(part) for value, part in parts.items()}
                    for column, parts in values.get("segments", {}).items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"this is no reference profile: {error}", "Train the version again, or profile a data file."
            ) from error


def build_profile(
    columns: Mapping[str, Any],
    kinds: Mapping[str, FeatureKind],
    prediction: Any,
    *,
    task: Task,
    classes: Sequence[Any] | None = None,
    scores: Any = None,
    ordered_by_time: bool = False,
    redact: Collection[str] = (),
) -> Profile:
    """Profile the reference: columns (each of n rows: arrays, Series or lists) and its predictions (n,).

    `scores` are probabilities of the second class (n,) or of all classes (n, n_classes). With
    `ordered_by_time` the rows must come in order of time; how much they vary in its course is found by
    pipelines.drift.own_reference. Redacted columns are left out.
    """
    rows = len(prediction)
    features = tuple(
        profile_feature(name, kinds[name], values) for name, values in columns.items() if name not in redact
    )
    if task == "regression":
        predicted = profile_feature("prediction", "numeric", prediction)
        score = None
    else:
        texts = None if classes is None else [class_text(value) for value in classes]
        predicted = profile_feature("prediction", "categorical", prediction, categories=texts)
        score = None if scores is None else profile_feature("score", "numeric", deciding_score(scores))
    return Profile(
        task=task,
        rows=rows,
        features=features,
        prediction=predicted,
        score=score,
        ordered_by_time=ordered_by_time,
        redacted=tuple(name for name in columns if name in redact),
        duplicate_share=_duplicate_share(
            [values for name, values in columns.items() if name not in redact], rows
        ),
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def profile_feature(
    name: str,
    kind: FeatureKind,
    values: Any,
    *,
    categories: Sequence[str] | None = None,
) -> FeatureProfile:
    """Bins and counts of one column; `categories` fixes which there are and their order."""
    if kind == "categorical":
        texts = Counter(as_texts(values))
        found = {text: n for text, n in texts.items() if text is not None}
        return profile_categories(name, found, texts[None], categories)
    return profile_numbers(name, kind, *as_numbers(values))


def profile_categories(
    name: str, found: Mapping[str, int], missing: int, categories: Sequence[str] | None = None
) -> FeatureProfile:
    """A column in which each text was found so often; its `categories` are the most frequent unless given."""
    if categories is None:
        categories = sorted(found, key=lambda text: (-found[text], text))[:MAX_CATEGORIES]
    bins = tuple(found.get(text, 0) for text in categories)
    counts = Counts(bins=bins, null=missing, unseen=sum(found.values()) - sum(bins))
    return FeatureProfile(name, "categorical", counts, categories=tuple(categories))


def profile_numbers(
    name: str, kind: FeatureKind, numbers: NDArray[Any], null: int, *, most: int | None = None
) -> FeatureProfile:
    """A column of numbers (n,), `null` more not given; bins by about `most` of them, spread over it."""
    import numpy as np

    finite = numbers[np.isfinite(numbers)]
    edges, coarse = bin_edges(finite if most is None else finite[:: max(1, finite.size // most)])
    return FeatureProfile(
        name,
        kind,
        count_numbers(numbers, null, edges, center_of(finite)),
        edges=tuple(edges),
        coarse=tuple(coarse),
        minimum=float(finite.min()) if finite.size else None,
        maximum=float(finite.max()) if finite.size else None,
    )


def count(feature: FeatureProfile, values: Any) -> Counts:
    """Counts of a column (n,) over the bins of `feature`; counts of parts merge to those of the whole."""
    if feature.is_categorical:
        return count_categories(as_texts(values), feature.categories)
    numbers, null = as_numbers(values)
    return count_numbers(numbers, null, feature.edges, feature.counts.center)


def _duplicate_share(columns: Sequence[Any], rows: int) -> float | None:
    """Share of rows that equal an earlier one in all columns, among rows spread over the whole."""
    import numpy as np

    if not columns or not rows:
        return None
    places = np.linspace(0, rows - 1, min(rows, DUPLICATE_ROWS)).astype(np.int64)
    mixed = np.zeros(len(places), dtype=np.uint64)
    for values in columns:
        array = values.to_numpy() if hasattr(values, "to_numpy") else values
        chosen = array[places] if isinstance(array, np.ndarray) else [array[place] for place in places]
        if isinstance(chosen, np.ndarray) and chosen.dtype.kind in "biuf":
            codes = (chosen.astype(np.float64) + 0.0).view(np.int64)
        else:
            codes = np.asarray([hash(text) for text in as_texts(chosen)], dtype=np.int64)
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + codes.view(np.uint64)
        mixed ^= mixed >> np.uint64(29)
    return 1.0 - len(np.unique(mixed)) / len(places)


def deciding_score(scores: Any) -> Any:
    """Of probabilities (n,) or (n, n_classes) what is profiled: of the second of two, else the highest."""
    import numpy as np

    array = np.asarray(scores, dtype=np.float64)
    return array if array.ndim == 1 else (array[:, 1] if array.shape[1] == 2 else array.max(axis=1))
