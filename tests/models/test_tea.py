"""A TEA block against its equations in NumPy: motion excitation and multiple temporal aggregation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference import batch_norm, sigmoid
from small_networks import NORM, classifier, normal, parameters, shapes

from dnr_jax.models.tea import MotionExcitation, TemporalAggregationBlock, TemporalConv, part_shift, stay
from dnr_jax.norms.relay import zero_carry
from dnr_jax.norms.words import make_norm

FLOAT32 = jnp.dtype('float32')
norm = partial(make_norm, **NORM)


def convolve(x, kernel, stride):
    """[B T H W C] with [k k C D], zeros around every frame."""
    k = len(kernel)
    padded = np.pad(x, [(0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)])
    heights, widths = (range(0, x.shape[axis], stride) for axis in (2, 3))
    rows = [[np.tensordot(padded[:, :, h : h + k, w : w + k], kernel, 3) for w in widths] for h in heights]
    return np.moveaxis(np.array(rows), (0, 1), (2, 3))


def over_channels(kernel):
    """A depthwise kernel [k k 1 C] as one over all channels."""
    return kernel * np.eye(kernel.shape[-1])


def over_time(x, kernel):
    """Depthwise convolution of 3 frames."""
    y = np.zeros_like(x)
    for t, i in np.ndindex(x.shape[1], 3):
        if 0 <= t + i - 1 < x.shape[1]:
            y[:, t] += kernel[i, 0] * x[:, t + i - 1]
    return y


def normed(x, params, statistics):
    """A batch norm in evaluation."""
    running = statistics['statistics']['mean'], statistics['statistics']['var']
    return batch_norm(x, params['transform']['scale'], params['transform']['shift'], running, 0.9, 1e-5, False)[0]


def plain_excitation(params, statistics, x):
    reduced = convolve(x, params['reduce']['kernel'], 1)
    reduced = normed(reduced, params['norm_reduce'], statistics['norm_reduce'])
    transformed = convolve(reduced, over_channels(params['transform']['kernel']), 1)
    motion = np.zeros_like(reduced)
    for t in range(x.shape[1] - 1):
        motion[:, t] = transformed[:, t + 1] - reduced[:, t]
    motion = convolve(motion.mean(axis=(2, 3), keepdims=True), params['expand']['kernel'], 1)
    gate = sigmoid(normed(motion, params['norm_expand'], statistics['norm_expand'])) - 0.5
    return x + x * gate


def plain_block(params, statistics, x, stride, first):
    """A block in evaluation under batch norms; `first` of its stage."""
    y = np.maximum(normed(convolve(x, params['conv1']['kernel'], 1), params['norm1'], statistics['norm1']), 0)
    y = plain_excitation(params['excitation'], statistics['excitation'], y)
    w = y.shape[-1] // 4
    outputs = []
    for i in range(3):
        group = y[..., i * w : (i + 1) * w]
        if i > 0 and not first:
            group = group + outputs[i - 1]
        group = over_time(group, params[f'temporal{i + 1}']['kernel'])
        group = convolve(group, params[f'conv2_{i + 1}']['kernel'], stride)
        outputs.append(np.maximum(normed(group, params[f'norm2_{i + 1}'], statistics[f'norm2_{i + 1}']), 0))
    last = over_time(y[..., 3 * w :], params['temporal4']['kernel'])
    outputs.append(convolve(last, np.full((3, 3, 1, 1), 1 / 9) * np.eye(w), stride) if first else last)
    y = convolve(np.concatenate(outputs, axis=-1), params['conv3']['kernel'], 1)
    y = normed(y, params['norm3'], statistics['norm3'])
    if 'conv_shortcut' in params:
        x = convolve(x, params['conv_shortcut']['kernel'], stride)
        x = normed(x, params['norm_shortcut'], statistics['norm_shortcut'])
    return np.maximum(x + y, 0)


def test_motion_excitation_follows_its_equations(random_variables):
    x, module = normal(2, 4, 3, 2, 32), MotionExcitation(norm, FLOAT32)
    variables = random_variables(module, x, train=False)
    exact = jax.tree.map(np.float64, variables)
    expected = plain_excitation(exact['params'], exact['batch_stats'], np.float64(x))
    assert_allclose(module.apply(variables, x, train=False), expected, rtol=1e-5, atol=1e-5)


def test_excitation_of_a_still_clip():
    """No motion, so a gate rests at the shift of its norm: at zero, which leaves x as it is."""
    x, module = jnp.ones((1, 3, 3, 3, 16)), MotionExcitation(norm, FLOAT32)

    def fill(path, leaf):
        return jnp.full(leaf.shape, 0.0 if path[-1].key in ('mean', 'shift') else 1.0)

    variables = jax.tree_util.tree_map_with_path(fill, shapes(module, x))
    variables['params']['transform']['kernel'] = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1)
    y = jax.jit(partial(module.apply, train=False))(variables, x)
    assert_allclose(y, x, rtol=1e-6)


@pytest.mark.parametrize(('index', 'stride', 'channels'), [(0, 2, 6), (0, 1, 6), (1, 1, 40)])
def test_block_follows_its_equations(random_variables, index, stride, channels):
    x = normal(2, 3, 4, 3, channels)
    block = TemporalAggregationBlock(10, stride, index, ('batch',) * 3, norm, None, FLOAT32)
    carry = zero_carry(2, 16)
    variables = random_variables(block, x, carry, train=False)
    y, _ = jax.jit(partial(block.apply, train=False))(variables, x, carry)
    exact = jax.tree.map(np.float64, variables)
    expected = plain_block(exact['params'], exact['batch_stats'], np.float64(x), stride, first=index == 0)
    assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_temporal_convolutions_start_as_identity_and_shift():
    x = jnp.broadcast_to(jnp.array([1.0, 2.0, 3.0])[None, :, None, None, None], (1, 3, 1, 1, 4))
    stayed, _ = TemporalConv(stay).init_with_output(jax.random.key(0), x)
    assert_array_equal(stayed, x)
    shifted, _ = TemporalConv(part_shift).init_with_output(jax.random.key(0), x)
    assert_array_equal(shifted[0, :, 0, 0].T, [[2, 3, 0], [2, 3, 0], [0, 1, 2], [0, 1, 2]])


def relay_cell(c):
    """Weights and biases of both MLPs, through c // 4."""
    hidden = c // 4
    return 2 * (c * hidden + hidden + hidden * 4 * c + 4 * c)


def expected_parameters(preset):
    """Of one stage after the other, at width 64; a norm has a scale and a shift per channel."""
    affine = 2 * (preset != 'none')
    total, inputs = 3 * 49 * 64 + affine * 64, 64
    for features, blocks in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
        w, out = features * 26 // 64, 4 * features
        wide = 4 * w
        r = wide // 16
        excitation = wide * r + 2 * r + 9 * r + r * wide + 2 * wide
        aggregation = 3 * (9 * w * w) + 4 * 3 * w
        block = excitation + aggregation + wide * out + affine * out
        if preset == 'dnr':
            block += 3 * relay_cell(w)
            total += relay_cell(wide)
        else:
            block += affine * (wide + 3 * w)
        total += blocks * block + (inputs + (blocks - 1) * out) * wide
        total += inputs * out + affine * out
        inputs = out
    return total


@pytest.mark.parametrize('preset', ['dnr', 'batch'])
def test_parameter_count(preset):
    assert parameters('tea_resnet50', preset) == expected_parameters(preset)


def test_parameter_counts_of_the_published_models():
    assert expected_parameters('batch') + classifier(2048, 400) == 24_919_354
    assert expected_parameters('batch') + classifier(2048, 174) == 24_456_280
