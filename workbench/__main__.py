"""Entry point of the `workbench` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from workbench.cli import run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
