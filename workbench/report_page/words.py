"""What the findings mean, in sentences for somebody who knows the model and no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.report_page.charts import number

MARKS = {"critical": "■", "warning": "▲", "watch": "◆", "ok": "✓", "insufficient": "…"}
_RANK = ("insufficient", "ok", "watch", "warning", "critical")
HOW_TO_READ = {
    "Reference": ("How the data looked when this model version was trained; everything is compared with it."),
    "Window": "The slice of predictions (or the file) that this page is about.",
    "Effect": (
        "How far a feature has moved: the population stability index less what chance alone adds. From 0.02 "
        "on worth a look, from 0.10 a warning, from 0.25 critical, unless the column has thresholds of its "
        "own. Where training data is ordered in time, the floor below which nothing is flagged is how much "
        "it moved by itself; what passes it is a warning at least, and critical begins further up."
    ),
    "Adjusted p": (
        "How likely such a difference is by chance when nothing has changed, adjusted for the number of "
        "features that are looked at. A feature is flagged only if this is under 0.05 and the effect is "
        "large enough: many rows make tiny differences certain, few rows make large ones accidental."
    ),
    "Distributions": (
        "Wide grey bars: the reference; narrow coloured ones: the window. Numbers are in bins that held "
        "about a tenth of the reference each: as long as nothing changes, both bars are as high."
    ),
    "Importance": (
        "How much worse the model gets when the feature is shuffled. Drift of what the model hardly uses "
        "matters less: the table is ordered by effect × importance."
    ),
    "Insufficient": "Too few rows for a verdict (under 100). It does not mean that there is no drift.",
    "Estimated": (
        "Performance before the true outcomes are known, from the model's own calibrated probabilities. It "
        "sees what changed inputs do, not whether the world behind them has changed. Of a regression: as "
        "if errors were as large as they used to be for such predictions. It never raises an alarm."
    ),
    "Dropped": (
        "Worse than on held-out training data by at least a point, surely (p < 0.01), on 2 of 3 windows."
    ),
}

OF_FILES = {
    "Reference": "The file that the current one is compared with.",
    "Window": "",
    "Importance": "",
    "Estimated": "",
    "Distributions": (
        "Wide grey bars: the reference; narrow coloured ones: the current file. Numbers are in bins that "
        "held about a tenth of the reference each: as long as nothing changes, both bars are as high."
    ),
    "Dropped": "Worse than in the reference by at least a point, surely (p < 0.01).",
}
"""What reads otherwise on a page about two plain files; nothing where the page has no such thing."""


def slice_name(report: Mapping[str, Any]) -> str:
    """What the page is about: the window of a model's predictions, or the current file."""
    return "the window" if report.get("model") else "the current file"


def subject(report: Mapping[str, Any]) -> str:
    """`bikes version 3`; of plain files their comparison."""
    model, version = report.get("model"), report.get("version")
    if not model:
        return "Current data against reference"
    role = report.get("role")
    named = f"{model} version {version}" if version is not None else str(model)
    return f"{named} ({role})" if role and role != "champion" else named


def severity(report: Mapping[str, Any]) -> str:
    """The worst of everything in the report."""
    if report.get("severity") in _RANK:
        return str(report["severity"])
    parts = [one.get("severity", "ok") for one in report.get("features", ())]
    parts += [(report.get("prediction") or {}).get("severity", "insufficient")]
    return max((one for one in parts if one in _RANK), key=_RANK.index, default="insufficient")


def verdict(report: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A headline, and the sentences that carry it."""
    level = severity(report)
    features = report.get("features", ())
    bad = [one for one in features if one["severity"] in ("warning", "critical")]
    watched = [one for one in features if one["severity"] == "watch"]
    prediction = report.get("prediction") or {}
    dropped = [one for one in report.get("performance", ()) if one.get("dropped")]
    is_alone = report.get("model") is not None and report.get("reference_rows") is None
    if dropped:
        headline = "The model has become worse"
    elif is_alone:
        headline = "No reference to compare with"
    elif level == "insufficient":
        headline = "Too few rows for a verdict"
    elif bad or prediction.get("severity") in ("warning", "critical"):
        headline = "The data has drifted"
    elif level in ("warning", "critical"):
        headline = "The data has faults"
    else:
        headline = "Worth a look" if level == "watch" else "No drift"
    found = []
    if level == "insufficient" and not is_alone:
        found.append(
            f"{report.get('current_rows') or 0:,} rows are in {slice_name(report)}; a verdict takes 100. "
            "What is drawn below is what there is."
        )
    elif features and not is_alone:
        found.append(_features(features, bad, watched))
    if prediction.get("severity") in ("watch", "warning", "critical"):
        found.append(f"What the model predicts has moved (effect {number(prediction.get('effect'))}).")
    found += [_dropped(one) for one in dropped[:3]]
    checks = [one for one in report.get("checks", ()) if one.get("severity") in ("warning", "critical")]
    found += [_sentence(str(one.get("message", ""))) for one in checks[:5]]
    labelled = [one for one in report.get("performance", ()) if not one.get("estimated")]
    if not labelled and any(one.get("estimated") for one in report.get("performance", ())):
        found.append("No true outcomes have arrived yet: performance is an estimate.")
    elif (
        bad
        and any(one.get("p_value") is not None for one in labelled)
        and not any(one.get("below") or one.get("dropped") for one in labelled)
    ):
        found.append("By the true outcomes so far, the model is as good as it was.")
    if report.get("note"):
        found.append(_sentence(str(report["note"])))
    return headline, found


def main_metric(performance: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The metric for the head of the page: by labels before estimates, what dropped first."""
    order = {"roc_auc": 1, "accuracy": 0, "rmse": 0, "mae": 1, "f1": 2}
    return min(
        performance,
        key=lambda one: (bool(one.get("estimated")), not one.get("dropped"), order.get(one["metric"], 9)),
        default=None,
    )


def _features(features: Sequence[Any], bad: Sequence[Any], watched: Sequence[Any]) -> str:
    n = len(features)
    if not bad:
        if watched:
            names = _names([one["name"] for one in watched])
            verb = "has" if len(watched) == 1 else "have"
            return f"{names} {verb} moved a little; no feature of {n} is at a warning."
        return (
            f"None of {n} feature{'s' if n != 1 else ''} has moved by more than chance and the limits allow."
        )
    critical = [one for one in bad if one["severity"] == "critical"]
    text = f"{len(bad)} of {n} features {'has' if len(bad) == 1 else 'have'} drifted"
    if critical and len(critical) < len(bad):
        others = [one for one in bad if one["severity"] != "critical"]
        return (
            f"{text}: critical {_names([one['name'] for one in critical])}; "
            f"warning {_names([one['name'] for one in others])}."
        )
    level = "critical" if critical else "warning"
    return f"{text}, {level}: {_names([one['name'] for one in bad])}."


def _dropped(one: Mapping[str, Any]) -> str:
    span = f" [{number(one['low'])}, {number(one['high'])}]" if one.get("low") is not None else ""
    return (
        f"{metric_name(one['metric'])} is {number(one['value'])}{span}, was {number(one.get('reference'))}."
    )


def metric_name(metric: str) -> str:
    """A metric as it is written in a text."""
    names = {"roc_auc": "ROC AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "f1": "F1", "ece": "ECE"}
    return names.get(metric, metric.replace("_", " ").capitalize())


def _names(names: Sequence[str], most: int = 4) -> str:
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return ", ".join(shown[:-1]) + f" and {shown[-1]}" if len(shown) > 1 else shown[0]


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
