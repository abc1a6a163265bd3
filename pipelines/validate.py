"""Judges a data file by the settings and by the data so far, before anything learns from it."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.codes import is_code
from pipelines.settings import PipelineSettings
from pipelines.summary import FileSummary
from pipelines.tally import ColumnTally

_TYPES = {
    "number": "numbers",
    "boolean": "true and false",
    "date": "dates",
    "text": "words",
    "empty": "nothing",
}
_FAR = 3.0
"""A file's range is worth a warning when it leaves that of the data so far by this many of its widths."""
_FEW_WORDS = 0.05
"""Share of words up to which a column of one file alone is taken for numbers with mistakes in it."""
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (`error`) or strange (`warning`) about a file."""

    level: Literal["error", "warning"]
    check: str
    message: str
    column: str | None = None
    place: str | None = None
    """`line 24`, or `row 24` where a file has no lines."""
    value: str | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Report:
    """What the validation of one file found."""

    path: str
    findings: tuple[Finding, ...]
    summary: FileSummary | None = None
    seconds: float = 0.0

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "warning"]

    @property
    def is_valid(self) -> bool:
        return not self.errors

    @property
    def reason(self) -> str | None:
        """The errors in one line; None for a valid file."""
        errors = self.errors
        if not errors:
            return None
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return f"{errors[0].message}{more}"

    def as_json(self) -> dict[str, Any]:
        """The report as the ledger keeps it and `data validate --json` prints it."""
        return {
            "path": self.path,
            "valid": self.is_valid,
            "rows": None if self.summary is None else self.summary.rows,
            "findings": [asdict(finding) for finding in self.findings],
            "seconds": round(self.seconds, 3),
            "summary": None if self.summary is None else self.summary.as_json(),
        }


@dataclass
class DataSoFar:
    """The columns of the files that training reads, as a file that comes is measured by them."""

    columns: dict[str, ColumnTally] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.columns)

    def add(self, columns: Mapping[str, ColumnTally]) -> None:
        """Take the columns of an accepted file in."""
        for name, tally in columns.items():
            if name in self.columns:
                self.columns[name].merge(tally)
            else:
                # Of its own: the counts of others are added to it.
                self.columns[name] = ColumnTally.from_json(tally.as_json())
            self._settle(name, self.columns[name])

    def _settle(self, name: str, tally: ColumnTally) -> None:
        if self.kinds.get(name, "empty") == "empty" or tally.kind == "text":
            self.kinds[name] = tally.kind

    @classmethod
    def by_majority(cls, summaries: Sequence[FileSummary]) -> DataSoFar:
        """What several files that came at once have in common: the columns that most have, and of each the
        type of most values. The first file decides where they are even."""
        headers = Counter(tuple(sorted(summary.columns)) for summary in summaries)
        if not headers:
            return cls()
        common = max(headers, key=lambda names: headers[names])
        first = next(summary for summary in summaries if tuple(sorted(summary.columns)) == common)
        result = cls()
        for name in first.columns:
            votes: Counter[str] = Counter()
            for summary in summaries:
                tally = summary.columns.get(name)
                if tally is not None:
                    for kind, number in _by_kind(tally):
                        votes[kind] += number
            kind = votes.most_common(1)[0][0] if votes else "empty"
            merged = ColumnTally()
            for summary in summaries:
                tally = summary.columns.get(name)
                if tally is not None and (tally.kind in (kind, "empty") or kind == "text"):
                    merged.merge(tally)
            result.columns[name], result.kinds[name] = merged, kind
        return result


def judge(
    path: str,
    summary: FileSummary,
    so_far: DataSoFar,
    settings: PipelineSettings,
    seconds: float = 0.0,
    drift: Sequence[Finding] = (),
) -> Report:
    """All that is wrong and strange about a file, by what it holds and what the data so far is like; `drift`
    is what a comparison with the champion's training data found."""
    findings = [
        *_columns(path, summary, so_far, settings),
        *_types(path, summary, so_far, settings),
        *_target(path, summary, settings),
        *_rules(path, summary, settings),
        *_strange(path, summary, so_far, settings),
        *drift,
    ]
    if settings.validate.on_failure == "warn":
        findings = [_softened(finding) for finding in findings]
    findings.sort(key=lambda finding: finding.level)
    return Report(path, tuple(findings), summary, seconds)


