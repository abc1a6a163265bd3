"""What lies behind a figure of performance, in sentences and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.report_page.charts import number
from workbench.report_page.formats import span
from workbench.report_page.words import metric_name

Details = Mapping[str, Any]
MAX_ROWS = 30


@dataclass(frozen=True)
class Table:
    """A table of figures: the first column names the rows, the others are numbers."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def find_metric(report: Details, name: str) -> Mapping[str, Any] | None:
    """A metric of a report, by labels before an estimate."""
    found = [one for one in report.get("performance", ()) if one["metric"] == name]
    return min(found, key=lambda one: bool(one.get("estimated")), default=None)


def sentences(one: Mapping[str, Any], details: Details) -> list[str]:
    """What a metric is, what it was, and whether that is worse."""
    name, value = metric_name(one["metric"]), interval(one)
    if one.get("estimated"):
        how = (
            "from the model's calibrated probabilities (CBPE)"
            if details.get("residuals") is None and one["metric"] not in ("mae", "rmse", "r2")
            else "as if errors were as large as they used to be for such predictions"
        )
        found = [f"{name} is estimated at {value}, {how}: an estimate never raises an alarm."]
    else:
        found = [f"{name} is {value}, of {one.get('n') or 0:,} predictions with a true outcome."]
    was = one.get("reference")
    if was is None:
        found.append("There is no reference of it to compare with.")
    elif one.get("estimated") or one.get("p_value") is None:
        found.append(f"On held-out training data it was {number(was)}.")
    else:
        found.append(f"On held-out training data it was {number(was)}: {_comparison(one)}.")
    coverage = coverage_text(details)
    return [*found, coverage] if coverage else found


def tables(details: Details) -> Iterator[Table]:
    """Classes, calibration and segments, as far as they are known."""
    classes = [one for one in details.get("classes") or () if one["actual"] or one["predicted"]]
    if len(classes) > 1:
        yield Table(
            "By class",
            ("class", "happened", "predicted", "precision", "recall", "F1"),
            tuple(
                (
                    str(one["class"]),
                    f"{one['actual']:,}",
                    f"{one['predicted']:,}",
                    *(interval(one.get(metric)) for metric in ("precision", "recall", "f1")),
                )
                for one in classes[:MAX_ROWS]
            ),
        )
    calibration = details.get("calibration")
    if calibration and calibration.get("bins"):
        title = f"Calibration of {calibration['of']}: Brier score {number(calibration['brier'])}"
        yield Table(
            f"{title}, mean distance (ECE) {number(calibration['ece'])}",
            ("predicted", "happened", "of rows"),
            tuple(
                (
                    f"{one['predicted']:.0%}",
                    f"{one['observed']:.0%} [{one['low']:.0%}, {one['high']:.0%}]",
                    f"{one['rows']:,}",
                )
                for one in calibration["bins"]
            ),
        )
    segments: Sequence[Mapping[str, Any]] = details.get("segments") or ()
    if segments:
        yield Table(
            "By segment",
            ("segment", "predictions", "with outcome", metric_name(segments[0]["metric"])),
            tuple(
                (
                    segment_name(one),
                    f"{one['predictions']:,}",
                    f"{one['labelled']:,}",
                    interval({**one, "value": one["mean"]}),
                )
                for one in segments[:MAX_ROWS]
            ),
        )


def coverage_text(details: Details | None) -> str:
    """How many predictions have a true outcome, and how long outcomes take to come."""
    coverage = (details or {}).get("coverage") or {}
    if not coverage.get("predictions"):
        return ""
    text = f"{coverage['labelled']:,} of {coverage['predictions']:,} predictions have a true outcome by now."
    if coverage.get("lag_p50_s") is not None:
        half, most = span(coverage["lag_p50_s"]), span(coverage["lag_p90_s"])
        text += f" Half of the outcomes arrive within {half}" if half != most else " Of the outcomes"
        text += f", nine in ten within {most}." if half != most else f" nine in ten arrive within {most}."
    sampled = (details or {}).get("sampled")
    if sampled:
        text += (
            f" Of so many, ROC AUC, probabilities, segments and estimates are those of {sampled['rows']:,}"
            " spread over the window."
        )
    if coverage.get("maturity") is not None and coverage["maturity"] < 0.9:
        text += f" About {coverage['maturity']:.0%} of those to come should be here."
    return text


def residual_text(details: Details) -> str:
    """Which way a regression errs, and whether that has changed."""
    found = details.get("residuals")
    if not found:
        return ""
    bias, low, high = (number(found[key]) for key in ("bias", "low", "high"))
    text = f"On average the truth is {bias} above the prediction [{low}, {high}]"
    if found.get("reference_bias") is not None:
        was = number(found["reference_bias"])
        text += f"; on held-out training data it was {was} (p {found['p_value']:.2g})"
    return f"{text}."


def segment_name(one: Mapping[str, Any]) -> str:
    """`country=FR`."""
    return f"{one['feature']}={'missing' if one['value'] is None else one['value']}"


def interval(one: Mapping[str, Any] | None) -> str:
    """`0.87 [0.84, 0.90]`."""
    if not one or one.get("value") is None:
        return "—"
    if one.get("low") is None or one.get("high") is None:
        return number(one["value"])
    return f"{number(one['value'])} [{number(one['low'])}, {number(one['high'])}]"


def _comparison(one: Mapping[str, Any]) -> str:
    chance = f"p = {one['p_value']:.2g}"
    if one.get("dropped"):
        return f"it has dropped, by more than chance ({chance}) and a point, in 2 of 3 parts of the rows"
    if one.get("below"):
        return f"it is worse here ({chance}), which 2 of 3 parts of the rows do not confirm"
    return f"it is not surely worse ({chance}; a drop takes less than 0.01 and a point)"
