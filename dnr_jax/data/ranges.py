"""Records of shards in a bucket, each by the range of its bytes, many at once.

ArrayRecord files are Riegeli files: blocks of 64 KiB, chunks that may cross them, one chunk for each record as they are
written here. The last block says where the footer is, and the footer where each chunk begins:

    chunk 0 | chunk 1 | ... | footer, padded to the end of its block | postscript, likewise

So the end of a file tells the place of every record. ArrayRecord itself reads one out of a sparse file in memory which
holds that end and the one chunk, and checks its hash.

Source of the format: github.com/google/riegeli, doc/riegeli_records_file_format.md.
"""

import os
import threading
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader

from dnr_jax.data.cache import Cache
from dnr_jax.files import AnyPath, buckets

BLOCK = 2**16  # bytes
_BLOCK_HEADER, _CHUNK_HEADER = 24, 40
AT_ONCE = 32  # requests of a process
BATCHES = 256  # that are known to be on their way; those before them are read by then


class Index(NamedTuple):
    """Where the records of a shard lie."""

    path: AnyPath
    version: str  # of the object: another one has other bytes
    size: int
    begins: np.ndarray  # int64 [N + 1], of the chunk of each record; the last one is that of the footer
    end: bytes  # from the footer on


class Records:
    """`records[i]`, the bytes of a record of these indices, one shard after the other.

    `ahead` begins to fetch several at once; they are then waited for by `records[i]`.
    """

    def __init__(self, indices: Sequence[Index], taken: Sequence[slice], cache: Cache):
        self._places = [(shard, number) for shard, part in enumerate(taken) for number in range(part.start, part.stop)]
        self._indices, self._cache = indices, cache
        self._begin()

    def _begin(self) -> None:
        self._threads, self._lock, self._begun = None, threading.Lock(), deque(maxlen=BATCHES)
        self._coming: dict[int, tuple[Future, int]] = {}  # by position: a record, and how often it is still wanted

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ('_places', '_indices', '_cache')}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> bytes:
        with self._lock:
            coming, wanted = self._coming.pop(position, (None, 0))
            if wanted > 1:
                self._coming[position] = coming, wanted - 1
        return coming.result() if coming else self._fetch(position)

    def ahead(self, batch: Hashable, positions: Iterable[int]) -> None:
        """Begins to fetch these records, each as often as it is named, unless that was done for this batch."""
        with self._lock:
            if batch in self._begun:
                return
            self._begun.append(batch)
            self._threads = self._threads or ThreadPoolExecutor(AT_ONCE, thread_name_prefix='ranges')
            for position in positions:
                coming, wanted = self._coming.get(position) or (self._threads.submit(self._fetch, position), 0)
                self._coming[position] = coming, wanted + 1

    def _fetch(self, position: int) -> bytes:
        shard, number = self._places[position]
        index = self._indices[shard]
        start, stop = map(int, index.begins[number : number + 2])
        chunk = self._cache.get(f'{index.path} {index.version} {start} {stop}', lambda: _read(index.path, start, stop))
        return record(index, number, chunk)


def record(index: Index, number: int, chunk: bytes) -> bytes:
    """A record, out of the bytes of its chunk. RuntimeError of ArrayRecord where they are damaged."""
    file = os.memfd_create('shard')
    try:
        os.ftruncate(file, index.size)
        os.pwrite(file, chunk, index.begins[number])
        os.pwrite(file, index.end, index.begins[-1])
        reader = ArrayRecordReader(f'/proc/self/fd/{file}', 'readahead_buffer_size:0')
        (found,) = reader.read([number])
        reader.close()
        return found
    finally:
        os.close(file)


def read_indices(paths: Sequence[AnyPath]) -> Iterator[Index]:
    """Of shards of one folder, in their order. ValueError for one that is missing, cut short, or none."""
    there = buckets.described(paths[0].parent)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield from threads.map(lambda path: _index(path, there.get(path.name)), paths)


def _index(path: AnyPath, about: dict[str, Any] | None) -> Index:
    if about is None:
        raise ValueError('it is missing')
    size = about['size']
    if size < 2 * BLOCK or size % BLOCK:
        raise ValueError(f'{size} bytes are no whole blocks of {BLOCK}')
    begin = size - 2 * BLOCK
    end = _read(path, begin, size)
    postscript, *_ = records_of_chunk(_without_headers(end[BLOCK:], size - BLOCK))
    footer = _field(postscript, 1)
    if footer < begin:
        begin, end = footer, _read(path, footer, begin) + end
    end = end[footer - begin :]
    about_file, *entries = records_of_chunk(_without_headers(end, footer))
    begins = [_field(entry, 1) for entry in entries]
    version = str(about.get('etag') or about.get('ETag') or about.get('mtime'))
    return Index(path, version, size, np.array([*begins, footer], np.int64), end.rstrip(b'\0'))  # zeros are there


def records_of_chunk(chunk: bytes) -> list[bytes]:
    """The records of an uncompressed chunk, given from its header on; ValueError for another one."""
    kind, count = chunk[24:25], int.from_bytes(chunk[25:32], 'little')
    data = chunk[_CHUNK_HEADER : _CHUNK_HEADER + int.from_bytes(chunk[8:16], 'little')]
    if kind != b'r' or not data or data[0]:
        raise ValueError(f'chunks of the kind {kind!r} are not read by ranges')
    length, at = _varint(data, 1)
    sizes, values = [], at + length
    while at < values:
        size, at = _varint(data, at)
        sizes.append(size)
    if len(sizes) != count or sum(sizes) != len(data) - values:
        raise ValueError('its end is damaged')
    ends = np.cumsum([0, *sizes]) + values
    return [data[start:stop] for start, stop in zip(ends, ends[1:], strict=False)]


def _without_headers(data: bytes, begin: int) -> bytes:
    """Bytes of a file from `begin` on, without the headers of blocks."""
    parts, first = [], -begin % BLOCK
    parts.append(data[:first])
    for block in range(first, len(data), BLOCK):
        parts.append(data[block + _BLOCK_HEADER : block + BLOCK])
    return b''.join(parts)


def _field(message: bytes, number: int) -> int:
    """A whole number of a protocol buffer of such numbers, by that of its field; 0 where it is left out."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value, at = _varint(message, at)
        if key == number << 3:
            return value
    return 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number, seven bits in a byte, and where it ends."""
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _read(path: AnyPath, start: int, stop: int) -> bytes:
    try:
        return buckets.read(path, start, stop)
    except FileNotFoundError as error:
        raise buckets.BucketError(None, 'it is gone', str(path)) from error
