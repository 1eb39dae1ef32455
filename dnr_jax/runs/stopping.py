"""A request to stop a training, SIGTERM, Ctrl-C or the end of its terminal, answered by all at the next safe place.

    with StopRequest() as stop:
        ...                           # compiling, restoring: all work is on disk, a request ends the process at once
        stop.at_safe_places_only()
        for step in ...:
            stop.check()              # raises Stopped, on all processes in the same round

One process keeps its own flag. Several ask JAX's preemption service, which picks a round that none has passed yet, so
all must call `check` in the same order; that service listens for SIGTERM by itself, as soon as there is something to
lose, and is sent one for the others. A second request ends the process without more ado; that of a terminal comes twice
by itself, from its shell too.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax
from jax.experimental import multihost_utils

from dnr_jax.command.signals import Stopped, asked_by, end_at_once, listening, status_of
from dnr_jax.command.terminal import tell
from dnr_jax.parallel import LEADER_STAYS


class StopRequest:
    """Listens while it is open; `check` answers."""

    def __init__(self):
        self._number: int | None = None  # of the signal
        self._at_once = True
        self._rounds = 0
        self._alone = jax.process_count() == 1
        self._hearing, self._hearing_sigterm = ExitStack(), ExitStack()

    def __enter__(self):
        self._hearing.enter_context(listening(self._hear))
        if threading.current_thread() is threading.main_thread():  # where alone Python allows handlers
            for number in asked_by():
                hearing = self._hearing_sigterm if number == signal.SIGTERM else self._hearing
                hearing.enter_context(ignored(number))
        return self

    def __exit__(self, *error):
        self._hearing_sigterm.close()
        self._hearing.close()

    def check(self) -> None:
        """Raises Stopped if any process was asked to stop; all processes call it in the same order."""
        if self._at_once:
            return
        self._rounds += 1
        if self._number is not None if self._alone else multihost_utils.reached_preemption_sync_point(self._rounds):
            raise Stopped('stopped as asked', status_of(self._number or signal.SIGTERM))

    def at_safe_places_only(self) -> None:
        """From here on there is something to lose: `check` answers requests."""
        self._at_once = False
        if not self._alone:
            self._hearing_sigterm.close()

    def _hear(self, number: int) -> None:
        """In a thread of its own: handlers of Python do not run while XLA compiles."""
        if self._number is not None:
            if number == signal.SIGHUP:
                return
            end_at_once(number)
        self._number = number
        if self._at_once:
            tell('stopped as asked, before there was anything to save', file=sys.stderr)
            if not self._alone and jax.process_index() == 0:
                time.sleep(LEADER_STAYS)
            end_at_once(number)
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def ignored(number: int) -> Iterator[None]:
    """A signal does nothing but wake who listens to it."""
    with answer_put_back(number):
        signal.signal(number, lambda *_: None)
        yield


@contextmanager
def answer_put_back(number: int) -> Iterator[None]:
    """Puts the answer to a signal back that stood before, also one of a library that Python knows nothing of."""
    of_python, of_system = signal.getsignal(number), ctypes.create_string_buffer(1024)
    sigaction = ctypes.CDLL(None).sigaction
    sigaction(number, None, of_system)
    try:
        yield
    finally:
        if of_python is not None:
            signal.signal(number, of_python)
        sigaction(number, of_system, None)
