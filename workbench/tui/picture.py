"""Draws the picture in the README: the Runs screen of a project, without a terminal.

python -m workbench.tui.picture PROJECT FILE.svg [COLUMNSxLINES] [KEY …]
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp

SIZE = (132, 34)
_REST_S = 0.1
_WEB_FONTS = re.compile(r"\s*@font-face \{[^}]*\}")
"""Whoever looks at the picture has a monospaced font; none is fetched."""
_FONTS = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"


async def draw(place: Path, picture: Path, size: tuple[int, int], keys: Sequence[str]) -> None:
    """Open the project, press keys, and write what is then to be seen as SVG."""
    app = WorkbenchApp(find_place(place))
    async with app.run_test(size=size) as pilot:
        for key in ("", *keys):
            if key:
                await pilot.press(key)
            quiet = 0
            while quiet < 3:
                await app.workers.wait_for_complete()
                await pilot.pause(_REST_S)
                is_settled = app.desk is not None and all(
                    getattr(each, "is_settled", True) for each in (app, *app.screen_stack)
                )
                quiet = quiet + 1 if is_settled else 0
        drawn = app.export_screenshot(title="workbench", simplify=True)
    drawn = _WEB_FONTS.sub("", drawn).replace("Fira Code, monospace", _FONTS)
    picture.write_text(drawn, "utf-8")


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    place, picture, *rest = sys.argv[1:]
    size = SIZE
    if rest and rest[0][:1].isdigit() and "x" in rest[0]:
        columns, lines = rest.pop(0).split("x")
        size = int(columns), int(lines)
    asyncio.run(draw(Path(place), Path(picture), size, rest))


if __name__ == "__main__":
    main()
