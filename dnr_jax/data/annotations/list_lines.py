"""What the lines of a list file say: a path, and maybe a label.

What is not understood is not taken for something else: it is a rejected row that says what was expected.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from dnr_jax.data.annotations.clips import VIDEO_SUFFIXES
from dnr_jax.data.annotations.reading import fields
from dnr_jax.data.annotations.rows import Rejected, malformed

# Names of columns, without capitals, '_', '-' and spaces.
PATH_COLUMNS = frozenset('path video file filename filepath videopath videoname videofile clip clippath'.split())
LABEL_COLUMNS = frozenset('label labelid labelname class classid classname classlabel category action target'.split())
_DELIMITERS = (',', ';', '\t')
_SAMPLE = 200  # lines
_VIDEO_FILE = re.compile(rf'.+({"|".join(map(re.escape, VIDEO_SUFFIXES))})(?=\s|$)', re.IGNORECASE)
_NUMBER = re.compile(r'[+-]?\d+(\.\d*)?')
_QUOTED = re.compile(r'"((?:[^"]|"")+)"(?:\s+(.*))?')


class Line(NamedTuple):
    """What a line says."""

    path: str  # as written
    label: str | None


def parse(lines: Sequence[str], split: str, is_there: Callable[[str], bool]) -> list[Line | Rejected]:
    """Reads the lines of a list, with commas, semicolons, tabulators or spaces between the columns.

    Of these it is what most lines hold, and by which most videos are found. Lines that begin with '#' are comments,
    unless they begin with the path of a video.

    Args:
      lines: none of them empty.
      split: of the list.
      is_there: whether there is a video at a path.

    Raises:
      ValueError: for a header with two columns of paths or of labels.
    """
    lines = [line for line in lines if not _is_comment(line, is_there)]
    usual = [delimiter for delimiter in _DELIMITERS if 2 * sum(delimiter in line for line in lines) > len(lines)]
    ways = [partial(_by_delimiter, delimiter=delimiter, split=split) for delimiter in usual]
    ways.append(partial(_by_spaces, split=split, is_there=is_there))
    sample = [*lines[:1], *lines[1 :: 1 + len(lines) // _SAMPLE]]

    def found(way: Callable) -> int:
        return sum(isinstance(entry, Line) and is_there(entry.path) for entry in way(sample))

    way = max(ways, key=found) if len(ways) > 1 else ways[0]
    entries = way(lines)
    if any(isinstance(entry, Line) and entry.label for entry in entries):
        return [_labelled(entry, split) for entry in entries]
    return entries


def _is_comment(line: str, is_there: Callable[[str], bool]) -> bool:
    ends = re.finditer(r'[,;\s]|$', line)
    return line.startswith('#') and not any(is_there(line[: end.start()]) for end in ends)


def _by_delimiter(lines: Sequence[str], delimiter: str, split: str) -> list[Line | Rejected]:
    header = fields(lines[0], delimiter)
    path, label = _column(header, PATH_COLUMNS), _column(header, LABEL_COLUMNS)
    if path is None:
        return [_without_header(line, delimiter, split) for line in lines]
    entries = []
    for line in lines[1:]:
        values = fields(line, delimiter)
        if len(values) == len(header):
            entries.append(Line(values[path], values[label] or None if label is not None else None))
        else:
            entries.append(malformed(split, line, f'expected: {len(header)} fields, as in the header'))
    return entries


def _column(header: Sequence[str], names: frozenset[str]) -> int | None:
    """Where the column of one of these names is."""
    found = [place for place, column in enumerate(header) if re.sub(r'[\s_-]', '', column.lower()) in names]
    if len(found) > 1:
        raise ValueError(f'Expected one column each of paths and of labels, got {[header[i] for i in found]}.')
    return found[0] if found else None


def _without_header(line: str, delimiter: str, split: str) -> Line | Rejected:
    match fields(line, delimiter):
        case [path, label]:
            return Line(path, label or None)
        case [path, frames, label] if _may_be_frames(path, frames, label):
            return Line(path, label or None)
        case _:
            return malformed(split, line, f'expected: path{delimiter}label')


def _by_spaces(lines: Sequence[str], split: str, is_there: Callable[[str], bool]) -> list[Line | Rejected]:
    columns = lines[0].split() if lines else []
    names = [_column([column], PATH_COLUMNS) is not None for column in columns[:1]]
    names += [_column([column], LABEL_COLUMNS) is not None for column in columns[1:][-1:]]
    rest = lines[1:] if names and all(names) else lines
    return [_at_spaces(line, split, is_there) for line in rest]


def _at_spaces(line: str, split: str, is_there: Callable[[str], bool]) -> Line | Rejected:
    """A line whose path may hold spaces where it ends in the suffix of a video, stands in quotes, or is there."""
    if quoted := _QUOTED.fullmatch(line):
        return _words(quoted[1].replace('""', '"'), (quoted[2] or '').split(), line, split)
    if file := _VIDEO_FILE.match(line):
        return _words(file[0], line[file.end() :].split(), line, split)
    path, *label = line.rsplit(None, 1)
    if not label or (is_there(line) and not is_there(path)):
        return Line(line, None)
    folder, *frames = path.rsplit(None, 1)
    if frames and frames[0].isdecimal() and not is_there(path):
        if folder.rsplit(None, 1)[-1].isdecimal() and ' ' in folder and not is_there(folder):
            return malformed(split, line, _SURPLUS)
        path = folder
    return Line(path, label[0])


_SURPLUS = 'expected: path label, got more numbers'


def _words(path: str, words: Sequence[str], line: str, split: str) -> Line | Rejected:
    """What the words behind a path say: its label, maybe after the number of its frames."""
    match words:
        case [frames, label] if _may_be_frames(path, frames, label):
            return Line(path, label)
        case [first, second, *_] if _NUMBER.fullmatch(first) and _NUMBER.fullmatch(second):
            return malformed(split, line, _SURPLUS)
        case _:
            return Line(path, ' '.join(words).removeprefix('"').removesuffix('"') or None)


def _may_be_frames(path: str, frames: str, label: str) -> bool:
    """Lists of folders tell their frames; beside a video file and before another number, it may be anything."""
    return frames.isdecimal() and not (_VIDEO_FILE.fullmatch(path) and label.isdecimal())


def _labelled(entry: Line | Rejected, split: str) -> Line | Rejected:
    if isinstance(entry, Line) and not entry.label:
        return malformed(split, entry.path, 'no label, though other lines of its list have one')
    return entry
