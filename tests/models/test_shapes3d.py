"""Frames, types and mistakes of networks over space and time."""

import jax
import jax.numpy as jnp
import pytest
from small_networks3d import BACKBONES, network, shapes, short

FLOAT32 = jnp.dtype('float32')

# SlowOnly is I3D with fewer parts, all others have something of their own.
FAMILIES = {'slowonly_resnet50', 'i3d_resnet50', 'r2plus1d_18', 'r2plus1d_34', 'slowfast_resnet50_8x8'}


@pytest.mark.parametrize('backbone', BACKBONES)
def test_frames_are_free(backbone):
    tiny = short(backbone, 'batch', classes=5)

    def outputs(frames):
        clip = jnp.zeros((2, frames, 16, 16, 3))
        return jax.eval_shape(lambda key: tiny.init_with_output(key, clip, train=False), jax.random.key(0))

    assert outputs(8) == outputs(16) == outputs(32)
    assert outputs(8)[0].shape == (2, 5)


@pytest.mark.parametrize('backbone', sorted(FAMILIES))
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
