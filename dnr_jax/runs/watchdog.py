"""Ends a run that no longer moves: a stalled loader, file system or peer would hold it, and its devices, for ever.

with Watchdog(300) as watchdog:
    watchdog.expect('a batch')     # from here on, 300 s at most until the next word
    watchdog.rest()                # something that may take as long as it likes: compiling, a save
"""

import faulthandler
import multiprocessing
import os
import sys
import threading
import time

from dnr_jax.command.terminal import tell

EXIT_STATUS = 3


class Watchdog:
    """Ends the process with the stacks of all threads when `seconds` pass without a word; 0 never does.

    Time in which the process itself was suspended, by Ctrl-Z, SLURM or a container, does not count.
    """

    def __init__(self, seconds: int):
        self._seconds = seconds
        self._expected: tuple[str, float] | None = None
        self._closed = threading.Event()

    def __enter__(self):
        if self._seconds:
            threading.Thread(target=self._watch, daemon=True, name='watchdog').start()
        return self

    def __exit__(self, *error):
        self._closed.set()

    def expect(self, what: str) -> None:
        """The run moves, and now waits for this."""
        self._expected = what, time.monotonic()

    def rest(self) -> None:
        """The run moves, and what comes now is not timed."""
        self._expected = None

    def _watch(self) -> None:
        pause = min(1.0, self._seconds / 4)
        timed, waited, looked = None, 0.0, time.monotonic()
        while not self._closed.wait(pause):
            now, expected = time.monotonic(), self._expected
            if expected is not timed:
                timed, waited, looked = expected, 0.0, expected[1] if expected else now
            waited += min(now - looked, 2 * pause)  # more has passed only where this thread was suspended too
            looked = now
            if expected and waited > self._seconds:
                faulthandler.dump_traceback(all_threads=True)
                tell(
                    f'waited {self._seconds:g} s for {expected[0]}: a loader process, a file system or another process '
                    'of this run is stalled. Where it stands is above. The same command goes on from the newest '
                    'checkpoint; if it is only slow, raise config.run.watchdog_seconds.',
                    file=sys.stderr,
                )
                for child in multiprocessing.active_children():
                    child.kill()  # a stalled loader process cannot see that its parent is gone
                os._exit(EXIT_STATUS)
