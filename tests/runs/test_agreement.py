"""Processes that differ, or of which one has made a mistake, all end."""

import json

import numpy as np
import pytest

from dnr_jax import parallel
from dnr_jax.runs import agreement, identity


@pytest.fixture
def of_others(monkeypatch):
    """Sets what the processes after this one say."""
    others = []
    monkeypatch.setattr(parallel, 'gather', lambda rows: np.array([*rows, *others]))
    return others.extend


def test_a_mistake_of_another(of_others):
    of_others(['', 'no such folder'])
    with pytest.raises(ValueError, match='^process 2 of this run: no such folder$'), agreement.all_or_none():
        pass
    with pytest.raises(KeyError), agreement.all_or_none():
        raise KeyError('of this one')


def test_no_mistake(of_others):
    of_others([''])
    with agreement.all_or_none():
        pass


def test_another_config(of_others):
    mine = {'config': {'seed': 0, 'data': {'dir': '/a'}, 'schedule': {'learning_rate': 0.3}}, 'code': {'jax': '1'}}
    of_machine = {**mine, 'config': mine['config'] | {'data': {'dir': '/b'}}}
    of_others([json.dumps(mine), json.dumps(of_machine)])
    agreement.expect_alike(mine)
    of_others([json.dumps({**mine, 'config': mine['config'] | {'seed': 5}})])
    with pytest.raises(ValueError, match=r'process 3 differs from process 0 in config.seed \(0 there, 5 here\)'):
        agreement.expect_alike(mine)


def test_the_version_of_the_code(monkeypatch, tmp_path):
    before = identity.code_version()
    assert before == identity.code_version() and len(before['dnr_jax']) == 12
    monkeypatch.setattr(identity, '__file__', str(tmp_path / 'runs' / 'identity.py'))
    (tmp_path / 'identity.py').write_text('pass')
    assert identity.code_version()['dnr_jax'] != before['dnr_jax']
