"""When a season becomes an alarm: hourly bike rentals of a year, a season as the ordered reference.

    python -m tests.benchmarks.drift_seasons [--day]

For windows by count and by time, judged as the monitor does it (those under 500 rows reach back, an alert
needs 2 of the last 3 that share no row, or one critical one of 500 rows): alarms on held-out days of the same
season, over many ways to hold days out, and how many windows into the next season the first alarm comes.

Twice: with all that a model of this table sees, its columns `season` and `mnth` among them; and, the harder
case, with weather, clock and calendar alone, for a model that nobody tells the season. `--day` adds the day
of the year to the first, which no day after training can have had. It changes nothing there: it moves as far
within the reference.

Rows of one week are no independent witnesses of a season. So behind each turn stands what weeks can tell of
the weather: the p of a t test on the mean temperature of the first three weeks against those of the
reference, told beforehand which feature to look at. Where that is no news, no honest alarm can come of three
weeks of weather.

Exits with 1 where held-out days are an alarm, or where with all features a turn is none within three windows
of 168 rows and more, or of a week. A day has 24 rows, too few to be judged alone: its window reaches back
three weeks, and what never changed before is an alarm once it is a quarter of that, on the sixth day. Sooner
it may be an event of a few days, as holidays are.

At most a third of a season is held out. Of every other week held out, the six weeks left are too few to know
how much weeks differ: in 2 of those 8 splits (a week of summer, the first ones of autumn) there are alarms.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tests.pipelines.rentals import FEATURES, SEASONS, TURNS, WEATHER_AND_CLOCK, Length, Rentals

LENGTHS: tuple[Length, ...] = (168, 240, 336, 500, 720, "day", "week")
WEEK_ROWS = 168
WITHIN = 3
Split = Callable[[Sequence[int]], list[int]]


def splits() -> Iterator[Split]:
    """Which days are held out: single ones and whole weeks, a fifth to a third of a season."""
    for every in (3, 5):
        for phase in range(every):
            yield partial(_single_days, every, phase)
    for every in (3, 4):
        for phase in range(every):
            yield partial(_weeks, every, phase)


def _single_days(every: int, phase: int, days: Sequence[int]) -> list[int]:
    return list(days[phase::every])


def _weeks(every: int, phase: int, days: Sequence[int]) -> list[int]:
    return [day for place, day in enumerate(days) if place // 7 % every == phase]


def told_by_weeks(rentals: Rentals, trained: Sequence[int], following: Sequence[int]) -> float:
    """Two-sided p that three weeks are as warm as weeks of the reference, one value a week."""
    from scipy.stats import ttest_ind

    weeks = [
        [rentals.columns["temp"][rows].mean() for rows in rentals.stretches(days, WEEK_ROWS)]
        for days in (trained, following)
    ]
    return float(ttest_ind(weeks[0], weeks[1][:WITHIN]).pvalue)


def shown(firsts: Sequence[int | None]) -> str:
    """After how many windows: the median of the splits, and how many see it within three."""
    middle = statistics.median_low([sys.maxsize if one is None else one for one in firsts])
    return f"{'never' if middle == sys.maxsize else middle:>6} ({seen(firsts):>2}/{len(firsts)})"


def seen(firsts: Sequence[int | None]) -> int:
    return sum(one is not None and one <= WITHIN for one in firsts)


def measure(title: str, features: Sequence[str]) -> tuple[int, bool]:
    """Print the table of one set of features; windows with a false alarm, and whether all turns are seen."""
    started = time.perf_counter()
    rentals = Rentals(features)
    windows, false = dict.fromkeys(LENGTHS, 0), dict.fromkeys(LENGTHS, 0)
    firsts: dict[tuple[str, Length], list[int | None]] = {}
    told: dict[str, list[float]] = {}
    following = dict(TURNS)
    for season, days in SEASONS.items():
        after = list(SEASONS[following[season]]) if season in following else []
        for hold_out in splits():
            held = hold_out(days)
            trained = [day for day in days if day not in held]
            reference = rentals.reference(trained)
            for length in LENGTHS:
                same, turned = rentals.alarms(reference, held, after, length=length)
                windows[length] += len(same)
                false[length] += sum(map(bool, same))
                if after:
                    first = next((place for place, one in enumerate(turned, 1) if one), None)
                    firsts.setdefault((season, length), []).append(first)
            if after:
                told.setdefault(season, []).append(told_by_weeks(rentals, trained, after))
    print(f"{title}: {', '.join(features)}")
    print(f"{'window':>8} {'held out':>9} {'alarms':>7}   first alarm after windows (splits within {WITHIN})")
    print(f"{'':>26}   {'   '.join(f'{a} → {b}'.ljust(16) for a, b in TURNS)}")
    for length in LENGTHS:
        turns = "   ".join(shown(firsts[season, length]).ljust(16) for season, _ in TURNS)
        print(f"{length:>8} {windows[length]:>9} {false[length]:>7}   {turns}")
    medians = "   ".join(f"p {statistics.median(told[season]):.3f}".ljust(16) for season, _ in TURNS)
    print(f"{'weeks tell of the temperature':>26} {medians}")
    print(f"{time.perf_counter() - started:.0f} s\n")
    all_seen = all(seen(found) == len(found) for (_, length), found in firsts.items() if length != "day")
    return sum(false.values()), all_seen


def main() -> int:
    parser = argparse.ArgumentParser(description="When a season becomes an alarm.")
    parser.add_argument("--day", action="store_true", help="with the day of the year as well")
    arguments = parser.parse_args()
    false, all_seen = measure("all features", FEATURES)
    false_of_weather, _ = measure("weather, clock and calendar alone", WEATHER_AND_CLOCK)
    if arguments.day:
        measure("and the day of the year", (*FEATURES, "day"))
    if false or false_of_weather:
        print("held-out days are an alarm")
    if not all_seen:
        print(f"with all features a turn is no alarm within {WITHIN} windows")
    return int(bool(false or false_of_weather) or not all_seen)


if __name__ == "__main__":
    sys.exit(main())
