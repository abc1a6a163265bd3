"""Screen 3: registered models, their versions, and what is in production."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from workbench.desk.model_changes import Change, ChangeKind, carry_out, done, plan
from workbench.desk.models import ModelRow, VersionDetails, VersionRow
from workbench.tui.frame import dialogs
from workbench.tui.frame.screen import WorkbenchScreen
from workbench.tui.screens.model_columns import model_columns, version_columns
from workbench.tui.screens.version_page import version_page
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.page import Page
from workbench.tui.widgets.table import TableFilter, TableState, VirtualTable
from workbench.tui.widgets.table.messages import RowHighlighted, RowSelected

if TYPE_CHECKING:
    from store.registry import Transition

_NO_VERSIONS = "workbench train makes the first version"


class ModelsScreen(WorkbenchScreen):
    """Models, the versions of the one under the cursor, and everything about one version."""

    NAME = "models"
    DEFAULT_CSS = """
    ModelsScreen {
        #body { layout: vertical; }
        #lists { layout: horizontal; height: 2fr; min-height: 7; }
        #models { width: 26; }
        #of-model { width: 1fr; layout: vertical; }
        #models, #of-model, #details { border: round $foreground 20%; border-title-color: $text-muted; }
        #models:focus, #of-model:focus-within, #details:focus {
            border: round $primary; border-title-color: $foreground; border-title-style: bold; }
        #details { height: 3fr; padding: 0 1; }
        &.-wide #body { layout: horizontal; }
        &.-wide #lists { height: 1fr; width: 1fr; }
        &.-wide #details { height: 1fr; width: 62; }
    }
    """

    _models: tuple[ModelRow, ...] = ()
    _shown_model: ModelRow | None = None
    _details: VersionDetails | None = None
    _wanted_model: str | None = None

    def compose_body(self) -> Iterable[Widget]:
        versions: VirtualTable[VersionRow] = VirtualTable(
            version_columns(()), empty_text="no versions", id="versions"
        )
        models: VirtualTable[ModelRow] = VirtualTable(
            model_columns(), row_id=lambda row: row.name, empty_text="reading the models …", id="models"
        )
        models.border_title = "models"
        of_model = Container(versions, TableFilter(versions), id="of-model")
        of_model.border_title = "versions"
        details = Page(id="details")
        details.border_title = "details"
        yield Container(Container(models, of_model, id="lists"), details, id="body")

    @property
    def models(self) -> VirtualTable[ModelRow]:
        return self.query_one("#models", VirtualTable)

    @property
    def versions(self) -> VirtualTable[VersionRow]:
        return self.query_one("#versions", VirtualTable)

    @property
    def page(self) -> Page:
        return self.query_one("#details", Page)

    def on_mount(self) -> None:
        self.versions.focus()

    # What is shown.

    def look(self) -> None:
        if not self.is_asking("models"):
            desk = self.desk
            self.ask("models", lambda: desk.models.models(), self._show, self._not_read)

    def _not_read(self, error: Exception) -> None:
        if not self._models:
            self.models.set_empty_text("not read")
        self.refresh_failed(error)

    def recall(self, state: dict[str, Any]) -> None:
        model = state.get("model")
        if isinstance(model, str):
            self._wanted_model = model
            self.models.restore_state(TableState(cursor=model))
        self.versions.restore_state(TableState.from_json(state.get("versions")))

    def remember(self) -> dict[str, Any]:
        return {"model": self.models.cursor_id, "versions": self.versions.save_state().to_json()}

    def is_available(self, action: str) -> bool:
        row = self.versions.cursor_row if self.is_mounted else None
        if action == "promote":
            return row is not None and row.role != "champion"
        if action == "archive":
            return row is not None and row.version.stage != "Archived"
        if action == "challenger":
            return row is not None and row.role == ""
        if action == "rollback":
            model = self._shown_model
            return model is not None and model.model.champion is not None
        return True

    def _show(self, models: tuple[ModelRow, ...]) -> None:
        self.answered()
        if not models:
            self.models.set_empty_text("no models yet")
            self.versions.set_empty_text(_NO_VERSIONS)
        if models is self._models:
            return
        self._models = models
        self.models.set_rows(models)
        self._show_model(self.models.cursor_row)

    @on(RowHighlighted, "#models")
    def _model_highlighted(self, event: RowHighlighted) -> None:
        self._show_model(event.row)

    def _show_model(self, model: ModelRow | None) -> None:
        if model is self._shown_model:
            return
        is_another = model is None or self._shown_model is None or model.name != self._shown_model.name
        self._shown_model = model
        table = self.versions
        frame = self.query_one("#of-model")
        frame.border_title = Content(clean(f"versions of {model.name}" if model else "versions"))
        columns = version_columns(model.metric_names if model else ())
        if [column.key for column in columns] != [column.key for column in table.columns]:
            table.set_columns(columns)
        table.set_rows(model.versions if model else ())
        if is_another and model is not None and self._details is not None:
            table.action_first()
        self._ask_details()

    @on(RowHighlighted, "#versions")
    def _version_highlighted(self) -> None:
        self._ask_details()
        self.refresh_bindings()

    def _ask_details(self) -> None:
        model, row = self._shown_model, self.versions.cursor_row
        if model is None or row is None:
            return
        desk = self.desk
        self.ask(
            "details",
            lambda: desk.models.details(model.name, row.number),
            self._show_details,
            self.refresh_failed,
        )

    def _show_details(self, details: VersionDetails) -> None:
        before, self._details = self._details, details
        is_another = before is None or before.version != details.version
        self.page.set_page(partial(version_page, details), from_top=is_another)
        self.refresh_bindings()

    # What changes.

    def action_promote(self) -> None:
        self._plan("promote")

    def action_challenger(self) -> None:
        self._plan("challenger")

    def action_rollback(self) -> None:
        self._plan("rollback")

    def action_archive(self) -> None:
        self._plan("archive")

    def _plan(self, kind: ChangeKind) -> None:
        model, row = self._shown_model, self.versions.cursor_row
        if model is None or row is None:
            return
        desk = self.desk
        self.ask("plan", lambda: plan(desk.models, kind, model.name, row.number), self._confirm)

    def _confirm(self, change: Change) -> None:
        if not self.is_current:
            return
        self.app.push_screen(
            dialogs.ConfirmDialog(
                change.question,
                change.rows,
                details="\n".join(change.notes),
                asks_reason=True,
                is_dangerous=change.is_dangerous,
            ),
            partial(self._confirmed, change),
        )

    def _confirmed(self, change: Change, answer: dialogs.Confirmation | None) -> None:
        if answer is None:
            return
        desk, reason = self.desk, answer.reason
        self.ask("change", lambda: carry_out(desk.models, change, reason), partial(self._carried_out, change))

    def _carried_out(self, change: Change, _transition: Transition) -> None:
        undo = "; b rolls back" if change.kind == "promote" and change.standing.champion else ""
        self.workbench.toast(done(change) + undo)
        self.look()

    # Moving about.

    @on(RowSelected)
    def _opened(self, event: RowSelected) -> None:
        (self.versions if event.table is self.models else self.page).focus()

    def action_back(self) -> None:
        if self.page.has_focus:
            self.versions.focus()
        elif self.versions.has_focus:
            self.models.focus()
