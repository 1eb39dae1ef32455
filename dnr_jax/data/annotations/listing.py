"""Data of one's own, as list files: a line for each video, its path and then its label.

`path label`, where the path may hold spaces, and the label too after the suffix of a video file; `path,label`, with
or without a header; `folder frames label` of the TSN family, where frames is a number; or `path` alone, where a split
has no labels.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from dnr_jax.data.annotations.clips import clip_id, is_clip
from dnr_jax.data.annotations.list_lines import Line, parse
from dnr_jax.data.annotations.reading import lines
from dnr_jax.data.annotations.rows import (
    MISSING,
    OUTSIDE,
    Annotated,
    Rejected,
    Row,
    check_label_names,
    collect,
    located,
    malformed,
    some,
)

MOST_CLASSES = 100_000  # a number above is no label, but something else in its place
_NUMBER = re.compile(r'\d+(\.0*)?')  # with a point where a table was of floats
_NO_LABEL = re.compile(r'[^a-zA-Z\x80-\U0010ffff]*|.*\s#.*')  # other numbers, several of them; a comment behind it


def read(source: Path, *, lists: Mapping[str, Path], label_names: Path | None) -> Annotated:
    """Reads one list file for each split.

    A label is a class name or the number of one, from 0. Without `label_names` the class names are the labels of
    the videos that are there, of the training list or else of all, sorted; or '0', '1', ... up to the largest if all
    of them are numbers. Ids are paths without the extension, relative to `source`.

    Args:
      source: the folder of the videos; paths are relative to it, or absolute and inside it.
      lists: list files by split.
      label_names: file with one class name a line, in the order of the labels.

    Raises:
      ValueError: if a file is missing or unreadable, for an unknown split, or if the labels do not tell the classes:
        there are none, in lists or in `label_names`, names beside numbers, or numbers from 1 beside `label_names`.
    """
    unknown = lists.keys() - {'train', 'validation', 'test'}
    if unknown or not lists:
        raise ValueError(f"Lists are given for 'train', 'validation' or 'test', got {sorted(lists)}.")
    for file in (*lists.values(), *([label_names] if label_names else [])):
        if not file.is_file():
            raise ValueError(f"No list file '{file}'.")
    roots = tuple(dict.fromkeys((os.path.abspath(source), os.path.realpath(source))))
    find = cache(lambda written: _find(written, source, roots))
    given = _read_names(label_names) if label_names else None
    told = [
        (split, line)
        for split, file in lists.items()
        for line in parse(lines(file), split, lambda written: find(written).is_there)
    ]
    known = frozenset(given or ())
    entries = [_entry(split, line, source, find, known) for split, line in told]
    names = given or _derive_names(entries, 'train' if 'train' in lists else None, source)
    by_label = {str(number): name for number, name in enumerate(names)} | {name: name for name in names}
    if given:
        _check_start(entries, names)
    rows = (
        entry._replace(label=by_label.get(entry.label, entry.label)) if isinstance(entry, Row) else entry
        for entry in entries
    )
    missing = [
        _plain(line.label, ())
        for (_, line), entry in zip(told, entries, strict=True)
        if isinstance(entry, Rejected) and entry.reason == MISSING and line.label
    ]
    absent = [] if given else [label for label in dict.fromkeys(missing) if label not in by_label]
    notes = [f'labels without any video, which are no classes therefore: {some(absent)}'] if absent else []
    return collect(names, rows, notes=notes)


class _Place(NamedTuple):
    """Where a path leads to, None if out of the source folder, and whether a video is there."""

    path: Path | None
    is_there: bool


def _find(written: str, source: Path, roots: Sequence[str]) -> _Place:
    """The place of a path; also where the list was written on Windows, or with accents as letters of their own."""
    slashes = written.replace('\\', '/')
    spellings = (written, slashes, *(normalize(form, text) for form in ('NFC', 'NFD') for text in (written, slashes)))
    paths = [_inside(spelling, source, roots) for spelling in dict.fromkeys(spellings)]
    found = next((path for path in paths if path is not None and is_clip(path)), None)
    return _Place(found or paths[0], found is not None)


def _inside(written: str, source: Path, roots: Sequence[str]) -> Path | None:
    """The path below `source`, of which all spellings are `roots`; links are not looked through."""
    path = os.path.abspath(os.path.join(roots[0], written))
    root = next((root for root in roots if path.startswith(f'{root.rstrip(os.sep)}{os.sep}')), None)
    return None if root is None else source / path[len(root) :].lstrip(os.sep)


def _entry(
    split: str, line: Line | Rejected, source: Path, find: Callable[[str], _Place], names: Collection[str]
) -> Row | Rejected:
    """A line as a row with its label as it stands in the list, or why it cannot be one."""
    if isinstance(line, Rejected):
        return line
    label = line.label and _plain(line.label, names)
    if label and label not in names and _NO_LABEL.fullmatch(label) and not _NUMBER.fullmatch(label):
        return malformed(split, line.path, f"expected: a class name or the number of one from 0, got '{label}'")
    path, is_there = find(line.path)
    if path is None:
        return Rejected(split, line.path, line.path, OUTSIDE, f"not below '{source}'")
    return located(split, clip_id(path, source), path if is_there else None, label, expected=line.path)


def _plain(label: str, names: Collection[str]) -> str:
    """A label in one spelling: letters with accents as one and, unless it is a name, '07' and '7.0' as '7'."""
    label = normalize('NFC', label)
    return str(int(label.split('.')[0])) if label not in names and _NUMBER.fullmatch(label) else label


def _read_names(file: Path) -> list[str]:
    names = [normalize('NFC', name) for name in lines(file)]
    if not names:
        raise ValueError(f"'{file}' is empty: expected a class name a line. Write them, or leave out --labels.")
    check_label_names(names, count=len(names), origin=f"'{file}'")
    return names


def _derive_names(entries: Sequence[Row | Rejected], split: str | None, source: Path) -> list[str]:
    """The classes of the videos of a split, or of all."""
    here = [entry for entry in entries if split in (None, entry.split)]
    labels = {entry.label for entry in here if isinstance(entry, Row) and entry.label}
    if not labels:
        lost = here[0] if here and all(isinstance(entry, Rejected) for entry in here) else None
        origin = f"the list of '{split}'" if split else 'the lists'
        if lost is None:
            raise ValueError(f'Class names come from {origin}, which has no label; give a file of label names.')
        detail = f', {lost.detail}' if lost.reason != MISSING else f' as {source / lost.path}'
        raise ValueError(
            f"Class names come from {origin}, of which no row can be read. The first is '{lost.id}', "
            f'{lost.reason}{detail}. Mend the list, or --source.'
        )
    numbers = {label for label in labels if _NUMBER.fullmatch(label)}
    if not numbers:
        return sorted(labels)
    if numbers != labels:
        raise ValueError(
            f'Labels are either names or numbers, got numbers beside {some(sorted(labels - numbers))}. Give --labels, '
            'with all class names in the order of their numbers, or mend these lines.'
        )
    largest = max(map(int, numbers))
    if largest > MOST_CLASSES:
        raise ValueError(f"The labels of 'train' are numbers up to {largest}, which are no labels of {MOST_CLASSES}.")
    return [str(number) for number in range(largest + 1)]


def _check_start(entries: Sequence[Row | Rejected], names: Sequence[str]) -> None:
    """Raises ValueError where labels are numbers that start at 1."""
    labels = {entry.label for entry in entries if isinstance(entry, Row) and entry.label} - set(names)
    numbers = {int(label) for label in labels if _NUMBER.fullmatch(label)}
    if numbers and min(numbers) > 0 and max(numbers) == len(names):
        raise ValueError(
            f'Labels are numbers from 0, got {min(numbers)} to {max(numbers)} for {len(names)} class names. Subtract 1 '
            'from each, or write names in their place.'
        )
