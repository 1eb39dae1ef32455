"""A data set as it is written: in shards, each of them there whole or not at all.

    shard of a row = hash of its id, modulo the number of shards; in a shard, rows stand in the order of that hash

So a row that comes or goes changes one shard and leaves the others as they are. A shard is written by one pure function
of its rows: by anybody, in any order, and one that is there need not be written again. Beside each lies what became of
its rows, written last:

    NAME-SPLIT.array_record-00003-of-00016        records
    NAME-SPLIT.array_record-00003-of-00016.json   `Written`

and, until the data set is whole, what the videos looked like of which it was written, so that a preparation that goes
on does not mix them with others:

    NAME-SPLIT.array_record-00003-of-00016.videos  `look` of each record, by id
"""

import hashlib
import itertools
import json
import math
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from dnr_jax.data.annotations.rows import DRAWN, Rejected, Row
from dnr_jax.data.ranges import AT_ONCE, read_indices
from dnr_jax.files import AnyPath, is_remote, listed, machine, signature, written_whole

CLIPS_PER_SHARD = 128
MOST_SHARDS = 256  # of a split: each is an open file of every process that reads
GIVEN_UP = 'given up'  # the reason of a row that took too long, or too much: at another time it may not
_WRITER_OPTIONS = 'group_size:1,uncompressed'  # random access; what video codecs leave cannot be compressed


class Record(NamedTuple):
    """What a row has become."""

    id: str
    label: int
    video: str  # `look` of it, from before it was read
    example: bytes  # a serialized tf.Example


