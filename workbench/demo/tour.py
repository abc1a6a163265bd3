"""The demo, from an empty folder to a served and measured project: every step real, each resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from store.files import write_atomically
from workbench.demo import project, traffic

if TYPE_CHECKING:
    from pipelines.job_process import Starter
    from pipelines.request import TrainEvent, TrainResult
    from serve.control import ServerInfo
    from store.layout import Layout
    from workbench.settings import Project


@dataclass(frozen=True)
class Training:
    """One run of the demo: what it is called, and how it differs from the pipeline's settings."""

    pipeline: str
    name: str
    changes: Mapping[str, Any]
    why: str


TRAININGS = (
    Training(
        "cancer", "tree", {"estimator": "decision_tree", "params": {"max_depth": 3}}, "a first baseline"
    ),
    Training("cancer", "deep-tree", {"estimator": "decision_tree", "params": {"max_depth": 8}}, "deeper"),
    Training("cancer", "logistic", {}, "the settings' own estimator"),
    Training("bikes", "ridge", {"estimator": "ridge"}, "a baseline"),
    Training("bikes", "boosting", {}, "the settings' own estimator"),
    Training(
        "bikes", "forest", {"estimator": "random_forest", "params": {"max_depth": 8}}, "another kind of trees"
    ),
)
CHAPTERS = 4


@dataclass(frozen=True)
class Trained:
    """What one training of the demo came to, beside the champion it was compared with."""

    pipeline: str
    name: str
    metrics: Mapping[str, float]
    version: int | None
    promoted: bool
    champion_version: int | None
    champion_value: float | None


@dataclass
class Summary:
    """What the demo did, for its closing words; `metrics` are those of each model's champion."""

    root: Path
    trained: list[Trained] = field(default_factory=list)
    champions: dict[str, tuple[int, Mapping[str, float]]] = field(default_factory=dict)
    former_champions: dict[str, list[int]] = field(default_factory=dict)
    sent: dict[str, traffic.Sent] = field(default_factory=dict)
    server_url: str = ""
    seconds: float = 0.0


class Narrator(Protocol):
    """Who tells a person what the tour is doing."""

    def chapter(self, number: int, of: int, text: str) -> None: ...

    def training(self, training: Training) -> AbstractContextManager[Callable[[TrainEvent], None]]: ...

    def trained(self, trained: Trained) -> None: ...

    def already_trained(self, trained: Trained) -> None: ...

    def server_starting(self) -> None: ...

    def server_ready(self, url: str) -> None: ...

    def rows(self, model: str) -> AbstractContextManager[Callable[[int, int], None]]: ...

    def rows_done(self, model: str, sent: traffic.Sent) -> None: ...


