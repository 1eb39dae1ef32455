"""MobileNetV2: parameter counts, where its norms and shortcuts stand, and its widths."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_networks import NORM, classifier, network, normal, parameters, shapes

from dnr_jax.models.layers import DepthwiseConv
from dnr_jax.models.mobilenet import InvertedBlock, UnexpandedBlock, reduction_over, scaled
from dnr_jax.norms.relay import zero_carry
from dnr_jax.norms.words import make_norm

FLOAT32 = jnp.dtype('float32')
STAGES = ((16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1))


def relay_cell(c):
    """Two of c -> hidden -> 4 c with biases; six hidden units, of the published widths that 144 does not leave more."""
    hidden = max(6, c // 144)
    return 2 * (c * hidden + hidden + hidden * 4 * c + 4 * c)


def expected_parameters(preset):
    affine = 2 * (preset != 'none')
    total, inputs = 27 * 32 + affine * 32, 32
    for stage, (features, blocks) in enumerate(STAGES):
        for block in range(blocks):
            wide = 6 * inputs if stage > 0 else inputs
            total += (inputs * wide if stage > 0 else 0) + 9 * wide + wide * features
            repeats = block > 0
            total += affine * features
            total += 0 if stage == 0 else affine * wide * (not (preset == 'dnr' and repeats))
            total += relay_cell(wide) if preset == 'dnr' else affine * wide
            inputs = features
        total += relay_cell(6 * features) if preset == 'dnr' and blocks > 1 else 0
    return total + 320 * 1280 + affine * 1280


@pytest.mark.parametrize('preset', ['dnr', 'batch', 'none'])
def test_parameter_count(preset):
    assert parameters('mobilenet_v2', preset) == expected_parameters(preset)


def test_parameter_count_of_the_published_model():
    assert expected_parameters('batch') + classifier(1280, 1000) == 3_504_872


def test_relays_keep_a_light_network_light():
    assert parameters('mobilenet_v2', 'dnr') < 1.3 * parameters('mobilenet_v2', 'batch')


def test_a_larger_reduction_makes_cells_narrower():
    """Half the units are half of what relays add, but for the biases of 4 C gates, which have no units."""
    plain = parameters('mobilenet_v2', 'batch')
    six, three = (parameters('mobilenet_v2', 'dnr', reduction=reduction) - plain for reduction in (4, 8))
    assert 0.5 < three / six < 0.6


def test_how_narrow_cells_are_inside():
    """A 36th of the channels, or 24 where there are as many, divided by the reduction; never none."""
    assert [channels // reduction_over(channels, 4) for channels in (1440, 960, 96, 24, 16)] == [10, 6, 6, 6, 4]
    assert [960 // reduction_over(960, reduction) for reduction in (1, 2, 4, 8, 24, 960)] == [26, 13, 6, 3, 1, 1]
    assert [96 // reduction_over(96, reduction) for reduction in (1, 2, 4, 8, 24, 96)] == [24, 12, 6, 3, 1, 1]
    assert reduction_over(8, 16) == 16
    with pytest.raises(ValueError, match='reduction ratio from 1 to 8, got 64'):
        shapes(network('mobilenet_v2', 'dnr', reduction=64, width=16), jnp.zeros((1, 2, 32, 32, 3)))


def test_widths():
    """Multiples of 8: the nearest, for 60 that is 64, but not 8 for 10.5; the last convolution is never narrower."""
    assert (scaled(160, 24), scaled(24, 28)) == (64, 16)
    assert [scaled(channels, 64) for channels, _ in STAGES] == [16, 24, 32, 64, 96, 160, 320]
    assert [scaled(channels, 32) for channels, _ in STAGES] == [8, 16, 16, 32, 48, 80, 160]
    assert [scaled(channels, 96) for channels, _ in STAGES] == [24, 40, 48, 96, 144, 240, 480]
    params = shapes(network('mobilenet_v2', 'batch', width=32), jnp.zeros((1, 2, 32, 32, 3)))['params']
    assert params['conv_last']['kernel'].shape == (1, 1, 160, 1280)


def test_cross_layer_norms_stand_where_blocks_repeat():
    params = shapes(network('mobilenet_v2', 'dnr', width=64), jnp.zeros((1, 2, 32, 32, 3)))['params']
    for stage, (features, blocks) in enumerate(STAGES, start=1):
        of_stage = params[f'stage{stage}']
        assert ('relay' in of_stage) == (blocks > 1)
        if blocks > 1:
            assert of_stage['relay']['input_gates']['expand']['kernel'].shape[-1] == 4 * 6 * features
        for block in range(1, blocks + 1):
            of_block = of_stage[f'block{block}']
            assert ('norm1' in of_block) == (block == 1 and stage > 1)
            assert set(of_block['norm2']['transform']) == {'relay'}
            assert set(of_block['norm3']['transform']) == {'scale', 'shift'}


def block_output(kind, features, stride, x, random_variables):
    """A block without norms and its expected output, by convolutions already tested."""
    block = kind(features, stride, 1, ('none',) * 3, partial(make_norm, **NORM), None, FLOAT32)
    carry = zero_carry(len(x), 1)
    variables = random_variables(block, x, carry, train=False)
    params = jax.tree.map(lambda kernel: 30 * kernel, variables['params'])
    y = x
    if kind is InvertedBlock:
        y = np.clip(y @ params['conv1']['kernel'][0, 0], 0, 6)
    y = DepthwiseConv(stride, FLOAT32).apply({'params': params['conv2']}, jnp.asarray(y))
    y = np.clip(y, 0, 6)
    assert np.max(y) == 6
    return block.apply({'params': params}, x, carry, train=False)[0], y @ params['conv3']['kernel'][0, 0]


@pytest.mark.parametrize('kind', [InvertedBlock, UnexpandedBlock])
@pytest.mark.parametrize(
    ('features', 'stride', 'size', 'added'), [(4, 1, 3, True), (4, 2, 3, False), (4, 2, 1, False), (6, 1, 3, False)]
)
def test_block(random_variables, kind, features, stride, size, added):
    """ReLU6 within; nothing after the last convolution but the input, where stride and features allow."""
    x = normal(1, 2, size, size, 4)
    y, expected = block_output(kind, features, stride, x, random_variables)
    assert_allclose(y, expected + x if added else expected, rtol=1e-4, atol=1e-4)


def test_depthwise_convolution_keeps_channels_apart():
    """Ones times 1 and 10: every output counts the rows and columns under its window."""
    kernel = jnp.ones((3, 3, 1, 2)) * jnp.array([1.0, 10.0]).reshape(1, 1, 1, 2)
    y = DepthwiseConv(2, FLOAT32).apply({'params': {'kernel': kernel}}, jnp.ones((1, 2, 6, 6, 2)))
    counts = np.outer([2, 3, 3], [2, 3, 3])
    for frame in range(2):
        assert_array_equal(y[0, frame, :, :, 0], counts)
        assert_array_equal(y[0, frame, :, :, 1], 10 * counts)


def test_depthwise_convolution_keeps_the_size_of_numbers():
    """He: twice the variance of what it reads, for any number of channels; a relay reads its results as they are."""
    x = normal(4, 2, 8, 8, 96)
    y, _ = DepthwiseConv(1, FLOAT32).init_with_output(jax.random.key(0), x)
    inside = np.var(y[:, :, 1:-1, 1:-1]) / np.var(x)
    assert 1.5 < inside < 2.6
