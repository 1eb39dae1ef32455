"""Processes that decode: how they start, how they end with their parent, and how one that hangs is given up.

A forked child may hang on a lock that some other thread of its parent held, so every process starts afresh.
"""

import ast
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError
from pathlib import Path
from typing import Any

import cv2
from pebble import ProcessExpired, ProcessPool

AHEAD = 4  # tasks in hand for each process, so that a slow one holds up none of the others


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


class GivenUp(Exception):
    """A task that took too long, or whose process died over it."""


def start_worker(*_: int) -> None:
    """Sets up a worker process: no threads of its own, and an end together with its parent."""
    cv2.setNumThreads(0)
    _keep_memory()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are for the parent, which then closes its workers
    parent = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent.pid,), daemon=True).start()


def _keep_memory() -> None:
    """Lets glibc keep what is freed: else every clip has its pages handed out anew, a quarter of the time it takes."""
    with contextlib.suppress(AttributeError, OSError):  # of another libc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**30)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:  # a killed parent cannot close its workers
        time.sleep(1)
    os._exit(1)


def expect_importable_main() -> None:
    """Raises ValueError if processes cannot start from here: each imports the script that has started it."""
    main = sys.modules['__main__']
    if (path := getattr(main, '__file__', None)) is None:
        return  # interactive
    if not Path(path).is_file():
        raise ValueError(
            f'Loader processes import the program that starts them: expected a file, got {path}. Save it as one, or '
            'set config.run.workers=0.'
        )
    frame = sys._getframe()
    while frame and not (frame.f_code.co_name == '<module>' and frame.f_globals is vars(main)):
        frame = frame.f_back
    if frame is None:
        return  # another thread
    for statement in ast.parse(Path(path).read_bytes()).body:
        guarded = isinstance(statement, ast.If) and '__name__' in ast.unparse(statement.test)
        if statement.lineno <= frame.f_lineno <= statement.end_lineno and not guarded:
            raise ValueError(
                f'Loader processes import the script that starts them: expected line {frame.f_lineno} of {path} below '
                "if __name__ == '__main__':, or they would all run it. Put it there, or set config.run.workers=0."
            )


def clean_up_in_silence() -> None:
    """What processes leave in shared memory Python takes away after them; its words on that are no user's concern."""
    silent = 'ignore:resource_tracker:UserWarning'
    others = [of for of in os.environ.get('PYTHONWARNINGS', '').split(',') if of and of != silent]
    os.environ['PYTHONWARNINGS'] = ','.join([*others, silent])  # read by the process that does it


def guarded_map(
    function: Callable[[Any], Any], tasks: Iterable[Any], *, workers: int, seconds: float | int
) -> Iterator[Any | GivenUp]:
    """`function(task)` for each task, in order, by that many processes.

    Where a task takes longer than `seconds`, or ends its process, its place is taken by a GivenUp that says so, and
    the others go on. Without workers the tasks run in this process, and nothing guards them.

    Raises:
      Whatever the function raises.
    """
    if workers == 0:
        yield from map(function, tasks)
        return
    with ProcessPool(workers, initializer=start_worker, context=multiprocessing.get_context('spawn')) as pool:
        running = deque()
        try:
            for task in tasks:
                running.append(pool.schedule(function, args=(task,), timeout=seconds))
                if len(running) > AHEAD * workers:
                    yield _result(running.popleft(), seconds)
            while running:
                yield _result(running.popleft(), seconds)
        finally:
            pool.stop()


def _result(future: Any, seconds: float | int) -> Any | GivenUp:
    try:
        return future.result()
    except TimeoutError as error:
        if isinstance(error.errno, int):  # the task's own, of a network disk; the pool's has no number
            raise
        return GivenUp(f'it took longer than {seconds:g} s')
    except ProcessExpired as error:
        return GivenUp(f'its process died (status {error.exitcode})')
