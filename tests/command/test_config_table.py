"""The table of a config has every key in the order of its source, with the comment that stands beside it."""

import inspect

import pytest

from configs import base, tsn
from dnr_jax.command import config_table

SOURCE = """
PART = {
    'one': (1, '1..'),  # first
    'inner': {  # of a section
        'two': ('', 'text'),
        'three': (  # opened
            3, '1..',
        ),
    },
    'four': (4, '#'),  # begins
                       # and goes on
}  # fmt: skip

KEYS = {
    # of no key
    'seed': (0, '0..'),  # of draws
    'part': PART,
    'last': (5, '1..'),  # the last
}
"""


def test_comments_stand_beside_their_keys():
    assert config_table.comments(SOURCE) == {
        'seed': 'of draws', 'part.one': 'first', 'part.inner.two': '', 'part.inner.three': 'opened',
        'part.four': 'begins and goes on', 'last': 'the last',
    }  # fmt: skip


def test_cells_that_are_too_long_go_on_below():
    rows = [('key', 'value', 'may be', 'what it is'), ('a', '1', '1..', 'word ' * 13)]
    assert list(config_table.lines(rows)) == [
        'key  value  may be  what it is',
        'a    1      1..     ' + ' '.join(['word'] * 12),
        '                    word',
    ]


@pytest.mark.parametrize(
    ('value', 'told'), [('', "''"), (None, 'by the data'), ('dense', 'dense'), (1e-5, '1e-05'), ((1, 'a'), "(1, 'a')")]
)
def test_values_as_they_are_given(value, told):
    assert config_table.written(value) == told


def test_every_key_of_a_config_has_a_row():
    text = config_table.table(tsn.get_config(), inspect.getsource(base))
    config = tsn.get_config().to_dict()
    del config['ranges']
    keys = list(config_table.comments(inspect.getsource(base)))
    assert set(keys) == set(config_table.flat(config)) and len(keys) == len(set(keys))
    rows = [line.split('  ')[0] for line in text.splitlines() if not line.startswith(' ')]
    assert rows == ['key', *keys]
    (row,) = [line for line in text.splitlines() if line.startswith('clip.sampling ')]
    assert row.split() == 'clip.sampling segments text which frames, a key of dnr_jax.data.sampling.SAMPLINGS'.split()
