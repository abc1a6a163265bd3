"""Progress of a training on stderr: live in a terminal, a line a stage otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from workbench.output import clean, is_terminal, say, stderr_console

if TYPE_CHECKING:
    from pipelines.request import TrainEvent


class TrainProgress:
    """Shows the events of one training; use it as a context manager and pass it as `on_event`."""

    def __init__(self, title: str) -> None:
        self._title = clean(title)
        self._stage: tuple[int, int, str] | None = None
        self._text = ""
        self._stage_started = 0.0
        self._live: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if is_terminal(sys.stderr):
            self._live = _live_display()
            self._live.start()
            self._task = self._live.add_task(self._title, total=None, detail="")
        else:
            say(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            if kind is None:
                self._finish_stage()
            self._live.stop()
            self._live = None

    def __call__(self, event: TrainEvent) -> None:
        """Show one event."""
        stage = (event.step, event.steps, event.stage)
        text = clean(event.text)
        is_new = stage != self._stage
        if self._live is None:
            if is_new:
                say(f"[{event.step}/{event.steps}] {event.stage}…{' ' + text if text else ''}")
            elif text and text != self._text and event.share is None:
                say(f"      {text}")
        else:
            if is_new:
                self._finish_stage()
                self._stage_started = time.monotonic()
            self._live.update(
                self._task,
                description=f"[{event.step}/{event.steps}] {event.stage}",
                completed=event.share or 0.0,
                total=None if event.share is None else 1.0,
                detail=text,
            )
        self._stage = stage
        self._text = text or ("" if is_new else self._text)

    def _finish_stage(self) -> None:
        """Leave a line about the stage that ended above the live one."""
        if self._stage is None:
            return
        from rich.text import Text

        step, steps, name = self._stage
        line = Text.assemble(
            ("✓ ", "green"),
            f"[{step}/{steps}] {name}",
            (f"  {self._text}" if self._text else "", "dim"),
            (f"  {time.monotonic() - self._stage_started:.1f} s", "dim"),
        )
        self._live.console.print(line, soft_wrap=True)
        self._stage = None


def _live_display() -> Any:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}", style="dim", markup=False),
        console=stderr_console(),
        transient=True,
    )


class CountProgress:
    """How many are done so far; shown in a terminal only, once the work lasts longer than a second."""

    PATIENCE_S = 1.0

    def __init__(self, title: str, unit: str) -> None:
        self._title = clean(title)
        self._unit = unit
        self._started: float | None = None
        self._live: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __call__(self, done: int, total: int | None = None) -> None:
        """`done` are done in all, of `total` where that is known; it ends with the last of them."""
        now = time.monotonic()
        self._started = self._started or now
        if done == total:
            self.stop()
        elif is_terminal(sys.stderr) and now - self._started >= self.PATIENCE_S:
            if self._live is None:
                self._live = _live_display()
                self._live.start()
                self._task = self._live.add_task(self._title, total=total, detail="")
            of_all = f" of {total:,}" if total is not None else ""
            self._live.update(self._task, completed=done, detail=f"{done:,}{of_all} {self._unit}")

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None
