"""One contract for every family and preset."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models3d.networks import BACKBONES, network, normal, shapes, short
from numpy.testing import assert_allclose, assert_array_equal

from dnr_jax.normalization import PRESETS

FLOAT32 = jnp.dtype('float32')

# Frames of a clip here. SlowOnly is I3D with fewer parts, both R(2+1)D are one block: they show what else they have.
FRAMES = {'slowonly_resnet50': 4, 'i3d_resnet50': 16, 'r2plus1d_18': 4, 'r2plus1d_34': 4, 'slowfast_resnet50_8x8': 8}
CHANGES = {'r2plus1d_18': {'blocks': (1, 1)}, 'slowfast_resnet50_8x8': {'alpha': 2}}
CONTRACTS = [
    (backbone, preset)
    for backbone in FRAMES
    for preset in PRESETS
    if backbone in ('i3d_resnet50', 'r2plus1d_34')
    or (backbone, preset)
    in (
        ('slowonly_resnet50', 'dnr'),
        ('r2plus1d_18', 'batch'),
        ('slowfast_resnet50_8x8', 'dnr'),
        ('slowfast_resnet50_8x8', 'group'),
    )
]


def is_first_state(path):
    """Whether a stage's relay reads its state by this kernel; the first hop, here often the only one, reads zero."""
    *_, owner, relay, gates, layer, kernel = [''] * 5 + [key.key for key in path]
    return owner.startswith('stage') and (relay, gates, layer, kernel) == ('relay', 'state_gates', 'reduce', 'kernel')


@pytest.mark.parametrize(('backbone', 'preset'), CONTRACTS)
def test_contract(random_variables, backbone, preset):
    """Logits, gradients to every parameter, statistics that move in training only, clips apart in evaluation."""
    tiny = short(backbone, preset, classes=5, dropout=0.1)
    tiny = tiny.clone(**CHANGES.get(backbone, {}))
    clip, weight = normal(2, FRAMES[backbone], 16, 16, 3), normal(2, 5, seed=1)
    variables = random_variables(tiny, clip, seed=1, train=False)
    params, statistics = variables['params'], variables.get('batch_stats', {})
    traces = []

    def loss(params, clip, key):
        given = {'params': params, 'batch_stats': statistics}
        logits, after = tiny.apply(given, clip, train=True, mutable='batch_stats', rngs={'dropout': key})
        return jnp.sum(logits * weight), (logits, after.get('batch_stats', {}))

    @jax.jit
    def train_and_evaluate(params, clip, key):
        traces.append(backbone)
        gradients, trained = jax.grad(loss, has_aux=True)(params, clip, key)
        given = {'params': params, 'batch_stats': statistics}
        return trained, gradients, tiny.apply(given, clip, train=False, mutable='batch_stats')

    *_, (swapped, _) = train_and_evaluate(params, clip[::-1], jax.random.key(1))
    (logits, after), gradients, (evaluated, rested) = train_and_evaluate(params, clip, jax.random.key(2))
    assert len(traces) == 1

    assert (logits.shape, logits.dtype) == (evaluated.shape, evaluated.dtype) == ((2, 5), FLOAT32)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(gradient)), path
        assert np.any(gradient != 0) or (is_first_state(path) and backbone != 'slowonly_resnet50'), path
    assert bool(statistics) == (preset not in ('group', 'dnr_group', 'none'))
    assert jax.tree.structure(after) == jax.tree.structure(statistics)
    for before, now in zip(jax.tree.leaves(statistics), jax.tree.leaves(after), strict=True):
        assert np.all(before != now)
    jax.tree.map(assert_array_equal, rested.get('batch_stats', {}), statistics)
    assert_allclose(swapped, evaluated[::-1], rtol=1e-4, atol=1e-5)
    assert np.abs(evaluated[0] - evaluated[1]).max() > 1e-4


@pytest.mark.parametrize('backbone', BACKBONES)
def test_frames_are_free(backbone):
    tiny = short(backbone, 'batch', classes=5)

    def outputs(frames):
        clip = jnp.zeros((2, frames, 16, 16, 3))
        return jax.eval_shape(lambda key: tiny.init_with_output(key, clip, train=False), jax.random.key(0))

    assert outputs(8) == outputs(16) == outputs(32)
    assert outputs(8)[0].shape == (2, 5)


@pytest.mark.parametrize('backbone', FRAMES)
def test_parameters_are_float32_and_those_of_any_remat_and_dtype(backbone):
    expected = shapes(short(backbone, 'dnr'), (1, 16, 16, 16, 3))
    assert {leaf.dtype for leaf in jax.tree.leaves(expected)} == {FLOAT32}
    assert shapes(short(backbone, 'dnr', remat=True, dtype='bfloat16'), (1, 16, 16, 16, 3)) == expected


# Errors name the layer, since clips shorten on their way.


@pytest.mark.parametrize(
    ('backbone', 'frames', 'stride', 'message'),
    [
        (
            'slowonly_resnet50',
            8,
            3,
            r'At stage1/block1/norm2, where clips have T = 8 .* strides that fit: 1, 2, 4, 8\.',
        ),
        (
            'i3d_resnet50',
            16,
            3,
            r'At stage1/block1/norm2, where clips have T = 4 .* stride 3 .* strides that fit: 1, 2, 4\.',
        ),
        ('i3d_resnet50', 4, 1, r'pool after stage 1 takes frames by twos, got T = 1 frame there; give longer clips'),
        ('r2plus1d_18', 4, 4, r'At stage2/block1/norm2_spatial, where clips have T = 2 .* strides that fit: 1, 2\.'),
        (
            'slowfast_resnet50_4x16',
            8,
            2,
            r'At slow/stage1/block1/norm2, where clips have T = 1 .* strides that fit: 1\.',
        ),
        ('slowfast_resnet50_4x16', 12, 2, 'every 8-th frame: expected a multiple of 8 frames, got 12'),
    ],
)
def test_frames_that_do_not_fit(backbone, frames, stride, message):
    with pytest.raises(ValueError, match=message):
        whole = network(backbone, 'dnr', stride=stride, width=8)
        shapes(whole, (1, frames, 16, 16, 3))


@pytest.mark.parametrize(
    ('backbone', 'settings', 'message'),
    [
        ('slowonly_resnet50', {'norms': ('batch',) * 2}, '3 words, got 2'),
        ('r2plus1d_18', {'norms': ('batch',) * 3}, '4 words, got 3'),
        ('r2plus1d_18', {'norms': 'dnr_layr'}, "Unknown norm preset 'dnr_layr'. Did you mean 'dnr_layer'"),
        ('r2plus1d_34', {'norms': 'batch,batch,cross_layer,batch'}, 'after temporal convolutions, words 2 and 4'),
        ('slowfast_resnet50_8x8', {'norms': 'dnr', 'width': 12}, 'width is a multiple of 8, got 12'),
        ('slowonly_resnet50', {'norms': 'group', 'groups': 3}, 'split 4 channels .* got 3 groups'),
    ],
)
def test_settings_that_do_not_fit(backbone, settings, message):
    with pytest.raises(ValueError, match=message):
        shapes(network(backbone, **{'width': 4} | settings), (1, 8, 16, 16, 3))
