"""Where the carry of a relay along layers begins and ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_networks import network, normal

from dnr_jax.norms.relay import handed_on
from dnr_jax.study import trace


@pytest.mark.parametrize(
    ('channels', 'expected'),
    [(4, [1, 1, 2, 2]), (3, [1, 1, 2]), (2, [1, 2]), (1, [1])],
)
def test_every_channel_takes_the_state_of_its_place(channels, expected):
    h, c = handed_on((jnp.array([[1.0, 2.0]]), jnp.array([[-1.0, -2.0]])), channels)
    assert_array_equal(h, [expected])
    assert_array_equal(c, -np.array([expected]))


@pytest.fixture(scope='module', params=['cross_layer', 'cross_layer_onward'])
def traced(request, random_variables):
    """(word, layers) of a network of two stages of two blocks, with that norm along layers."""
    model, clip = network(norms=f'{request.param},batch').clone(blocks=(2, 2)), normal(2, 2, 16, 16, 3)
    variables = random_variables(model, clip, train=False)
    return request.param, jax.jit(lambda variables, clip: trace(model, variables, clip))(variables, clip)


def test_a_stage_begins_at_zero_or_with_what_the_stage_before_has_left(traced):
    word, layers = traced
    for name in ('h', 'c'):
        first, last, next_first, next_last = (
            getattr(layers[f'stage{i}/block{j}/norm1'], of)
            for i in (1, 2)
            for j, of in ((1, f'{name}_before'), (2, name))
        )
        assert_array_equal(first, 0)
        left = np.repeat(last, 2, axis=-1) if word == 'cross_layer_onward' else 0 * next_last
        assert_allclose(next_first, left, rtol=1e-6)
        assert np.abs(next_last).max() > 0


def test_every_block_of_a_stage_is_handed_the_state_of_the_one_before(traced):
    _, layers = traced
    for i in (1, 2):
        before, after = layers[f'stage{i}/block1/norm1'], layers[f'stage{i}/block2/norm1']
        assert_allclose(after.h_before, before.h, rtol=1e-6)
        assert_allclose(after.c, after.forget * before.c + after.input * after.cell, rtol=1e-4, atol=1e-5)
