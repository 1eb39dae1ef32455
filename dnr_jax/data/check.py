"""Verifies videos before a data set is prepared, or a data set that is.

python -m dnr_jax.data.check kinetics400 --source DIR    # as `prepare` would, but nothing is written but failures.csv
python -m dnr_jax.data.check kinetics400/jpeg256 --out DIR    # decodes every frame of every record

Every group of pictures is read twice, after all that is before it and by itself, as training reads it.

Ends with status 1 where something is wrong.
"""

import argparse
import functools
import sys
from typing import Any, NamedTuple

from dnr_jax.command import faults
from dnr_jax.command.bars import bar
from dnr_jax.command.signals import ending_as_asked
from dnr_jax.command.terminal import as_called, tell
from dnr_jax.data import inventory, prepare
from dnr_jax.data.annotations.rows import Rejected
from dnr_jax.files import AnyPath, as_path

RECORDS_PER_TASK = 16


class Part(NamedTuple):
    """Some records of a split."""

    folder: AnyPath
    split: str
    first: int
    end: int


class Found(NamedTuple):
    """What is in a part: id and label of the records that can be read, and what is wrong, by id."""

    records: list[tuple[str, int]]
    problems: list[Rejected]


def check_source(options: argparse.Namespace) -> list[Rejected]:
    """Reads annotations and decodes every video; returns what cannot become a record, and prints the totals."""
    from dnr_jax.data.shards import Record

    builder = prepare.open_builder(options)
    annotated = builder.annotated
    records, rejected = {}, list(annotated.rejected)
    with bar(len(annotated.rows), builder.info.full_name, ' clips', leave=True) as progress:
        outcomes = builder.converter(thorough=True)(annotated.rows, workers=options.workers, seconds=options.seconds)
        for row, outcome in zip(annotated.rows, outcomes, strict=True):
            if isinstance(outcome, Record):
                records.setdefault(row.split, []).append((outcome.id, outcome.label))
            else:
                rejected.append(outcome)
            progress.update()
    tell(inventory.to_text(inventory.take(records, rejected)))
    prepare.print_notes(annotated, inventory.unseen(records, annotated.label_names))
    return rejected


def check_prepared(name: str, out: str, *, workers: int, seconds: float | int) -> list[Rejected]:
    """Decodes every record of every split; returns what is wrong, and prints the totals.

    Raises ValueError if there is no such data set, or if a file of it is missing or cut short.
    """
    from dnr_jax.data import metadata
    from dnr_jax.data.source import VideoSource, find_folder
    from dnr_jax.data.workers import GivenUp, guarded_map

    folder = find_folder(name, out)
    counts = metadata.read(folder).inventory
    problems = []
    for split, expected in counts['splits'].items():
        if not expected['records']:
            continue
        size = len(VideoSource(folder, split))
        parts = [Part(folder, split, i, min(i + RECORDS_PER_TASK, size)) for i in range(0, size, RECORDS_PER_TASK)]
        records, here = [], []
        with bar(size, split, ' records', leave=True) as progress:
            for part, found in zip(
                parts, guarded_map(check_part, parts, workers=workers, seconds=seconds * RECORDS_PER_TASK), strict=True
            ):
                if isinstance(found, GivenUp):
                    what = f'records {part.first} to {part.end - 1}'
                    found = Found([], [Rejected(split, what, str(folder), 'given up', str(found))])
                records += found.records
                here += found.problems
                progress.update(part.end - part.first)
        if not here and inventory.fingerprint(records) != expected['fingerprint']:
            what = 'ids or labels are not those of the inventory'
            here.append(Rejected(split, '', str(folder), 'other videos', what))
        tell(f'{split:<12}{size:>9,} records, {len(here):,} problems')
        problems += here
    return problems


@functools.cache
def _source(folder: AnyPath, split: str) -> Any:
    from dnr_jax.data.source import VideoSource

    return VideoSource(folder, split)


def check_part(part: Part) -> Found:
    """Decodes every frame of these records."""
    from dnr_jax.data import storage
    from dnr_jax.data.video.errors import VideoError

    source, found = _source(part.folder, part.split), Found([], [])
    for index in range(part.first, part.end):
        id = f'record {index}'
        try:
            record = source[index]
            id = record['id']
            found.records.append((id, record['label']))
            storage.verify(record, source.frame_step)
        except VideoError as error:
            found.problems.append(Rejected(part.split, id, str(part.folder), error.reason, str(error)))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 where something is wrong, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog=as_called('python -m dnr_jax.data.check'),
        description=as_called(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    prepare.add_origin(parser)
    parser.add_argument('--failures', default='failures.csv', help='where to list what is wrong; default: %(default)s')
    options = parser.parse_args(arguments)
    try:
        failures = as_path(options.failures).expanduser()
        if options.source is not None:
            problems = check_source(options)
        else:
            problems = check_prepared(options.name, options.out, workers=options.workers, seconds=options.seconds)
    except Exception as error:
        return faults.status(error)
    if not problems:
        tell('Nothing is wrong.')
        return 0
    inventory.write_failures(failures, problems)
    first = problems[0]
    tell(f'{len(problems):,} problems, listed in {options.failures}; first {first.id}, {first.reason}: {first.detail}')
    return 1


def run() -> None:
    with ending_as_asked('check'):
        sys.exit(main())


if __name__ == '__main__':
    run()
