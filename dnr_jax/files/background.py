"""What goes on beside the work: signs of life that are given, files that are put again as they grow."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(act: Callable[[], object], pause: float, share: float = 0.0) -> Iterator[None]:
    """Acts again and again within the block, in a thread, with pauses in seconds.

    A pause is at least `share` times as long as the act before it took. An OSError is passed over: a disk or a network
    may be away for a while.
    """
    ended = threading.Event()

    def go_round() -> None:
        wait = pause
        while not ended.wait(wait):
            begun = time.monotonic()
            with contextlib.suppress(OSError):
                act()
            wait = max(pause, share * (time.monotonic() - begun))

    thread = threading.Thread(target=go_round, daemon=True, name='background')
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(pause)  # not for ever: it may wait for a network
