"""One process at a time: a lock that a killed process gives back, and that a host which is gone does not keep.

    with held(workdir / '.lock', 'The work folder runs/dnr', tell=print):
        ...                           # Busy, which says by whom, if another process is in here

The kernel holds it (flock), so it ends with its process, however that ends. Not every shared disk tells other hosts of
such locks, and some know none. So the holder also writes into the file who it is and touches it every few seconds: who
finds another host in it, or a process of this one of which no kernel tells, listens until it is heard, and is refused,
or has been silent for long enough. In a bucket an object is the lock, see `bucket_lock`.
"""

import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dnr_jax.files import bucket_lock, marks
from dnr_jax.files.background import repeated
from dnr_jax.files.marks import Busy
from dnr_jax.files.paths import AnyPath, is_remote

BEAT = 5.0  # seconds from one sign of life to the next
SILENCE = 30.0  # seconds after which a host is gone
LONG_AGO = 600.0  # seconds: a file so old is not waited for, whatever the clocks of two hosts say


@contextmanager
def held(path: AnyPath, what: str, patient: bool = False, *, tell: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of the file `path` within the block; the file is made, and taken away at the end.

    Busy, which begins with `what`, if another process holds it; a patient one waits instead. `tell` takes a line where
    that takes a while. OSError if the file cannot be written.
    """
    if is_remote(path):
        with bucket_lock.held(path, what, patient, tell):
            yield
        return
    mark = marks.this_process() | {'token': uuid.uuid4().hex}
    descriptor = _opened(path, mark, what, patient, tell)
    try:
        with repeated(partial(os.utime, descriptor), BEAT):
            yield
    finally:
        if _is_ours(path, mark):  # and not of one who took us for gone
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _opened(path: Path, mark: dict[str, Any], what: str, patient: bool, tell: Callable[[str], None]) -> int:
    """The file, which is ours."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with ExitStack() as stack:
            stack.callback(os.close, descriptor)
            try:
                if _taken(descriptor, path, mark, what, tell):
                    stack.pop_all()
                    return descriptor
            except Busy:
                if not patient:
                    raise
                time.sleep(BEAT / 5)


def _taken(descriptor: int, path: Path, mark: dict[str, Any], what: str, tell: Callable[[str], None]) -> bool:
    """Whether the file is ours now; False to try again, as where its last holder has taken it away meanwhile."""
    kernel_tells = _locked(descriptor, what)
    if not path.exists() or not os.path.samestat(os.fstat(descriptor), path.stat()):
        return False
    _expect_silence(descriptor, what, kernel_tells, tell)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, marks.encoded(mark), 0)
    if not kernel_tells:
        time.sleep(marks.SETTLED)  # another may have found it as silent as we did
    return _is_ours(path, mark)


def _locked(descriptor: int, what: str) -> bool:
    """Locks it; False on a disk without such locks, where signs of life are all there is. Busy if another has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(marks.told(what, _holder(descriptor))) from error
    except OSError:
        return False
    return True


def _expect_silence(descriptor: int, what: str, kernel_tells: bool, tell: Callable[[str], None]) -> None:
    """Raises Busy if a holder that no kernel tells of, on another host for one, is heard within SILENCE."""

    def touched() -> float:
        return os.fstat(descriptor).st_mtime

    holder, before = _holder(descriptor), touched()
    is_here = holder.get('machine') == marks.this_process()['machine']
    is_gone = marks.has_ended(holder) or time.time() - before > LONG_AGO
    if 'machine' not in holder or is_gone or (is_here and kernel_tells):
        return
    tell(f'{marks.told(what, holder)}: listening for {SILENCE:g} s whether it still lives')
    if marks.is_heard(touched, before, SILENCE, BEAT):
        raise Busy(marks.told(what, holder))


def _is_ours(path: Path, mark: dict[str, Any]) -> bool:
    try:
        return marks.decoded(path.read_bytes()).get('token') == mark['token']
    except OSError:
        return False


def _holder(descriptor: int) -> dict[str, Any]:
    """Who has written itself into the file; {} where nobody has."""
    try:
        return marks.decoded(os.pread(descriptor, 1024, 0))
    except OSError:
        return {}
