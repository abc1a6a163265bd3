"""The `workbench` command: `run` is its entry point and turns every error into one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

INTERRUPTED = 130


def run(args: Sequence[str] | None = None) -> None:
    """Run the command line with `args` (the process's own unless given) and exit with its code."""
    try:
        code = execute(args)
    except KeyboardInterrupt:  # before the first line of it, while libraries are imported
        code = INTERRUPTED
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # All is said and written. The interpreter's own end can abort over a thread of Arrow's that just starts.
    os._exit(code)


def execute(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are on stderr as one line by then.

    0 done, 1 failed, 2 wrong usage or settings, 3 the gate refused, 130 interrupted.
    """
    import click

    from store.errors import WorkbenchError
    from workbench.cli.root import root

    _prepare_process()
    try:
        code = root.main(
            args=None if args is None else list(args), prog_name="workbench", standalone_mode=False
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except click.ClickException as error:
        _report(_usage_line(error))
        return 2 if isinstance(error, click.UsageError) else error.exit_code
    except WorkbenchError as error:
        _trace_when_debugging(getattr(error, "report", ""))
        _report(str(error))
        return error.exit_code
    except OSError as error:
        _trace_when_debugging()
        _report(_system_line(error))
        return 1
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error) == "Query interrupted":  # DuckDB's word for ctrl-C
            return INTERRUPTED
        _trace_when_debugging()
        reason = " ".join(str(error).split()) or "no message"
        _report(f"unexpected {type(error).__name__}: {reason}. Run workbench --debug … for the traceback.")
        return 1


def is_debugging() -> bool:
    """Whether tracebacks are wanted: `--debug`, or WORKBENCH_DEBUG set to anything but 0."""
    return os.environ.get("WORKBENCH_DEBUG", "0") not in ("", "0")


def _prepare_process() -> None:
    """Settings of MLflow that must stand before anything imports it, quiet libraries, safe streams."""
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    for stream in (sys.stdout, sys.stderr):
        if (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if not sys.warnoptions and not is_debugging():
        import warnings

        warnings.simplefilter("ignore")


def _report(line: str) -> None:
    text = "".join(c if c.isprintable() else " " for c in line)
    print(f"workbench: {' '.join(text.split())}", file=sys.stderr, flush=True)


def _trace_when_debugging(report: str = "") -> None:
    if is_debugging():
        import traceback

        traceback.print_exc()
        if report:
            print(report, file=sys.stderr)


def _usage_line(error: object) -> str:
    import click

    assert isinstance(error, click.ClickException)
    message = error.format_message()
    message = message[:1].lower() + message[1:] if message[1:2].islower() else message
    if isinstance(error, click.UsageError) and error.ctx is not None:
        stop = "" if message.endswith((".", "?", "!")) else "."
        return f"{message}{stop} See {error.ctx.command_path} --help."
    return message


def _system_line(error: OSError) -> str:
    import errno

    place = f" ({error.filename})" if error.filename else ""
    reason = error.strerror or str(error)
    hints = {
        errno.ENOSPC: "Free some disk space and try again.",
        errno.EACCES: "Check the permissions.",
        errno.EROFS: "The folder is read-only: choose another or mount it writable.",
    }
    return f"{reason}{place}. {hints.get(error.errno or 0, '')}".strip()


def _silence_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush does not complain about a closed pipe."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
