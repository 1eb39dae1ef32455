"""What a value of a config may be, in the words that stand beside it in configs/base.py.

    1..   0..9                      whole numbers, both ends counted
    [0, 1)   (0, inf)               numbers; a round bracket leaves its end out
    stop | skip   1 | 3             one of these
    bool   text   pattern           true or false; any text; a regular expression, which has no comma
    path                            local, or the URL of a bucket; '' for none
    3 of R   some of R   any of R   tuples of 3, of one or more, of any number of values in R
    R; S                            a tuple of two values, the first in R, the second in S

A config carries these words in its section `ranges`: they hold as well for the config that a checkpoint has stored.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dnr_jax.files import scheme_of
from dnr_jax.registry import nearest


class Range(NamedTuple):
    """Whether a value lies in it, and what is expected, to read."""

    fits: Callable[[Any], bool]
    expected: str


def expect(config: ConfigDict, *, closed: bool = True) -> None:
    """Raises ValueError, with a word for each key that has no value within its range, as `config.ranges` says it.

    Where the config is not `closed`, keys may be open: None in the place of a value.
    """
    values = config.to_dict()
    if wrong := mistakes(values, values.get('ranges', {}), closed=closed):
        raise ValueError(' '.join(wrong))


def mistakes(
    values: Mapping[str, Any], ranges: Mapping[str, Any], within: str = 'config.', *, closed: bool = True
) -> list[str]:
    """'KEY: expected ..., got ... .' of every key; both are nested alike."""
    found = []
    for name, words in ranges.items():
        key, value = f'{within}{name}', values.get(name)
        if not isinstance(words, str):
            found += mistakes(value if isinstance(value, Mapping) else {}, words, f'{key}.', closed=closed)
        elif value is None and not closed:
            continue
        elif not (of := parse(words)).fits(value):
            hint = nearest(words.split(' | '), value) if ' | ' in words and isinstance(value, str) else ''
            found.append(f'{key}: expected {of.expected}, got {value!r}.{hint}')
    return found


def parse(words: str) -> Range:
    """The range that is written like this."""
    many, of, each = words.partition(' of ')
    if of:
        return tuple_of(many, parse(each))
    if '; ' in words:
        return row([parse(each) for each in words.split('; ')])
    if ' | ' in words:
        return one_of(words.split(' | '))
    if '..' in words:
        return whole(*words.split('..'))
    return KINDS[words] if words in KINDS else interval(words)


def tuple_of(many: str, each: Range) -> Range:
    least, most = {'some': (1, inf), 'any': (0, inf)}.get(many) or (int(many), int(many))
    count = {'some': 'one or more values', 'any': 'values'}.get(many, f'{many} values')
    return Range(
        lambda value: is_tuple(value) and least <= len(value) <= most and all(map(each.fits, value)),
        f'a tuple "(a, b, ...)" of {count}, each {each.expected}',
    )


def row(parts: Sequence[Range]) -> Range:
    return Range(
        lambda value: (
            is_tuple(value)
            and len(value) == len(parts)
            and all(part.fits(each) for part, each in zip(parts, value, strict=True))
        ),
        f'a tuple "(a, b, ...)" of {len(parts)} values: {", ".join(part.expected for part in parts)}',
    )


def one_of(words: Sequence[str]) -> Range:
    choices = [int(word) if word.isdecimal() else word for word in words]
    expected = f'{", ".join(map(repr, choices[:-1]))} or {choices[-1]!r}'
    return Range(lambda value: type(value) in (int, str) and value in choices, expected)


def whole(least: str, most: str) -> Range:
    low, high = int(least), int(most) if most else inf
    expected = f'{least} to {most}' if most else f'{least} or more'
    return Range(lambda value: type(value) is int and low <= value <= high, f'a whole number, {expected}')


def interval(words: str) -> Range:
    low, high = map(float, words[1:-1].split(','))
    with_low, with_high = words[0] == '[', words[-1] == ']'

    def fits(value: Any) -> bool:
        is_number = type(value) in (int, float)
        return is_number and (low < value < high or (with_low and value == low) or (with_high and value == high))

    return Range(fits, f'a number in {words}')


def is_tuple(value: Any) -> bool:
    """Also as JSON has them."""
    return isinstance(value, tuple | list)


def is_pattern(value: Any) -> bool:
    if not isinstance(value, str) or ',' in re.sub(r'\{[^}]*\}', '', value):
        return False
    try:
        re.compile(value)
    except re.error:
        return False
    return True


def is_path(value: Any) -> bool:
    """Whether it may be a path on some machine: what its scheme takes need not be installed here."""
    if not isinstance(value, str):
        return False
    try:
        scheme_of(value)
    except ValueError:
        return False
    return True


KINDS = {
    'bool': Range(lambda value: isinstance(value, bool), 'True or False'),
    'text': Range(lambda value: isinstance(value, str), 'text'),
    'pattern': Range(is_pattern, 'a regular expression without commas, in quotes'),
    'path': Range(is_path, 'a local path, gs://BUCKET/FOLDER or s3://BUCKET/FOLDER'),
}
