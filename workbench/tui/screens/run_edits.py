"""What a person changes on the Runs screen: names, notes, tags, deletion, versions and the champion."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from store.errors import UsageError
from store.runs import NOTE_TAG, Run
from workbench.desk import run_changes
from workbench.desk.change_row import ChangeRow
from workbench.desk.run_details import versions_of
from workbench.desk.run_promotion import Promotion, plan_promotion, promote_run
from workbench.desk.runs import expire_runs
from workbench.tui.frame.dialogs import Confirmation, ConfirmDialog, PromptDialog

if TYPE_CHECKING:
    from workbench.tui.screens.runs import RunsScreen

_LISTED = 12


class RunEdits:
    """What is done to the chosen runs of a screen. Whatever can't be undone asks first."""

    def __init__(self, screen: RunsScreen) -> None:
        self._screen = screen

    def _change(self, call: Callable[[], str]) -> None:
        """Change something in a worker, say what has become true, and look again."""

        def changed(said: str) -> None:
            screen.workbench.toast(said)
            expire_runs(screen.desk)
            screen.look_again()

        screen = self._screen
        screen.ask(f"change {id(call)}", call, changed)

    def rename(self) -> None:
        run = self._screen.table.cursor_row
        if run is None:
            return
        runs = self._screen.desk.runs

        def named(name: str | None) -> None:
            if name is not None and name != run.name:
                self._change(lambda: _done(partial(runs.rename, run.run_id, name), f"{run.name} is {name}"))

        self._screen.app.push_screen(
            PromptDialog(
                f"rename {run.name}",
                run.name,
                check=lambda text: None if text.strip() else "A run needs a name.",
            ),
            named,
        )

    def note(self) -> None:
        run = self._screen.table.cursor_row
        if run is None:
            return
        runs = self._screen.desk.runs

        def written(text: str | None) -> None:
            if text is not None:
                self._change(
                    lambda: _done(partial(runs.set_note, run.run_id, text), f"{run.name}: note kept")
                )

        self._screen.app.push_screen(
            PromptDialog(f"note on {run.name}", run.tags.get(NOTE_TAG, ""), placeholder="what it showed"),
            written,
        )

    def tag(self) -> None:
        chosen = self._screen.chosen_runs()
        runs = self._screen.desk.runs

        def tagged(text: str | None) -> None:
            if text is not None:
                key, value = run_changes.parse_tag(text)
                self._change(
                    lambda: _done(
                        partial(run_changes.tag_runs, runs, chosen, key, value),
                        f"{_named(chosen)}: {key} = {value}",
                    )
                )

        self._screen.app.push_screen(
            PromptDialog(f"tag {_named(chosen)}", placeholder="owner=ann", check=_tag_problem), tagged
        )

    def delete(self) -> None:
        chosen, registry = self._screen.chosen_runs(), self._screen.desk.registry
        self._screen.ask(
            "sources",
            lambda: {run.run_id: versions_of(registry, run.run_id) for run in chosen[:_LISTED]},
            partial(self._confirm_deletion, chosen),
        )

    def _confirm_deletion(self, chosen: list[Run], made: dict[str, list[tuple[str, int]]]) -> None:
        rows = []
        for run in chosen[:_LISTED]:
            versions = ", ".join(f"{model} v{version}" for model, version in made[run.run_id])
            rows.append(
                ChangeRow(run.name, f"source of {versions}" if versions else run.experiment, "deleted")
            )
        more = len(chosen) - len(rows)
        runs, layout = self._screen.desk.runs, self._screen.desk.layout

        def answered(yes: Confirmation | None) -> None:
            if yes is not None:
                self._screen.table.set_marks(())
                self._change(
                    lambda: _done(
                        partial(run_changes.delete_runs, runs, layout, chosen, yes.reason),
                        f"{_named(chosen)} deleted; D shows what is deleted, U brings it back",
                    )
                )

        self._screen.app.push_screen(
            ConfirmDialog(
                f"delete {_named(chosen)}?",
                rows,
                details=(f"… and {more:,} more\n" if more > 0 else "") + "They can be restored.",
                asks_reason=True,
                is_dangerous=True,
            ),
            answered,
        )

    def restore(self) -> None:
        chosen = self._screen.chosen_runs()
        runs, layout = self._screen.desk.runs, self._screen.desk.layout
        self._screen.table.set_marks(())
        self._change(
            lambda: _done(
                partial(run_changes.restore_runs, runs, layout, chosen), f"{_named(chosen)} restored"
            )
        )

    def register(self) -> None:
        run, desk = self._screen.table.cursor_row, self._screen.desk
        if run is None:
            return

        def register(name: str) -> str:
            version = run_changes.register_run(desk, run, name)
            return f"{version.name} v{version.version} is {run.name}; p promotes it"

        def named(name: str | None) -> None:
            if name is not None:
                self._change(partial(register, name.strip()))

        self._screen.app.push_screen(
            PromptDialog(
                f"register {run.name} as a version of",
                run_changes.usual_model_name(desk, run),
                check=lambda text: None if text.strip() else "Name the model.",
            ),
            named,
        )

    def promote(self) -> None:
        run = self._screen.table.cursor_row
        if run is not None:
            self._screen.ask(
                "promotion", partial(plan_promotion, self._screen.desk, run), self._confirm_promotion
            )

    def _confirm_promotion(self, promotion: Promotion) -> None:
        desk = self._screen.desk

        def answered(yes: Confirmation | None) -> None:
            if yes is not None:
                self._change(lambda: promote_run(desk, promotion, yes.reason))

        self._screen.app.push_screen(
            ConfirmDialog(
                promotion.question, promotion.rows, details="\n".join(promotion.notes), asks_reason=True
            ),
            answered,
        )


def _named(chosen: list[Run]) -> str:
    return chosen[0].name if len(chosen) == 1 else f"{len(chosen):,} runs"


def _done(call: Callable[[], object], said: str) -> str:
    call()
    return said


def _tag_problem(text: str) -> str | None:
    try:
        run_changes.parse_tag(text)
    except UsageError as error:
        return str(error)
    return None
