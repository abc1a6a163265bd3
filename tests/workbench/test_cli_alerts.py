"""`workbench alerts` from the command line."""

from __future__ import annotations

import sys

import pytest

from store.alerts import clear_alert, raise_alert
from store.layout import Layout


@pytest.fixture
def layout(project):
    return Layout.of(project)


def up(layout, feature="temp", severity="warning"):
    return raise_alert(
        layout,
        f"drift:bikes:{feature}",
        kind="drift",
        severity=severity,
        message=f"{feature} has drifted",
        model="bikes",
        version=3,
        feature=feature,
        details={"effect": 0.31, "segment": None},
    )


def test_alerts_are_listed_seen_silenced_and_over(workbench, layout):
    assert workbench("alerts", "list").err.startswith("No alerts")
    temp, hum = up(layout), up(layout, "hum", "critical")

    listed = workbench("alerts", "list", "--json").json
    assert [one["feature"] for one in listed] == ["hum", "temp"]
    assert {"id", "model", "feature", "severity", "state", "since"} <= listed[0].keys()
    assert "■ critical" in workbench("alerts", "list").out
    assert workbench("status", "--json").json["alerts"][0]["severity"] == "critical"
    assert "hum has drifted" in workbench("status").out

    assert workbench("alerts", "ack", temp.id[:5]).code == 0
    assert workbench("alerts", "silence", hum.id, "--for", "2h").code == 0
    states = {one["id"]: one["state"] for one in workbench("alerts", "list", "--json").json}
    assert states == {temp.id: "acknowledged", hum.id: "silenced"}
    assert workbench("alerts", "silence", hum.id, "--off").code == 0
    assert workbench("alerts", "show", hum.id, "--json").json["state"] == "open"
    shown = workbench("alerts", "show", hum.id).out
    assert "0.31" in shown
    assert "None" not in shown

    clear_alert(layout, hum.key)
    assert [one["id"] for one in workbench("alerts", "list", "--json").json] == [temp.id]
    assert len(workbench("alerts", "list", "--all", "--json").json) == 2
    said = [event["what"] for event in workbench("events", "--json").json]
    assert said.count("alert_raised") == 2
    assert {"alert_acknowledged", "alert_silenced", "alert_cleared"} <= set(said)


def test_what_does_not_exist_is_said(workbench, layout):
    assert workbench("alerts", "ack", "nothing").code == 1
    alert = up(layout)
    for span in ("soon", "0h"):
        wrong = workbench("alerts", "silence", alert.id, "--for", span)
        assert wrong.code == 2
        assert "2h" in wrong.err
    assert workbench("alerts", "test").code == 2


def test_every_channel_can_be_tried(workbench, project, layout):
    (project / "workbench.toml").write_text(
        '[project]\nname = "shop"\n'
        f"[alerts.command]\nrun = [{sys.executable!r}, '-c', 'import sys; sys.stdin.read()']\n"
        '[alerts.webhooks.ops]\nurl = "http://127.0.0.1:1/s3cret"\n'
    )
    tried = workbench("alerts", "test", "--json")
    assert tried.code == 1
    results = {one["channel"]: one for one in tried.json}
    assert results["command"]["delivered"]
    assert not results["webhook:ops"]["delivered"]
    assert "s3cret" not in tried.out + tried.err

    shown = workbench("config", "show", "--json").json
    assert shown["alerts.webhooks.ops.url"]["value"] == "***"
    assert shown["alerts.webhooks.ops.format"]["value"] == "auto"


def test_an_address_that_is_none_is_not_repeated(workbench, project):
    (project / "workbench.toml").write_text(
        '[project]\nname = "shop"\n[alerts.webhooks.ops]\nurl = "s3cret/hook"\n'
    )
    checked = workbench("config", "check")
    assert checked.code == 2
    assert "https://" in checked.err
    assert "s3cret" not in checked.err
