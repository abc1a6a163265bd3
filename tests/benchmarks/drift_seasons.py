"""When weather becomes an alarm: hourly bike rentals of a year, a season as the ordered reference.

    python -m tests.benchmarks.drift_seasons

For windows by count and by time, judged as the monitor does it (those under 500 rows reach back, an alert
needs 2 of the last 3 that share no row, or one critical one of 500 rows): alarms on held-out days of the same
season, over many ways to hold days out, and how many windows into the next season the first alarm comes. The
features are the weather, the clock and the calendar, holidays among them.

Rows of one week are no independent witnesses of a season. So behind each turn stands what weeks can tell: the
p of a t test on the mean temperature of the first three weeks against those of the reference, told beforehand
which of the nine features to look at. Where that is no news, no honest alarm can come of three weeks.
Exits with 1 where held-out days are an alarm.

At most a third of a season is held out. Of every other week held out, the six weeks left are too few to know
how much weeks differ: in 2 of those 8 splits (a week of summer, the first ones of autumn) there are alarms.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from pipelines.drift.persistence import Verdict, decide
from pipelines.drift.verdicts import Options, Sample, judge
from pipelines.drift.windows import Window, extended
from store.findings import Finding
from store.profile import FeatureProfile, count
from tests.pipelines.rentals import SEASONS, Rentals

FEATURES = ("hr", "weekday", "workingday", "holiday", "weathersit", "temp", "atemp", "hum", "windspeed")
TURNS = (("winter", "spring"), ("spring", "summer"), ("summer", "autumn"))
LENGTHS = (168, 240, 336, 500, 720, "day", "week")
WEEK_ROWS = 168
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Length = int | str
Split = Callable[[Sequence[int]], list[int]]


class Judged(Rentals):
    def stretches(self, days: Sequence[int], length: Length) -> Iterator[Any]:
        """Places of the rows of consecutive windows; held-out days follow each other without a gap."""
        rows = np.flatnonzero(np.isin(self.day, days))
        if isinstance(length, int):
            yield from (rows[at : at + length] for at in range(0, len(rows) - length + 1, length))
            return
        step = 7 if length == "week" else 1
        known = np.unique(self.day[rows])
        for at in range(0, len(known) - step + 1, step):
            yield rows[np.isin(self.day[rows], known[at : at + step])]

    def alarms(self, reference: list[FeatureProfile], days: Sequence[int], length: Length) -> list[set[str]]:
        """Features about which there is an alert after each window of these days."""
        parts: list[Window] = []
        history: list[Finding] = []
        found, hours = [], 0
        for rows in self.stretches(days, length):
            counts = {("feature", one.name): count(one, self.columns[one.name][rows]) for one in reference}
            start, hours = EPOCH + timedelta(hours=hours), hours + len(rows)
            parts.append(Window(start, EPOCH + timedelta(hours=hours), len(rows), counts))  # type: ignore[arg-type]
            window = extended(parts)
            assert window is not None
            samples = [Sample(one, window.counts["feature", one.name]) for one in reference]
            verdicts = {one.name: one.as_json() for one in judge(samples, Options())}
            history.insert(
                0, Finding("bikes", 1, "champion", "", window.start, window.end, window.rows, "", verdicts)
            )
            found.append({name for name in FEATURES if raised(history, name)})
        return found

    def told_by_weeks(self, trained: Sequence[int], following: Sequence[int]) -> float:
        """Two-sided p that three weeks are as warm as weeks of the reference, one value a week."""
        from scipy.stats import ttest_ind

        weeks = [
            [self.columns["temp"][rows].mean() for rows in self.stretches(days, WEEK_ROWS)]
            for days in (trained, following)
        ]
        return float(ttest_ind(weeks[0], weeks[1][:3]).pvalue)


def raised(history: Sequence[Finding], name: str) -> bool:
    def verdict_of(window: Finding) -> Verdict:
        return window.features[name]

    return decide(history, verdict_of).action == "raise"


def splits() -> Iterator[tuple[str, Split]]:
    """Which days are held out: single ones and whole weeks, a fifth to a third of a season."""
    for every in (3, 5):
        for phase in range(every):
            yield "days", lambda days, every=every, phase=phase: list(days[phase::every])  # type: ignore[misc]
    for every in (3, 4):
        for phase in range(every):
            yield (
                "weeks",
                lambda days, every=every, phase=phase: [  # type: ignore[misc]
                    day for place, day in enumerate(days) if place // 7 % every == phase
                ],
            )


def shown(firsts: Sequence[int | None]) -> str:
    """After how many windows: the median of the splits, and how many see it within three."""
    known = [one if one is not None else sys.maxsize for one in firsts]
    middle = statistics.median_low(known)
    within = sum(one <= 3 for one in known)
    return f"{'never' if middle == sys.maxsize else middle:>6} ({within:>2}/{len(known)})"


def main() -> int:
    started = time.perf_counter()
    rentals = Judged(FEATURES)
    windows, false = dict.fromkeys(LENGTHS, 0), dict.fromkeys(LENGTHS, 0)
    firsts: dict[tuple[str, Length], list[int | None]] = {}
    told: dict[str, list[float]] = {}
    following = dict(TURNS)
    for season, days in SEASONS.items():
        for _, hold_out in splits():
            held = hold_out(days)
            trained = [day for day in days if day not in held]
            reference = rentals.reference(trained)
            for length in LENGTHS:
                found = rentals.alarms(reference, held, length)
                windows[length] += len(found)
                false[length] += sum(map(bool, found))
                if season in following:
                    turn = rentals.alarms(reference, list(SEASONS[following[season]]), length)
                    first = next((place for place, one in enumerate(turn, 1) if one), None)
                    firsts.setdefault((season, length), []).append(first)
            if season in following:
                p = rentals.told_by_weeks(trained, SEASONS[following[season]])
                told.setdefault(season, []).append(p)
    print(f"{'window':>8} {'held out':>9} {'alarms':>7}   first alarm after windows (splits within three)")
    print(f"{'':>26}   {'   '.join(f'{a} → {b}'.ljust(16) for a, b in TURNS)}")
    for length in LENGTHS:
        turns = "   ".join(shown(firsts[season, length]).ljust(16) for season, _ in TURNS)
        print(f"{length:>8} {windows[length]:>9} {false[length]:>7}   {turns}")
    medians = "   ".join(f"p {statistics.median(told[season]):.3f}".ljust(16) for season, _ in TURNS)
    print(f"{'weeks tell of the temperature':>26} {medians}")
    print(f"{time.perf_counter() - started:.0f} s")
    return int(any(false.values()))


if __name__ == "__main__":
    sys.exit(main())
