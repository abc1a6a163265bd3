"""Real rows sent to the demo's server as a client would send them, and what became of them afterwards."""

from __future__ import annotations

import csv
import http.client
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from store.errors import WorkbenchError

_SINGLE_EVERY = 10
"""One record in so many goes alone to /predict, the rest as batches of a day's length."""
_BATCH_ROWS = 24


@dataclass
class Sent:
    """What one model was asked and what came back."""

    rows: int = 0
    labelled: int = 0
    absolute_error: float = 0.0
    right: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def mean_absolute_error(self) -> float:
        return self.absolute_error / self.rows

    @property
    def accuracy(self) -> float:
        return self.right / self.rows


class Client:
    """A keep-alive JSON client of one server."""

    def __init__(self, host: str, port: int, timeout_s: float = 60.0) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def post(self, path: str, body: object) -> Any:
        """The decoded answer; raises WorkbenchError for anything but success."""
        try:
            self._connection.request(
                "POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            with self._connection.getresponse() as response:
                payload = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise WorkbenchError(
                f"the server stopped answering: {error}", "See .workbench/run/server.log."
            ) from error
        if response.status >= 300:
            raise WorkbenchError(
                f"the server answered {response.status} to {path}: {payload[:300].decode(errors='replace')}",
                "See .workbench/run/server.log.",
            )
        return json.loads(payload)

    def close(self) -> None:
        self._connection.close()


def read_rows(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The rows of CSV files as records; what looks like a number is one."""
    rows: list[dict[str, Any]] = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            rows.extend({key: _number(text) for key, text in row.items()} for row in csv.DictReader(file))
    return rows


def send(
    client: Client,
    model: str,
    rows: Sequence[dict[str, Any]],
    *,
    target: str,
    leave_out: Sequence[str] = (),
    on_progress: Callable[[int, int], None],
) -> Sent:
    """Ask for a prediction of every row, then report what really happened to each as feedback.

    Rows go in their order, most in batches of a day, every tenth batch's rows one by one.
    """
    sent = Sent()
    hidden = {target, *leave_out}
    for number, batch in enumerate(_batches(rows, _BATCH_ROWS)):
        records = [{key: value for key, value in row.items() if key not in hidden} for row in batch]
        if number % _SINGLE_EVERY == 0:
            answers = [client.post(f"/models/{model}/predict", {"features": record}) for record in records]
            sent.latencies_ms += [answer["latency_ms"] for answer in answers]
        else:
            answers = client.post(f"/models/{model}/predict/batch", records)["predictions"]
        truth = [row[target] for row in batch]
        for answer, actual in zip(answers, truth, strict=True):
            sent.absolute_error += abs(float(answer["prediction"]) - actual)
            sent.right += answer["prediction"] == actual
        sent.rows += len(batch)
        accepted = client.post(
            "/feedback",
            [
                {"prediction_id": answer["prediction_id"], "actual": actual}
                for answer, actual in zip(answers, truth, strict=True)
            ],
        )
        sent.labelled += accepted["accepted"]
        on_progress(sent.rows, len(rows))
    return sent


def _batches(rows: Sequence[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
