"""A lock in a bucket: an object that says who is at work, and that he lives.

    with held(folder / '.lock', 'The work folder gs://bucket/run', patient=False, tell=print):
        ...

No kernel keeps it: the holder writes the object anew every few seconds, and who finds one listens until it changes, and
is refused, or has been silent for so long that its holder is gone. One of the same machine whose process has ended is
not listened for. Two that come at once are told apart by the bucket, which makes a new object for one of them alone.
"""

import contextlib
import itertools
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dnr_jax.files import buckets
from dnr_jax.files.background import repeated
from dnr_jax.files.paths import AnyPath

BEAT = 10.0  # seconds from one sign of life to the next
SILENCE = 45.0  # seconds after which a holder is gone
SETTLED = 2.0  # seconds after which nobody else can have taken the place of one that is gone


class Busy(ValueError):
    """Another process is at work here."""


@contextmanager
def held(path: AnyPath, what: str, patient: bool, tell: Callable[[str], None]) -> Iterator[None]:
    """Holds the object `path` within the block; it is taken away at the end.

    Busy, which begins with `what`, if another process holds it; a patient one waits instead. BucketError if it cannot
    be written.
    """
    mark = this_process() | {'token': uuid.uuid4().hex}
    while not _taken(path, mark, what, patient, tell):
        pass
    beats = itertools.count(1)

    def beat() -> None:
        if _is_ours(path, mark):
            buckets.put(path, _encoded(mark | {'beats': next(beats)}))

    try:
        with repeated(beat, BEAT):
            yield
    finally:
        with contextlib.suppress(OSError):
            if _is_ours(path, mark):
                buckets.remove([path])


def this_process() -> dict[str, Any]:
    """Who this is. A machine is one start of one kernel, whose containers have names, and processes, of their own."""
    host = socket.gethostname()
    try:
        machine, space = Path('/proc/sys/kernel/random/boot_id').read_text().strip(), os.readlink('/proc/self/ns/pid')
    except OSError:
        machine, space = host, ''
    process = {'process': os.getpid(), 'started': _started(os.getpid()), 'space': space}
    return process | {'host': host, 'machine': machine, 'since': time.strftime('%F %T')}


def told(what: str, holder: dict[str, Any]) -> str:
    """That another has it, and who."""
    of = 'another process'
    if holder:
        of = f'process {holder.get("process")} on {holder.get("host")}, since {holder.get("since")}'
    return f'{what} is in use by {of}; wait for its end, or give another folder'


def has_ended(holder: dict[str, Any]) -> bool:
    """Whether it was a process of this machine, which is there no more."""
    here = this_process()
    if any(holder.get(name) != here[name] for name in ('machine', 'space')):
        return False
    return _started(holder.get('process')) != holder.get('started')


def decoded(data: bytes) -> dict[str, Any]:
    """Who has written this, {} where it does not say."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_heard(read: Callable[[], Any], before: Any, silence: float, beat: float) -> bool:
    """Whether what a holder changes every `beat` seconds is another than before, within `silence` seconds."""
    deadline = time.monotonic() + silence
    while time.monotonic() < deadline:
        time.sleep(beat / 5)
        if read() != before:
            return True
    return False


def _taken(path: AnyPath, mark: dict[str, Any], what: str, patient: bool, tell: Callable[[str], None]) -> bool:
    """Whether the object is ours now; False to try again."""
    there = _read(path)
    if there is None:
        with contextlib.suppress(FileExistsError):
            buckets.put(path, _encoded(mark), new=True)
        return _is_ours(path, mark)
    holder = decoded(there)
    if not has_ended(holder):
        if not patient:
            tell(f'{told(what, holder)}: listening for {SILENCE:g} s whether it still lives')
        if is_heard(lambda: _read(path), there, SILENCE, BEAT):
            if not patient:
                raise Busy(told(what, holder))
            return False
    if _read(path) == there:
        buckets.put(path, _encoded(mark))
        time.sleep(SETTLED)  # another may have found it as silent as we did
    return _is_ours(path, mark)


def _is_ours(path: AnyPath, mark: dict[str, Any]) -> bool:
    return decoded(_read(path) or b'').get('token') == mark['token']


def _started(process: Any) -> str | None:
    """When a process of this machine began, in the kernel's count; None where there is none."""
    try:
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[19]
    except (OSError, IndexError):
        return None


def _read(path: AnyPath) -> bytes | None:
    try:
        return buckets.read(path)
    except FileNotFoundError:
        return None


def _encoded(mark: dict[str, Any]) -> bytes:
    return json.dumps(mark).encode()
