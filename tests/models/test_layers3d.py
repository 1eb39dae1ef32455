"""Convolutions over time, laterals, slow frames and pools by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_networks3d import NORM, network, normal, short

from dnr_jax.models.r2plus1d import middle, split_slots
from dnr_jax.models.resnet3d import Bottleneck3D, StemConv, TemporalConv, max_of_pairs
from dnr_jax.norms.relay import zero_carry
from dnr_jax.norms.words import make_norm

FLOAT32 = jnp.dtype('float32')


def convolve(x, kernel, strides):
    """Every output of a 3D convolution with padding k // 2, one by one."""
    clips, *sizes, _ = x.shape
    extents = kernel.shape[:3]
    padded = np.pad(x, [(0, 0), *((k // 2, k // 2) for k in extents), (0, 0)])
    outputs = [(size - 1) // stride + 1 for size, stride in zip(sizes, strides, strict=True)]
    y = np.zeros((clips, *outputs, kernel.shape[-1]))
    for place in np.ndindex(clips, *outputs):
        starts = [index * stride for index, stride in zip(place[1:], strides, strict=True)]
        window = tuple(slice(start, start + k) for start, k in zip(starts, extents, strict=True))
        y[place] = np.einsum('thwc,thwcd->d', padded[(place[0], *window)], kernel)
    return y


@pytest.mark.parametrize(
    ('kernel', 'stride', 'frames'), [(3, 1, 5), (3, 2, 5), (3, 2, 6), (5, 8, 16), (7, 4, 8), (3, 1, 1)]
)
def test_temporal_convolution(kernel, stride, frames):
    x, weights = normal(2, frames, 2, 3, 4), normal(kernel, 1, 1, 4, 5, seed=1)
    y = TemporalConv(5, kernel, stride, FLOAT32).apply({'params': {'kernel': weights}}, x)
    assert_allclose(y, convolve(np.float64(x), np.float64(weights), (stride, 1, 1)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(('stride', 'frames'), [(1, 3), (2, 5), (2, 6)])
def test_stem_convolution(stride, frames):
    x, weights = normal(1, frames, 5, 6, 3), normal(5, 7, 7, 3, 2, seed=1)
    y = StemConv(2, 5, stride, FLOAT32).apply({'params': {'kernel': weights}}, x)
    assert_allclose(y, convolve(np.float64(x), np.float64(weights), (stride, 2, 2)), rtol=1e-4, atol=1e-4)


def test_convolutions_over_time_start_by_fan_out():
    """Kaiming normal: variance 2 over the outputs times the extent in time and space."""
    for layer, extent in (TemporalConv(64, 3, 1, FLOAT32), 3), (StemConv(64, 5, 1, FLOAT32), 5 * 49):
        kernel = layer.init(jax.random.key(0), jnp.zeros((1, 4, 2, 2, 64)))['params']['kernel']
        assert_allclose(np.std(kernel), (2 / (64 * extent)) ** 0.5, rtol=0.02)


@pytest.mark.parametrize(
    ('backbone', 'numbers'),
    [
        ('slowfast_resnet50_4x16', [0, 8, 16, 24]),
        ('slowfast_resnet50_8x8', [0, 4, 8, 12, 16, 20, 24, 28]),
        ('pyslowfast_resnet50_4x16', [0, 10, 20, 31]),
        ('pyslowfast_resnet50_8x8', [0, 4, 8, 13, 17, 22, 26, 31]),
    ],
)
def test_slow_frames(backbone, numbers):
    """Every alpha-th from the first, or spread over the whole clip."""
    clip = jnp.arange(32.0).reshape(1, 32, 1, 1, 1)
    assert_array_equal(network(backbone, 'batch').slow_frames(clip).ravel(), numbers)


def test_lateral_joins_behind_the_slow_features():
    """Without its stages, SlowFast is the means of both pathways, the fast one first."""
    bare = short('slowfast_resnet50_8x8', 'none', classes=None).clone(kernels=((),))
    clip = normal(1, 8, 8, 8, 3)
    slow, fast, lateral = normal(7, 7, 3, 32, seed=1), normal(5, 7, 7, 3, 4, seed=2), normal(7, 1, 1, 4, 8, seed=3)
    params = {'slow': {'conv_stem': slow}, 'fast': {'conv_stem': fast}, 'lateral0': lateral}
    y = bare.apply({'params': jax.tree.map(lambda kernel: {'kernel': kernel}, params)}, clip, train=False)

    def stem(frames, kernel):
        x = np.maximum(convolve(np.float64(frames), np.float64(kernel), (1, 2, 2)), 0)
        padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 0)])
        pooled = [padded[:, :, i : i + 3, j : j + 3].max(axis=(2, 3)) for i in (0, 2) for j in (0, 2)]
        return np.stack(pooled, axis=2)[:, :, None]  # positions in a row

    fast_features = stem(clip, fast)
    slow_features = stem(clip[:, ::4], slow[None])
    joined = convolve(fast_features, np.float64(lateral), (4, 1, 1))
    means = [features.mean(axis=(1, 2, 3)) for features in (fast_features, slow_features, joined)]
    assert_allclose(y[:, 0, 0, 0], np.concatenate(means, axis=-1), rtol=1e-4, atol=1e-4)


def test_max_of_pairs_drops_an_odd_last_frame():
    x = jnp.asarray([3.0, 1.0, 2.0, 5.0, 9.0]).reshape(1, 5, 1, 1, 1)
    assert_array_equal(max_of_pairs(x).ravel(), [3, 5])
    assert_array_equal(max_of_pairs(x[:, :4]).ravel(), [3, 5])


@pytest.mark.parametrize('from_zero', [True, False])
def test_the_last_scale_of_a_block_starts_at_zero(from_zero):
    norms = ('batch', 'batch', 'batch')
    block = Bottleneck3D(2, 1, 0, norms, partial(make_norm, **NORM), None, FLOAT32, kernel=3, from_zero=from_zero)
    init = jax.jit(partial(block.init, train=False))
    params = init(jax.random.key(0), jnp.zeros((1, 2, 2, 2, 4)), zero_carry(1, 2))['params']
    scales = {name: parameters['transform']['scale'] for name, parameters in params.items() if 'norm' in name}
    for name in 'norm1', 'norm2', 'norm_shortcut':
        assert_array_equal(scales.pop(name), np.ones(2 if name != 'norm_shortcut' else 8))
    assert_array_equal(scales.pop('norm3'), np.full(8, 0.0 if from_zero else 1.0))
    assert not scales


def test_last_scales_start_at_zero_where_in_the_sources():
    assert network('slowonly_resnet50', 'batch').from_zero
    assert network('i3d_resnet50_8x8', 'batch').from_zero
    assert not network('i3d_resnet50', 'batch').from_zero
    slowfast = network('slowfast_resnet50_4x16', 'batch').bind({})
    assert slowfast.slow.from_zero and slowfast.fast.from_zero


def test_middle_widths_of_r2plus1d():
    assert [middle(64, 64, 3), middle(64, 128, 3), middle(128, 128, 3), middle(3, 64, 7)] == [144, 230, 288, 83]
    assert network('r2plus1d_18', 'batch').stem_middle == 45


def test_presets_of_r2plus1d_relay_over_frames_after_the_second_spatial_convolution():
    assert split_slots('dnr') == ('batch', 'cross_layer', 'cross_temporal', 'batch')
    assert split_slots('dnr_group') == ('group', 'cross_layer_group', 'cross_temporal_group', 'group')
    assert split_slots('none') == ('none',) * 4
    assert split_slots('batch,cross_layer,batch,cross_temporal')[3] == 'cross_temporal'
    assert split_slots(['batch', 'cross_layer', 'batch', 'batch']) == ('batch', 'cross_layer', 'batch', 'batch')