def _columns(
    path: str, summary: FileSummary, so_far: DataSoFar, settings: PipelineSettings
) -> Iterator[Finding]:
    named = [settings.target, *(settings.features or ()), settings.time_column, settings.id_column]
    expected = list(so_far.columns) if so_far else [name for name in dict.fromkeys(named) if name]
    extra = [name for name in summary.columns if name not in expected] if so_far else []
    strangers = extra if so_far else list(summary.columns)
    for name in expected:
        if name in summary.columns:
            continue
        renamed = _renamed(name, strangers, summary, so_far)
        hint = f"; {renamed!r} looks like it, so it may have been renamed" if renamed else ""
        what = "the target" if name == settings.target else "column"
        yield Finding("error", "missing_column", f"{path} lacks {what} {name!r}{hint}", name, value=renamed)
    for name in extra:
        message = f"{path} has a column {name!r} that the data so far lacks"
        yield Finding("error", "extra_column", message, name)


def _types(
    path: str, summary: FileSummary, so_far: DataSoFar, settings: PipelineSettings
) -> Iterator[Finding]:
    for name, tally in summary.columns.items():
        known = so_far.kinds.get(name)
        if known is None or known == "empty":
            if tally.words and 0 < tally.words <= _FEW_WORDS * tally.present and tally.distinct_numbers >= 20:
                place, value = tally.first.get("word", ("", ""))
                yield Finding(
                    "warning",
                    "type",
                    f"{path} {place}: column {name!r} holds {value!r} among {tally.numbers:,} numbers, so it "
                    f"is learned as words ({_times(tally.words, 'value')} like it)",
                    name,
                    place,
                    value,
                    tally.words,
                )
            continue
        if known == "text" or tally.kind in (known, "empty"):
            continue
        if tally.kind == "text":
            place, value = tally.first.get("word", ("", ""))
            what = f"holds {value!r}, " + ("a code with a leading zero" if is_code(value) else f"no {known}")
        else:
            place, value, what = "", "", f"holds {_TYPES[tally.kind]}"
        where = f"{path} {place}".strip()
        more = f" ({_times(tally.words, 'value')} like it)" if tally.words > 1 else ""
        yield Finding(
            "error",
            "type",
            f"{where}: column {name!r} {what}{more}; the data so far holds {_TYPES[known]}",
            name,
            place or None,
            value or None,
            tally.words or tally.present,
        )


def _target(path: str, summary: FileSummary, settings: PipelineSettings) -> Iterator[Finding]:
    name = settings.target
    tally = summary.columns.get(name)
    if tally is None:
        return
    if tally.missing:
        place = tally.first.get("missing", ("", ""))[0]
        all_of_it = "has no value in any row" if not tally.present else (
            f"is missing in {tally.missing} of {tally.rows} rows, first in {place}"
        )  # fmt: skip
        yield Finding(
            "error", "target", f"{path}: the target {name!r} {all_of_it}", name, place, rows=tally.missing
        )
    if settings.task == "regression" and tally.words:
        place, value = tally.first["word"]
        message = f"{path} {place}: the target {name!r} holds {value!r}, no number"
        yield Finding("error", "target", message, name, place, value, tally.words)
    for column, counts in summary.columns.items():
        if counts.infinite and column not in settings.ignore:
            place, value = counts.first.get("infinite", ("", ""))
            what = "the target" if column == name else "column"
            yield Finding(
                "error",
                "infinite",
                f"{path} {place}: {what} {column!r} holds {_times(counts.infinite, 'infinite value')}",
                column,
                place,
                value,
                counts.infinite,
            )


