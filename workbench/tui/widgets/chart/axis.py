"""Nice ticks: linear, logarithmic and in time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from workbench.tui.widgets.formats import number

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIME_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * count for count in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * count for count in (1, 2, 3, 6, 12)),
    *(_DAY * count for count in (1, 2, 7, 14)),
)
_MONTH_STEPS = (1, 3, 6, 12, 24, 60, 120, 240, 600, 1200)
_LAST_MOMENT = 250_000_000_000.0  # in the year 9892, safely within what datetime holds
_FIRST_MOMENT = -60_000_000_000.0


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, in the axis' own coordinates (a logarithm on a logarithmic one)."""

    at: float
    label: str


def nice_step(span: float, count: int) -> float:
    """The step of 1, 2, 2.5 or 5 times a power of ten that cuts `span` into at most about `count` pieces."""
    raw = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    if power == 0:
        return raw
    return next((step * power for step in _STEPS if step * power >= raw * (1 - 1e-9)), 10 * power)


def nice_range(low: float, high: float, count: int = 8) -> tuple[float, float]:
    """A range around `low` and `high` that ends on nice numbers, so that it seldom changes as data grow."""
    low, high = widened(low, high)
    step = nice_step(high - low, count)
    below, above = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    if not (math.isfinite(below) and math.isfinite(above)):
        return low, high
    return min(low, below), max(high, above)


def widened(low: float, high: float) -> tuple[float, float]:
    """The range itself, or one around it where it is too narrow for numbers to tell its ends apart."""
    size = max(abs(low), abs(high))
    if high - low > size * 1e-9 and high - low > 1e-290:
        return low, high
    margin = size * 0.05 or 1.0
    return low - max(margin, 1e-280), high + max(margin, 1e-280)


