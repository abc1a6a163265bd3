"""A ctrl-C that is heeded although something swallowed it on its way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered_interrupts() -> Iterator[Callable[[], None]]:
    """Yield `heed`, which raises KeyboardInterrupt where a ctrl-C came; so does the end of the block.

    Python raises KeyboardInterrupt wherever the main thread happens to be. In a finalizer, as that of an HTTP
    response, in a callback of a weak reference or of the garbage collector it is dropped, and long work would
    go on as if nobody had asked it to end. Where SIGINT is ignored, or handled in another way, that stays so.
    """
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.default_int_handler(number, frame)

    def heed() -> None:
        if came:
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield heed
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield heed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    heed()
