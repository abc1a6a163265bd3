"""What the Serve screen says in text: on or off, how much, how fast, what goes wrong."""

from __future__ import annotations

from textual.content import Content

from workbench.desk.serving import Latency, ServingState
from workbench.desk.try_one import Answer
from workbench.tui.widgets.cells import clean, clip, width
from workbench.tui.widgets.formats import MISSING, moment, number
from workbench.tui.widgets.page import Cell, grid

MUTED = "$foreground 60%"
_BAR = "█"
_BAR_CELLS = 24
_CLASSES_SHOWN = 8


def state_line(state: ServingState, cells: int, *, switching: str = "") -> Content:
    """One line: on or off, where, since when, whose."""
    if switching:
        return Content.styled(f" ◐ {switching} …", "bold $text-warning")
    server = state.server
    if server is None:
        hint = "o starts it" if state.can_start else "serving needs a project: workbench init"
        return Content.assemble((" ○ off", "bold"), (f"  {hint}", MUTED))
    whose = "started here: quitting asks" if state.is_ours else "goes on when this UI ends"
    facts = f"  pid {server.pid} · since {moment(server.started_at)} · {whose}"
    room = cells - width(server.url) - 8
    return Content.assemble(
        (" ● on", "bold $text-success"), f"  {server.url}", (clip(facts, max(0, room)), MUTED)
    )


def problem_line(state: ServingState) -> Content:
    """What the server can't be asked or won't do, if anything."""
    problems = [state.problem] if state.problem else []
    problems += [f"{row.name}: {row.problem}" for row in state.models if row.problem]
    if state.counters.lost:
        problems.append(f"{state.counters.lost:,} predictions could not be logged")
    if not problems:
        return Content("")
    return Content.styled(" ▲ " + clean(" · ".join(problems)), "$text-error")


def numbers_line(state: ServingState) -> Content:
    """The numbers on two lines, for narrow terminals."""
    latency = state.latency
    first = Content.assemble(
        " ",
        (_rate(state), "bold"),
        (" requests/s   ", MUTED),
        *_quantiles(latency),
        (f" ms {_span(latency)}", MUTED),
    )
    total = state.counters.total
    answered = round(total.requests)
    second = Content.assemble(
        (f" {_count(state.recent_errors)} errors", _error_style(state)),
        (f"  of {answered:,} requests, {round(total.rows):,} rows since the start", MUTED),
    )
    return Content("\n").join([first, second])


def numbers_column(state: ServingState, cells: int) -> Content:
    """The numbers one below the other, for wide terminals."""
    latency, counters = state.latency, state.counters
    total = counters.total
    rows: list[list[Cell]] = [
        [("requests/s", MUTED), (_rate(state), "bold"), ("last minute", MUTED)],
        [("p50", MUTED), (_ms(latency.p50_ms), "bold"), (f"ms {_span(latency)}", MUTED)],
        [("p95", MUTED), (_ms(latency.p95_ms), "bold"), ("ms", MUTED)],
        [("p99", MUTED), (_ms(latency.p99_ms), "bold"), ("ms", MUTED)],
        [("errors", MUTED), (_count(state.recent_errors), _error_style(state)), ("last minute", MUTED)],
        [("", ""), ("", ""), ("", "")],
        [("requests", MUTED), (f"{round(total.requests):,}", ""), ("since the start", MUTED)],
        [("rows", MUTED), (f"{round(total.rows):,}", ""), ("predicted", MUTED)],
        [("invalid", MUTED), (f"{round(total.invalid):,}", ""), ("with wrong fields", MUTED)],
        [("failed", MUTED), (f"{round(total.failed):,}", ""), ("in the model", MUTED)],
        [("refused", MUTED), (f"{round(counters.refused):,}", ""), ("too many at once", MUTED)],
        [("labels", MUTED), (f"{counters.feedback:,}", ""), ("received", MUTED)],
    ]
    if state.last_request_at is not None:
        rows.append([("last", MUTED), (moment(state.last_request_at), ""), ("request seen", MUTED)])
    return grid(rows, cells, right=frozenset({1}))


def answer_text(answer: Answer, cells: int) -> Content:
    """A prediction with what the server says about it."""
    parts = [
        Content.assemble(
            ("prediction  ", MUTED),
            (clean(answer.prediction), "bold $text-success"),
            (f"   {clean(answer.model)} v{answer.version}", MUTED),
        ),
        grid([[(label, MUTED), (value, "")] for label, value in answer.facts], cells),
    ]
    if answer.probabilities:
        longest = max(width(clean(label)) for label, _ in answer.probabilities[:_CLASSES_SHOWN])
        room = max(4, min(_BAR_CELLS, cells - longest - 10))
        rows: list[list[Cell]] = [
            [(label, ""), (f"{share:.3f}", ""), (_BAR * max(0, round(share * room)), "$text-accent")]
            for label, share in answer.probabilities[:_CLASSES_SHOWN]
        ]
        parts.append(grid(rows, cells))
    return Content("\n").join(parts)


def _rate(state: ServingState) -> str:
    rate = state.requests_per_s
    if rate is None:
        return MISSING
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 0.05 or rate == 0 else "<0.1"


def _quantiles(latency: Latency) -> list[str | tuple[str, str]]:
    parts: list[str | tuple[str, str]] = []
    for label, value in (("p50", latency.p50_ms), ("p95", latency.p95_ms), ("p99", latency.p99_ms)):
        parts += [(f"{label} ", MUTED), (_ms(value), "bold"), "  "]
    return [*parts[:-1]]


def _ms(value: float | None) -> str:
    return number(value, 3) if value is None or value < 1000 else f"{value:,.0f}"


def _span(latency: Latency) -> str:
    if not latency.requests:
        return ""
    return "last minute" if latency.is_recent else "since the start"


def _count(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def _error_style(state: ServingState) -> str:
    return "bold $text-error" if state.recent_errors else "bold"
