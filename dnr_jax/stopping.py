"""A request to stop, SIGTERM, answered at the next safe place by all processes alike.

    with StopRequest() as stop:
        with stop.nothing_to_lose():
            ...                       # compiling, restoring: here a request ends the process at once
        for step in ...:
            stop.check()              # raises Stopped, on all processes in the same round

One process keeps its own flag. Several ask JAX's preemption service, which picks a round that none has passed yet, so
all must call `check` in the same order. A second SIGTERM ends the process without more ado.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import jax
from jax.experimental import multihost_utils

EXIT_STATUS = 128 + signal.SIGTERM


class Stopped(Exception):
    """The run was asked to stop, and did so at a safe place."""


class StopRequest:
    """Listens for SIGTERM while it is open; `check` answers it."""

    def __init__(self):
        self._requested = threading.Event()
        self._answered = False
        self._nothing_to_lose = False
        self._rounds = 0
        self._own = jax.process_count() == 1 and threading.current_thread() is threading.main_thread()

    def __enter__(self):
        if self._own:
            self._before = signal.signal(signal.SIGTERM, self._second_or_first)
            # Python runs a handler between two of its own instructions, so not while XLA compiles; this pipe is
            # written to at once, and read by a thread.
            self._read, self._write = os.pipe()
            os.set_blocking(self._write, False)
            self._wakeup_before = signal.set_wakeup_fd(self._write)
            threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *error):
        if self._own:
            signal.signal(signal.SIGTERM, self._before)
            signal.set_wakeup_fd(self._wakeup_before)
            os.close(self._write)

    def check(self) -> None:
        """Raises Stopped if any process was asked to stop; all processes call it in the same order."""
        self._rounds += 1
        if self._requested.is_set() or (
            jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(self._rounds)
        ):
            raise Stopped('stopped as asked')

    @contextmanager
    def nothing_to_lose(self) -> Iterator[None]:
        """While this is open all work is on disk, or none is done: a request ends the process at once."""
        self._nothing_to_lose = True
        try:
            self._end_if_idle()
            yield
        finally:
            self._nothing_to_lose = False

    def _listen(self) -> None:
        with os.fdopen(self._read, 'rb', buffering=0) as pipe:
            while numbers := pipe.read(64):
                if signal.SIGTERM in numbers:
                    self._requested.set()
                    self._end_if_idle()

    def _second_or_first(self, number: int, frame: FrameType | None) -> None:
        if self._answered:
            os._exit(EXIT_STATUS)
        self._answered = True

    def _end_if_idle(self) -> None:
        if self._requested.is_set() and self._nothing_to_lose:
            print('stopped as asked, before there was anything to save', file=sys.stderr, flush=True)
            os._exit(EXIT_STATUS)