class Shard(NamedTuple):
    """Some rows of a split, and the name of their file."""

    split: str
    file: str
    rows: tuple[Row, ...]
    settings: str  # of which the records are made besides the rows, to tell whether a shard is still this one

    @property
    def fingerprint(self) -> str:
        """Of all that the file depends on, but for the content of the videos, see `look`."""
        told = [self.settings, [(row.id, row.label) for row in self.rows]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class Written(NamedTuple):
    """What became of the rows of a shard."""

    fingerprint: str  # of the shard
    file_size: int
    records: list[tuple[str, int]]  # id and label
    rejected: list[Rejected]
    sources: list[tuple[int, ...]]  # size and time of the video of each rejected row; () to try it again in any case


def plan(name: str, split: str, rows: Sequence[Row], *, size: int, settings: str) -> list[Shard]:
    """Divides the rows of a split into shards.

    Args:
      name: of the data set.
      size: rows the split would have if nothing were rejected; the number of shards follows from it.
      settings: what the records are made of besides the rows.
    """
    count = min(math.ceil(size / CLIPS_PER_SHARD), MOST_SHARDS)
    parts = [[] for _ in range(count)]
    for number, row in sorted((_hash(row.id), row) for row in rows):
        parts[number % count].append(row)
    return [
        Shard(split, f'{name}-{split}.array_record-{index:05d}-of-{count:05d}', tuple(part), settings)
        for index, part in enumerate(parts)
    ]


def _hash(id: str) -> int:
    return int.from_bytes(hashlib.sha256(id.encode()).digest()[:8])


def write_missing(
    shards: Sequence[Shard],
    folder: AnyPath,
    convert: Callable[[Iterable[Row]], Iterator[Record | Rejected]],
) -> Iterator[Record | Rejected]:
    """Writes the shards that are not in `folder` yet, and yields what becomes of their rows on the way.

    Args:
      convert: rows to their outcomes, in order. It is called once, so that it may work ahead over the ends of shards.
    """
    missing = missing_of(shards, folder)
    outcomes = convert(row for shard in missing for row in shard.rows)
    for shard in missing:
        yield from _write(shard, folder, itertools.islice(outcomes, len(shard.rows)))


def missing_of(shards: Sequence[Shard], folder: AnyPath) -> list[Shard]:
    """Those that are to be written, see `find`."""
    far = is_remote(folder) or any(is_remote(shard.rows[0].path) for shard in shards if shard.rows)
    with ThreadPoolExecutor(AT_ONCE if far else 1) as threads:
        found = threads.map(lambda shard: find(shard, folder), shards)
        return [shard for shard, written in zip(shards, found, strict=True) if written is None]


def find(shard: Shard, folder: AnyPath) -> Written | None:
    """What became of a shard, if it is there, whole, and could be no other one now.

    It could where a row that was rejected may fare better, or where a video is another one than that of which it was
    written, unless the data set is whole: from then on its records stay.
    """
    written = _read(shard, folder)
    if written is None or written.fingerprint != shard.fingerprint:
        return None
    return None if unsettled(shard, folder) or _of_other_videos(shard, folder) else written


def unsettled(shard: Shard, folder: AnyPath) -> list[Row]:
    """The rows that are no records and could become some: they were given up, or the video is new, or another one.

    All rows, where the shard is not there.
    """
    written = _read(shard, folder)
    if written is None:
        return list(shard.rows)
    recorded = {id for id, _ in written.records}
    sources = {row.id: source for row, source in zip(written.rejected, written.sources, strict=True)}
    return [row for row in shard.rows if row.id not in recorded and sources.get(row.id) != _signature(row)]


def _of_other_videos(shard: Shard, folder: AnyPath) -> bool:
    try:
        looked = json.loads((folder / f'{shard.file}.videos').read_text())
    except FileNotFoundError:
        return False
    except ValueError:  # it is damaged
        return True
    return any(look(row.path) != looked[row.id] for row in shard.rows if row.id in looked)


def look(path: AnyPath) -> str:
    """Bytes and time of a video, or those of all images of a folder, as one hash; '' where there is none.

    That of another video differs, be it in another source folder or written in the place of the first. The images of a
    bucket are looked at by their bytes alone, for these come with one listing.
    """
    if path == DRAWN:
        return ''
    try:
        if is_remote(path):
            told = sorted(listed(path).items()) or signature(path)
        elif path.is_dir():
            told = [(file.name, *signature(file)) for file in sorted(path.iterdir())]
        else:
            told = signature(path)
    except OSError:
        return ''
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _read(shard: Shard, folder: AnyPath) -> Written | None:
    """What became of a shard, maybe of other rows or settings, if its file is there and whole."""
    return _read_beside(folder / shard.file)


def _read_beside(path: AnyPath) -> Written | None:
    try:
        written = Written(*json.loads(path.with_name(f'{path.name}.json').read_text()))
        written = written._replace(
            records=[(id, label) for id, label in written.records],
            rejected=[Rejected(*row) for row in written.rejected],
            sources=[tuple(source) for source in written.sources],
        )
        size = signature(path)[0]
    except (FileNotFoundError, ValueError, TypeError):  # the latter of what is damaged
        return None
    return written if written.file_size == size else None


def recorded(path: AnyPath) -> list[tuple[str, int]]:
    """Id and label of the records of a shard, in their order; ValueError where that does not stand beside it."""
    written = _read_beside(path)
    if written is None:
        raise ValueError(f"'{path}.json' does not tell the records of that file. Prepare the data set again.")
    return written.records


def _signature(row: Row | Rejected) -> tuple[int, ...]:
    """Of a rejected video: if it differs, the video may be another one."""
    try:
        return signature(row.path)
    except OSError:
        return ()


def _write(shard: Shard, folder: AnyPath, outcomes: Iterable[Record | Rejected]) -> Iterator[Record | Rejected]:
    records, rejected, looked = [], [], {}
    with _settled(folder / shard.file) as unfinished:
        try:
            writer = ArrayRecordWriter(str(unfinished), _WRITER_OPTIONS)
            try:
                for outcome in outcomes:
                    if isinstance(outcome, Record):
                        writer.write(outcome.example)
                        records.append((outcome.id, outcome.label))
                        looked[outcome.id] = outcome.video
                    else:
                        rejected.append(outcome)
                    yield outcome
            finally:
                writer.close()
        except RuntimeError as error:  # of ArrayRecord
            written = OSError(f"'{unfinished}' could not be written: {error}")
            raise machine.behind(error, unfinished) or written from error
        assert len(records) + len(rejected) == len(shard.rows), 'every row has an outcome'
        size = unfinished.stat().st_size
    with _settled(folder / f'{shard.file}.videos') as unfinished:
        unfinished.write_text(json.dumps(looked))
    sources = [() if row.reason == GIVEN_UP else _signature(row) for row in rejected]
    with _settled(folder / f'{shard.file}.json') as unfinished:
        unfinished.write_text(json.dumps(Written(shard.fingerprint, size, records, rejected, sources)))


@contextmanager
def _settled(path: AnyPath) -> Iterator[Path]:
    """Yields a local file to write, which gets that name once all of it is on the disk, or in the bucket.

    So that a loss of power cannot leave half of it; it is one of its own, for two may be at one shard, on a cluster.
    """
    if is_remote(path):
        with written_whole(path) as unfinished:
            yield unfinished
        return
    unfinished = path.with_name(f'.{uuid.uuid4().hex}-{path.name}')
    try:
        yield unfinished
        with unfinished.open('rb') as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def check(shards: Sequence[Shard], folder: AnyPath) -> Iterator[Written]:
    """What became of shards that have just been written, once more from where they lie."""
    paths = [folder / shard.file for shard in shards]
    counts = (len(index.begins) - 1 for index in read_indices(paths)) if is_remote(folder) else map(_count, paths)
    with ThreadPoolExecutor(AT_ONCE if is_remote(folder) else 1) as threads:
        read = threads.map(lambda shard: _read(shard, folder), shards)
        for shard, written in zip(shards, read, strict=True):
            assert written is not None and written.fingerprint == shard.fingerprint, f'{shard.file} is gone'
            records = next(counts)
            assert records == len(written.records), f'{shard.file} holds {records} records, not {len(written.records)}'
            yield written


def _count(path: Path) -> int:
    reader = ArrayRecordReader(str(path))
    records = reader.num_records()
    reader.close()
    return records
