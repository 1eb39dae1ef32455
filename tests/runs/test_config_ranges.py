"""What values of a config may be: the words, every key of the base, and what a user types."""

import copy
import importlib
import json
import sys
from math import inf, nan
from pathlib import Path

import pytest
from absl import flags
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict, config_flags

from configs import base
from dnr_jax.runs import config_ranges

CONFIGS = sorted(path.stem for path in Path(base.__file__).parent.glob('*.py') if path.stem != '__init__')
BASE = base.get_config().to_dict()
RANGES = flatten_dict(base.get_config().ranges.to_dict(), sep='.')

# Words, what they let in, and what they refuse.
WORDS = {
    '1..': ([1, 10**9], [0, -1, 1.0, '1', True, None, nan]),
    '0..9': ([0, 9], [10, -1]),
    '[0, 1)': ([0, 0.0, 0.999], [1, 1.0, -1e-9, nan, inf, '0.5', False, None]),
    '(0, 1]': ([1, 1e-30], [0, 1.001]),
    '(0, inf)': ([1e30], [0.0, inf, nan]),
    'stop | skip': (['stop', 'skip'], ['stopp', '', 'stop | skip', 1]),
    '5 | 13': ([5, 13], [4, '5', 5.0, True]),
    'bool': ([True, False], [0, 1, 'True', None]),
    'text': (['', 'any'], [1, None, ('a',)]),
    'pattern': (['', 'stem|stage1', 'a{1,2}$'], ['(', 'stem,stage1', 1]),
    'path': (['', '~/data', './gs:/a', 'gs://bucket', 's3://bucket/data'], ['hdfs://a/b', 'gs:/bucket', 'gs://', None]),
    '3 of [0, 255]': ([(1.0, 2, 3.5), [0, 0, 255]], [0.5, (0.5,), (1, 2, 3, 4), (1, 2, 256), (1, 2, 'a')]),
    'some of (0, 1]': ([(1.0,), (0.5, 1)], [(), ('(a,b)',), 1.0]),
    'any of 1..': ([(), (20, 40)], [('abc',), (20.5,), (0,), 'abc']),
    '[0, inf); [0, 0.5]': ([(9, 0.5)], [(9, 0.6), (9,), (9, 0, 0)]),
    'any of pattern; [0, inf)': ([(), (('a', 1.0),)], [(('a',),), ('a', 1.0), (('(', 1.0),)]),
}


@pytest.mark.parametrize('words', WORDS)
def test_words(words):
    inside, outside = WORDS[words]
    assert all(map(config_ranges.parse(words).fits, inside))
    assert not any(map(config_ranges.parse(words).fits, outside))


OPEN = ('videos',)  # which leave keys to be chosen by the data


@pytest.mark.parametrize('name', CONFIGS)
def test_all_configs_lie_within(name):
    config = importlib.import_module(f'configs.{name}').get_config()
    closed = name not in OPEN
    config_ranges.expect(config, closed=closed)
    assert flatten_dict(config.ranges.to_dict(), sep='.') == RANGES
    as_stored = ConfigDict(json.loads(config.to_json()))  # as a checkpoint has it, without tuples
    config_ranges.expect(as_stored, closed=closed)


def test_an_open_key_has_no_value_yet():
    """No checkpoint holds one: it is chosen before a training begins."""
    config = importlib.import_module('configs.videos').get_config()
    assert config.train.epochs is None
    with pytest.raises(ValueError, match='config.train.epochs: expected a whole number, 1 or more, got None'):
        config_ranges.expect(config)
    config.train.batch_size = 0
    with pytest.raises(ValueError, match='^config.train.batch_size: expected a whole number, 1 or more, got 0.$'):
        config_ranges.expect(config, closed=False)


def test_every_key_has_a_range():
    config = base.get_config().to_dict()
    del config['ranges']
    assert flatten_dict(config, sep='.').keys() == RANGES.keys()


@pytest.mark.parametrize('key', RANGES)
def test_every_key_is_checked(key):
    """Neither nothing, nor a dictionary, nor a number that is none lies within any range."""
    *sections, name = key.split('.')
    for value in (None, {'a': 1}, nan, (None,)):
        config = section = copy.deepcopy(BASE)
        for each in sections:
            section = section[each]
        section[name] = value
        with pytest.raises(ValueError, match=rf'^config.{key}: expected .*, got '):
            config_ranges.expect(ConfigDict(config))


@pytest.fixture
def typed(monkeypatch):
    """The config after such arguments of a command."""

    def typed(*arguments):
        monkeypatch.setattr('sys.argv', ['train.py', *(f'--config.{argument}' for argument in arguments)])
        values = flags.FlagValues()
        config_flags.DEFINE_config_dict('config', base.get_config(), flag_values=values)
        values(sys.argv)
        return values.config

    return typed


@pytest.mark.parametrize(
    ('argument', 'expected'),
    [
        ('pixels.mean=0.5', r'of 3 values, each a number in \[0, 255\], got \(0.5,\)'),
        ('pixels.std=(0,0,0)', r'of 3 values, each a number in \(0, 255\], got \(0, 0, 0\)'),
        ('model.dropout=1.5', r'a number in \[0, 1\), got 1.5'),
        ('model.dropout=nan', 'got nan'),
        ('model.norm.epsilon=0', r'a number in \(0, 1\), got 0'),
        ('train.ema_decay=1.0', 'got 1.0'),
        ('schedule.learning_rate=-0.1', 'got -0.1'),
        ('schedule.learning_rate=inf', 'got inf'),
        ('schedule.gamma=10', 'got 10'),
        ('schedule.milestones=abc', r"a whole number, 1 or more, got \('abc',\)"),
        ('seed=4294967296', 'a whole number, 0 to 4294967295, got 4294967296'),
        ('seed=-1', 'got -1'),
        ('augment.scales=(a,b)', r"each a number in \(0, 1\], got \('\(a,b\)',\)"),
        ('optimizer.frozen=stem,stage1', r"without commas, in quotes, got \('stem,stage1',\)"),
        ('optimizer.frozen=(', r'a regular expression'),
        ('test.crops=4', '1, 3, 5 or 10, got 4'),
        ('data.damaged=ship', "'stop' or 'skip', got 'ship'. Did you mean 'skip'"),
    ],
)
def test_what_a_user_types(typed, argument, expected):
    key = argument.partition('=')[0]
    with pytest.raises(ValueError, match=rf'^config.{key}: expected .*{expected}'):
        config_ranges.expect(typed(argument))


def test_tuples_as_they_are_to_be_typed(typed):
    config = typed("optimizer.frozen=('stem','stage1')", 'schedule.milestones=(20,40)', 'augment.scales=1.0')
    config_ranges.expect(config)
    assert (config.optimizer.frozen, config.schedule.milestones) == (('stem', 'stage1'), (20, 40))


def test_all_mistakes_are_told_at_once():
    config = base.get_config()
    config.train.epochs, config.run.keep = 0, 1
    with pytest.raises(ValueError, match=r'run.keep.*2 or more, got 1\. config.train.epochs.*1 or more, got 0\.$'):
        config_ranges.expect(config)


def test_a_config_without_a_section():
    config = base.get_config().to_dict()
    del config['clip']
    with pytest.raises(ValueError, match='config.clip.frames: expected a whole number, 1 or more, got None'):
        config_ranges.expect(ConfigDict(config))
