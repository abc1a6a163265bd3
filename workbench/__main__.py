"""Entry point of the `workbench` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from workbench.cli import run

    run()


if __name__ == "__main__":
    main()
