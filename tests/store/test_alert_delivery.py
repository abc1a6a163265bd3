"""Who is told of what, and when: one host at a time, nothing lost, nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from store.alert_delivery import Claim, Rules, channel_states, claim, delivered, failed
from store.alerts import Severity, acknowledge, clear_alert, raise_alert, silence
from store.layout import Layout
from store.state import connect

AT_ONCE = Rules(pause=timedelta(0))


def up(layout: Layout, key: str = "drift:temp", severity: Severity = "warning") -> str:
    return raise_alert(layout, key, kind="drift", severity=severity, message="temp has drifted").id


def due(layout: Layout, rules: Rules = AT_ONCE, host: str = "one") -> Claim | None:
    return claim(layout, "webhook:ops", host, rules, lease_s=60)


def told(layout: Layout, rules: Rules = AT_ONCE) -> list[str]:
    """What the channel is told now; it takes it."""
    claimed = due(layout, rules)
    if claimed is None:
        return []
    delivered(layout, claimed)
    return [notice.what for notice in claimed.notices]


def later(layout: Layout, hours: float) -> None:
    """Move everything that was told into the past."""
    with connect(layout) as connection:
        at = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        connection.execute("UPDATE alert_told SET at = ?", (at,))
        connection.execute("UPDATE alert_channels SET sent = '[]', retry_at = NULL")


def test_an_alert_is_told_once_and_its_end_once(layout: Layout) -> None:
    up(layout)
    assert told(layout) == ["raised"]
    up(layout)
    assert told(layout) == []
    up(layout, severity="critical")
    assert told(layout) == ["worse"]
    clear_alert(layout, "drift:temp")
    assert told(layout) == ["cleared"]
    assert told(layout) == []
    up(layout)
    assert told(layout) == ["raised"]


def test_many_at_once_go_together(layout: Layout) -> None:
    assert due(layout) is None
    for feature in ("a", "b", "c"):
        up(layout, f"drift:{feature}")
    assert told(layout) == ["raised"] * 3


def test_an_open_alert_is_repeated_until_somebody_has_seen_it(layout: Layout) -> None:
    alert = up(layout)
    told(layout)
    later(layout, 3.9)
    assert told(layout) == []
    later(layout, 4.1)
    assert told(layout) == ["repeated"]
    later(layout, 4.1)
    assert told(layout, Rules(repeat=None)) == []
    acknowledge(layout, alert)
    assert told(layout) == []


def test_silenced_and_mild_ones_are_not_told(layout: Layout) -> None:
    alert = up(layout)
    silence(layout, alert, datetime.now(UTC) + timedelta(hours=1))
    up(layout, "drift:hum", severity="watch")
    assert told(layout) == []
    clear_alert(layout, "drift:temp")
    assert told(layout) == []


def test_what_came_and_went_while_nobody_could_tell_is_told(layout: Layout) -> None:
    up(layout, "first")
    assert told(layout) == ["raised"]
    up(layout, "drift:temp")
    clear_alert(layout, "drift:temp")
    assert told(layout) == ["over"]
    assert told(layout) == []


def test_a_new_channel_hears_of_what_is_open_and_not_of_old_stories(layout: Layout) -> None:
    up(layout, "old")
    clear_alert(layout, "old")
    up(layout, "new")
    claimed = due(layout)
    assert claimed is not None
    assert [notice.alert.key for notice in claimed.notices] == ["new"]


def test_one_host_at_a_time_and_another_when_it_died(layout: Layout) -> None:
    up(layout)
    first = due(layout, host="one")
    assert first is not None
    assert due(layout, host="two") is None
    with connect(layout) as connection:  # the first dies; its lease ends
        connection.execute(
            "UPDATE alert_channels SET claimed_until = ?", (first.notices[0].alert.since.isoformat(),)
        )
    second = due(layout, host="two")
    assert second is not None
    assert [notice.alert.id for notice in second.notices] == [notice.alert.id for notice in first.notices]


def test_a_failure_is_waited_out_and_nothing_is_lost(layout: Layout) -> None:
    up(layout)
    waits = []
    for _ in range(3):
        claimed = due(layout)
        assert claimed is not None
        state = failed(layout, claimed, "answered 500")
        assert state.retry_at is not None
        waits.append((state.retry_at - datetime.now(UTC)).total_seconds())
        assert due(layout) is None
        with connect(layout) as connection:
            connection.execute("UPDATE alert_channels SET retry_at = NULL")
    assert [round(wait) for wait in waits] == [5, 10, 20]
    up(layout, "drift:hum")
    assert told(layout) == ["raised", "raised"]
    assert [(state.failures, state.error) for state in channel_states(layout)] == [(0, None)]


def test_a_pause_between_messages_which_critical_ones_do_not_keep(layout: Layout) -> None:
    patient = Rules(pause=timedelta(minutes=5))
    up(layout, "a")
    assert told(layout, patient) == ["raised"]
    up(layout, "b")
    assert told(layout, patient) == []
    up(layout, "c", severity="critical")
    assert told(layout, patient) == ["raised", "raised"]


def test_no_more_messages_an_hour_than_wanted(layout: Layout) -> None:
    rules = Rules(pause=timedelta(0), max_per_hour=2)
    for turn in range(4):
        up(layout, f"k{turn}", severity="critical")
        assert told(layout, rules) == (["raised"] if turn < 2 else [])
    later(layout, 1.1)
    assert told(layout, rules) == ["raised", "raised"]