class Steps:
    """The steps that an earlier, interrupted demo finished in this folder."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.state / "demo.json"
        self._done: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def result(self, step: str) -> Any | None:
        return self._done.get(step)

    def finish(self, step: str, result: object) -> None:
        self._done[step] = result
        write_atomically(self._path, json.dumps(self._done, indent=1))


class Tour:
    """One demo in one folder; `close` stops the server that it started."""

    def __init__(self, folder: Path, narrator: Narrator) -> None:
        self._folder = folder
        self._narrator = narrator
        self._layout: Layout | None = None
        self._started_server = False
        self._is_complete = False

    def run(self, heed: Callable[[], None]) -> Summary:
        """Create, train, promote, serve, send and label; what an interrupted demo finished is kept.

        `heed` is called now and then, and may raise what ends it.
        """
        from pipelines.forked import Forks
        from workbench.settings import load_project

        begun = time.monotonic()
        self._narrator.chapter(1, CHAPTERS, f"A project with two pipelines in {self._folder}")
        project.create(self._folder)
        here = load_project(self._folder)
        self._layout = here.layout.ensure()
        steps = Steps(self._layout)
        summary = Summary(root=here.root)

        self._narrator.chapter(
            2, CHAPTERS, f"Training {len(TRAININGS)} models; the gate compares each with the champion"
        )
        forks = Forks(self._layout.run / "demo.log")
        try:
            for training in TRAININGS:
                heed()
                summary.trained.append(self._train(here, training, steps, forks))
        finally:
            forks.close()
        self._champions(here, summary)

        self._narrator.chapter(3, CHAPTERS, "A server for both champions")
        heed()
        info = self._serve(here)
        summary.server_url = info.url

        self._narrator.chapter(4, CHAPTERS, "Real rows through the server, what truly happened following")
        client = traffic.Client(info.host, info.port)
        try:
            self._send(client, here, steps, summary, heed)
        finally:
            client.close()
        self._is_complete = True
        summary.seconds = time.monotonic() - begun
        return summary

    @property
    def is_complete(self) -> bool:
        """Whether every step has been done."""
        return self._is_complete

    def wait(self) -> None:
        """Until the server ends, however it ends."""
        from serve.control import running_server

        while self._layout is not None and running_server(self._layout) is not None:
            time.sleep(1.0)

    def hand_over_server(self) -> bool:
        """Leave the server to whoever asks, `close` stops it no more; whether this tour had started it."""
        started, self._started_server = self._started_server, False
        return started

    def close(self) -> None:
        """Stop the server if this tour started it."""
        if self._started_server and self._layout is not None:
            from serve.control import stop_server

            stop_server(self._layout)
            self._started_server = False

    def _train(self, here: Project, training: Training, steps: Steps, start: Starter) -> Trained:
        step = f"train {training.pipeline} {training.name}"
        earlier = steps.result(step)
        if earlier is not None and earlier.keys() == Trained.__dataclass_fields__.keys():
            trained = Trained(**earlier)
            self._narrator.already_trained(trained)
            return trained
        result = self._train_once(here, training, start)
        trained = Trained(
            pipeline=training.pipeline,
            name=training.name,
            metrics=dict(result.metrics),
            version=result.version,
            promoted=result.promoted,
            champion_version=result.gate.champion_version if result.gate else None,
            champion_value=result.gate.champion_value if result.gate else None,
        )
        steps.finish(step, asdict(trained))
        self._narrator.trained(trained)
        return trained

    def _train_once(self, here: Project, training: Training, start: Starter) -> TrainResult:
        from pipelines.launch import train
        from pipelines.request import TrainRequest
        from workbench.settings import load_project

        changed = load_project(
            here.root,
            {f"pipelines.{training.pipeline}.{key}": value for key, value in training.changes.items()},
        )
        request = TrainRequest(
            pipeline=training.pipeline,
            settings=changed.settings.pipelines[training.pipeline],
            tracking_uri=changed.settings.tracking.uri,
            layout=changed.layout,
            store=changed.settings.store,
            promote="auto",
            reason=f"demo: {training.why}",
            run_name=training.name,
        )
        with self._narrator.training(training) as on_event:
            return train(request, on_event=on_event, start=start)

    def _champions(self, here: Project, summary: Summary) -> None:
        from store.tracking import open_registry, resolve_uri

        registry = open_registry(resolve_uri(here.settings.tracking.uri, here.root), here.layout)
        for name in here.settings.pipelines:
            model = registry.model(here.model_name(name))
            if model.champion is None:
                continue
            summary.champions[name] = (
                model.champion,
                registry.version(model.name, model.champion).metrics,
            )
            summary.former_champions[name] = [
                version.version for version in model.versions if version.stage == "Archived"
            ]

    def _serve(self, here: Project) -> ServerInfo:
        from serve.control import running_server, start_background

        info = running_server(here.layout)
        if info is None:
            self._narrator.server_starting()
            options = () if _is_free(here.settings.serve.host, here.settings.serve.port) else ("--port", "0")
            self._started_server = True
            info = start_background(here.root, options=options)
        self._narrator.server_ready(info.url)
        return info

    def _send(
        self,
        client: traffic.Client,
        here: Project,
        steps: Steps,
        summary: Summary,
        heed: Callable[[], None],
    ) -> None:
        months = sorted((here.root / project.LATER).glob("*.csv"))
        plans = (
            ("bikes", traffic.read_rows(months), ("day", "casual", "registered")),
            ("cancer", traffic.read_rows([here.root / "data" / "cancer.csv"]), ()),
        )
        for model, rows, leave_out in plans:
            earlier = steps.result(f"send {model}")
            if earlier is not None:
                sent = traffic.Sent(**earlier)
            else:
                with self._narrator.rows(model) as tell:

                    def on_progress(done: int, of: int, tell: Callable[[int, int], None] = tell) -> None:
                        heed()
                        tell(done, of)

                    sent = traffic.send(
                        client,
                        model,
                        rows,
                        target=here.settings.pipelines[model].target,
                        leave_out=leave_out,
                        on_progress=on_progress,
                    )
                steps.finish(f"send {model}", asdict(sent))
            summary.sent[model] = sent
            self._narrator.rows_done(model, sent)


def _is_free(host: str, port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
