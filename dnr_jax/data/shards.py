"""A data set as it is written: in shards, each of them there whole or not at all.

    rows of a split, in the order of a hash of their ids  ->  shards of consecutive rows  ->  files

Which rows a shard holds follows from the rows alone, and a shard is written by one pure function of them. So shards
can be written in any order, by anybody, and those that are there need not be written again. Beside each lies what
became of its rows:

    NAME-SPLIT.array_record-00003-of-00016        records
    NAME-SPLIT.array_record-00003-of-00016.json   {'records': [[id, label], ...], 'rejected': [...], 'bytes': ...}
"""

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from dnr_jax.data.annotations.rows import Rejected, Row
from dnr_jax.files import written_whole

CLIPS_PER_SHARD = 128
MOST_SHARDS = 256  # of a split: each is an open file of every process that reads
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


def plan(name: str, rows: Sequence[Row]) -> list[Shard]:
    """Divides all rows into shards, split by split. `name` is that of the data set."""
    shards = []
    for split in dict.fromkeys(row.split for row in rows):
        shuffled = sorted((row for row in rows if row.split == split), key=_hash)
        count = min(math.ceil(len(shuffled) / CLIPS_PER_SHARD), MOST_SHARDS)
        for index in range(count):
            part = shuffled[len(shuffled) * index // count : len(shuffled) * (index + 1) // count]
            shards.append(Shard(split, f'{name}-{split}.array_record-{index:05d}-of-{count:05d}', tuple(part)))
    return shards


def _hash(row: Row) -> bytes:
    return hashlib.sha256(row.id.encode()).digest()


def write_missing(
    shards: Sequence[Shard],
    folder: Path,
    convert: Callable[[Iterable[Row]], Iterator[Record | Rejected]],
) -> Iterator[Record | Rejected]:
    """Writes the shards that are not in `folder` yet, and yields what becomes of their rows on the way.

    Args:
      convert: rows to their outcomes, in order. It is called once, so that it may work ahead over the ends of shards.
    """
    missing = [shard for shard in shards if not is_written(shard, folder)]
    outcomes = convert(row for shard in missing for row in shard.rows)
    for shard in missing:
        yield from _write(shard, folder, itertools.islice(outcomes, len(shard.rows)))


def is_written(shard: Shard, folder: Path) -> bool:
    """Whether a shard is there, whole."""
    return (folder / f'{shard.file}.json').exists()  # written last


def _write(shard: Shard, folder: Path, outcomes: Iterable[Record | Rejected]) -> Iterator[Record | Rejected]:
    records, rejected, size = [], [], 0
    with written_whole(folder / shard.file) as path:
        writer = ArrayRecordWriter(str(path), _WRITER_OPTIONS)
        try:
            for outcome in outcomes:
                if isinstance(outcome, Record):
                    writer.write(outcome.example)
                    records.append((outcome.id, outcome.label))
                    size += len(outcome.example)
                else:
                    rejected.append(outcome)
                yield outcome
        finally:
            writer.close()
    assert len(records) + len(rejected) == len(shard.rows), 'every row has an outcome'
    with written_whole(folder / f'{shard.file}.json') as path:
        path.write_text(json.dumps({'records': records, 'rejected': rejected, 'bytes': size}))


def outcomes(shard: Shard, folder: Path) -> tuple[list[tuple[str, int]], list[Rejected], int]:
    """What became of the rows of a shard: id and label of the records, what was rejected, bytes of the records."""
    found = json.loads((folder / f'{shard.file}.json').read_text())
    records = [(id, label) for id, label in found['records']]
    reader = ArrayRecordReader(str(folder / shard.file))
    in_file = reader.num_records()
    reader.close()
    assert in_file == len(records), f'{shard.file} holds other records than were written'
    return records, [Rejected(*row) for row in found['rejected']], found['bytes']
