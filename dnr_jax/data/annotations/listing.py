"""Data of one's own, as list files: a line for each video, its path and then its label.

`path label`, where the path may hold spaces, and the label too after the suffix of a video file; `path,label`, with
or without a header; `folder frames label` of the TSN family, where frames is a number; or `path` alone, where a split
has no labels.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dnr_jax.data.annotations.clips import VIDEO_SUFFIXES, clip_id, is_clip
from dnr_jax.data.annotations.reading import fields, lines
from dnr_jax.data.annotations.rows import (
    OUTSIDE,
    Annotated,
    Rejected,
    Row,
    check_label_names,
    collect,
    located,
    malformed,
)

PATH_COLUMNS = ('path', 'video', 'file', 'filename')
LABEL_COLUMNS = ('label', 'class')
MOST_CLASSES = 100_000  # a number above is no label, but something else in its place
_VIDEO_FILE = re.compile(rf'.+({"|".join(map(re.escape, VIDEO_SUFFIXES))})(?=\s|$)', re.IGNORECASE)


class _Line(NamedTuple):
    path: str  # as written
    label: str | None


def read(source: Path, *, lists: Mapping[str, Path], label_names: Path | None) -> Annotated:
    """Reads one list file for each split.

    A label is a class name or the number of one, from 0. Without `label_names` the class names are the labels of
    the training list, sorted, or '0', '1', ... up to the largest if all of them are numbers. Ids are paths without
    the extension, relative to `source`.

    Args:
      source: the folder of the videos; paths are relative to it, or absolute and inside it.
      lists: list files by split.
      label_names: file with one class name a line, in the order of the labels.

    Raises:
      ValueError: if a file is missing or unreadable, for an unknown split, or if the training list has no labels.
    """
    unknown = lists.keys() - {'train', 'validation', 'test'}
    if unknown or not lists:
        raise ValueError(f"Lists are given for 'train', 'validation' or 'test', got {sorted(lists)}.")
    for file in (*lists.values(), *([label_names] if label_names else [])):
        if not file.is_file():
            raise ValueError(f"No list file '{file}'.")
    parsed = {split: _parse(file, split, source) for split, file in lists.items()}
    names = _read_names(label_names) if label_names else _derive_names(parsed)
    return collect(
        names, (entry for split, entries in parsed.items() for entry in _rows(source, split, entries, names))
    )


def _parse(file: Path, split: str, source: Path) -> list[_Line | Rejected]:
    """Reads a list as csv if most of its lines hold a comma."""
    found = lines(file)
    if 2 * sum(',' in line for line in found) > len(found):
        entries = _parse_csv(found, split)
    else:
        if found and _is_header(found[0].split()):
            found = found[1:]
        entries = [_split_at_spaces(line, source) for line in found]
    if any(isinstance(entry, _Line) and entry.label for entry in entries):
        return [_labelled(entry, split) for entry in entries]
    return entries


def _is_header(columns: list[str]) -> bool:
    first, *others = (column.lower() for column in columns)
    return first in PATH_COLUMNS and all(column in LABEL_COLUMNS for column in others)


def _split_at_spaces(line: str, source: Path) -> _Line:
    file = _VIDEO_FILE.match(line)
    if file:
        match line[file.end() :].split():
            case [frames, label] if frames.isdecimal():
                return _Line(file[0], label)
            case words:
                return _Line(file[0], ' '.join(words) or None)
    path, *label = line.rsplit(None, 1)
    if not label:
        return _Line(line, None)
    folder, *frames = path.rsplit(None, 1)
    if frames and frames[0].isdecimal() and not is_clip(source / path):
        path = folder
    return _Line(path, label[0])


def _parse_csv(found: list[str], split: str) -> list[_Line | Rejected]:
    header = [column.lower() for column in fields(found[0], ',')]
    path = next((column for column in header if column in PATH_COLUMNS), None)
    if path is None:
        return [_csv_line(line, split) for line in found]
    label = next((column for column in header if column in LABEL_COLUMNS), None)
    entries = []
    for line in found[1:]:
        values = fields(line, ',')
        if len(values) == len(header):
            record = dict(zip(header, values, strict=True))
            entries.append(_Line(record[path], record.get(label) or None))
        else:
            entries.append(malformed(split, line, f'expected: {len(header)} fields, as in the header'))
    return entries


def _csv_line(line: str, split: str) -> _Line | Rejected:
    """A line of a csv file without header."""
    match fields(line, ','):
        case [path, label]:
            return _Line(path, label or None)
        case [path, frames, label] if frames.isdecimal():
            return _Line(path, label or None)
        case _:
            return malformed(split, line, 'expected: path,label')


def _labelled(entry: _Line | Rejected, split: str) -> _Line | Rejected:
    if isinstance(entry, _Line) and not entry.label:
        return malformed(split, entry.path, 'no label, though other lines of its list have one')
    return entry


def _read_names(file: Path) -> list[str]:
    names = lines(file)
    check_label_names(names, count=len(names), origin=f"'{file}'")
    return names


def _derive_names(parsed: Mapping[str, list[_Line | Rejected]]) -> list[str]:
    labels = {entry.label for entry in parsed.get('train', []) if isinstance(entry, _Line) and entry.label}
    if not labels:
        raise ValueError("Class names come from the list of 'train', which has no label; give a file of label names.")
    if not all(label.isdecimal() for label in labels):
        return sorted(labels)
    largest = max(map(int, labels))
    if largest > MOST_CLASSES:
        raise ValueError(f"The labels of 'train' are numbers up to {largest}, which are no labels of {MOST_CLASSES}.")
    return [str(number) for number in range(largest + 1)]


def _rows(
    source: Path, split: str, entries: Sequence[_Line | Rejected], names: Sequence[str]
) -> Iterator[Row | Rejected]:
    by_label = {str(number): name for number, name in enumerate(names)} | {name: name for name in names}
    for entry in entries:
        if isinstance(entry, Rejected):
            yield entry
            continue
        path = _inside(entry.path, source)
        if path is None:
            yield Rejected(split, entry.path, entry.path, OUTSIDE, f"not below '{source}'")
            continue
        label = by_label.get(entry.label, entry.label)
        found = path if is_clip(path) else None
        yield located(split, clip_id(path, source), found, label, expected=entry.path)


def _inside(written: str, source: Path) -> Path | None:
    """The path below `source`, None if it leads out of it; links are not looked through."""
    path = Path(os.path.abspath(source / written))
    for root in (Path(os.path.abspath(source)), source.resolve()):
        if root in path.parents:
            return source / path.relative_to(root)
    return None
