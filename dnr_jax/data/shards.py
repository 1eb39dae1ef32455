"""A data set as it is written: in shards, each of them there whole or not at all.

    shard of a row = hash of its id, modulo the number of shards; in a shard, rows stand in the order of that hash

So a row that comes or goes changes one shard and leaves the others as they are. A shard is written by one pure function
of its rows: by anybody, in any order, and one that is there need not be written again. Beside each lies what became of
its rows, written last:

    NAME-SPLIT.array_record-00003-of-00016        records
    NAME-SPLIT.array_record-00003-of-00016.json   `Written`
"""

import hashlib
import itertools
import json
import math
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from dnr_jax.data.annotations.rows import Rejected, Row
from dnr_jax.data.video import machine

CLIPS_PER_SHARD = 128
MOST_SHARDS = 256  # of a split: each is an open file of every process that reads
GIVEN_UP = 'given up'  # the reason of a row that took too long, or too much: at another time it may not
_WRITER_OPTIONS = 'group_size:1,uncompressed'  # random access; what video codecs leave cannot be compressed


class Record(NamedTuple):
    """What a row has become."""

    id: str
    label: int
    example: bytes  # a serialized tf.Example


class Shard(NamedTuple):
    """Some rows of a split, and the name of their file."""

    split: str
    file: str
    rows: tuple[Row, ...]
    settings: str  # of which the records are made besides the rows, to tell whether a shard is still this one

    @property
    def fingerprint(self) -> str:
        """Of all that the file depends on, but for the content of the videos."""
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
    folder: Path,
    convert: Callable[[Iterable[Row]], Iterator[Record | Rejected]],
) -> Iterator[Record | Rejected]:
    """Writes the shards that are not in `folder` yet, and yields what becomes of their rows on the way.

    Args:
      convert: rows to their outcomes, in order. It is called once, so that it may work ahead over the ends of shards.
    """
    missing = [shard for shard in shards if find(shard, folder) is None]
    outcomes = convert(row for shard in missing for row in shard.rows)
    for shard in missing:
        yield from _write(shard, folder, itertools.islice(outcomes, len(shard.rows)))


def find(shard: Shard, folder: Path) -> Written | None:
    """What became of a shard, if it is there, whole, and nothing that was rejected could fare better now."""
    written = _read(shard, folder)
    if written is None or written.fingerprint != shard.fingerprint or unsettled(shard, folder):
        return None
    return written


def unsettled(shard: Shard, folder: Path) -> list[Row]:
    """The rows that are no records and could become some: they were given up, or the video is new, or another one.

    All rows, where the shard is not there.
    """
    written = _read(shard, folder)
    if written is None:
        return list(shard.rows)
    recorded = {id for id, _ in written.records}
    sources = {row.id: source for row, source in zip(written.rejected, written.sources, strict=True)}
    return [row for row in shard.rows if row.id not in recorded and sources.get(row.id) != _signature(row)]


def _read(shard: Shard, folder: Path) -> Written | None:
    """What became of a shard, maybe of other rows or settings, if its file is there and whole."""
    return _read_beside(folder / shard.file)


def _read_beside(path: Path) -> Written | None:
    try:
        written = Written(*json.loads(path.with_name(f'{path.name}.json').read_text()))
        written = written._replace(
            records=[(id, label) for id, label in written.records],
            rejected=[Rejected(*row) for row in written.rejected],
            sources=[tuple(source) for source in written.sources],
        )
        size = path.stat().st_size
    except (FileNotFoundError, ValueError, TypeError):  # the latter of what is damaged
        return None
    return written if written.file_size == size else None


def recorded(path: Path) -> list[tuple[str, int]]:
    """Id and label of the records of a shard, in their order; ValueError where that does not stand beside it."""
    written = _read_beside(path)
    if written is None:
        raise ValueError(f"'{path}.json' does not tell the records of that file. Prepare the data set again.")
    return written.records


def _signature(row: Row | Rejected) -> tuple[int, ...]:
    """Of a rejected video: if it differs, the video may be another one."""
    try:
        found = os.stat(row.path)
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns


def _write(shard: Shard, folder: Path, outcomes: Iterable[Record | Rejected]) -> Iterator[Record | Rejected]:
    records, rejected = [], []
    unfinished = folder / f'.{uuid.uuid4().hex}-{shard.file}'  # of its own: two may be at one shard, on a cluster
    try:
        writer = ArrayRecordWriter(str(unfinished), _WRITER_OPTIONS)
        try:
            for outcome in outcomes:
                if isinstance(outcome, Record):
                    writer.write(outcome.example)
                    records.append((outcome.id, outcome.label))
                else:
                    rejected.append(outcome)
                yield outcome
        finally:
            writer.close()
        assert len(records) + len(rejected) == len(shard.rows), 'every row has an outcome'
        _settle(unfinished, folder / shard.file)
    except RuntimeError as error:  # of ArrayRecord
        written = OSError(f"'{unfinished}' could not be written: {error}")
        raise machine.behind(error, unfinished) or written from error
    finally:
        unfinished.unlink(missing_ok=True)
    sources = [() if row.reason == GIVEN_UP else _signature(row) for row in rejected]
    size = (folder / shard.file).stat().st_size
    told = json.dumps(Written(shard.fingerprint, size, records, rejected, sources))
    unfinished.write_text(told)
    _settle(unfinished, folder / f'{shard.file}.json')


def _settle(unfinished: Path, path: Path) -> None:
    """Gives a file its name once all of it is on the disk, so that a loss of power cannot leave half of it."""
    with unfinished.open('rb') as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def check(shard: Shard, folder: Path) -> Written:
    """What became of a shard that has just been written, once more from the disk."""
    written = _read(shard, folder)
    assert written is not None and written.fingerprint == shard.fingerprint, f'{shard.file} is gone'
    reader = ArrayRecordReader(str(folder / shard.file))
    records = reader.num_records()
    reader.close()
    assert records == len(written.records), f'{shard.file} holds {records} records, {len(written.records)} were written'
    return written
