"""Progress bars: alive on a terminal, a line now and then in a log file."""

import sys

from tqdm import tqdm

SECONDS_BETWEEN_LOG_LINES = 30


def bar(total: int, what: str, unit: str, *, leave: bool, shown: bool = True, done: int = 0) -> tqdm:
    """A progress bar with time left; update it, close it.

    `leave` keeps it on the terminal when it is done; `done` is what was done before, and says nothing of the pace.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=unit,
        disable=not shown,
        leave=leave or not terminal,
        mininterval=0.1 if terminal else SECONDS_BETWEEN_LOG_LINES,
        maxinterval=10 if terminal else SECONDS_BETWEEN_LOG_LINES,
    )
