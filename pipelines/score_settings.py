"""The `[pipelines.NAME.score]` section of workbench.toml."""

from __future__ import annotations

from pydantic import field_validator

from pipelines.schedules import check_cron, check_timezone
from store.settings_base import Settings


class ScoreSettings(Settings):
    """Files that the watcher scores by the clock with the champion."""

    input: str
    """Rows to predict: a file, a folder or a glob, relative to the project."""

    output: str
    """A folder, or a file's name, in which `{name}` is the input's and `{time}` the moment (UTC)."""

    cron: str
    """When: a cron expression, as in `30 6 * * *`; one that was missed comes once."""

    timezone: str = "UTC"
    """Time zone of `cron`, as in `Europe/Berlin`."""

    log: bool = True
    """Keep the predictions in the prediction log too."""

    again: bool = False
    """Score files again that have not changed since."""

    @field_validator("cron")
    @classmethod
    def _cron(cls, cron: str) -> str:
        return check_cron(cron)

    @field_validator("timezone")
    @classmethod
    def _zone(cls, timezone: str) -> str:
        return check_timezone(timezone)

    @field_validator("output")
    @classmethod
    def _fields(cls, output: str) -> str:
        try:
            output.format(name="", time="")
        except (KeyError, IndexError, ValueError):
            raise ValueError("only {name} and {time} may stand in braces") from None
        return output
