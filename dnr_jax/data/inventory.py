"""What became of every row of the annotations, kept with the data: `inventory.json` and `failures.csv`.

For every split

    rows = records + rejected

and the hash of its ids and labels tells whether two copies of a data set hold the same videos.
"""

import contextlib
import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dnr_jax.data.annotations.rows import Rejected
from dnr_jax.files import AnyPath, MachineError, buckets, write_rows, written_whole

INVENTORY, FAILURES = 'inventory.json', 'failures.csv'
COUNTS = {'rows': int, 'records': int, 'unlabelled': int, 'rejected': dict, 'fingerprint': str}  # of a split


def fingerprint(records: Iterable[tuple[str, int]]) -> str:
    """sha256 of all ids and labels, whatever their order."""
    lines = sorted(f'{id}\t{label}\n' for id, label in records)
    return hashlib.sha256(''.join(lines).encode()).hexdigest()


def take(records: Mapping[str, Sequence[tuple[str, int]]], rejected: Sequence[Rejected]) -> dict[str, Any]:
    """Counts and fingerprint of every split; `records` are id and label of each."""
    splits = {}
    for split in dict.fromkeys((*records, *(row.split for row in rejected))):
        here = records.get(split, ())
        reasons = Counter(row.reason for row in rejected if row.split == split)
        splits[split] = {
            'rows': len(here) + reasons.total(),
            'records': len(here),
            'unlabelled': sum(label < 0 for _, label in here),
            'rejected': dict(sorted(reasons.items())),
            'fingerprint': fingerprint(here),
        }
    return splits


def unseen(records: Mapping[str, Sequence[tuple[str, int]]], label_names: Sequence[str]) -> list[str]:
    """The classes without a record to learn from: in 'train', or in all splits where there is no such split."""
    seen = {label for split in records if split == 'train' or 'train' not in records for _, label in records[split]}
    return [name for label, name in enumerate(label_names) if label not in seen]


def write(folder: AnyPath, inventory: Mapping[str, Any], rejected: Sequence[Rejected]) -> None:
    """Writes both files, each whole or not at all."""
    write_failures(folder / FAILURES, rejected)
    with written_whole(folder / INVENTORY) as path:
        path.write_text(json.dumps(inventory, indent=1) + '\n')


def write_failures(path: AnyPath, rejected: Sequence[Rejected]) -> None:
    """One line of csv for each rejected row, under a header."""
    with written_whole(path) as unfinished:
        write_rows(unfinished, [Rejected._fields, *rejected])


def read(folder: AnyPath) -> tuple[dict[str, Any], list[Rejected]]:
    """What `write` has written; ValueError if it is damaged."""
    with told_as_damage(folder):
        found = json.loads((folder / INVENTORY).read_text())
        expect_counts(found)
        lines = io.StringIO((folder / FAILURES).read_bytes().decode(), newline='')
        rejected = [Rejected(*row) for row in list(csv.reader(lines))[1:]]
    return found, rejected


def expect_counts(found: Mapping[str, Any]) -> None:
    """ValueError for an inventory without the counts that are read of it."""
    for split, counts in found['splits'].items():
        for key, kind in COUNTS.items():
            if type(counts[key]) is not kind:
                raise ValueError(f'{key} of {split} is {counts[key]}')
        if not re.fullmatch('[0-9a-f]+', counts['fingerprint']):  # parts of it name folders
            raise ValueError(f'the fingerprint of {split} is {counts["fingerprint"]}')


@contextlib.contextmanager
def told_as_damage(folder: AnyPath) -> Iterator[None]:
    """Whatever goes wrong inside is said in one line, but for trouble of the machine."""
    try:
        yield
    except buckets.BucketError:
        raise
    except Exception as error:  # many kinds, by what is damaged
        missing = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError | PermissionError)
        if isinstance(error, OSError) and not missing:
            raise MachineError(error.errno, error.strerror, str(folder)) from error
        what = ' '.join(f'{type(error).__name__}: {error}'.removeprefix('ValueError: ').split())
        raise ValueError(
            f"The metadata of '{folder}' are damaged: {what[:300]}. Delete it and prepare the data set again."
        ) from error


def to_text(splits: Mapping[str, Any]) -> str:
    """The totals, one line for each split."""
    lines = []
    for split, counts in splits.items():
        lost = counts['rows'] - counts['records']
        reasons = ', '.join(f'{count:,} {reason}' for reason, count in counts['rejected'].items())
        lines.append(
            f'{split:<12}{counts["rows"]:>9,} rows = {counts["records"]:,} records'
            + (f' + {lost:,} rejected ({reasons})' if lost else '')
        )
    return '\n'.join(lines)
