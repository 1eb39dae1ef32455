"""What every reader returns: for each annotated video a row, or the reason why it cannot become a record."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

MISSING = 'missing'
DUPLICATE_ID = 'duplicate id'
UNKNOWN_LABEL = 'unknown label'
OUTSIDE = 'path outside the source folder'
MALFORMED = 'malformed row'
REASONS = (MISSING, DUPLICATE_ID, UNKNOWN_LABEL, OUTSIDE, MALFORMED)


class Row(NamedTuple):
    """One video that is to become a record."""

    split: str  # 'train', 'validation' or 'test'
    id: str  # unique within its split
    path: Path  # file, or folder of frame images
    label: str | None  # class name; None where the split has no labels


class Rejected(NamedTuple):
    """A row of the annotations that cannot become a record, and why."""

    split: str
    id: str  # the line itself where no id can be read from it
    path: str  # where the video was expected
    reason: str  # one of REASONS
    detail: str


class Annotated(NamedTuple):
    """All rows of an annotation: each stands in `rows` or in `rejected`, once."""

    label_names: tuple[str, ...]  # official list, official order: the index is the label
    rows: tuple[Row, ...]  # in the order of the files
    rejected: tuple[Rejected, ...]


def located(split: str, id: str, path: Path | None, label: str | None, *, expected: str) -> Row | Rejected:
    """A row, or its rejection where nothing was found (`path` None) at the `expected` place."""
    if path is None:
        return Rejected(split, id, expected, MISSING, 'no such video under the source folder')
    return Row(split, id, path, label)


def malformed(split: str, line: str, detail: str) -> Rejected:
    """The rejection of a line that cannot be read."""
    return Rejected(split, line, '', MALFORMED, detail)


def collect(label_names: Iterable[str], entries: Iterable[Row | Rejected]) -> Annotated:
    """Keeps the rows whose label is known and whose id is new in its split; rejects the others."""
    names = tuple(label_names)
    known, seen, rows, rejected = set(names), set(), [], []
    for entry in entries:
        if isinstance(entry, Rejected):
            rejected.append(entry)
            continue
        split, id, path, label = entry
        if label is not None and label not in known:
            rejected.append(Rejected(split, id, str(path), UNKNOWN_LABEL, f"'{label}' is none of the class names"))
        elif (split, id) in seen:
            rejected.append(Rejected(split, id, str(path), DUPLICATE_ID, 'an earlier row has this id and stays'))
        else:
            seen.add((split, id))
            rows.append(entry)
    return Annotated(names, tuple(rows), tuple(rejected))


def check_label_names(names: Sequence[str], *, count: int, origin: object) -> None:
    """Raises ValueError unless these are `count` different class names."""
    if len(names) != count or len(set(names)) != count:
        raise ValueError(
            f'{count} different class names expected, got {len(names)} ({len(set(names))} different) from {origin}. '
            'Check that the annotation files are complete and of this data set.'
        )
