"""The exceptions of every room: what went wrong, where, and what to do about it."""

from __future__ import annotations


class WorkbenchError(Exception):
    """An error to show to a person as one line.

    `message` names the thing and the place, `hint` the next step. `exit_code` is what a command
    that ends with this error returns.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?")) else "."
        return f"{self.message}{stop} {self.hint}"


class UsageError(WorkbenchError):
    """Wrong arguments, or a command that can't apply here."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting that is unknown, of the wrong type or out of range."""


class NotFoundError(WorkbenchError):
    """No such project, run, model, version or file."""


class DataError(WorkbenchError):
    """A data file or a column of it that can't be used."""


class TrainingError(WorkbenchError):
    """An estimator that can't be imported or fails to fit."""


class UserCodeError(WorkbenchError):
    """The user's own module can't be loaded or raised; `report` holds its traceback."""

    def __init__(self, message: str, hint: str | None = None, report: str = "") -> None:
        super().__init__(message, hint)
        self.report = report


class ModelLoadError(WorkbenchError):
    """A model version whose files are missing, broken or not trusted."""


class BusyError(WorkbenchError):
    """Somebody else holds a lock; the message names the holder where it is known."""


class StorageError(WorkbenchError):
    """The disk is full, read-only or refuses access."""


class GateRefusedError(WorkbenchError):
    """The gate kept the champion."""

    exit_code = 3
