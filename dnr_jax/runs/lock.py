"""One process at a time: a lock that a killed process gives back, and that a host which is gone does not keep.

    with held(workdir / '.lock', what='The work folder runs/dnr'):
        ...                           # Busy, which says by whom, if another process is in here

The kernel holds it (flock), so it ends with its process, however that ends. Not every shared disk tells other hosts of
such locks. So the holder also writes into the file who it is and touches it every few seconds: who finds another host
in it listens until it is heard, and is refused, or has been silent for long enough.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dnr_jax.command.terminal import tell
from dnr_jax.files import AnyPath, Busy, is_remote, marks, repeated

BEAT = 5.0  # seconds from one sign of life to the next
SILENCE = 30.0  # seconds after which a host is gone
LONG_AGO = 600.0  # seconds: a file so old is not waited for, whatever the clocks of two hosts say


@contextmanager
def held(path: AnyPath, what: str, patient: bool = False) -> Iterator[None]:
    """Holds the lock of the file `path` within the block; the file is made, and taken away at the end.

    Busy, which begins with `what`, if another process holds it; a patient one waits instead. OSError if the file cannot
    be written. In a bucket an object is the lock, see `files.marks`.
    """
    if is_remote(path):
        with marks.held(path, what, patient, tell):
            yield
        return
    descriptor = _opened(path, what, patient)
    try:
        _expect_silence(descriptor, what)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(marks.this_process()).encode(), 0)
        try:
            with repeated(partial(os.utime, descriptor), BEAT):
                yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _opened(path: Path, what: str, patient: bool) -> int:
    """The file, locked, and still the one of that name: its last holder may have taken it away meanwhile."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if _locked(descriptor):
                if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
            elif patient:
                time.sleep(BEAT / 5)
            else:
                raise Busy(marks.told(what, _holder(descriptor)))
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a disk without such locks; signs of life are all there is
    return True


def _expect_silence(descriptor: int, what: str) -> None:
    """Raises Busy if a holder on another host is heard within SILENCE."""

    def touched() -> float:
        return os.fstat(descriptor).st_mtime

    holder, before = _holder(descriptor), touched()
    if holder.get('machine') in (None, marks.this_process()['machine']) or time.time() - before > LONG_AGO:
        return
    tell(f'{marks.told(what, holder)}: listening for {SILENCE:g} s whether it still lives')
    if marks.is_heard(touched, before, SILENCE, BEAT):
        raise Busy(marks.told(what, holder))


def _holder(descriptor: int) -> dict[str, Any]:
    """Who has written itself into the file; {} where nobody has."""
    try:
        return marks.decoded(os.pread(descriptor, 1024, 0))
    except OSError:
        return {}
