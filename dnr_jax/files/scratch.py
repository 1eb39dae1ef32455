"""Folders on this disk for what is on its way to a bucket or from it: gone with their process, however that ends.

TMPDIR/dnr_jax-USER/XXXX/    of a process, which holds XXXX/.lock; one whose lock is free was left by a killed one
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dnr_jax.files import buckets
from dnr_jax.files.paths import AnyPath, is_remote

_LOCK = '.lock'


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder of this process, for the block; those that killed processes have left are taken away."""
    above = Path(tempfile.gettempdir()) / f'dnr_jax-{os.getuid()}'
    folder, lock = _begun(above)
    with lock:
        try:
            yield folder / 'files'
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # others are in it
                above.rmdir()


@contextmanager
def local_copy(path: AnyPath) -> Iterator[Path]:
    """The file itself where it is local; of one in a bucket a copy, under its name, for the block."""
    if not is_remote(path):
        yield path
        return
    with scratch_folder() as folder:
        buckets.download(path, folder / path.name)
        yield folder / path.name


def _begun(above: Path) -> tuple[Path, TextIO]:
    """A folder with `files` in it, and its lock, which is held while that is open."""
    while True:
        with contextlib.suppress(FileExistsError):  # exist_ok would fail for one that is taken away at that moment
            above.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # taken away, before it was locked, by another who came or went
            _clear(above)
            folder = Path(tempfile.mkdtemp(dir=above))
            lock = (folder / _LOCK).open('w')
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (folder / _LOCK).exists():
                (folder / 'files').mkdir()
                return folder, lock
            lock.close()


def _clear(above: Path) -> None:
    for folder in above.iterdir():
        with contextlib.suppress(OSError), (folder / _LOCK).open() as lock:  # one just begun has no lock yet
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
