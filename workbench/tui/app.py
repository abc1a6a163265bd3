"""The terminal UI: its screens on keys, the open desk, the refresh, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import BindingType
from textual.screen import Screen

from store.errors import WorkbenchError
from workbench.desk.desk import Desk, open_desk
from workbench.desk.live import Live, read_live
from workbench.desk.place import Place
from workbench.tui.actions import APP_ACTIONS, SCREENS, ScreenEntry, bindings, unknown_keys
from workbench.tui.frame.asking import Asking
from workbench.tui.frame.palette import ActionProvider
from workbench.tui.frame.screen import WorkbenchScreen
from workbench.tui.widgets.cells import clean
from workbench.tui_state import State, read_state

if TYPE_CHECKING:
    from textual.driver import Driver

    from workbench.watching import WatcherInfo

_WATCH_AFTER_S = 1.5
"""What the screens show first comes before the start of another process."""
_TOAST_S = {"information": 4.0, "warning": 8.0, "error": 12.0}


@dataclass(frozen=True)
class Outcome:
    """How the UI ended, and what whoever started it has to do about it."""

    exit_code: int = 0
    stop_server: bool = False
    stop_watcher: bool = False
    next_command: tuple[str, ...] = ()
    """A command of `workbench` to go on with."""

    error: WorkbenchError | None = None
    """Why there was nothing to show."""

    desk: Desk | None = None
    state: State = field(default_factory=dict)


class WorkbenchApp(Asking, App[Outcome]):
    """The frame around the screens."""

    TITLE = "workbench"
    BINDINGS: ClassVar[list[BindingType]] = bindings(APP_ACTIONS)
    COMMANDS: ClassVar = {ActionProvider}
    COMMAND_PALETTE_BINDING = "f24"  # the registry has its own
    ENABLE_COMMAND_PALETTE = True
    CSS = """
    Toast { width: auto; max-width: 80%; padding: 0 1; }
    ToastRack { margin-bottom: 1; }
    """

    def __init__(
        self,
        place: Place,
        *,
        owns_server: bool = False,
        keeps_watch: bool = False,
        open_place: Callable[[Place], Desk] = open_desk,
    ) -> None:
        super().__init__()
        self.place = place
        self.desk: Desk | None = None
        self.live = Live()
        self.compared: tuple[str, ...] = ()
        self._owns_server = owns_server
        self._keeps_watch = keeps_watch
        self._open_place = open_place
        self._state: State = {}
        self._first_paint = ExitStack()
        self._is_painted = False
        self._opened: dict[str, WorkbenchScreen] = {}
        self.animation_level = "none"
        if place.theme in self.available_themes:
            self.theme = place.theme

    @property
    def place_name(self) -> str:
        """What the title line calls the place."""
        if self.desk is not None:
            return self.desk.name
        return str(self.place.store or self.place.root.name)

    @property
    def is_read_only(self) -> bool:
        return self.desk is not None and self.desk.ui.read_only

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice; where that is a terminal, one whose loss holds nothing up."""
        chosen = super().get_driver_class()
        if chosen.__name__ != "LinuxDriver":
            return chosen
        from workbench.tui.driver import LastingDriver

        return LastingDriver

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A screen that has nothing to show here is on no key, in no help and in no palette."""
        if action == "open_screen":
            return any(entry.name == parameters[0] for entry in self.screens_here)
        return True

    # Starting.

    def get_default_screen(self) -> Screen[object]:
        """The first screen, already there when the first picture is painted."""
        if self.place.is_empty:
            from workbench.tui.frame.welcome import WelcomeScreen

            return WelcomeScreen()  # type: ignore[return-value]
        first = self.screen_named("runs")
        # As push_screen does; without it, Textual can't switch away from a default screen.
        first._push_result_callback(first, None)
        return first  # type: ignore[return-value]

    def on_mount(self) -> None:
        self._first_paint.enter_context(self.batch_update())
        self._catch_signals()
        if not self.place.is_empty:
            self.call_after_refresh(self._open)

    def on_unmount(self) -> None:
        if self.desk is not None:
            self.desk.close()  # a worker that waits for a server would keep the process

    def screen_laid_out(self) -> None:
        """The first screen knows its size and its classes: what comes before that is not worth painting."""
        if not self._is_painted:
            self._is_painted = True
            self._first_paint.close()

    def _open(self) -> None:
        def read() -> tuple[Desk, State]:
            desk = self._open_place(self.place)
            return desk, read_state(desk.layout)

        self.ask("desk", read, self._desk_opened, self._desk_refused)

    def _desk_opened(self, opened: tuple[Desk, State]) -> None:
        self.desk, self._state = opened
        self.desk.owns_server = self._owns_server
        ui = self.desk.ui
        self.animation_level = "full" if ui.animations else "none"
        if ui.theme in self.available_themes:
            self.theme = ui.theme
        else:
            self.toast(f"[ui] theme: no theme {ui.theme!r}; the palette (^p) lists them", "warning")
        if ui.keys:
            self.set_keymap(ui.keys)
            for problem in unknown_keys(ui.keys):
                self.toast(problem, "warning")
        self._look()
        self.set_interval(ui.refresh, self._look)
        self.refresh_bindings()
        if self._keeps_watch:
            self._keeps_watch = False
            self.set_timer(_WATCH_AFTER_S, self._keep_watch)

    def _keep_watch(self) -> None:
        """Start a watcher where nobody watches the data, as [ui] watch wants it."""
        desk = self.desk
        if desk is None:
            return
        from workbench.desk.data_changes import keep_watch

        self.ask("keep watch", lambda: keep_watch(desk), self._watch_kept, self.tell_error)

    def _watch_kept(self, watcher: WatcherInfo | None) -> None:
        if watcher is not None:
            self.toast(
                f"new data is watched from now on (pid {watcher.pid}); 6 Data shows it, o there ends it"
            )
            self._look()

    def _desk_refused(self, error: Exception) -> None:
        from workbench.tui.frame.report import error_report

        if isinstance(error, WorkbenchError):
            self.exit(Outcome(exit_code=error.exit_code, error=error), return_code=error.exit_code)
        else:
            self.push_screen(error_report(error))

    def _look(self) -> None:
        """Time has passed: ask for the live state, and let the screen in sight ask for its own."""
        desk, before = self.desk, self.live
        if desk is None or not self.screen_stack:  # the timer may come once more while the app closes
            return
        if not self.is_asking("live"):
            self.ask("live", partial(read_live, desk, before), self._live_read, self.tell_error)
        screen = self.screen
        if isinstance(screen, WorkbenchScreen):
            screen.desk_changed()

    def _live_read(self, live: Live) -> None:
        if live != self.live:
            self.live = live
            for screen in self._opened.values():
                if screen.is_current:
                    screen.live_changed()

    # Screens.

    def screen_named(self, name: str) -> WorkbenchScreen:
        """The screen of the registry, made when it is first asked for."""
        if name not in self._opened:
            entry = SCREENS[name]
            module = import_module(f"workbench.tui.screens.{entry.module}")
            self._opened[name] = getattr(module, entry.class_name)()
            self.install_screen(self._opened[name], name)
        return self._opened[name]

    @property
    def screens_here(self) -> list[ScreenEntry]:
        """The screens that have something to show at this place."""
        if self.place.is_empty:
            return []
        return [entry for entry in SCREENS.values() if self.place.is_project or not entry.needs_project]

    def action_open_screen(self, name: str) -> None:
        if not isinstance(self.screen, WorkbenchScreen):
            return
        if name not in [entry.name for entry in self.screens_here]:
            return
        screen = self.screen_named(name)
        if screen is not self.screen:
            self.switch_screen(screen)

    def compare(self, run_ids: list[str]) -> None:
        """Go to the comparison of these runs."""
        self.compared = tuple(run_ids)
        self.action_open_screen("compare")

    def state_of(self, screen: str) -> dict[str, Any]:
        """What a screen remembered in an earlier session."""
        state = self._state.get(screen)
        return state if isinstance(state, dict) else {}

    # Telling.

    def toast(self, text: str, severity: str = "information") -> None:
        """Say something in passing."""
        self.notify(
            clean(text),
            severity=severity,  # type: ignore[arg-type]
            timeout=_TOAST_S[severity],
            markup=False,
        )

    def tell_error(self, error: Exception) -> None:
        """An error with a hint as a toast; one that nobody foresaw as a report to read."""
        if isinstance(error, (WorkbenchError, OSError)):
            self.toast(str(error), "error")
        else:
            from workbench.tui.frame.report import error_report

            self.push_screen(error_report(error))

    def use_theme(self, theme: str) -> None:
        self.theme = theme
        self.toast(f'To keep it: theme = "{theme}" under [ui] in workbench.toml')

    def action_help(self) -> None:
        from workbench.tui.frame.report import help_for

        self.push_screen(help_for(self.screen))

    def action_refresh(self) -> None:
        self._look()

    # Ending.

    def action_request_quit(self) -> None:
        """Leave at once, or ask what becomes of the server and the watcher that were started here."""
        desk, live = self.desk, self.live
        started = []
        if desk is not None and desk.owns_server and live.server is not None:
            started.append(f"the server at {live.server.url}")
        if desk is not None and desk.owns_watcher and live.watched is not None:
            started.append("the watcher")
        if desk is None or not started:
            self._leave(Outcome())
        elif desk.ui.on_quit != "ask":
            self._quit_answered(desk.ui.on_quit)
        else:
            self._ask_about(started)

    def _ask_about(self, started: list[str]) -> None:
        from workbench.tui.frame.dialogs import Choice, ChoiceDialog

        if not isinstance(self.screen, ChoiceDialog):
            them, were = ("it", "was") if len(started) == 1 else ("them", "were")
            self.push_screen(
                ChoiceDialog(
                    f"{' and '.join(started)} {were} started here",
                    [
                        Choice("stop", f"stop {them} and leave", "y"),
                        Choice("leave", f"leave {them} running", "l"),
                        Choice("stay", "stay here", "n"),
                    ],
                ),
                self._quit_answered,
            )

    def _quit_answered(self, answer: str | None) -> None:
        desk = self.desk
        if desk is not None and answer in ("stop", "leave"):
            stops = answer == "stop"
            self._leave(
                Outcome(stop_server=stops and desk.owns_server, stop_watcher=stops and desk.owns_watcher)
            )

    def leave_for(self, *command: str) -> None:
        """Leave, and go on with another command in the same terminal."""
        self._leave(Outcome(next_command=command))

    def _leave(self, outcome: Outcome) -> None:
        state = dict(self._state)
        for name, screen in self._opened.items():
            if screen.is_mounted and screen.has_looked:
                state[name] = screen.remember()
        self.exit(
            replace(outcome, desk=self.desk, state=state),
            return_code=outcome.exit_code,
        )

    def _fatal_error(self) -> None:
        """A handler that crashes ends the UI with one line, like any command, unless somebody debugs."""
        error = sys.exc_info()[1]
        if error is None or os.environ.get("WORKBENCH_DEBUG", "0") not in ("", "0"):
            super()._fatal_error()
            return
        reason = " ".join(str(error).split()) or "no message"
        what = f"unexpected {type(error).__name__}: {reason}"
        self._exit_renderables.append(Text(f"workbench: {what}. Run workbench --debug for the traceback."))
        self._close_messages_no_wait()

    def _catch_signals(self) -> None:
        """A terminal that is lost, or a request to end, leaves the terminal as it was and servers running."""
        loop = asyncio.get_running_loop()
        try:
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self._leave, Outcome(exit_code=128 + number))
            loop.add_signal_handler(signal.SIGINT, self.action_request_quit)
        except (NotImplementedError, RuntimeError, ValueError):
            pass  # not the main thread: whoever runs the app there has handlers of its own
