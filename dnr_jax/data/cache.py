"""Pieces of what lies far away, kept on this disk: by all processes of a host, within a number of bytes.

    FOLDER/ab/abcdef...     sha256 of a piece, 32 bytes, and the piece; the name is a hash of what it is a piece of
    FOLDER/.bytes           of all of them together, and the lock for it

A piece is used only while it is as it was kept. What was not used for longest goes first.
"""

import contextlib
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

ROOM = 1 / 8  # of the cache, made at once when it is full
FRESH = 60.0  # seconds for which a use is not noted again
_HASH = 32  # bytes


def cache_folder() -> Path:
    """Of this user; XDG_CACHE_HOME as in the XDG Base Directory Specification."""
    return Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'dnr_jax' / 'data'


class Cache:
    """`cache.get(of, fetch)`; `most` are bytes, within which all pieces of the folder stay, and 0 keeps none."""

    def __init__(self, folder: Path, most: int):
        self._folder, self._most = folder, most

    def get(self, of: str, fetch: Callable[[], bytes]) -> bytes:
        """The piece that `of` names, fetched if it is not here. What goes wrong with this disk only costs a fetch."""
        if not self._most:
            return fetch()
        name = hashlib.sha256(of.encode()).hexdigest()
        path = self._folder / name[:2] / name
        with contextlib.suppress(OSError):
            if (kept := _whole(path.read_bytes())) is not None:
                _note(path)
                return kept
        fetched = fetch()
        with contextlib.suppress(OSError):
            self._keep(path, fetched)
        return fetched

    def _keep(self, path: Path, piece: bytes) -> None:
        size = len(piece) + _HASH
        if size > self._most * (1 - ROOM):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f'.{uuid.uuid4().hex}'
        try:
            unfinished.write_bytes(hashlib.sha256(piece).digest() + piece)
            with (self._folder / '.bytes').open('a+b') as total:
                fcntl.flock(total, fcntl.LOCK_EX)
                total.seek(0)
                told = total.read()
                there = int(told) if told.isdigit() else self._most  # not known: they are counted
                if there + size > self._most:
                    there = _make_room(self._folder, self._most * (1 - ROOM) - size)
                total.seek(0)
                total.truncate()
                total.write(str(there + size).encode())
                os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def _whole(data: bytes) -> bytes | None:
    """The piece in a file, None where it is not as it was kept."""
    piece = data[_HASH:]
    return piece if hashlib.sha256(piece).digest() == data[:_HASH] else None


def _note(path: Path) -> None:
    if time.time() - path.stat().st_mtime > FRESH:
        os.utime(path)


def _make_room(folder: Path, most: float) -> int:
    """Removes what was not used for longest until there are that many bytes at most; returns how many there are."""
    found = []
    for path in (*folder.glob('??/*'), *folder.glob('.?*')):
        with contextlib.suppress(FileNotFoundError):
            about = path.stat()
            abandoned = path.parent == folder and time.time() - about.st_mtime > FRESH and path.name != '.bytes'
            if path.parent != folder or abandoned:
                found.append((0.0 if abandoned else about.st_mtime, about.st_size, path))
    there = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if there <= most:
            break
        path.unlink(missing_ok=True)
        there -= size
    return there
