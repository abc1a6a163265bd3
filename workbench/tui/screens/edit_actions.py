"""The keys of the Runs screen that change something; what they do is imported when one is first pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from workbench.tui.screens.run_edits import RunEdits
    from workbench.tui.screens.runs import RunsScreen


class EditActions:
    """Mixed into the screen."""

    @property
    def edits(self) -> RunEdits:
        from workbench.tui.screens.run_edits import RunEdits

        return RunEdits(cast("RunsScreen", self))

    def action_rename(self) -> None:
        self.edits.rename()

    def action_note(self) -> None:
        self.edits.note()

    def action_tag(self) -> None:
        self.edits.tag()

    def action_delete(self) -> None:
        self.edits.delete()

    def action_restore(self) -> None:
        self.edits.restore()

    def action_register(self) -> None:
        self.edits.register()

    def action_promote(self) -> None:
        self.edits.promote()
