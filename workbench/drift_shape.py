"""The two distributions of a feature as bars: named, and without bins at the ends that nobody needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bars:
    """Counts of both sides in the same bins, by name."""

    labels: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


def bars_of(one: Mapping[str, Any]) -> Bars:
    """The bars of a feature of a report; a truth has false and true."""
    shape = one.get("distribution") or {}
    labels = [str(label) for label in shape.get("labels", ())]
    edges: list[float] = list(shape.get("edges") or [])
    if len(edges) > 1 and edges[0] == math.nextafter(edges[1], -math.inf):
        labels[1] = f"{edges[1]:.4g}"  # a bin of one value, the smallest
    if one.get("kind") == "boolean" and len(labels) == len(edges) + 1:
        # A value lies in the bin that ends with it.
        labels = [{0.0: "false", 1.0: "true"}.get(edge, "other") for edge in edges] + ["other"]
    was, now = list(shape.get("reference", ())), list(shape.get("current", ()))
    used = [place for place in range(len(labels)) if was[place] or now[place]]
    shown = slice(used[0], used[-1] + 1) if used else slice(None)
    return Bars(tuple(labels[shown]), tuple(was[shown]), tuple(now[shown]))


def has_bins_of_one_value(one: Mapping[str, Any]) -> bool:
    """Whether a bin of a column of numbers holds a single value, so that its width says nothing."""
    shape = one.get("distribution") or {}
    labels = shape.get("labels") or ()
    return bool(shape.get("edges")) and any("…" not in str(label) for label in labels[1:-1])
