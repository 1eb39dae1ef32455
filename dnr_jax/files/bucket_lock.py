"""A lock in a bucket: an object that its holder writes anew every few seconds, see `lock` and `marks`.

Two that come at once are told apart by the bucket, which makes a new object for one of them alone.
"""

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dnr_jax.files import buckets, marks
from dnr_jax.files.background import repeated
from dnr_jax.files.paths import AnyPath

BEAT = 10.0  # seconds from one sign of life to the next
SILENCE = 45.0  # seconds after which a holder is gone


@contextmanager
def held(path: AnyPath, what: str, patient: bool, tell: Callable[[str], None]) -> Iterator[None]:
    """Holds the object `path` within the block; it is taken away at the end.

    Busy, which begins with `what`, if another process holds it; a patient one waits instead. BucketError if it cannot
    be written.
    """
    mark = marks.this_process() | {'token': uuid.uuid4().hex}
    while not _taken(path, mark, what, patient, tell):
        pass
    beats = itertools.count(1)

    def beat() -> None:
        if _is_ours(path, mark):
            buckets.put(path, marks.encoded(mark | {'beats': next(beats)}))

    try:
        with repeated(beat, BEAT):
            yield
    finally:
        with contextlib.suppress(OSError):
            if _is_ours(path, mark):
                buckets.remove([path])


def _taken(path: AnyPath, mark: dict[str, Any], what: str, patient: bool, tell: Callable[[str], None]) -> bool:
    """Whether the object is ours now; False to try again."""
    there = _read(path)
    if there is None:
        with contextlib.suppress(FileExistsError):
            buckets.put(path, marks.encoded(mark), new=True)
        return _is_ours(path, mark)
    holder = marks.decoded(there)
    if not marks.has_ended(holder):
        if not patient:
            tell(f'{marks.told(what, holder)}: listening for {SILENCE:g} s whether it still lives')
        if marks.is_heard(lambda: _read(path), there, SILENCE, BEAT):
            if not patient:
                raise marks.Busy(marks.told(what, holder))
            return False
    if _read(path) == there:
        buckets.put(path, marks.encoded(mark))
        time.sleep(marks.SETTLED)  # another may have found it as silent as we did
    return _is_ours(path, mark)


def _is_ours(path: AnyPath, mark: dict[str, Any]) -> bool:
    return marks.decoded(_read(path) or b'').get('token') == mark['token']


def _read(path: AnyPath) -> bytes | None:
    try:
        return buckets.read(path)
    except FileNotFoundError:
        return None
