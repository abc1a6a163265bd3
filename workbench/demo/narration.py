"""How the demo tells what it is doing (stderr) and what came of it (stdout)."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from workbench.output import Cell, Column, is_terminal, number, print_table, print_title, say, stderr_console

if TYPE_CHECKING:
    from pipelines.request import TrainEvent
    from workbench.demo.tour import Summary, Trained, Training
    from workbench.demo.traffic import Sent

SHOWN_METRIC = {"cancer": "roc_auc", "bikes": "rmse"}


class Narration:
    """Chapters, a live line for what is under way, and a line for each thing done."""

    def chapter(self, number: int, of: int, text: str) -> None:
        say(f"[{number}/{of}] {text}")

    @contextmanager
    def training(self, training: Training) -> Iterator[Callable[[TrainEvent], None]]:
        """A live line with the stage of one training."""
        with live_line(f"{training.pipeline} · {training.name}") as update:

            def on_event(event: TrainEvent) -> None:
                update((event.step - 1 + (event.share or 0.0)) / event.steps, event.stage)

            yield on_event

    def trained(self, trained: Trained) -> None:
        say(f"      {_outcome(trained)}")

    def already_trained(self, trained: Trained) -> None:
        say(f"      {_outcome(trained)} (done before)")

    def server_starting(self) -> None:
        say("      loading the champions …")

    def server_ready(self, url: str) -> None:
        say(f"      answering on {url}")

    @contextmanager
    def rows(self, model: str) -> Iterator[Callable[[int, int], None]]:
        """A live line with the rows sent so far."""
        with live_line(model) as update:
            yield lambda done, of: update(done / of, f"{done:,} of {of:,} rows")

    def rows_done(self, model: str, sent: Sent) -> None:
        say(f"      {model}: {sent.rows:,} predictions, {sent.labelled:,} of them labelled with the truth")


@contextmanager
def live_line(title: str) -> Iterator[Callable[[float, str], None]]:
    """Yield `update(share, detail)` of a line with a bar on stderr; nothing is shown where nobody looks."""
    if not is_terminal(sys.stderr):
        yield lambda _share, _detail: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("     "),
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}", style="dim", markup=False),
    )
    with Progress(*columns, console=stderr_console(), transient=True) as progress:
        task = progress.add_task(title, total=1.0, detail="")
        yield lambda share, detail: progress.update(task, completed=share, detail=detail)


def closing_words(summary: Summary, *, is_serving: bool) -> None:
    """What there is and what to type."""
    print_title(f"A living project in {summary.root}", f"{summary.seconds:.0f} s")
    columns = [
        Column("model"),
        Column("champion"),
        Column("before"),
        Column("held out", "right"),
        Column("live", "right"),
        Column("predictions", "right"),
        Column("median ms", "right"),
    ]
    rows: list[list[str | Cell]] = []
    for model, (version, metrics) in summary.champions.items():
        sent = summary.sent[model]
        if model == "bikes":
            held_out, live = f"mae {number(metrics.get('mae'))}", f"mae {number(sent.mean_absolute_error)}"
        else:
            held_out, live = (
                f"accuracy {number(metrics.get('accuracy'))}",
                f"accuracy {number(sent.accuracy)}",
            )
        former = ", ".join(f"v{older}" for older in summary.former_champions[model]) or "—"
        latency = number(round(median(sent.latencies_ms), 2)) if sent.latencies_ms else "—"
        rows.append([model, f"v{version}", former, held_out, live, f"{sent.rows:,}", latency])
    print_table(columns, rows)
    print()
    print("bikes learnt from January to March and was asked about April to December: the season changed.")
    print("cancer was asked about its own 569 patients, so its live accuracy flatters it.")
    print()
    print("What to type next:")
    for command, meaning in _next_commands(summary, is_serving):
        print(f"  {command:<55}  {meaning}".rstrip())
    if is_serving:
        print()
        print(f"Serving on {summary.server_url} (try {summary.server_url}/docs); leaving asks about it.")


def interrupted_words(folder: Path, is_complete: bool) -> None:
    """What an interrupted demo leaves, and how to go on."""
    if is_complete:
        say(f"Stopped. The project is in {folder}: workbench -C {_quoted(folder)} status")
    elif folder.is_dir():
        say(f"Interrupted. What is finished is in {folder}; go on with: workbench demo {_quoted(folder)}")


def _next_commands(summary: Summary, is_serving: bool) -> list[tuple[str, str]]:
    commands = [
        *_on_the_path(),
        (f"cd {_quoted(summary.root)}", ""),
        ("workbench runs list", "every run with its settings and metrics"),
        ("workbench models history bikes", "who promoted what, when and why"),
        ("workbench models rollback bikes", "yesterday's champion back in production"),
        ("workbench monitor bikes", "what drifted, how far, and what it cost"),
        ("workbench report bikes --html bikes.html", "the same as a page for a colleague"),
        ("workbench watch &", "from here on new data trains by itself"),
        ("cp data/later/2011-04.csv data/bikes/", "April arrives …"),
        ("workbench models promote bikes", "… and the model that knows it replaces the champion"),
        ('workbench store sql "select * from predictions limit 5"', "every prediction, with SQL"),
    ]
    if not is_serving:
        commands.append(("workbench serve", "answer on the configured port again"))
    return commands


def _on_the_path() -> list[tuple[str, str]]:
    """What makes the other commands work where this one was called by its path."""
    called = Path(sys.argv[0]).absolute()
    found = shutil.which("workbench")
    if called.name != "workbench" or (found is not None and Path(found).samefile(called)):
        return []
    activate = called.parent / "activate"
    return [(f". {_quoted(activate)}", "so that workbench is found")] if activate.is_file() else []


def _outcome(trained: Trained) -> str:
    metric = SHOWN_METRIC[trained.pipeline]
    value = trained.metrics.get(metric)
    against = f"v{trained.champion_version}'s {_short(trained.champion_value)}"
    if trained.promoted and trained.champion_version is None:
        mark, what = "✓", f"v{trained.version} is champion, the first"
    elif trained.promoted:
        mark, what = "✓", f"v{trained.version} is champion, better than {against}"
    elif trained.version is not None:
        mark, what = "·", f"v{trained.version} is challenger"
    else:
        mark, what = "✗", f"refused: not better than {against}"
    name = f"{trained.pipeline} · {trained.name}"
    return f"{mark} {name:<18} {metric:>7} {_short(value):<7} {what}"


def _short(value: float | None) -> str:
    return "—" if value is None else f"{value:.4g}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
