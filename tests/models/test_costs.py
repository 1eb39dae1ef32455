"""What backbones cost: counted by hand, and published."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from dnr_jax.models import MODELS
from dnr_jax.models import __main__ as costs
from dnr_jax.models.counting import multiply_adds
from dnr_jax.operations import Forms


def count(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return multiply_adds(jax.jit(function).trace(*arrays))


def test_counts_by_hand():
    assert count(lambda x, w: x @ w, (5, 3), (3, 7)) == 5 * 3 * 7
    assert count(lambda x: x + 1, (5, 3)) == 0

    def conv(x, w):  # every second of 8 x 6 positions, 3 x 3 of 2 of 4 channels
        return lax.conv_general_dilated(
            x, w, (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'), feature_group_count=2
        )

    assert count(conv, (1, 8, 6, 4), (3, 3, 2, 10)) == 4 * 3 * 10 * 3 * 3 * 2

    def by_input(x, w):
        return jax.vjp(partial(conv, w=w), x)[1](jnp.ones((1, 4, 3, 10)))

    assert count(by_input, (1, 8, 6, 4), (3, 3, 2, 10)) == 2 * 4 * 3 * 10 * 3 * 3 * 2  # forward, and the gradient

    def loop(x, w):
        return lax.scan(lambda x, _: (jax.jit(jnp.matmul)(x, w), None), x, None, length=6)[0]

    assert count(loop, (5, 3), (3, 3)) == 6 * 5 * 3 * 3

    forms = Forms(cpu=jnp.matmul, tpu=lambda x, w: 2 * (x @ w), gpu=lambda x, w: x @ w @ jnp.eye(3))
    assert count(lambda x, w: forms(x, w), (5, 3), (3, 3)) == 5 * 3 * 3


def test_resnet50_as_published():
    found = costs.cost('resnet50', 'batch', (224,))
    assert found.parameters == 24_327_632
    assert found.multiply_adds[224] == pytest.approx(32.70e9, abs=0.01e9)


def test_the_page_holds_every_backbone_as_counted():
    page = (costs.__file__.rpartition('dnr_jax')[0]) + 'docs/backbones.md'
    with open(page) as file:
        table = file.read().partition('## What each costs\n')[2]
    rows = {line.split('`')[1]: f'{line}\n' for line in table.splitlines() if line.startswith('| `')}
    assert set(rows) == set(MODELS)
    (line,) = list(costs.table(['tsm_resnet18'], (224, 256)))[2:]
    assert rows['tsm_resnet18'] == line + '\n'


def test_an_unknown_backbone_is_told_in_a_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['models', 'resnett50'])
    with pytest.raises(SystemExit, match='2'):
        costs.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert "Unknown backbone 'resnett50'. Did you mean 'resnet50'" in line
