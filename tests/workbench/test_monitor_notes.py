from __future__ import annotations

from pipelines.monitor_settings import MonitorSettings
from workbench.monitor_notes import with_unknown_columns

REPORT = {"features": [{"name": "hum"}, {"name": "temp"}], "note": "something"}


def test_columns_that_the_model_does_not_have_are_told() -> None:
    settings = MonitorSettings(thresholds={"humm": 0.9, "hum": 0.5, "prediction": 0.2}, segments=("shop",))
    assert with_unknown_columns(REPORT, settings)["note"] == (
        "something; monitor.thresholds of the settings names humm, which the model doesn't have; "
        "monitor.segments of the settings names shop, which the model doesn't have"
    )


def test_nothing_is_told_where_all_is_well_or_unknown() -> None:
    settings = MonitorSettings(thresholds={"hum": 0.5}, segments=("temp",))
    assert with_unknown_columns(REPORT, settings) == REPORT
    strange = MonitorSettings(segments=("shop",))
    assert with_unknown_columns({"features": []}, strange) == {"features": []}
    part = {**REPORT, "segment": "shop=a"}
    assert with_unknown_columns(part, strange) == part
