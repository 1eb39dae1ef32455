"""A config to read: every key with its value, what it may be, and the comment that stands beside it in the source.

key                 value     may be    what it is
model.norm.stride   2         1..       frames per hop of a cross-temporal relay
"""

import ast
import io
import textwrap
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from ml_collections import ConfigDict

HEADER = ('key', 'value', 'may be', 'what it is')
WIDEST = (34, 24, 24, 60)  # characters of each column; longer cells go on below
OPEN = 'by the data'  # in the place of a value that is chosen once the data is prepared
RANGES = 'ranges'  # section of a config, of words from which what a key may be is read


def table(config: ConfigDict, source: str) -> str:
    """All keys of a config; `source` is the text of the file that has them, in that order, see `comments`."""
    sections = config.copy_and_resolve_references().to_dict()
    ranges, values = flat(sections.pop(RANGES)), flat(sections)
    rows = [(key, written(values[key]), ranges[key], comment) for key, comment in comments(source).items()]
    return '\n'.join(lines([HEADER, *rows]))


def flat(tree: Mapping[str, Any], within: str = '') -> dict[str, Any]:
    """Values by their dotted keys."""
    found = {}
    for name, value in tree.items():
        found |= flat(value, f'{within}{name}.') if isinstance(value, Mapping) else {f'{within}{name}': value}
    return found


def written(value: Any) -> str:
    """A value as it is given on the command line; an empty text in quotes, and words where there is none."""
    return OPEN if value is None else value if isinstance(value, str) and value else repr(value)


def lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows in columns, each as wide as its cells ask for, up to WIDEST."""
    widths = [
        min(widest, max(map(len, column))) for widest, column in zip(WIDEST, zip(*rows, strict=True), strict=True)
    ]
    for row in rows:
        cells = [textwrap.wrap(cell, width) or [''] for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=''):
            yield '  '.join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()


def comments(source: str) -> dict[str, str]:
    """The comment beside every key, dotted, of dicts that are assigned to names and put together in KEYS.

    A comment begins on the line of its key and may go on until the next key.
    """
    assigned = {node.targets[0].id: node.value for node in ast.parse(source).body if isinstance(node, ast.Assign)}
    by_line = {
        token.start[0]: token.string.removeprefix('#').strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return dict(beside_keys(assigned['KEYS'], assigned, by_line, ''))


def beside_keys(
    keys: ast.Dict, assigned: Mapping[str, ast.expr], by_line: Mapping[int, str], within: str
) -> Iterator[tuple[str, str]]:
    """(dotted key, comment) for all keys of a dict literal and of those in it."""
    ends = [*(key.lineno for key in keys.keys[1:]), keys.end_lineno]
    for key, value, end in zip(keys.keys, keys.values, ends, strict=True):
        name = f'{within}{key.value}'
        value = assigned[value.id] if isinstance(value, ast.Name) else value
        if isinstance(value, ast.Dict):
            yield from beside_keys(value, assigned, by_line, f'{name}.')
        else:
            yield name, ' '.join(by_line[line] for line in range(key.lineno, end) if line in by_line)
