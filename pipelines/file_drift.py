"""A new data file beside what the champion was trained on: how its columns have drifted, for a warning.

The tests and bands are those of the windows of predictions. Retraining is what drift calls for, so a file is
never kept out for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.settings import PipelineSettings
from pipelines.tally import Values
from pipelines.validate import Finding
from store.counts import Counts, count_numbers
from store.errors import WorkbenchError
from store.journal import JournalTail
from store.layout import Layout
from store.profile import FeatureProfile, Profile
from store.records import class_text
from store.references import read_reference
from store.standing import Past

if TYPE_CHECKING:
    from pipelines.drift.verdicts import FeatureDrift

_ROWS_OF_A_BLOCK = 10_000
"""Rows of the first block that are counted; of the others the same share. More would tell no more."""
_NAMED = 5


@dataclass(frozen=True)
class ChampionReference:
    """What the champion of a pipeline was trained on."""

    version: int
    profile: Profile


class FileDrift:
    """Counts a file's columns over the bins of a reference, block by block."""

    def __init__(self, reference: ChampionReference, settings: PipelineSettings) -> None:
        self._version = reference.version
        self._profile = profile = reference.profile
        self._settings = settings
        # Dates go on by nature.
        self._features = [each for each in profile.features if each.kind != "datetime"]
        self._counts: dict[str, Counts] = {}
        self._step = 0

    def add(self, columns: Mapping[str, Values]) -> None:
        """Take in the columns of the next block."""
        if not self._step:
            rows = max((len(values.missing) for values in columns.values()), default=0)
            self._step = max(1, -(-rows // _ROWS_OF_A_BLOCK))
        for feature in self._features:
            values = columns.get(feature.name)
            counted = None if values is None else _counted(feature, values, self._step)
            if counted is not None:
                before = self._counts.get(feature.name)
                self._counts[feature.name] = counted if before is None else before.merge(counted)

    def findings(self, path: str) -> list[Finding]:
        """A warning for each column that has drifted, worst first; few rows prove nothing."""
        from pipelines.drift.bands import is_at_least
        from pipelines.drift.verdicts import Options, Sample, judge, ranked
        from pipelines.drift.windows import bands_of

        monitor = self._settings.monitor
        samples = [
            Sample(feature, self._counts[feature.name])
            for feature in self._features
            if feature.name in self._counts
        ]
        options = Options(monitor.method, bands_of(monitor))
        verdicts = judge(samples, options, block_rows=self._profile.block_rows)
        drifted = [one for one in ranked(verdicts) if is_at_least(one.severity, "warning")]
        found = [self._finding(path, one) for one in drifted[:_NAMED]]
        if len(drifted) > _NAMED:
            others = ", ".join(repr(one.name) for one in drifted[_NAMED:])
            found.append(Finding("warning", "drift", f"{path}: so have columns {others}"))
        return found

    def _finding(self, path: str, drift: FeatureDrift) -> Finding:
        reference = f"the training data of champion v{self._version}"
        means = ""
        if drift.reference.mean is not None and drift.current.mean is not None:
            means = f", mean {drift.reference.mean:.4g} there and {drift.current.mean:.4g} here"
        message = f"{path}: column {drift.name!r} has drifted from {reference}: {drift.reason}{means}"
        return Finding("warning", "drift", message, drift.name, value=drift.severity)


def champion_reference(layout: Layout, pipeline: str, settings: PipelineSettings) -> ChampionReference | None:
    """The reference of the pipeline's champion; None while there is no champion, or none is known.

    Who is champion the journal tells, so that no registry has to be asked.
    """
    model = settings.model or pipeline
    past = Past()
    try:
        for event in JournalTail(layout.journal).read():
            if event.model == model:
                past.add(event)
        champion = None if past.standing is None else past.standing.champion
        profile = None if champion is None else read_reference(layout, model, champion)
    except WorkbenchError:
        return None
    return None if champion is None or profile is None else ChampionReference(champion, profile)


def _counted(feature: FeatureProfile, values: Values, step: int) -> Counts | None:
    """Counts of every `step`th value; None where the column is of another kind, which validation tells."""
    missing = values.missing[::step]
    null = int(missing.sum())
    if feature.is_categorical:
        found = _categories(values, step)
        bins = tuple(found.pop(name, 0) for name in feature.categories)
        return Counts(bins=bins, null=null, unseen=sum(found.values()))
    numbers: Any = values.numbers if values.booleans is None else values.booleans.astype(np.float64)
    if numbers is None:
        return None
    return count_numbers(numbers[::step][~missing], null, feature.edges, feature.counts.center)


def _categories(values: Values, step: int) -> dict[str, int]:
    """How often each value that is there occurs, by the text that training knows it as."""
    present = ~values.missing[::step]
    if values.words is not None:
        codes, texts = values.words
        counts = np.bincount(codes[::step][present], minlength=len(texts))
        return {texts[place]: int(counts[place]) for place in np.flatnonzero(counts)}
    array: Any = values.booleans if values.booleans is not None else values.numbers
    if array is None:
        return {}
    distinct, counts = np.unique(array[::step][present], return_counts=True)
    found: dict[str, int] = {}
    for value, number in zip(distinct.tolist(), counts.tolist(), strict=True):
        found[class_text(value)] = number
    return found
