from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from store.alerts import (
    LIVE,
    Alert,
    Severity,
    acknowledge,
    clear_alert,
    get_alert,
    list_alerts,
    raise_alert,
    silence,
)
from store.errors import NotFoundError, StorageError, UsageError
from store.journal import read_events
from store.layout import Layout

KEY = "drift:bikes:champion:temp"


def raised(layout: Layout, key: str = KEY, severity: Severity = "warning", **more: object) -> Alert:
    return raise_alert(
        layout,
        key,
        kind="drift",
        severity=severity,
        message="temp has drifted",
        model="bikes",
        version=3,
        feature="temp",
        **more,  # type: ignore[arg-type]
    )


def words(layout: Layout) -> list[str]:
    return [event.what for event in read_events(layout)]


def test_a_cause_has_one_alert_as_long_as_it_lasts(layout: Layout) -> None:
    first = raised(layout)
    second = raised(layout, details={"effect": 0.31})

    assert second.id == first.id
    assert second.since == first.since
    assert second.last_seen > first.last_seen
    assert second.details == {"effect": 0.31}
    assert len(list_alerts(layout)) == 1
    assert words(layout) == ["alert_raised"]


def test_an_alert_that_comes_back_is_a_new_one(layout: Layout) -> None:
    first = raised(layout)
    cleared = clear_alert(layout, KEY, reason="3 clean windows")
    again = raised(layout)

    assert cleared is not None
    assert cleared.state == "cleared"
    assert cleared.cleared_at is not None
    assert again.id != first.id
    assert [alert.id for alert in list_alerts(layout, states=LIVE)] == [again.id]
    assert [alert.id for alert in list_alerts(layout)] == [again.id, first.id]
    assert words(layout) == ["alert_raised", "alert_cleared", "alert_raised"]
    assert clear_alert(layout, "drift:none") is None


def test_what_is_worse_than_ever_is_open_again_and_an_event(layout: Layout) -> None:
    alert = raised(layout)
    assert acknowledge(layout, alert.id, "ada").state == "acknowledged"
    assert raised(layout).state == "acknowledged"

    worse = raised(layout, severity="critical")
    assert (worse.state, worse.who, worse.severity) == ("open", None, "critical")
    event = read_events(layout, what="alert_raised")[-1]
    assert (event.from_, event.to, event.reason) == ("warning", "critical", "temp has drifted")

    # To and fro between two severities is one story, not one event each time.
    assert raised(layout, severity="warning").severity == "warning"
    assert raised(layout, severity="critical").worst == "critical"
    assert words(layout).count("alert_raised") == 2


def test_a_silence_is_kept_when_the_cause_goes_and_comes_back_until_it_is_over(layout: Layout) -> None:
    alert = raised(layout)
    until = datetime.now(UTC) + timedelta(hours=2)
    quiet = silence(layout, alert.id, until, "ada")
    assert (quiet.state, quiet.silenced_until, quiet.who) == ("silenced", until, "ada")

    clear_alert(layout, KEY)
    again = raised(layout)
    assert (again.state, again.silenced_until, again.who) == ("silenced", until, "ada")

    assert silence(layout, again.id, datetime.now(UTC) - timedelta(seconds=1)).state == "open"
    clear_alert(layout, KEY)
    assert raised(layout).state == "open"


def test_a_silence_that_has_run_out_needs_nobody_to_end_it(layout: Layout) -> None:
    alert = raised(layout)
    moment = datetime.now(UTC) + timedelta(milliseconds=30)
    silence(layout, alert.id, moment)
    while datetime.now(UTC) < moment:
        pass
    assert [one.state for one in list_alerts(layout, states=("open",))] == ["open"]
    assert list_alerts(layout, states=("silenced",)) == []


def test_an_alert_is_found_by_id_its_beginning_or_key(layout: Layout) -> None:
    alert = raised(layout)
    assert get_alert(layout, alert.id[:4]) == get_alert(layout, KEY) == get_alert(layout, alert.id)
    for wrong in ("nothing", ""):
        with pytest.raises(NotFoundError, match="alerts list"):
            get_alert(layout, wrong)
    clear_alert(layout, KEY)
    with pytest.raises(UsageError, match="over already"):
        acknowledge(layout, alert.id)


def test_the_json_shape(layout: Layout) -> None:
    shape = raised(layout).as_json()
    assert {"id", "model", "feature", "severity", "state", "since"} <= shape.keys()
    assert shape["since"].endswith("Z")


def test_processes_that_raise_the_same_at_once_make_one_alert(layout: Layout) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from store.alerts import raise_alert\n"
        "from store.layout import Layout\n"
        "layout = Layout.of(Path(sys.argv[1]))\n"
        "sys.stdin.readline()\n"
        "for turn in range(20):\n"
        "    raise_alert(layout, f'k{turn}', kind='drift', severity='warning', message='m')\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", program, str(layout.root)], stdin=subprocess.PIPE)
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"\n")
        racer.stdin.close()
    assert [racer.wait(60) for racer in racers] == [0, 0, 0]

    assert sorted(alert.key for alert in list_alerts(layout)) == sorted(f"k{turn}" for turn in range(20))
    assert words(layout).count("alert_raised") == 20


def test_a_disk_that_refuses_loses_the_alert_only_for_those_who_asked_for_that(layout: Layout) -> None:
    layout.ensure()
    layout.state_db.mkdir()  # nothing can be written there, even by root

    assert raised(layout, quiet=True).message == "temp has drifted"
    assert clear_alert(layout, KEY, quiet=True) is None
    with pytest.raises(StorageError):
        raised(layout)
