"""Screen 4: what has drifted of one model version, how far and since when; its alerts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from store.alerts import Alert
from workbench.desk.drift import WINDOWS, DriftView, Wanted
from workbench.desk.drift_picture import distribution, over_time, pictured, segments_of
from workbench.desk.drift_rows import DriftRow
from workbench.desk.drift_words import spelled
from workbench.report_page.words import metric_name
from workbench.tui.frame.dialogs import Choice, ChoiceDialog
from workbench.tui.frame.screen import SMALLEST, WorkbenchScreen
from workbench.tui.screens.drift_chart import bins_of, chart_of
from workbench.tui.screens.drift_columns import SYMBOLS, alert_columns, ranking_columns
from workbench.tui.screens.drift_page import by_segment, explanation
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.chart import Chart
from workbench.tui.widgets.distribution import DistributionView
from workbench.tui.widgets.page import Page
from workbench.tui.widgets.table import TableFilter, TableState, VirtualTable
from workbench.tui.widgets.table.messages import RowHighlighted, RowSelected

_SILENCES = (
    Choice("1", "for an hour", "h"),
    Choice("8", "for 8 hours", "s"),
    Choice("24", "for a day", "d"),
    Choice("168", "for a week", "w"),
    Choice("0", "no longer: tell it again", "o"),
)


class DriftScreen(WorkbenchScreen):
    """The ranking of one version; beside it the line under the cursor over time and its distributions."""

    NAME = "drift"
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - as Textual declares it
        (0, "-flat"),
        (SMALLEST[1], "-low"),
        (22, "-middle"),
        (36, "-tall"),
    ]
    DEFAULT_CSS = """
    DriftScreen {
        #body { layout: vertical; }
        #lists { layout: vertical; height: 3fr; }
        #ranking-frame { layout: vertical; height: 1fr; }
        #ranking-frame, #alerts, #over-time, #shape, #segments, #why {
            border: round $foreground 20%; border-title-color: $text-muted; }
        #ranking-frame:focus-within, #alerts:focus, #over-time:focus-within, #segments:focus,
        #why:focus {
            border: round $primary; border-title-color: $foreground; border-title-style: bold; }
        #alerts { height: 5; display: none; }
        #pictures { layout: horizontal; height: 2fr; }
        #over-time { width: 3fr; }
        #shape, #segments { width: 2fr; }
        #segments { display: none; }
        #why { display: none; padding: 0 1; height: 1fr; }
        &.-shapeless #shape { display: none; }
        &.-segmented #segments { display: block; }
        &.-pointless #effect { visibility: hidden; }
        &.-alarmed #alerts { display: block; }
        &.-low #pictures, &.-middle.-alerting #pictures { display: none; }
        &.-low #alerts, &.-middle #alerts { display: none; height: 2fr; }
        &.-low.-alerting #alerts, &.-middle.-alerting #alerts { display: block; }
        &.-tall #alerts { height: 7; }
        &.-wide #body { layout: horizontal; }
        &.-wide #lists { width: 6fr; height: 1fr; }
        &.-wide #pictures { width: 5fr; height: 1fr; layout: vertical; }
        &.-wide #over-time { width: 1fr; height: 3fr; }
        &.-wide #shape, &.-wide #segments { width: 1fr; height: 2fr; }
        &.-explaining #why { display: block; }
        &.-explaining #pictures { display: none; }
        &.-explaining #lists { display: none; }
        &.-wide.-explaining #lists { display: block; }
        &.-wide.-explaining #why { width: 5fr; }
    }
    """

    _wanted = Wanted()
    _shown: DriftView | None = None
    _explained: str | None = None

    def compose_body(self) -> Iterable[Widget]:
        ranking: VirtualTable[DriftRow] = VirtualTable(
            ranking_columns(), empty_text="reading what the monitor found …", id="ranking"
        )
        ranking_frame = Container(ranking, TableFilter(ranking), id="ranking-frame")
        ranking_frame.border_title = "drift"
        alerts: VirtualTable[Alert] = VirtualTable(
            alert_columns(), empty_text="no alerts", show_status=False, id="alerts"
        )
        alerts.border_title = "alerts"
        over = Container(Chart(id="effect"), id="over-time")
        shape = Container(DistributionView(id="distribution"), id="shape")
        why = Page(id="why")
        yield Container(
            Container(ranking_frame, alerts, id="lists"),
            Container(over, shape, Page(id="segments"), id="pictures"),
            why,
            id="body",
        )

    @property
    def ranking(self) -> VirtualTable[DriftRow]:
        return self.query_one("#ranking", VirtualTable)

    @property
    def alerts(self) -> VirtualTable[Alert]:
        return self.query_one("#alerts", VirtualTable)

    @property
    def page(self) -> Page:
        return self.query_one("#why", Page)

    def on_mount(self) -> None:
        self.ranking.focus()

    # What is shown.

    def look(self) -> None:
        if not self.is_asking("drift"):
            drift, wanted = self.desk.drift, self._wanted
            self.ask("drift", lambda: drift.view(wanted), self._show, self.refresh_failed)

    def recall(self, state: dict[str, Any]) -> None:
        model = state.get("model")
        if isinstance(model, str):
            self._wanted = Wanted(model=model)
        # What drifted most is on top and under the cursor, and no forgotten filter hides it.
        kept = TableState.from_json(state.get("ranking"))
        self.ranking.restore_state(TableState(kept.sorts, kept.arrangement, column=kept.column))

    def remember(self) -> dict[str, Any]:
        return {"model": self._wanted.model, "ranking": self.ranking.save_state().to_json()}

    def _show(self, view: DriftView) -> None:
        self.answered()
        if view is self._shown:
            return
        self._shown = view
        self.query_one("#ranking-frame").border_title = Content(clean(view.title or "drift"))
        self.ranking.set_empty_text(view.nothing or "nothing here")
        self._set_rows(view.rows)
        self.alerts.set_rows(view.alerts)
        self.set_class(bool(view.alerts), "-alarmed")
        waiting = sum(alert.state == "open" for alert in view.alerts)
        self.alerts.border_title = f"alerts · {waiting} open" if waiting else "alerts"
        self._draw(self.ranking.cursor_row)
        self.refresh_bindings()

    def _set_rows(self, rows: tuple[DriftRow, ...]) -> None:
        """Show the rows; a cursor on top stays on top, so that what has just drifted is in sight."""
        ranking = self.ranking
        is_on_top = ranking.cursor_row in ranking.shown_rows[:1] and not self.has_class("-explaining")
        ranking.set_rows(rows)
        if is_on_top and ranking.shown_rows:
            ranking.move_cursor(ranking.shown_rows[0].id)

    @on(RowHighlighted, "#ranking")
    def _highlighted(self, event: RowHighlighted) -> None:
        self._draw(event.row)
        self.refresh_bindings()

    def _draw(self, row: DriftRow | None) -> None:
        view = self._shown
        if view is None:
            return
        picture = None if row is None else over_time(view, row)
        self.query_one("#over-time").border_title = Content(
            clean(picture.title if picture is not None else "over time")
        )
        self.query_one("#effect", Chart).set_data(chart_of(picture))
        bins = None if row is None else distribution(pictured(view, row))
        self.set_class(bins is None, "-shapeless")
        self.set_class(picture is None or not picture.x, "-pointless")
        segments = segments_of(view, row)
        self.set_class(bool(segments), "-segmented")
        if segments:
            panel = self.query_one("#segments", Page)
            panel.border_title = Content(f"{metric_name(segments[0]['metric'])} by segment")
            panel.set_page(partial(by_segment, segments))
        self.query_one("#shape").border_title = "reference ▒ now █"
        self.query_one("#distribution", DistributionView).set_bins(bins_of(bins))
        if self.has_class("-explaining") and row is not None and view.report is not None:
            is_another = row.id != self._explained
            self._explained = row.id
            self.page.border_title = Content(clean(view.title))
            self.page.set_page(partial(explanation, view.report, row), from_top=is_another)

    # Going into a line and out again.

    @on(RowSelected, "#ranking")
    def _opened(self, event: RowSelected) -> None:
        row: DriftRow = event.row
        if row.kind == "segment":
            self._want(replace(self._wanted_now(), segment=row.name))
            return
        self.add_class("-explaining")
        self._explained = None
        self._draw(row)
        self.page.focus()

    @on(RowSelected, "#alerts")
    def _alert_opened(self, event: RowSelected) -> None:
        alert: Alert = event.row
        found = next((row for row in self.ranking.rows if row.alert and row.alert.id == alert.id), None)
        if found is not None and self.ranking.move_cursor(found.id):
            self.action_back()

    def action_back(self) -> None:
        if self.has_class("-explaining"):
            self.remove_class("-explaining")
            self.ranking.focus()
        elif not self.ranking.has_focus:
            self.remove_class("-alerting")
            self.ranking.focus()
        elif self._wanted.segment:
            self._want(replace(self._wanted, segment=""))
        elif self._wanted.window is not None:
            self._want(replace(self._wanted, window=None))

    # What is looked at.

    def is_available(self, action: str) -> bool:
        view = self._shown
        if action in ("model", "version", "window"):
            if view is None or view.shown is None:
                return False
            if action == "model":
                return len({one.model for one in view.versions}) > 1
            if action == "version":
                return sum(one.model == view.shown.model for one in view.versions) > 1
            return True
        if action == "alerts":
            return view is not None and bool(view.alerts)
        if action in ("acknowledge", "silence"):
            alert = self._alert()
            return alert is not None and (action == "silence" or alert.state != "acknowledged")
        return True

    def action_model(self) -> None:
        view = self._shown
        if view is None:
            return
        worst: dict[str, str] = {}
        for one in view.versions:
            worst.setdefault(one.model, one.severity)
        self._choose(
            "model",
            [Choice(name, f"{SYMBOLS.get(severity, ' ')} {name}") for name, severity in worst.items()],
            lambda name: Wanted(model=name),
        )

    def action_version(self) -> None:
        view = self._shown
        if view is None or view.shown is None:
            return
        versions = {one.id: one for one in view.versions if one.model == view.shown.model}
        self._choose(
            f"version of {view.shown.model}",
            [
                Choice(each.id, f"{SYMBOLS.get(each.severity, ' ')} v{each.version} {each.role}")
                for each in versions.values()
            ],
            lambda chosen: Wanted(
                versions[chosen].model, versions[chosen].version, versions[chosen].role, self._wanted.window
            ),
        )

    def action_window(self) -> None:
        choices = [Choice("setting", "as the setting has it")]
        choices += [Choice(each, spelled(each)) for each in WINDOWS]
        self._choose(
            "judge windows of",
            choices,
            lambda window: replace(self._wanted_now(), window=None if window == "setting" else window),
        )

    def _choose(self, title: str, choices: list[Choice], wanted: Any) -> None:
        def chosen(name: str | None) -> None:
            if name is not None:
                self._want(wanted(name))

        self.app.push_screen(ChoiceDialog(title, choices), chosen)

    def _wanted_now(self) -> Wanted:
        """What is shown, named, so that it stays while something else about it is chosen."""
        shown = self._shown.shown if self._shown is not None else None
        if shown is None:
            return self._wanted
        return replace(self._wanted, model=shown.model, version=shown.version, role=shown.role)

    def _want(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self.forget("drift")
        drift = self.desk.drift
        self.ask("drift", lambda: drift.view(wanted), self._show, self.refresh_failed)

    # Alerts.

    def _alert(self) -> Alert | None:
        """The alert under the cursor, or the one about the line under it."""
        if not self.is_mounted:
            return None
        if self.alerts.has_focus:
            return self.alerts.cursor_row
        row = self.ranking.cursor_row
        return row.alert if row is not None else None

    def action_alerts(self) -> None:
        """To the alerts, and back; where there is little room they take that of the pictures."""
        if self.alerts.has_focus:
            self.action_back()
            return
        self.add_class("-alerting")
        self.call_after_refresh(self.alerts.focus)

    def action_acknowledge(self) -> None:
        alert = self._alert()
        if alert is not None:
            drift = self.desk.drift
            self.ask("alert", lambda: drift.acknowledge(alert), self._changed)

    def action_silence(self) -> None:
        alert = self._alert()
        if alert is None:
            return

        def chosen(hours: str | None) -> None:
            if hours is not None:
                drift, for_ = self.desk.drift, timedelta(hours=int(hours))
                self.ask("alert", lambda: drift.silence(alert, for_), self._changed)

        self.app.push_screen(ChoiceDialog("silence the alert", _SILENCES, details=alert.message), chosen)

    def _changed(self, alert: Alert) -> None:
        self.workbench.toast(f"alert {alert.state}: {alert.message}")
        self.look()
