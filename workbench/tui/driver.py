"""The terminal's driver: a terminal that goes away in the middle of a picture holds nothing up."""

from __future__ import annotations

from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class LastingDriver(LinuxDriver):
    """Textual's own, whose writing thread outlives the terminal.

    That thread ends with the first error, and with it whoever waits for room in its queue would wait for
    ever: a connection that stalls while much is to be painted, and then breaks, left the process behind.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self._file is not None:
            self._file = Lasting(self._file)  # type: ignore[assignment]


class Lasting:
    """A file whose lines go nowhere once they can't be written."""

    def __init__(self, file: IO[str]) -> None:
        self._lasting_file = file

    def write(self, text: str) -> int:
        try:
            return self._lasting_file.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._lasting_file.flush()
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lasting_file, name)
