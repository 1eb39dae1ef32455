"""Who holds a lock: what he writes into it, and how others tell whether he lives.

A holder leaves a sign of life every few seconds. Who finds him listens until one is heard, and is refused, or has been
silent for so long that he is gone. One of the same machine whose process has ended is not listened for.
"""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SETTLED = 2.0  # seconds after which nobody else can have taken the place of one that is gone


class Busy(ValueError):
    """Another process is at work here."""


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


def encoded(mark: dict[str, Any]) -> bytes:
    """What stands in a lock."""
    return json.dumps(mark).encode()


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


def _started(process: Any) -> str | None:
    """When a process of this machine began, in the kernel's count; None where there is none."""
    try:
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[19]
    except (OSError, IndexError):
        return None
