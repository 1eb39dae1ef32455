"""The shift by hand, where it stands in a block, and that it adds nothing to learn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_networks import NORM, network, normal, shapes, short

from dnr_jax.models.layers import SpatialConv
from dnr_jax.models.tsm import EverySecondShiftedBlock, ShiftedBasicBlock, ShiftedBottleneckBlock, shift
from dnr_jax.norms.relay import zero_carry
from dnr_jax.norms.words import make_norm


def test_shift():
    """16 channels: 2 from the next frame, 2 from the previous one, 12 in place; zeros beyond the clip."""
    frames = jnp.array([10.0, 20.0, 30.0])
    shifted = shift(jnp.broadcast_to(frames[None, :, None, None, None], (2, 3, 1, 2, 16)))
    for clip, column in np.ndindex(2, 2):
        by_channel = shifted[clip, :, 0, column].T
        assert_array_equal(by_channel[:2], [[20, 30, 0]] * 2)
        assert_array_equal(by_channel[2:4], [[0, 10, 20]] * 2)
        assert_array_equal(by_channel[4:], [[10, 20, 30]] * 12)


def test_a_single_frame_lends_nothing():
    x = shift(jnp.ones((1, 1, 1, 1, 8)))
    assert_array_equal(x[0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1, 1])


def applied(kind, index, x, random_variables):
    """Parameters of a block without norms and with 8 output channels, what its convolutions make of x, its output."""
    words = ('none',) * len(kind.widths(1))
    features, norm = 8 // kind.widths(1)[-1], partial(make_norm, **NORM)
    block = kind(features, 1, index, words, norm, None, jnp.dtype('float32'))
    carry = zero_carry(len(x), features)
    variables = random_variables(block, x, carry, train=False)
    (y, _), record = block.apply(variables, x, carry, train=False, capture_intermediates=True)
    record = {name: outputs['__call__'][0] for name, outputs in record['intermediates'].items() if name != '__call__'}
    return variables['params'], record, y


@pytest.mark.parametrize('kind', [ShiftedBasicBlock, ShiftedBottleneckBlock])
@pytest.mark.parametrize('channels', [8, 16])
def test_the_shortcut_keeps_its_own_frames(random_variables, kind, channels):
    """As it is, and projected."""
    x = normal(1, 3, 2, 2, channels)
    params, record, y = applied(kind, 1, x, random_variables)
    kept = x if channels == 8 else x @ params['conv_shortcut']['kernel'][0, 0]
    assert_allclose(y, np.maximum(record[f'conv{len(kind.widths(1))}'] + kept, 0), rtol=1e-5, atol=1e-6)


def test_the_first_convolution_of_a_basic_block_reads_shifted_frames(random_variables):
    x = normal(1, 3, 2, 2, 8)
    params, record, _ = applied(ShiftedBasicBlock, 1, x, random_variables)
    expected = SpatialConv(8, 3, 1, jnp.dtype('float32')).apply({'params': params['conv1']}, shift(x))
    assert_allclose(record['conv1'], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('kind', 'shifting'),
    [(ShiftedBottleneckBlock, (True, True, True)), (EverySecondShiftedBlock, (True, False, True))],
)
def test_which_bottleneck_blocks_shift(random_variables, kind, shifting):
    x = normal(1, 3, 2, 2, 8)
    for index, shifts in enumerate(shifting):
        params, record, _ = applied(kind, index, x, random_variables)
        read = shift(x) if shifts else x
        assert_allclose(record['conv1'], read @ params['conv1']['kernel'][0, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('depth', [18, 34, 50, 101])
def test_blocks_are_those_of_the_resnet(depth):
    assert network(f'tsm_resnet{depth}').blocks == network(f'resnet{depth}').blocks


def test_variables_are_those_of_the_resnet():
    clip = jnp.zeros((1, 2, 16, 16, 3))
    of_tsm, of_resnet = (shapes(short(backbone, 'dnr'), clip) for backbone in ('tsm_resnet50', 'resnet50'))
    assert jax.tree.structure(of_tsm) == jax.tree.structure(of_resnet)
    assert jax.tree.leaves(of_tsm) == jax.tree.leaves(of_resnet)


def test_frames_reach_their_neighbours_alone(random_variables):
    """One block hands a frame to both neighbours and no further."""
    x = normal(1, 5, 2, 2, 8)
    _, _, y = applied(ShiftedBottleneckBlock, 1, x, random_variables)
    _, _, moved = applied(ShiftedBottleneckBlock, 1, x.at[:, 2].add(1), random_variables)
    changed = np.abs(moved - y).max(axis=(0, 2, 3, 4)) > 0
    assert_array_equal(changed, [False, True, True, True, False])
