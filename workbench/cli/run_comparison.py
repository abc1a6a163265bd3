"""What `workbench runs compare` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.desk.comparison import best_position, distinct_names
from workbench.output import (
    MISSING,
    Cell,
    Column,
    number,
    print_json,
    print_table,
    print_title,
    say,
)

if TYPE_CHECKING:
    from store.run_compare import ComparedRow
    from store.runs import Run


def print_comparison(runs: Sequence[Run], *, everything: bool, as_json: bool) -> None:
    """Params and metrics side by side, differences only by default; the first run is the baseline."""
    from store.run_compare import compare_runs

    rows = compare_runs(runs, differences_only=not everything)
    if as_json:
        print_json(
            {
                "runs": [{"run_id": run.run_id, "name": run.name} for run in runs],
                "baseline": runs[0].run_id,
                "rows": [
                    {
                        "kind": row.kind,
                        "key": row.key,
                        "values": row.values,
                        "deltas": row.deltas,
                        "differs": row.differs,
                        "best": best_position(row),
                    }
                    for row in rows
                ],
            }
        )
        return
    if not rows:
        say("No differences. --all shows what is the same.")
        return
    names = distinct_names(runs)
    for kind, title in (("param", "params"), ("metric", "metrics")):
        chosen = [row for row in rows if row.kind == kind]
        if not chosen:
            continue
        print_title(title)
        columns = [Column("", style="dim"), *(Column(name, "right", flexible=True) for name in names)]
        print_table(columns, [[row.key, *_cells(row)] for row in chosen])
        print()
    say("The best of each metric is marked ★; differences are against the first run.")


def _cells(row: ComparedRow) -> list[str | Cell]:
    if row.kind == "param":
        return [MISSING if value is None else str(value) for value in row.values]
    best = best_position(row)
    cells: list[str | Cell] = []
    for i, (value, delta) in enumerate(zip(row.values, row.deltas, strict=True)):
        assert not isinstance(value, str)
        text = number(value)
        if i and delta is not None and math.isfinite(delta) and delta != 0:
            text += f" ({'+' if delta > 0 else '−'}{number(abs(delta))})"
        cells.append(Cell(f"★ {text}", "green") if i == best else text)
    return cells
