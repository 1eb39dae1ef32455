"""What every reader returns: for each annotated video a row, or the reason why it cannot become a record."""

import functools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from dnr_jax.files import AnyPath

MISSING = 'missing'
DUPLICATE_ID = 'duplicate id'
UNKNOWN_LABEL = 'unknown label'
OUTSIDE = 'path outside the source folder'
MALFORMED = 'malformed row'
DRAWN = Path()  # in the place of a path, of a row that is drawn
REASONS = (MISSING, DUPLICATE_ID, UNKNOWN_LABEL, OUTSIDE, MALFORMED)


class Row(NamedTuple):
    """One video that is to become a record."""

    split: str  # 'train', 'validation' or 'test'
    id: str  # unique within its split
    path: AnyPath  # file, or folder of frame images; DRAWN
    label: str | None  # class name; None where the split has no labels


class Rejected(NamedTuple):
    """A row of the annotations that cannot become a record, and why."""

    split: str
    id: str  # the line itself where no id can be read from it
    path: str  # where the video was expected
    reason: str  # of REASONS, or why its video could not be stored, as `errors.Reason` has it
    detail: str


class Annotated(NamedTuple):
    """All rows of an annotation: each stands in `rows` or in `rejected`, once."""

    label_names: tuple[str, ...]  # official list, official order: the index is the label
    rows: tuple[Row, ...]  # in the order of the files
    rejected: tuple[Rejected, ...]
    left_out: tuple[tuple[str, int], ...] = ()  # suffixes, and how many files of them lie among the videos
    notes: tuple[str, ...] = ()  # what else is to be told


def located(split: str, id: str, path: Path | None, label: str | None, *, expected: str) -> Row | Rejected:
    """A row, or its rejection where nothing was found (`path` None) at the `expected` place."""
    if path is None:
        return Rejected(split, id, expected, MISSING, 'no such video under the source folder')
    return Row(split, id, path, label)


def malformed(split: str, line: str, detail: str) -> Rejected:
    """The rejection of a line that cannot be read."""
    return Rejected(split, line, '', MALFORMED, detail)


def collect(
    label_names: Iterable[str],
    entries: Iterable[Row | Rejected],
    left_out: Iterable[Path] = (),
    notes: Iterable[str] = (),
) -> Annotated:
    """Keeps the rows whose label is known and whose id is new in its split; rejects the others.

    Names of files may hold bytes that are no UTF-8, which no record and no report can hold: rows with them are
    rejected, and what is told of them has escapes in their place. Raises ValueError for a class name that would not be
    read as it is written.
    """
    names = tuple(map(_escaped, label_names))
    for name in names:
        if name != name.strip() or not name or '\n' in name or '\r' in name:
            raise ValueError(
                f'Class names are kept as lines of text: got {name!r}, with a line break or with spaces around it. '
                'Rename the class.'
            )
    known, seen, rows, rejected = set(names), set(), [], []
    for entry in entries:
        if isinstance(entry, Rejected):
            rejected.append(entry)
            continue
        split, id, path, label = entry
        if (_escaped(id), _escaped(str(path))) != (id, str(path)):
            rejected.append(Rejected(split, id, str(path), MALFORMED, 'its id or path is not UTF-8'))
        elif label is not None and label not in known:
            rejected.append(Rejected(split, id, str(path), UNKNOWN_LABEL, f"'{label}' is none of the class names"))
        elif (split, id) in seen:
            rejected.append(Rejected(split, id, str(path), DUPLICATE_ID, 'an earlier row has this id and stays'))
        else:
            seen.add((split, id))
            rows.append(entry)
    told = tuple(Rejected(*map(_escaped, entry)) for entry in rejected)
    return Annotated(names, tuple(rows), told, suffixes(left_out), tuple(map(_escaped, notes)))


def suffixes(paths: Iterable[Path]) -> tuple[tuple[str, int], ...]:
    """Suffixes in small letters, and how many of these files have each, most first."""
    return tuple(Counter(_escaped(path.suffix.lower()) for path in paths).most_common())


def counted(suffixes: Iterable[tuple[str, int]]) -> str:
    """What `suffixes` gives, to be read."""
    return ', '.join(f'{count:,} {suffix or "without suffix"}' for suffix, count in suffixes)


def some(items: Sequence[object], most: int = 5) -> str:
    """The first of many items, to be read."""
    return ', '.join(f"'{item}'" for item in items[:most]) + (', ...' if len(items) > most else '')


def outside(rows: Iterable[Row], source: Path) -> list[Path]:
    """The videos that links lead to, out of the source folder."""
    real = functools.cache(os.path.realpath)
    top = Path(real(source))
    places = (Path(os.path.realpath(r.path) if os.path.islink(r.path) else real(r.path.parent)) for r in rows)
    return [place for place in places if not place.is_relative_to(top)]


def overlaps(annotated: Annotated) -> dict[tuple[str, str], int]:
    """How many ids two splits share, for each pair of splits that shares any."""
    ids = {}
    for row in annotated.rows:
        ids.setdefault(row.split, set()).add(row.id)
    shared = {(one, other): len(ids[one] & ids[other]) for one, other in combinations(ids, 2)}
    return {pair: count for pair, count in shared.items() if count}


def check_label_names(names: Sequence[str], *, count: int, origin: object) -> None:
    """Raises ValueError unless these are `count` different class names."""
    if len(names) != count or len(set(names)) != count:
        raise ValueError(
            f'{count} different class names expected, got {len(names)} ({len(set(names))} different) from {origin}. '
            'Check that the annotation files are complete and of this data set.'
        )


def _escaped(text: str) -> str:
    return text.encode('utf-8', 'backslashreplace').decode()
