"""`workbench demo`: the whole loop on real data, in a folder of its own."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Never

import click

DEFAULT_FOLDER = "workbench-demo"


@click.command()
@click.argument("folder", metavar="[DIR]", default=DEFAULT_FOLDER, type=click.Path(path_type=Path))
@click.option("--headless", is_flag=True, help="End after the summary and stop the server; no terminal UI.")
def demo(folder: Path, headless: bool) -> None:
    """A complete living project on real data in DIR (workbench-demo unless given).

    Two pipelines are trained, compared by the gate and promoted; a server answers for both champions while
    months of real rows go through it and the truth about them follows. It ends in the terminal UI, which asks
    on leaving what becomes of the server. Interrupted, it leaves a usable project; run again on the same
    folder, it goes on where it stopped.
    """
    from workbench.cli.ui import has_terminal, open_ui
    from workbench.demo.narration import Narration, closing_words, interrupted_words
    from workbench.demo.tour import Tour
    from workbench.interrupts import remembered_interrupts

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    tour = Tour(folder, Narration())
    try:
        with remembered_interrupts() as heed:
            summary = tour.run(heed)
            closing_words(summary, is_serving=not headless)
        if headless:
            return
        if has_terminal():
            open_ui(summary.root, owns_server=tour.hand_over_server())
        else:
            tour.wait()
    except KeyboardInterrupt:
        interrupted_words(folder, tour.is_complete)
        raise
    finally:
        tour.close()


def _end(number: int, _frame: FrameType | None) -> Never:
    """End as a shell expects of a process that a signal stopped, with the clean-up that any exit has."""
    raise SystemExit(128 + number)
