"""What the title line knows."""

from __future__ import annotations

from pathlib import Path

from store.alerts import acknowledge, raise_alert
from store.layout import Layout
from workbench.desk.desk import open_desk
from workbench.desk.live import Live, read_live
from workbench.desk.place import find_place
from workbench.tui.frame.title import alert_words


def test_open_alerts_are_counted_and_said(project: Path) -> None:
    layout = Layout.of(project)
    desk = open_desk(find_place(project))
    assert alert_words(read_live(desk, Live())) == ""
    ids = [
        raise_alert(layout, f"drift:{name}", kind="drift", severity="warning", message="m").id
        for name in ("temp", "hum")
    ]
    assert alert_words(read_live(desk, Live())) == "▲ 2 alerts"
    acknowledge(layout, ids[0])
    assert alert_words(read_live(desk, Live())) == "▲ 1 alert"
