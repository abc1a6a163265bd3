"""Charts as inline SVG, drawn without any library; every text in them is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

MAX_BARS = 14


@dataclass(frozen=True)
class Mark:
    """Something that happened, in a chart over time."""

    at: datetime
    label: str


def histogram(labels: Sequence[str], reference: Sequence[float], current: Sequence[float]) -> str:
    """Shares of two samples in the same bins: the reference as wide bars, the current one inside them."""
    shown = list(zip(labels, _shares(reference), _shares(current), strict=True))
    if len(shown) > MAX_BARS:
        # Of many categories those that matter: the largest on either side, in their order.
        weight = sorted(range(len(shown)), key=lambda place: -max(shown[place][1:]))
        kept = set(weight[: MAX_BARS - 1])
        rest = [one for place, one in enumerate(shown) if place not in kept]
        shown = [one for place, one in enumerate(shown) if place in kept]
        shown.append((f"{len(rest)} more", sum(one[1] for one in rest), sum(one[2] for one in rest)))
    width, height, bottom, top = 300.0, 132.0, 30.0, 12.0
    most = max((max(was, now) for _, was, now in shown), default=0.0) or 1.0
    step = width / max(1, len(shown))
    room = height - bottom - top
    parts = [_line("axis", 0, height - bottom, width, height - bottom)]
    for place, (label, was, now) in enumerate(shown):
        left = place * step
        title = f"<title>{escape(label)}: was {_percent(was)}, now {_percent(now)}</title>"
        tall, small = room * was / most, room * now / most
        ground = height - bottom
        behind = _rect("reference", left + step * 0.08, ground - tall, step * 0.84, tall)
        before = _rect("now", left + step * 0.28, ground - small, step * 0.44, small)
        parts.append(f"<g>{title}{behind}{before}</g>")
    parts += _bar_labels([label for label, _, _ in shown], step, height - bottom + 14)
    parts.append(_text(0, 9, f"{_percent(most)}"))
    return _svg(width, height, parts, "Shares of reference and current values by bin")


def over_time(
    moments: Sequence[datetime],
    values: Sequence[float | None],
    *,
    limits: Sequence[tuple[str, float]] = (),
    marks: Sequence[Mark] = (),
    levels: Sequence[str] = (),
    band: Sequence[tuple[float | None, float | None]] = (),
    reference: float | None = None,
    from_zero: bool = True,
    wide: bool = False,
) -> str:
    """A value by time with its limits (name and value) as dashed lines; None is a gap."""
    width, height, left, right, top, bottom = (
        (1010.0 if wide else 300.0),
        (200.0 if wide else 150.0),
        38.0,
        8.0,
        12.0,
        22.0,
    )
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or not moments:
        return '<p class="soft">No windows yet.</p>'
    edges = [bound for pair in band for bound in pair if bound is not None and math.isfinite(bound)]
    extra = [reference] if reference is not None else []
    high = max([*known, *edges, *extra])
    low = 0.0 if from_zero else min([*known, *edges, *extra])
    # A limit far above the curve is no reason to press the curve flat.
    for _, limit in sorted(limits, key=lambda pair: pair[1]):
        if limit <= max(high * 2.5, limits[0][1] * 1.2):
            high = max(high, limit)
    pad = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    high, low = high + pad, low if from_zero else low - pad
    first, last = moments[0].timestamp(), moments[-1].timestamp()
    span = (last - first) or 1.0

    def x(at: datetime) -> float:
        share = (at.timestamp() - first) / span if len(moments) > 1 else 0.5
        return left + share * (width - left - right)

    def y(value: float) -> float:
        return top + (high - value) / (high - low) * (height - top - bottom)

    parts = [
        _line("axis", left, height - bottom, width - right, height - bottom),
        _text(left - 4, y(high) + 9, number(high), anchor="end"),
        _text(left - 4, height - bottom, number(low), anchor="end"),
    ]
    for name, limit in limits:
        if limit <= high:
            parts.append(_line(f"limit {name}", left, y(limit), width - right, y(limit)))
            # On the left, where a curve that has just begun to rise isn't; of two that touch one is enough.
            if all(abs(y(limit) - y(other)) > 11 for _, other in limits if other > limit):
                parts.append(_text(left + 3, y(limit) - 3, name, kind=name))
    if reference is not None:
        parts.append(_line("perfect", left, y(reference), width - right, y(reference)))
        parts.append(_text(width - right, y(reference) - 3, "reference", anchor="end"))
    for mark in marks:
        if moments[0] <= mark.at <= moments[-1]:
            parts.append(_line("deploy", x(mark.at), top, x(mark.at), height - bottom))
            anchor = "end" if x(mark.at) > width * 0.7 else "start"
            shift = -3 if anchor == "end" else 3
            parts.append(_text(x(mark.at) + shift, top + 8, mark.label, anchor=anchor))
    if band:
        above = [(x(at), y(hi)) for at, (_, hi) in zip(moments, band, strict=True) if hi is not None]
        below = [(x(at), y(lo)) for at, (lo, _) in zip(moments, band, strict=True) if lo is not None]
        if len(above) > 1 and len(above) == len(below):
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*above, *reversed(below)])
            parts.append(f'<polygon class="area" points="{points}"/>')
    parts += [
        f'<path class="line" d="M{" L".join(f"{a:.1f} {b:.1f}" for a, b in piece)}"/>'
        for piece in _pieces(moments, values, x, y)
    ]
    if len(known) <= 60 or levels:
        for place, (at, value) in enumerate(zip(moments, values, strict=True)):
            level = levels[place] if place < len(levels) else ""
            is_bad = level in ("warning", "critical")
            if value is not None and math.isfinite(value) and (is_bad or len(known) <= 60):
                title = f"<title>{escape(f'{at:%Y-%m-%d %H:%M} UTC')}: {number(value)}</title>"
                kind = f"dot {level}" if is_bad else "dot"
                parts.append(
                    f'<circle class="{kind}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="{3 if is_bad else 2.2}">'
                    f"{title}</circle>"
                )
    form = "%d %b %H:%M" if span < 3 * 86400 else "%d %b"
    parts.append(_text(left, height - 6, f"{moments[0].strftime(form)}"))
    if len(moments) > 1:
        parts.append(_text(width - right, height - 6, f"{moments[-1].strftime(form)}", anchor="end"))
    return _svg(width, height, parts, "Values over time")


def effect_bar(effect: float | None, thresholds: Sequence[tuple[str, float]], level: str) -> str:
    """An effect on a short scale with its thresholds as ticks."""
    width, height = 96.0, 16.0
    highest = max([limit for _, limit in thresholds] or [1.0]) * 1.6
    share = min(1.0, (effect or 0.0) / highest)
    kind = f"dot {level}" if level in ("warning", "critical") else "dot"
    parts = [_rect("reference", 0, 7, width, 2), _rect(kind, 0, 4, max(0.0, share * width), 8)]
    for name, limit in thresholds:
        if name in ("warning", "critical"):
            place = limit / highest * width
            parts.append(_line(f"limit {name}", place, 0, place, height))
    return _svg(width, height, parts, f"Effect {number(effect)}", fixed=True)


def interval(
    value: float, low: float | None, high: float | None, reference: float | None, *, estimated: bool
) -> str:
    """A value with its interval as a band, and the reference as a tick, on a scale of their own."""
    width, height, inset = 220.0, 24.0, 10.0
    all_values = [one for one in (value, low, high, reference) if one is not None]
    lowest, highest = min(all_values), max(all_values)
    pad = (highest - lowest) * 0.15 or abs(highest) * 0.05 or 0.05
    lowest, highest = lowest - pad, highest + pad

    def x(one: float) -> float:
        return inset + (one - lowest) / (highest - lowest) * (width - 2 * inset)

    parts = [_line("axis", inset, height / 2, width - inset, height / 2)]
    if low is not None and high is not None:
        parts.append(_line("band", x(low), height / 2, x(high), height / 2))
    if reference is not None:
        parts.append(
            f"<g><title>reference {number(reference)}</title>"
            f"{_line('was', x(reference), 3, x(reference), height - 3)}</g>"
        )
    kind = "hollow" if estimated else "dot"
    parts.append(f'<circle class="{kind}" cx="{x(value):.1f}" cy="{height / 2}" r="4.5"/>')
    return _svg(width, height, parts, "Value, interval and reference", fixed=True)


def reliability(points: Sequence[tuple[float, float, float, float, int]]) -> str:
    """Observed share by probability, of (predicted, observed, low, high, rows): right is on the diagonal."""
    size, inset = 220.0, 30.0
    room = size - inset - 8

    def x(share: float) -> float:
        return inset + share * room

    def y(share: float) -> float:
        return size - inset - share * room

    parts = [
        _line("axis", inset, y(0), x(1), y(0)),
        _line("axis", inset, y(0), inset, y(1)),
        _line("perfect", x(0), y(0), x(1), y(1)),
        _text(x(0), size - 14, "0"),
        _text(x(1), size - 14, "1", anchor="end"),
        _text(x(0.5), size - 14, "predicted probability", anchor="middle"),
        _text(inset - 4, y(1) + 8, "1", anchor="end"),
        _text(inset - 4, y(0), "0", anchor="end"),
    ]
    largest = max((rows for *_, rows in points), default=1)
    for predicted, observed, low, high, rows in points:
        title = f"<title>predicted {_percent(predicted)}, observed {_percent(observed)} of {rows:,}</title>"
        radius = 2.5 + 3.5 * math.sqrt(rows / largest)
        parts.append(
            f"<g>{title}{_line('band', x(predicted), y(low), x(predicted), y(high))}"
            f'<circle class="dot" cx="{x(predicted):.1f}" cy="{y(observed):.1f}" r="{radius:.1f}"/></g>'
        )
    return _svg(size, size, parts, "Observed share by predicted probability", fixed=True)


def number(value: float | None) -> str:
    """A number as a person reads it: about three figures."""
    if value is None or not math.isfinite(value):
        return "—"
    size = abs(value)
    if size >= 100_000 or (size and size < 0.0005):
        return f"{value:.2e}" if size < 0.0005 else f"{value:,.0f}"
    if size >= 100:
        return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}".removesuffix(".0")
    return f"{value:.3f}" if size < 1 else f"{value:.2f}" if size < 10 else f"{value:.1f}"


def effect(value: float | None) -> str:
    """An effect, always to three digits after the point: what is less is nothing."""
    return "—" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _shares(counts: Sequence[float]) -> list[float]:
    total = float(sum(counts))
    return [count / total if total else 0.0 for count in counts]


def _pieces(
    moments: Sequence[datetime], values: Sequence[float | None], x: object, y: object
) -> list[list[tuple[float, float]]]:
    assert callable(x)
    assert callable(y)
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(moments, values, strict=True):
        if value is None or not math.isfinite(value):
            pieces.append([])
        else:
            pieces[-1].append((x(at), y(value)))
    return [piece for piece in pieces if len(piece) > 1]


def _bar_labels(labels: Sequence[str], step: float, y: float) -> list[str]:
    """As many labels as there is room for, always the first and the last."""
    n = len(labels)
    if not n:
        return []
    longest = max(len(_short(label)) for label in labels)
    every = max(1, math.ceil(longest * 6.2 / step))
    chosen = list(range(0, n, every))
    if n - 1 not in chosen:
        chosen = [place for place in chosen if n - 1 - place >= every] + [n - 1]
    found = []
    for place in chosen:
        anchor, at = "middle", (place + 0.5) * step
        if every > 1 and place == 0:
            anchor, at = "start", 0.0
        elif every > 1 and place == n - 1:
            anchor, at = "end", n * step
        found.append(_text(at, y, _short(labels[place]), anchor=anchor))
    return found


def _short(label: str) -> str:
    return label if len(label) <= 16 else f"{label[:15]}…"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _svg(width: float, height: float, parts: Sequence[str], label: str, *, fixed: bool = False) -> str:
    size = f'width="{width:g}" height="{height:g}" style="max-width:none"' if fixed else 'width="100%"'
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" {size} role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{escape(kind)}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{escape(kind)}" x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}"'
        f' height="{max(0.0, height):.1f}"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    style = f' class="{escape(kind)}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'
