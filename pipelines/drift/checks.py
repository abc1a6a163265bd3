"""What else can be wrong with a window: values out of range, copies of rows, silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from pipelines.drift.bands import FEATURE_BANDS
from pipelines.drift.evidence import SIGNIFICANT
from pipelines.drift.report import Check
from pipelines.drift.significance import unseen_rate
from pipelines.drift.tails import binomial_above

if TYPE_CHECKING:
    from pipelines.settings import ColumnRule
    from store.profile import Profile
    from store.row_faults import RowFaults

LEAST_DUPLICATES = 0.10
"""Share of copied rows, above that of the reference, from which they are worth a warning."""
LEAST_SILENCE = timedelta(hours=2)
SILENCE_FACTOR = 3
"""How many times its longest pause of the last days a model must be silent."""

Limits = dict[str, tuple[float | None, float | None]]


def limits_of(profile: Profile, rules: Mapping[str, ColumnRule]) -> Limits:
    """Smallest and largest value expected by column: the column's rule, else the reference's own."""
    found: Limits = {}
    for feature in profile.features:
        if feature.kind != "numeric":
            continue
        rule = rules.get(feature.name)
        low = feature.minimum if rule is None or rule.min is None else rule.min
        high = feature.maximum if rule is None or rule.max is None else rule.max
        found[feature.name] = (low, high)
    return found


def out_of_range(
    profile: Profile, rules: Mapping[str, ColumnRule], faults: RowFaults, *, least_rows: int = 100
) -> list[Check]:
    """A check for each column with more values beyond its limits than chance puts there.

    Of a rule, every value beyond it counts; beyond the reference's own extremes, 3 of R values are likely.
    """
    found = []
    limits = limits_of(profile, rules)
    tested = max(1, len(faults.outside))
    for name, outside in faults.outside.items():
        present = faults.present[name]
        if not outside or present < least_rows:
            continue
        rule = rules.get(name)
        has_rule = rule is not None and (rule.min is not None or rule.max is not None)
        share = outside / present
        rate = unseen_rate(profile.rows)
        if not has_rule and binomial_above(outside - 1, present, rate) * tested >= SIGNIFICANT:
            continue
        low, high = limits[name]
        severity = FEATURE_BANDS.severity(share)
        if severity == "ok":
            if not has_rule:
                continue
            severity = "watch"
        where = "the rule for it" if has_rule else "all of the reference"
        found.append(
            Check(
                "out_of_range",
                severity,
                outside_text(name, outside, present, where, low, high),
                feature=name,
                share=share,
                count=outside,
            )
        )
    return sorted(found, key=lambda check: -(check.share or 0.0))


def outside_text(
    name: str, outside: int, present: int, where: str, low: float | None, high: float | None
) -> str:
    """`60 of 1,500 values of age are outside all of the reference (18 … 81)`."""
    text = f"{outside:,} of {present:,} values of {name} are outside {where}"
    if low is None or high is None:
        return text
    return f"{text} ({f'always {low:g}' if low == high else f'{low:g} … {high:g}'})"


def duplicates(
    copies: int, rows: int, reference_share: float | None, *, least_rows: int = 100
) -> Check | None:
    """Rows with the same features as an earlier one, where they are more than the reference has."""
    if rows < least_rows or not copies:
        return None
    share, usual = copies / rows, reference_share or 0.0
    deviation = (max(usual, 1 / rows) * (1 - usual) / rows) ** 0.5
    if share - usual < LEAST_DUPLICATES or share - usual < 3 * deviation:
        return None
    was = f", {usual:.1%} in the reference" if reference_share is not None else ""
    return Check(
        "duplicates",
        "watch" if reference_share is None else "warning",
        f"{copies:,} of {rows:,} rows are copies of others ({share:.1%}{was})",
        share=share,
        count=copies,
    )


def staleness(moments: Sequence[datetime], now: datetime, *, least: int = 12) -> Check | None:
    """Silence: nobody asks the model any more, though it was asked regularly.

    `moments` are starts of the five minutes in which predictions were made during the last days, in order.
    """
    if len(moments) < least:
        return None
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    usual = max(pauses)
    silent = now - moments[-1]
    if silent < max(LEAST_SILENCE, SILENCE_FACTOR * usual):
        return None
    hours = silent.total_seconds() / 3600
    return Check(
        "staleness",
        "warning",
        f"no prediction for {hours:.1f} hours; the longest pause before was"
        f" {usual.total_seconds() / 3600:.1f}",
        details={"last_at": moments[-1].isoformat(), "hours": hours},
    )