def _rules(path: str, summary: FileSummary, settings: PipelineSettings) -> Iterator[Finding]:
    for broken in summary.broken:
        rows = _times(broken.rows, "row")
        shown = f"with {broken.value}" if broken.value else "without a value"
        if broken.column is None:
            message = f"{path} {broken.place}: {broken.demand}; {rows} {_verb(broken.rows)} not"
        else:
            message = (
                f"{path} {broken.place}: column {broken.column!r} {broken.demand}; {rows} "
                f"{'breaks' if broken.rows == 1 else 'break'} this, the first {shown}"
            )
        yield Finding(
            "error", broken.check, message, broken.column, broken.place, broken.value or None, broken.rows
        )
    most = settings.validate.max_null_share
    for name, tally in summary.columns.items():
        if most is not None and tally.rows and tally.missing / tally.rows > most:
            place = tally.first.get("missing", ("", ""))[0]
            yield Finding(
                "error",
                "null_share",
                f"{path}: column {name!r} is missing in {tally.missing / tally.rows:.1%} of the rows, "
                f"and max_null_share is {most:.1%}",
                name,
                place,
                rows=tally.missing,
            )


def _strange(
    path: str, summary: FileSummary, so_far: DataSoFar, settings: PipelineSettings
) -> Iterator[Finding]:
    for name, tally in summary.columns.items():
        known = so_far.columns.get(name)
        if known is None or known.present == 0 or name in (settings.id_column, settings.time_column):
            continue
        if tally.kind == "empty" and tally.rows:
            yield Finding("warning", "empty", f"{path}: column {name!r} has no value in any row", name)
        elif tally.missing and not known.missing and name != settings.target:
            message = (
                f"{path}: column {name!r} is missing in {tally.missing} rows; the data so far has no gaps"
            )
            yield Finding("warning", "null", message, name, rows=tally.missing)
        if so_far.kinds.get(name) == "number" and not _is_near(tally, known):
            yield Finding(
                "warning",
                "range",
                f"{path}: column {name!r} reaches from {tally.low:g} to {tally.high:g}, "
                f"the data so far from {known.low:g} to {known.high:g}",
                name,
            )
        if so_far.kinds.get(name) == "text" and known.categories and tally.categories:
            unseen = [word for word in tally.categories if word not in known.categories]
            if unseen and len(known.categories) < 0.5 * known.present:
                number = sum(tally.categories[word] for word in unseen)
                what = "the target" if name == settings.target else f"column {name!r}"
                shown = ", ".join(map(repr, unseen[:_SHOWN])) + (" and more" if len(unseen) > _SHOWN else "")
                message = f"{path}: {what} has values that the data so far lacks: {shown}, in {number} rows"
                yield Finding("warning", "categories", message, name, value=unseen[0], rows=number)
    if summary.repeated_rows:
        rows = _times(summary.repeated_rows, "row")
        message = (
            f"{path}: {rows} {'repeats' if summary.repeated_rows == 1 else 'repeat'} another of this file"
        )
        yield Finding("warning", "duplicates", message, rows=summary.repeated_rows)
    if summary.disorder:
        message = f"{path} {summary.disorder}: {settings.time_column!r} goes back in time"
        yield Finding("warning", "order", message, settings.time_column, summary.disorder)


def _is_near(tally: ColumnTally, known: ColumnTally) -> bool:
    if tally.low is None or tally.high is None or known.low is None or known.high is None:
        return True
    width = _FAR * ((known.high - known.low) or abs(known.high) or 1.0)
    return known.low - width <= tally.low and tally.high <= known.high + width


def _by_kind(tally: ColumnTally) -> Iterator[tuple[str, int]]:
    yield "number", tally.numbers
    yield "text", tally.words
    yield "boolean", tally.booleans
    yield "date", tally.dates


def _renamed(name: str, strangers: Sequence[str], summary: FileSummary, so_far: DataSoFar) -> str | None:
    """The column of the file that the missing one was probably renamed to."""
    plain = {_plain(stranger): stranger for stranger in strangers}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.6)
    if close:
        return plain[close[0]]
    if len(strangers) == 1 and summary.columns[strangers[0]].kind == so_far.kinds.get(name):
        return strangers[0]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _softened(finding: Finding) -> Finding:
    """With on_failure = "warn" only what no training can use stays an error."""
    if finding.level == "warning" or finding.check in ("missing_column", "target", "infinite"):
        return finding
    return Finding(**{**asdict(finding), "level": "warning"})


def _times(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _verb(number: int) -> str:
    return "does" if number == 1 else "do"