def linear_ticks(low: float, high: float, count: int) -> list[Tick]:
    """Ticks on round numbers."""
    if not high > low:
        return []
    step = nice_step(high - low, count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last - first > 10 * max(count, 1) or abs(first) > 1e15:
        return []
    places = [index * step for index in range(first, last + 1)]
    return [Tick(place, label) for place, label in zip(places, _labels(places, step), strict=True)]


def log_ticks(low: float, high: float, count: int) -> list[Tick]:
    """Ticks on powers of ten, between them where there are few; `low` and `high` are logarithms."""
    if not high > low:
        return []
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    decades = last - first + 1
    if decades >= 2:
        every = max(1, math.ceil(decades / max(1, count)))
        return [Tick(float(power), _power_label(power)) for power in range(first, last + 1, every)]
    if high - low < 0.3:
        ends = 10.0**low, 10.0**high
        return [Tick(math.log10(tick.at), tick.label) for tick in linear_ticks(*ends, count) if tick.at > 0]
    places = [(power, digit) for power in range(first - 1, last + 1) for digit in (1, 2, 5)]
    ticks = [Tick(power + math.log10(digit), compact(digit * 10.0**power)) for power, digit in places]
    return [tick for tick in ticks if low - 1e-9 <= tick.at <= high + 1e-9]


def time_ticks(low: float, high: float, count: int, zone: tzinfo | None = None) -> list[Tick]:
    """Ticks on round times of `zone` (local if none), labelled as briefly as their distance allows."""
    if not high > low or low < _FIRST_MOMENT or high > _LAST_MOMENT:
        return linear_ticks(low, high, count)
    wanted = (high - low) / max(1, count)
    if wanted < 1:
        return _within_seconds(low, high, count, zone)
    step = next((step for step in _TIME_STEPS if step >= wanted), None)
    moments = _by_seconds(low, step, zone) if step is not None else _by_months(low, wanted, zone)
    ticks: list[Tick] = []
    for moment in moments:
        at = moment.timestamp()
        if at > high or len(ticks) > 4 * max(count, 1):
            break
        if at >= low:
            ticks.append(Tick(at, _time_label(moment, step)))
    return ticks


def _within_seconds(low: float, high: float, count: int, zone: tzinfo | None) -> list[Tick]:
    """Ticks that may be less than a second apart, with as many decimals as tell them apart."""
    step = max(nice_step(high - low, count), 0.001)
    digits = next((digits for digits in range(4) if abs(round(step, digits) - step) < 1e-9), 4)
    ticks: list[Tick] = []
    for index in range(math.ceil(low / step), math.floor(high / step) + 1):
        moment = datetime.fromtimestamp(round(index * step, 4), UTC).astimezone(zone)
        decimals = f".{moment.microsecond:06d}"[: digits + 1] if digits else ""
        ticks.append(Tick(index * step, f"{moment:%H:%M:%S}{decimals}"))
    return ticks


def _by_seconds(low: float, step: int, zone: tzinfo | None) -> Iterator[datetime]:
    start = datetime.fromtimestamp(low, UTC).astimezone(zone)
    if step >= _DAY:
        day = start.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        day -= timedelta(days=day.toordinal() % (step // _DAY))
        while True:
            yield day.replace(tzinfo=zone).astimezone(zone) if zone else day.astimezone()
            day += timedelta(days=step // _DAY)
    offset = start.utcoffset() or timedelta()
    moment = math.floor((low + offset.total_seconds()) / step) * step - offset.total_seconds()
    while True:
        yield datetime.fromtimestamp(moment, UTC).astimezone(zone)
        moment += step


def _by_months(low: float, wanted: float, zone: tzinfo | None) -> Iterator[datetime]:
    months = next((step for step in _MONTH_STEPS if step * 30.5 * _DAY >= wanted), _MONTH_STEPS[-1])
    start = datetime.fromtimestamp(low, UTC).astimezone(zone)
    index = (start.year * 12 + start.month - 1) // months * months
    while index // 12 < 9990:
        if index >= 12:
            month = datetime(index // 12, index % 12 + 1, 1)  # noqa: DTZ001 - it gets its zone right here
            yield month.replace(tzinfo=zone) if zone else month.astimezone()
        index += months


def _time_label(moment: datetime, step: int | None) -> str:
    if step is None:
        return f"{moment:%Y}" if moment.month == 1 else f"{moment:%b %Y}"
    if step >= _DAY or (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M:%S}" if step < _MINUTE else f"{moment:%H:%M}"


def time_text(at: float, zone: tzinfo | None = None) -> str:
    """A moment in full, for the cursor."""
    if not _FIRST_MOMENT <= at <= _LAST_MOMENT:
        return number(at)
    return f"{datetime.fromtimestamp(at, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def compact(value: float) -> str:
    """A number short enough for an axis: 12k, 0.05, 1e-6."""
    size = abs(value)
    for unit, suffix in _SUFFIXES:
        if unit <= size < 1e15 and size >= 1e4:
            return f"{value / unit:.4g}{suffix}"
    if size and (size < 1e-4 or size >= 1e15):
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return f"{value:.6g}"


def _power_label(power: int) -> str:
    return compact(10.0**power) if -4 <= power < 15 else f"1e{power}"


def _labels(places: list[float], step: float) -> list[str]:
    size = max(map(abs, places), default=0.0)
    if size >= 1e15 or step < 1e-6:
        return [f"{place:.6g}" if place else "0" for place in places]
    unit, suffix = 1.0, ""
    if size >= 1e4:
        unit, suffix = next((unit, suffix) for unit, suffix in _SUFFIXES if size >= unit)
    decimals = _decimals(step / unit)
    if decimals > 4:
        unit, suffix, decimals = 1.0, "", _decimals(step)
    return [f"{place / unit:.{decimals}f}{suffix}" if place else "0" for place in places]


def _decimals(step: float) -> int:
    """The decimals that tell multiples of `step` apart."""
    for digits in range(9):
        scaled = step * 10**digits
        if round(scaled) and abs(scaled - round(scaled)) <= 1e-6 * scaled:
            return digits
    return 9
