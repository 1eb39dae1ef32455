"""A request to end, SIGTERM, Ctrl-C or the end of its terminal, to a command with nothing to save.

It closes what is open, says so, and ends.

    with ending_as_asked('predict'):
        ...                          # a request is a KeyboardInterrupt in here

An exception that a signal raises in a callback of a library is lost; it is raised again. None is raised while a library
computes without Python; so a thread of its own hears the request as well, and ends the process where the end has not
come GRACE seconds later. A second request ends it at once; that of a terminal comes twice, from its shell too.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dnr_jax.command.terminal import leave_gone_terminal, tell

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 10.0  # seconds to close what is open


class Stopped(Exception):
    """The run was asked to stop, and did so at a safe place."""

    def __init__(self, line: str, status: int):
        super().__init__(line)
        self.status = status


def asked_by() -> tuple[int, ...]:
    """The signals that ask this process to end. Behind `nohup` the end of a terminal does not."""
    return tuple(of for of in SIGNALS if of != signal.SIGHUP or signal.getsignal(of) is not signal.SIG_IGN)


@contextmanager
def listening(hear: Callable[[int], None]) -> Iterator[None]:
    """Calls `hear` with the number of every signal of SIGNALS, in a thread of its own, whatever the others do.

    Not outside of the main thread, where Python allows no handlers. Those set before are put back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)

    def listen() -> None:
        with os.fdopen(read, 'rb', buffering=0) as pipe:
            while numbers := pipe.read(64):
                for number in filter(SIGNALS.__contains__, numbers):
                    if number == signal.SIGHUP:
                        leave_gone_terminal()
                    hear(number)

    wakeup_before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=listen, daemon=True, name='signals').start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        os.close(write)


@contextmanager
def ending_as_asked(name: str) -> Iterator[None]:
    """Ends the process if there is a request within the block, once what is open in it is closed; a line begins `name`.

    Without the usual farewell, in which a library may fail whose work was interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    requests, raised, repeated = [], [], []  # numbers of signals: heard, raised here, and raised again
    closed = threading.Event()

    def hear(number: int) -> None:
        if repeated:
            return repeated.pop()
        if requests and number == signal.SIGHUP:
            return None
        requests.append(number)
        if len(requests) > 1:
            end_at_once(number)
        threading.Thread(target=give_up, daemon=True).start()

    def give_up() -> None:
        if not closed.wait(GRACE):
            say_and_end()

    def say_and_end() -> None:
        tell(f'{name}: stopped as asked', file=sys.stderr)
        end_at_once((raised or requests or [signal.SIGINT])[0])

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not closed.is_set():
            raised.append(number)
            if number == signal.SIGHUP:
                signal.signal(number, signal.SIG_IGN)
            raise KeyboardInterrupt

    def repeat_what_was_lost(lost) -> None:
        if lost.exc_type is not KeyboardInterrupt:
            return told_before(lost)
        repeated.append(signal.SIGINT)
        threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()

    told_before, sys.unraisablehook = sys.unraisablehook, repeat_what_was_lost
    with listening(hear):
        before = {number: signal.signal(number, interrupt) for number in asked_by()}
        try:
            yield
        except KeyboardInterrupt:
            closed.set()
            say_and_end()
        finally:
            closed.set()
            sys.unraisablehook = told_before
            for number, handler in before.items():
                signal.signal(number, handler)


def status_of(number: int) -> int:
    """The exit status of a process that a signal has ended, as shells tell it."""
    return 128 + number


def end_at_once(number: int) -> None:
    """Ends this process and its children."""
    sys.stdout.flush()
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(status_of(number))
