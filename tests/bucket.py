"""A bucket in memory, in place of gs://, with faults and little room at wish; it needs no package and no network."""

import asyncio
from collections import Counter

from fsspec.asyn import AsyncFileSystem

from dnr_jax.files import buckets

OBJECTS: dict[str, bytes] = {}  # by 'bucket/name'; a bucket is there once it is named
ROOM: list[int] = []  # bytes that the bucket holds at most, if any are given
FAULTS: list = []  # exceptions, or lengths to cut to, of the next requests; None lets one through
ASKED: Counter = Counter()  # requests, by kind


class Full(Exception):
    """As gcsfs tells that a bucket takes no more."""

    code = 507


class Memory(AsyncFileSystem):
    protocol = ('gs', 'gcs')
    cachable = False

    def _asked(self, kind: str, path: str) -> int | None:
        """Counts the request; raises the fault that is due, or returns the length that is left."""
        ASKED[kind] += 1
        fault = FAULTS.pop(0) if FAULTS else None
        if isinstance(fault, Exception):
            raise fault
        return fault

    async def _cat_file(self, path, start=None, end=None, **_):
        left = self._asked('cat', path)
        return self._object(path)[start:end][:left]

    async def _pipe_file(self, path, value, mode='overwrite', **_):
        self._asked('pipe', path)
        name = self._strip_protocol(path)
        if mode == 'create' and name in OBJECTS:
            raise FileExistsError(name)
        self._put(name, bytes(value))

    async def _put_file(self, lpath, rpath, **_):
        self._asked('put', rpath)
        with open(lpath, 'rb') as file:
            self._put(self._strip_protocol(rpath), await asyncio.to_thread(file.read))

    def _put(self, name: str, data: bytes) -> None:
        others = sum(len(there) for other, there in OBJECTS.items() if other != name)
        if ROOM and others + len(data) > ROOM[0]:
            raise Full('Insufficient storage')
        OBJECTS[name] = data

    async def _get_file(self, rpath, lpath, **_):
        self._asked('get', rpath)
        data = self._object(rpath)
        with open(lpath, 'wb') as file:
            file.write(data)

    async def _cp_file(self, path1, path2, **_):
        self._asked('cp', path1)
        OBJECTS[self._strip_protocol(path2)] = self._object(path1)

    async def _rm_file(self, path, **_):
        self._asked('rm', path)
        self._object(path)
        del OBJECTS[self._strip_protocol(path)]

    async def _info(self, path, **_):
        self._asked('info', path)
        name = self._strip_protocol(path)
        if name in OBJECTS:
            return {'name': name, 'size': len(OBJECTS[name]), 'type': 'file', 'mtime': 0}
        if any(other.startswith(f'{name}/') for other in OBJECTS):
            return {'name': name, 'size': 0, 'type': 'directory'}
        raise FileNotFoundError(name)

    async def _find(self, path, detail=False, **_):
        self._asked('find', path)
        above = f'{self._strip_protocol(path)}/'
        return {name: {'name': name, 'size': len(OBJECTS[name])} for name in OBJECTS if name.startswith(above)}

    async def _ls(self, path, detail=True, **_):
        self._asked('ls', path)
        above = f'{self._strip_protocol(path)}/'
        inside = {name.removeprefix(above).split('/')[0] for name in OBJECTS if name.startswith(above)}
        if not inside:
            raise FileNotFoundError(path)
        found = [
            {
                'name': above + name,
                'size': len(OBJECTS.get(above + name, b'')),
                'type': 'file' if above + name in OBJECTS else 'directory',
            }
            for name in sorted(inside)
        ]
        return found if detail else [each['name'] for each in found]

    def _object(self, path: str) -> bytes:
        name = self._strip_protocol(path)
        if name not in OBJECTS:
            raise FileNotFoundError(name)
        return OBJECTS[name]


class Fake(buckets.Patient, Memory):
    scheme = 'gs'


def stand_in(monkeypatch) -> None:
    """gs:// leads to an empty bucket of this kind, and pauses are short."""
    for kept in (OBJECTS, ROOM, FAULTS, ASKED):
        kept.clear()
    monkeypatch.setitem(buckets.CLASSES, 'gs', lambda: Fake)
    monkeypatch.setattr(buckets, 'PAUSES', (0.0, 0.0))
    monkeypatch.setattr('dnr_jax.files.paths.find_spec', lambda package: package == 'gcsfs' or None)
