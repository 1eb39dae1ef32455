"""Tables in Markdown, and the records they are made of."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks import records

Record = dict[str, Any]


OF_STEPS = ('backbone', 'pass', 'dtypes', 'clips', 'frames', 'size', 'width', 'stride')
# What tells a measurement of a file from all others of its device.
KEYS = {
    **dict.fromkeys(('backbones', 'memory', 'norms', 'precision', 'devices'), OF_STEPS),
    'growth': ('axis', 'dtype', 'frames', 'clips', 'channels', 'stride'),
    'roofline': ('backbone', 'dtype', 'clips', 'frames', 'size', 'width', 'stride'),
    'pytorch': ('backbone', 'norms', 'dtype', 'clips', 'frames', 'size'),
    'end_to_end': ('data', 'backbone', 'norms', 'workers', 'clips', 'frames', 'size'),
    'loading': ('measured',),
    'bucket': ('form', 'latency', 'workers'),
    'ahead': ('accelerator', 'backbone', 'norms', 'pass', 'dtype', 'clips', 'frames', 'size', 'width'),
    'earlier': ('what',),
}


def latest(name: str) -> list[Record]:
    """The last record of every measurement of a file, see KEYS, and device."""
    found = {}
    for record in records.read(records.FOLDER / f'{name}.jsonl'):
        key = record['by']['device'], *(str(record.get(key)) for key in KEYS[name])
        found.pop(key, None)
        found[key] = record
    return list(found.values())


def device(record: Record) -> str:
    by = record['by']
    return f'{by["processor"]}, {by["cores"]} cores' if by['device'] == 'cpu' else by['device']


def table(header: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Lines of a table in Markdown; the first column is text, the others numbers."""
    yield f'| {header} |'
    yield '| --- |' + ' ---: |' * header.count('|')
    for row in rows:
        yield f'| {" | ".join(row)} |'


def sources(found: Iterable[Record]) -> Iterator[str]:
    """What the records were measured by."""
    lines = {}
    for record in found:
        by = record['by']
        jax = by['versions']['jax']
        note = f'; {record["note"]}' if record.get('note') else ''
        line = f'* `{by["command"]}`: {by["date"][:10]}, commit {by["commit"]}, jax {jax}, {device(record)}{note}'
        lines[line] = None
    yield ''
    yield from lines


def bracketed(of: dict[str, float], digits: int) -> str:
    """'1.02 (1.00 to 1.05)'."""
    median, low, high = (f'{of[key]:.{digits}f}' for key in ('median', 'low', 'high'))
    return f'{median} ({low} to {high})'


def shape(record: Record) -> str:
    """Of the clips, with their one type where that is not float32, and the device where that is no CPU."""
    parts = ['{clips} x {frames} x {size} x {size}'.format(**record)]
    dtypes = record.get('dtypes', [record.get('dtype', 'float32')])
    if len(dtypes) == 1 and dtypes != ['float32']:
        parts += dtypes
    if record['by']['device'] != 'cpu':
        parts.append(record['by']['device'])
    return ', '.join(parts)


PARAGRAPH = re.compile(
    r'^(```[^`]*^```$|(?![#|!\s]).+(?:\n(?![#|!]|```).+)*)', re.MULTILINE
)  # or a fenced block, whole


def wrapped(text: str) -> str:
    """Markdown whose figures have been filled in: lines of prose are broken anew, all others left as they are."""

    def fill(item: str) -> str:
        indent = '  ' if item.startswith('* ') else ''
        return textwrap.fill(' '.join(item.split()), 120, subsequent_indent=indent, break_on_hyphens=False)

    def paragraph(found: re.Match) -> str:
        fenced = found[0].startswith('```')
        return found[0] if fenced else '\n'.join(map(fill, re.split(r'\n(?=\* )', found[0])))

    return PARAGRAPH.sub(paragraph, text.strip()) + '\n'
