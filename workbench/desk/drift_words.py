"""What the Drift screen calls things: the title, a window, a version, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.desk.drift import Wanted, WatchedVersion


def title_of(shown: WatchedVersion, report: Mapping[str, Any], wanted: Wanted, setting: str) -> str:
    """Whose predictions, how long the window is, how many they are, how many are labelled."""
    parts = [name_of(shown)]
    if wanted.segment:
        parts.append(wanted.segment)
    parts.append(spelled(wanted.window or setting))
    rows = f"{report['current_rows']:,} predictions"
    if report["reference_rows"] is None:
        return " · ".join([*parts, rows, "no reference to compare with"])
    coverage = ((report.get("performance_details") or {}).get("coverage") or {}).get("coverage")
    parts.append(rows + (f", {coverage:.0%} labelled" if coverage else ""))
    return " · ".join(parts)


def name_of(shown: WatchedVersion) -> str:
    """`bikes v2`, `bikes v2 (batch)`."""
    role = "" if shown.role == "champion" else f" ({shown.role})"
    return f"{shown.model} v{shown.version}{role}"


def spelled(window: str) -> str:
    """A window as a person writes it: 500 rows, 1 h, 5 min."""
    if window.isdigit():
        return f"{int(window):,} rows"
    amount = window.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = window[len(amount) :].strip()
    return f"{amount} {'min' if unit == 'm' else unit}"


def chart_words(window: str) -> str:
    """How long the windows of a chart are."""
    return f"windows of {spelled(window)}" if window.isdigit() else f"{spelled(window)} windows"


def no_version(has_models: bool) -> str:
    """Why no version can be shown, and what to do about it."""
    if has_models:
        return "no model is in service: promote a version (3 Models, or workbench models promote NAME)"
    return "no models yet: workbench train makes the first version"
