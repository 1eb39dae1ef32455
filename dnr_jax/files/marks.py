"""A lock in a bucket: an object that says who is at work, and that he lives.

    with held(folder / '.lock', 'The work folder gs://bucket/run', patient=False, tell=print):
        ...

No kernel keeps it: the holder writes the object anew every few seconds, and who finds one listens until it changes, and
is refused, or has been silent for so long that its holder is gone. One of the same machine whose process has ended is
not listened for. Two that come at once are told apart by the bucket, which makes a new object for one of them alone.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dnr_jax.files import buckets
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
    mark = this_process() | {'since': time.strftime('%F %T'), 'token': uuid.uuid4().hex}
    while not _taken(path, mark, what, patient, tell):
        pass
    closed = threading.Event()
    beats = threading.Thread(target=_beat, args=(path, mark, closed), daemon=True, name='lock')
    beats.start()
    try:
        yield
    finally:
        closed.set()
        beats.join(BEAT)
        with contextlib.suppress(OSError):
            if _is_ours(path, mark):
                buckets.remove([path])


def this_process() -> dict[str, Any]:
    """Who this is. A machine is one start of one kernel, and the processes that see each other on it."""
    try:
        machine = Path('/proc/sys/kernel/random/boot_id').read_text().strip() + os.readlink('/proc/self/ns/pid')
    except OSError:
        machine = socket.gethostname()
    return {'process': os.getpid(), 'started': _started(os.getpid()), 'host': socket.gethostname(), 'machine': machine}


def told(what: str, holder: dict[str, Any]) -> str:
    """That another has it, and who."""
    of = 'another process'
    if holder:
        of = f'process {holder.get("process")} on {holder.get("host")}, since {holder.get("since")}'
    return f'{what} is in use by {of}; wait for its end, or give another folder'


def _taken(path: AnyPath, mark: dict[str, Any], what: str, patient: bool, tell: Callable[[str], None]) -> bool:
    """Whether the object is ours now; False to try again."""
    there = _read(path)
    if there is None:
        with contextlib.suppress(FileExistsError):
            buckets.put(path, _encoded(mark), new=True)
        return _is_ours(path, mark)
    holder = _decoded(there)
    if not _has_ended(holder):
        if not patient:
            tell(f'{told(what, holder)}: listening for {SILENCE:g} s whether it still lives')
        if _is_heard(path, there):
            if not patient:
                raise Busy(told(what, holder))
            return False
    if _read(path) == there:
        buckets.put(path, _encoded(mark))
        time.sleep(SETTLED)  # another may have found it as silent as we did
    return _is_ours(path, mark)


def _is_heard(path: AnyPath, there: bytes) -> bool:
    """Whether the object changes, or goes, before its holder has been silent for too long."""
    deadline = time.monotonic() + SILENCE
    while time.monotonic() < deadline:
        time.sleep(BEAT / 5)
        if _read(path) != there:
            return True
    return False


def _beat(path: AnyPath, mark: dict[str, Any], closed: threading.Event) -> None:
    beats = 0
    while not closed.wait(BEAT):
        beats += 1
        with contextlib.suppress(OSError):  # a network that is away for a while
            if not _is_ours(path, mark):
                return
            buckets.put(path, _encoded(mark | {'beats': beats}))


def _is_ours(path: AnyPath, mark: dict[str, Any]) -> bool:
    return _decoded(_read(path) or b'').get('token') == mark['token']


def _has_ended(holder: dict[str, Any]) -> bool:
    """Whether it was a process of this machine, which is there no more."""
    if holder.get('machine') != this_process()['machine']:
        return False
    return _started(holder.get('process')) != holder.get('started')


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


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
