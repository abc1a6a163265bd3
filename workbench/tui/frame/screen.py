"""The base of every screen: its frame, its keys, and when it is told to show something."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from store.errors import WorkbenchError
from workbench.tui.actions import bindings, screen_actions
from workbench.tui.frame.asking import Asking
from workbench.tui.frame.footer import KeyLine
from workbench.tui.frame.title import TitleLine
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.formats import moment

if TYPE_CHECKING:
    from workbench.desk.desk import Desk
    from workbench.tui.app import WorkbenchApp

SMALLEST = (60, 15)


class WorkbenchScreen(Asking, Screen[None]):
    """A screen of the registry.

    A subclass names itself (`NAME`), yields its body in `compose_body`, and asks the desk in `look`, which is
    called when the screen is opened and at every refresh while it is in sight. `remember` and `recall` carry
    its layout from one session to the next.
    """

    NAME: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - as Textual declares it
        (0, "-tiny"),
        (SMALLEST[0], "-narrow"),
        (100, "-normal"),
        (150, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"),
        (SMALLEST[1], "-low"),
        (30, "-tall"),
    ]
    DEFAULT_CSS = """
    WorkbenchScreen {
        background: $surface;
        & > #body { height: 1fr; width: 1fr; }
        & > #notice { height: auto; max-height: 2; width: 1fr; padding: 0 1; display: none;
            background: $warning-muted; color: $text-warning; }
        & > #notice.-told { display: block; }
        & > #too-small { display: none; width: 1fr; height: 1fr; content-align: center middle; }
        &.-tiny > *, &.-flat > * { display: none; }
        &.-tiny > #too-small, &.-flat > #too-small { display: block; }
    }
    """

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    """As Textual's, which would send the whole screen at each move of the focus."""

    _answered_at: datetime | None = None
    _is_settling = False
    _is_recalled = False

    def __init_subclass__(cls, **options: Any) -> None:
        if cls.NAME:
            cls.BINDINGS = [*bindings(screen_actions(cls.NAME)), *cls.__dict__.get("BINDINGS", ())]
        super().__init_subclass__(**options)

    def compose(self) -> ComposeResult:
        yield TitleLine()
        yield from self.compose_body()
        yield Static("", id="notice", markup=False)
        yield KeyLine()
        wide, high = SMALLEST
        yield Static(f"workbench needs {wide} × {high} cells to be of use.", id="too-small", markup=False)

    def compose_body(self) -> Iterable[Widget]:
        """The body; one widget, or several one above the other."""
        return ()

    @property
    def workbench(self) -> WorkbenchApp:
        from workbench.tui.app import WorkbenchApp

        assert isinstance(self.app, WorkbenchApp)
        return self.app

    @property
    def desk(self) -> Desk:
        """The open desk; screens are told to look only when there is one."""
        desk = self.workbench.desk
        assert desk is not None
        return desk

    # What a subclass does.

    def look(self) -> None:
        """Ask the desk for what the screen shows; called often, so it asks only for what may have changed."""

    async def prepare(self) -> None:
        """Mount what the first picture can do without; called once, before `recall`."""

    def recall(self, state: dict[str, Any]) -> None:
        """Lay the screen out as `remember` had it; called once, before the first `look`."""

    def remember(self) -> dict[str, Any]:
        """The layout, in JSON's own types."""
        return {}

    def is_available(self, action: str) -> bool:
        """Whether a verb of this screen applies at the moment."""
        return True

    # What the frame does.

    def on_resize(self) -> None:
        self.call_later(self.workbench.screen_laid_out)

    def on_screen_resume(self) -> None:
        self.desk_changed()

    def desk_changed(self) -> None:
        """The desk was opened, or time has passed: show the state as it is."""
        self.query_one(TitleLine).sync()
        if self.workbench.desk is None:
            return
        if self._is_recalled:
            self.look()
        elif not self._is_settling:
            self._is_settling = True
            self.call_later(self._settle)

    async def _settle(self) -> None:
        await self.prepare()
        self.recall(self.workbench.state_of(self.NAME))
        self._is_recalled = True
        self.look()

    def live_changed(self) -> None:
        self.query_one(TitleLine).sync()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        entry = next((each for each in screen_actions(self.NAME) if each.verb == action), None)
        if entry is None:
            return True
        if self.workbench.desk is None or (entry.changes and self.workbench.is_read_only):
            return False
        return self.is_available(action)

    @property
    def has_looked(self) -> bool:
        """Whether there was ever a desk for it to show something of."""
        return self._is_recalled

    def answered(self) -> None:
        """What is shown is as it was a moment ago."""
        self._answered_at = datetime.now(UTC)
        self._notice("")

    def refresh_failed(self, error: Exception) -> None:
        """Keep what is shown, and say how old it is and why."""
        if not isinstance(error, (WorkbenchError, OSError)):
            self.tell_error(error)
            return
        since = f"shown as of {moment(self._answered_at)}: " if self._answered_at else ""
        self._notice(f"⚠ {since}{error}")

    def tell_error(self, error: Exception) -> None:
        self.workbench.tell_error(error)

    def _notice(self, text: str) -> None:
        notice = self.query_one("#notice", Static)
        if text or notice.has_class("-told"):
            notice.update(Content(clean(text)))
            notice.set_class(bool(text), "-told")
