"""Exact parameter counts of backbones and presets, and layers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from numpy.testing import assert_allclose, assert_array_equal
from small_networks import classifier, network, normal, parameters, shapes, short

from dnr_jax.models.layers import Head, SpatialConv, mean_pool
from dnr_jax.norms.words import PRESETS
from dnr_jax.operations import max_pool, next_frames, previous_frames, sum_neighbours

FLOAT32 = jnp.dtype('float32')


# Parameter counts of the ResNets; those of another family stand with its own tests. Totals of torchvision, without its
# classifier; blocks per stage; width of a stage's output over its blocks'; whether the first stage projects its
# shortcut.
PUBLISHED = {
    'resnet18': (11_176_512, (2, 2, 2, 2), 1, False),
    'resnet34': (21_284_672, (3, 4, 6, 3), 1, False),
    'resnet50': (23_508_032, (3, 4, 6, 3), 4, True),
    'resnet101': (42_500_160, (3, 4, 23, 3), 4, True),
    'resnet152': (58_143_808, (3, 8, 36, 3), 4, True),
}
WIDTHS = 64, 128, 256, 512

# Preset -> one cross-layer cell per stage, one cross-temporal cell per block, scale and shift in other norms.
PARTS = {
    'dnr': (True, True, True),
    'dnr_temporal': (False, True, True),
    'dnr_layer': (True, False, True),
    'dnr_group': (True, True, True),
    'batch': (False, False, True),
    'group': (False, False, True),
    'none': (False, False, False),
}


def expected_parameters(backbone, preset):
    published, blocks, expansion, projects_first = PUBLISHED[backbone]
    cross_layer, cross_temporal, affine = PARTS[preset]
    total = published
    for stage, (width, count) in enumerate(zip(WIDTHS, blocks, strict=True)):
        cell = 5 * width**2 // 2 + 17 * width // 2
        total += cross_layer * cell + cross_temporal * count * cell
        total -= (cross_layer + cross_temporal) * count * 2 * width
        if not affine:
            last = expansion * width
            channels = count * (2 * width + last if expansion > 1 else 2 * width)
            total -= 2 * (channels + last * (stage > 0 or projects_first))
    return total - (0 if affine else 2 * WIDTHS[0])


# Presets change the norms of a block, depths the number of blocks: every preset at one depth, what differs in a basic
# block at another, and every other depth once.
COUNTED = [('resnet50', preset) for preset in PARTS] + [
    ('resnet18', 'dnr'),
    ('resnet18', 'none'),
    ('resnet34', 'batch'),
    ('resnet101', 'dnr'),
    ('resnet152', 'batch'),
]


@pytest.mark.parametrize(('backbone', 'preset'), COUNTED)
def test_parameter_count(backbone, preset):
    assert parameters(backbone, preset) == expected_parameters(backbone, preset)


def test_parameter_counts_of_the_released_models():
    assert expected_parameters('resnet50', 'batch') == 23_508_032
    assert expected_parameters('resnet50', 'dnr') == 27_547_264
    assert expected_parameters('resnet101', 'dnr') == 49_344_256
    head = shapes(Head(400, 0.4), jnp.zeros((1, 1, 1, 1, 2048)))
    assert sum(leaf.size for leaf in jax.tree.leaves(head)) == classifier(2048, 400)
    assert 27_547_264 + classifier(2048, 400) == 28_366_864
    assert 49_344_256 + classifier(2048, 400) == 50_163_856


def test_every_preset_stands_in_the_table():
    assert set(PRESETS) == set(PARTS)


@pytest.mark.parametrize('family', ['resnet18', 'tsm_resnet18', 'tea_resnet50', 'mobilenet_v2'])
def test_the_same_variables_serve_clips_of_any_length(family):
    module = short(family, 'dnr', remat=True)
    variables = shapes(module, jnp.zeros((1, 8, 16, 16, 3)))
    for frames in 4, 16:
        clip = jnp.zeros((1, frames, 16, 16, 3))
        logits = jax.eval_shape(lambda variables, clip: module.apply(variables, clip, train=False), variables, clip)
        assert logits.shape == (1, 5)


FEATURES = {  # channels at width 64
    'resnet18': 512,
    'resnet50': 2048,
    'tsm_resnet18': 512,
    'tsm_resnet50': 2048,
    'tanet_resnet50': 2048,
    'tea_resnet50': 2048,
    'mobilenet_v2': 1280,
}


@pytest.mark.parametrize(('family', 'channels'), FEATURES.items())
def test_features_at_full_depth(family, channels):
    """They come at a 32nd of the size; parameters are float32 under bfloat16."""
    headless = network(family, 'none', width=64, classes=None, dtype='bfloat16')
    clip, key = jnp.zeros((2, 4, 64, 32, 3)), jax.random.key(0)
    features, variables = jax.eval_shape(lambda key: headless.init_with_output(key, clip, train=False), key)
    assert (features.shape, features.dtype) == ((2, 4, 2, 1, channels), jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {FLOAT32}


def test_bfloat16_stays_close_to_float32(random_variables):
    clip = normal(2, 4, 16, 16, 3)
    exact, half = short('resnet18', 'dnr'), short('resnet18', 'dnr', dtype='bfloat16')
    variables = random_variables(exact, clip, train=False)

    @jax.jit
    def apply(variables, clip):
        precisions = exact, half
        return [module.apply(variables, clip, train=True, mutable='batch_stats') for module in precisions]

    (logits, after), (half_logits, half_after) = apply(variables, clip)
    assert half_logits.dtype == FLOAT32
    assert {leaf.dtype for leaf in jax.tree.leaves(half_after)} == {FLOAT32}
    assert 0 < np.abs(half_logits - logits).max() < 0.05 * np.abs(logits).max()
    for a, b in zip(jax.tree.leaves(half_after), jax.tree.leaves(after), strict=True):
        assert np.abs(a - b).max() < 0.05 * np.abs(b).max()


def test_cross_layer_norms_share_the_cell_of_their_stage():
    params = shapes(network('resnet50', 'dnr'), jnp.zeros((1, 2, 32, 32, 3)))['params']
    for stage, width in ('stage1', 8), ('stage2', 16), ('stage3', 32), ('stage4', 64):
        assert params[stage]['relay']['input_gates']['reduce']['kernel'].shape == (width, width // 4)
        for name, block in params[stage].items():
            if name != 'relay':
                assert 'norm1' not in block
                assert set(block['norm2']['transform']) == {'relay'}
                assert set(block['norm3']['transform']) == {'scale', 'shift'}


def test_the_stride_of_a_bottleneck_sits_on_its_3x3():
    module, clip = network('resnet50', 'none'), jnp.zeros((1, 2, 64, 64, 3))

    def record(key):
        return module.init_with_output(key, clip, train=False, capture_intermediates=True)[1]

    block = jax.eval_shape(record, jax.random.key(0))['intermediates']['stage2']['block1']
    heights = {name: block[name]['__call__'][0].shape[2] for name in block if name.startswith('conv')}
    assert heights == {'conv1': 16, 'conv2': 8, 'conv3': 8, 'conv_shortcut': 8}


# Layers by hand


@pytest.mark.parametrize('size', [(5, 4), (3, 4), (2, 1)])
@pytest.mark.parametrize(('kernel', 'stride'), [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_spatial_convolution(random_variables, kernel, stride, size):
    """However it is taken."""
    x, layer = normal(2, 3, *size, 3), SpatialConv(6, kernel, stride, FLOAT32)
    variables = random_variables(layer, x)
    expected = lax.conv_general_dilated(
        x.reshape(6, *size, 3),
        variables['params']['kernel'],
        (stride, stride),
        [(kernel // 2, kernel // 2)] * 2,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
    y = layer.apply(variables, x)
    assert y.shape == (2, 3, *(-(-length // stride) for length in size), 6)
    assert_allclose(y, expected.reshape(y.shape), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('kernel', 'stride', 'along'),
    [(3, 1, [2, 3, 3, 3, 3, 2]), (3, 2, [2, 3, 3]), (7, 2, [4, 6, 5])],
)
def test_padding_is_half_the_kernel_on_both_sides(kernel, stride, along):
    """All ones on 6x6: every output counts the rows and columns under its window."""
    layer = SpatialConv(1, kernel, stride, FLOAT32)
    y = layer.apply({'params': {'kernel': jnp.ones((kernel, kernel, 1, 1))}}, jnp.ones((1, 2, 6, 6, 1)))
    assert_array_equal(y[0, :, :, :, 0], [np.outer(along, along)] * 2)


def test_max_pool():
    x = jnp.arange(-16.0, 0.0).reshape(1, 1, 4, 4, 1)
    assert_array_equal(max_pool(x)[0, 0, :, :, 0], [[-11, -9], [-3, -1]])


@pytest.mark.parametrize(('stride', 'counted'), [(1, [2, 3, 3, 2]), (2, [2, 3])])
def test_mean_pool_counts_the_padding(stride, counted):
    y = mean_pool(jnp.full((1, 2, 4, 4, 1), 9.0), stride)
    assert_array_equal(y[0, :, :, :, 0], [np.outer(counted, counted)] * 2)


def test_neighbouring_frames():
    """Frames 1, 2, 3 of two channels; beyond the clip there is nothing."""
    x = jnp.broadcast_to(jnp.array([1.0, 2.0, 3.0])[None, :, None, None, None], (1, 3, 1, 1, 2))
    assert_array_equal(previous_frames(x)[0, :, 0, 0, 0], [0, 1, 2])
    assert_array_equal(next_frames(x)[0, :, 0, 0, 0], [2, 3, 0])
    taps = jnp.array([[1.0, 0.0], [10.0, 0.0], [100.0, 1.0]])[:, None]
    assert_array_equal(sum_neighbours(x, taps)[0, :, 0, 0].T, [[210, 321, 32], [2, 3, 0]])


def test_head_is_linear_in_the_mean_over_frames_and_space():
    x, head = normal(2, 3, 2, 2, 4), Head(5, 0.0)
    kernel, bias = normal(4, 5, seed=1), normal(5, seed=2)
    logits = head.apply({'params': {'linear': {'kernel': kernel, 'bias': bias}}}, x, train=True)
    expected = np.float64(x).mean(axis=(1, 2, 3)) @ np.float64(kernel) + np.float64(bias)
    assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_head_starts_small():
    variables = Head(100, 0.0).init(jax.random.key(0), jnp.zeros((1, 1, 1, 1, 100)), train=False)
    linear = variables['params']['linear']
    assert_allclose(np.std(linear['kernel']), 0.01, rtol=0.03)
    assert_array_equal(linear['bias'], np.zeros(100))


def test_dropout_in_training_only_and_by_seed():
    x, head = jnp.ones((2, 1, 1, 1, 64)), Head(64, 0.25)
    variables = {'params': {'linear': {'kernel': jnp.eye(64), 'bias': jnp.zeros(64)}}}

    def drop(seed):
        return head.apply(variables, x, train=True, rngs={'dropout': jax.random.key(seed)})

    assert_array_equal(head.apply(variables, x, train=False), np.ones((2, 64)))
    assert_allclose(np.unique(drop(0)), [0, 4 / 3], rtol=1e-6)
    assert 0.1 < np.mean(drop(0) == 0) < 0.4
    assert_array_equal(drop(0), drop(0))
    assert not np.array_equal(drop(0), drop(1))


# Errors


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'backbone': 'resnet5'}, "Unknown backbone 'resnet5'. Did you mean 'resnet50'.* resnet152"),
        ({'dtype': 'bfloat6'}, "Unknown dtype 'bfloat6'. Did you mean 'bfloat16'.* Known: float32, bfloat16"),
        ({'norms': 'dnr_layr'}, "Unknown norm preset 'dnr_layr'. Did you mean 'dnr_layer'"),
        ({'norms': ('batch', 'bath')}, "Unknown norm 'bath'. Did you mean 'batch'"),
        ({'norms': ('batch',) * 3}, '2 words, got 3'),
    ],
)
def test_unknown_words(settings, message):
    with pytest.raises(ValueError, match=message):
        network(**settings)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (
            {'backbone': 'resnet50', 'norms': ('cross_layer', 'batch', 'cross_layer')},
            r'share one carry and so one width, got widths \[8, 32\]',
        ),
        ({'norms': 'group', 'groups': 3}, 'split 8 channels .* got 3 groups'),
        ({'stride': 4}, r'stride 4 for T = 6 frames; strides that fit: 1, 2, 3, 6\.'),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        shapes(network(**settings), jnp.zeros((1, 6, 32, 32, 3)))
