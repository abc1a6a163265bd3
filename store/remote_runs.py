"""The runs of a database or a tracking server, asked by a child process."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from store.client_process import client_process
from store.runs import Experiment, Run


class RemoteRunStore:
    """A RunStore that has `store.client_runs` answer in the child process for `uri`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def experiments(self, *, deleted: bool = False) -> builtins.list[Experiment]:
        return builtins.list(self._ask("experiments", deleted=deleted))

    def list(
        self,
        experiment: str | None = None,
        filter: str | None = None,  # noqa: A002
        order_by: Sequence[str] = (),
        limit: int | None = None,
        deleted: bool = False,
    ) -> builtins.list[Run]:
        return builtins.list(self._ask("list", experiment, filter, tuple(order_by), limit, deleted))

    def get(self, run: str) -> Run:
        found: Run = self._ask("get", run)
        return found

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._ask("set_tag", run_id, key, value)

    def set_note(self, run_id: str, text: str) -> None:
        self._ask("set_note", run_id, text)

    def rename(self, run_id: str, name: str) -> None:
        self._ask("rename", run_id, name)

    def delete(self, run_id: str) -> None:
        self._ask("delete", run_id)

    def restore(self, run_id: str) -> None:
        self._ask("restore", run_id)

    def history(self, run_id: str, metric: str) -> builtins.list[tuple[int, int, float]]:
        return builtins.list(self._ask("history", run_id, metric))

    def artifacts(self, run_id: str) -> builtins.list[str]:
        return builtins.list(self._ask("artifacts", run_id))

    def artifact_path(self, run_id: str, relative: str) -> Path:
        found: Path = self._ask("artifact_path", run_id, relative)
        return found

    def problems(self) -> builtins.list[str]:
        return builtins.list(self._ask("problems"))

    def repair(self) -> builtins.list[str]:
        return []

    def _ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        return client_process(self.uri).ask("runs", method, *arguments, **named)
