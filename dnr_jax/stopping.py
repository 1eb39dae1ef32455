"""A request to stop, SIGTERM, answered at the next safe place by all processes alike.

    with StopRequest() as stop:
        ...                           # compiling, restoring: all work is on disk, a request ends the process at once
        stop.at_safe_places_only()
        for step in ...:
            stop.check()              # raises Stopped, on all processes in the same round

One process keeps its own flag. Several ask JAX's preemption service, which picks a round that none has passed yet, so
all must call `check` in the same order; that service listens for SIGTERM by itself, as soon as there is something to
lose. A second SIGTERM ends the process without more ado.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

import jax
from jax.experimental import multihost_utils

from dnr_jax.terminal import tell

EXIT_STATUS = 128 + signal.SIGTERM
LEADER_STAYS = 2.0  # seconds: JAX aborts all whose leader is gone, and they end when it does, or just after


class Stopped(Exception):
    """The run was asked to stop, and did so at a safe place."""


class StopRequest:
    """Listens for SIGTERM while it is open; `check` answers it."""

    def __init__(self):
        self._requested = threading.Event()
        self._answered = False
        self._at_once = True
        self._rounds = 0
        self._alone = jax.process_count() == 1
        self._hearing = ExitStack()

    def __enter__(self):
        self._hearing.enter_context(self._listening())
        return self

    def __exit__(self, *error):
        self._hearing.close()

    def check(self) -> None:
        """Raises Stopped if any process was asked to stop; all processes call it in the same order."""
        if self._at_once:
            return
        self._rounds += 1
        if self._requested.is_set() or (
            not self._alone and multihost_utils.reached_preemption_sync_point(self._rounds)
        ):
            raise Stopped('stopped as asked')

    def at_safe_places_only(self) -> None:
        """From here on there is something to lose: `check` answers requests."""
        self._at_once = False
        if not self._alone:
            self._hearing.close()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """SIGTERM is heard here. Not on other threads than the main one, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # Python runs a handler between two of its own instructions, so not while XLA compiles; this pipe is written to
        # at once, and read by a thread.
        read, write = os.pipe()
        os.set_blocking(write, False)
        with answer_put_back():
            signal.signal(signal.SIGTERM, self._second_or_first)
            wakeup_before = signal.set_wakeup_fd(write)
            threading.Thread(target=self._listen, args=(read,), daemon=True).start()
            try:
                yield
            finally:
                signal.set_wakeup_fd(wakeup_before)
                os.close(write)

    def _listen(self, read: int) -> None:
        with os.fdopen(read, 'rb', buffering=0) as pipe:
            while numbers := pipe.read(64):
                if signal.SIGTERM in numbers:
                    self._requested.set()
                    if self._at_once:
                        tell('stopped as asked, before there was anything to save', file=sys.stderr)
                        if not self._alone and jax.process_index() == 0:
                            time.sleep(LEADER_STAYS)
                        os._exit(EXIT_STATUS)

    def _second_or_first(self, number: int, frame: FrameType | None) -> None:
        if self._answered:
            os._exit(EXIT_STATUS)
        self._answered = True


@contextmanager
def answer_put_back() -> Iterator[None]:
    """Puts the answer to SIGTERM back that stood before, also one of a library that Python knows nothing of."""
    of_python, of_system = signal.getsignal(signal.SIGTERM), ctypes.create_string_buffer(1024)
    sigaction = ctypes.CDLL(None).sigaction
    sigaction(signal.SIGTERM, None, of_system)
    try:
        yield
    finally:
        if of_python is not None:
            signal.signal(signal.SIGTERM, of_python)
        sigaction(signal.SIGTERM, of_system, None)
