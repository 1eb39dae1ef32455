"""Exact parameter counts by hand, and the shapes of every stage."""

import jax
import jax.numpy as jnp
import pytest
from small_networks3d import BACKBONES, network, shapes

BLOCKS = {
    'slowonly_resnet50': (3, 4, 6, 3),
    'slowonly_resnet101': (3, 4, 23, 3),
    'i3d_resnet50': (3, 4, 6, 3),
    'i3d_resnet50_8x8': (3, 4, 6, 3),
    'r2plus1d_18': (2, 2, 2, 2),
    'r2plus1d_34': (3, 4, 6, 3),
    'slowfast_resnet50_4x16': (3, 4, 6, 3),
    'slowfast_resnet50_8x8': (3, 4, 6, 3),
    'pyslowfast_resnet50_4x16': (3, 4, 6, 3),
    'pyslowfast_resnet50_8x8': (3, 4, 6, 3),
}

# Millions with 400 classes, as the tables of mmaction2, PySlowFast and torchvision give them, and all digits.
PUBLISHED = {
    'slowonly_resnet50': (32.45, 32_454_096),
    'i3d_resnet50': (28.04, 28_043_472),
    'i3d_resnet50_8x8': (28.04, 28_043_472),
    'r2plus1d_18': (31.51, 31_505_325),
    'r2plus1d_34': (63.76, 63_759_281),
    'slowfast_resnet50_4x16': (34.48, 34_479_288),
    'slowfast_resnet50_8x8': (34.57, 34_565_560),
    'pyslowfast_resnet50_4x16': (34.48, 34_480_216),
    'pyslowfast_resnet50_8x8': (34.57, 34_566_488),
}


def convolution(inputs, outputs, extent):
    """A convolution over `extent` positions and frames with the scale and shift of its norm."""
    return extent * inputs * outputs + 2 * outputs


def cell(width):
    """Two maps to a quarter of the channels and on to four gates, with biases."""
    hidden = width // 4
    return 2 * (5 * width * hidden + hidden + 4 * width)


def bottlenecks(width, kernels, laterals):
    """Of all stages; `laterals` are the channels that join before each."""
    total, inputs = 0, width
    for stage, extents in enumerate(kernels):
        features = width * 2**stage
        inputs += laterals[stage]
        for extent in extents:
            total += convolution(inputs, features, extent) + convolution(features, features, 9)
            total += convolution(features, 4 * features, 1)
            if inputs != 4 * features:
                total += convolution(inputs, 4 * features, 1)
            inputs = 4 * features
    return total


def relays(width, blocks):
    """What cells add to a ResNet of bottlenecks or to a pathway: one per stage, one per block, less scale and shift."""
    widths = [width * 2**stage for stage in range(4)]
    return sum((1 + count) * cell(w) - 2 * count * 2 * w for w, count in zip(widths, blocks, strict=True))


def resnet3d(backbone):
    if 'slowonly' in backbone:
        kernels = [[extent] * count for extent, count in zip((1, 1, 3, 3), BLOCKS[backbone], strict=True)]
        stem = 1
    else:
        kernels, stem = [[3, 3, 3], [3, 1, 3, 1], [3, 1, 3, 1, 3, 1], [1, 3, 1]], 5
    return convolution(3, 64, stem * 49) + bottlenecks(64, kernels, (0, 0, 0, 0)) + 2048 * 400 + 400


def slowfast(reach, normalized):
    """`normalized` is 1 where laterals have norms."""
    slow = convolution(3, 64, 49) + bottlenecks(64, [[1] * 3, [1] * 4, [3] * 6, [3] * 3], (16, 64, 128, 256))
    fast = convolution(3, 8, 5 * 49) + bottlenecks(8, [[3] * count for count in (3, 4, 6, 3)], (0, 0, 0, 0))
    laterals = sum(reach * width * 2 * width + normalized * 4 * width for width in (8, 32, 64, 128))
    return slow + fast + laterals + (2048 + 256) * 400 + 400


def split(inputs, outputs, between, kernel=3, reach=3):
    return convolution(inputs, between, kernel**2) + convolution(between, outputs, reach)


def between(inputs, outputs):
    return 27 * inputs * outputs // (9 * inputs + 3 * outputs)


def r2plus1d(backbone):
    """With the widths between the halves of each stage's blocks, for the relays."""
    torchvision = backbone == 'r2plus1d_18'
    total, inputs, second_widths = split(3, 64, 45 if torchvision else 83, kernel=7), 64, []
    for stage, count in enumerate(BLOCKS[backbone]):
        features = 64 * 2**stage
        for _ in range(count):
            first = between(inputs, features)
            second = first if torchvision else between(features, features)
            total += split(inputs, features, first) + split(features, features, second)
            if inputs != features and torchvision:
                total += convolution(inputs, features, 1)
            elif inputs != features:
                total += split(inputs, features, 3 * inputs * features // (inputs + 3 * features), 1, 1)
            second_widths.append(second)
            inputs = features
    return total + 512 * 400 + 400, second_widths


def expected(backbone, preset):
    blocks = BLOCKS[backbone]
    if 'r2plus1d' in backbone:
        total, widths = r2plus1d(backbone)
        per_stage = [64 * 2**stage for stage in range(4)]
        layer = sum(cell(w) - 2 * count * w for w, count in zip(per_stage, blocks, strict=True))
        temporal = sum(cell(w) - 2 * w for w in widths)
        return total + (preset == 'dnr') * (layer + temporal)
    if 'slowfast' in backbone:
        total = slowfast(5 if '4x16' in backbone else 7, 'pyslowfast' in backbone)
        return total + (preset == 'dnr') * (relays(64, blocks) + relays(8, blocks))
    return resnet3d(backbone) + (preset == 'dnr') * relays(64, blocks)


COUNTED = [(backbone, 'batch') for backbone in BACKBONES]
COUNTED += [(backbone, 'dnr') for backbone in ('slowonly_resnet50', 'r2plus1d_18', 'slowfast_resnet50_8x8')]


@pytest.mark.parametrize(('backbone', 'preset'), COUNTED)
def test_parameter_count(backbone, preset):
    params = shapes(network(backbone, preset, stride=1, reduction=4), (1, 8, 16, 16, 3))['params']
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected(backbone, preset)


@pytest.mark.parametrize('backbone', PUBLISHED)
def test_expected_count_is_the_published_one(backbone):
    millions, exactly = PUBLISHED[backbone]
    assert expected(backbone, 'batch') == exactly
    assert round(exactly / 1e6, 2) == millions


# [T H W C] after every stage, of clips of 8 x 224 x 224
STAGES = {
    'slowonly_resnet50': [(8, 56, 256), (8, 28, 512), (8, 14, 1024), (8, 7, 2048)],
    'i3d_resnet50': [(2, 56, 256), (1, 28, 512), (1, 14, 1024), (1, 7, 2048)],
    'i3d_resnet50_8x8': [(8, 56, 256), (4, 28, 512), (4, 14, 1024), (4, 7, 2048)],
    'r2plus1d_18': [(8, 112, 64), (4, 56, 128), (2, 28, 256), (1, 14, 512)],
    'r2plus1d_34': [(8, 56, 64), (4, 28, 128), (2, 14, 256), (1, 7, 512)],
}
SLOW = {'slowfast_resnet50_4x16': 1, 'slowfast_resnet50_8x8': 2, 'pyslowfast_resnet50_8x8': 2}


def stage_shapes(recorded):
    return {name: stage['__call__'][0][0].shape for name, stage in recorded.items() if name.startswith('stage')}


@pytest.mark.parametrize('backbone', [*STAGES, *SLOW])
def test_shapes_of_stages(backbone):
    """And of the features before the head, which are bfloat16 where activations are."""
    headless = network(backbone, 'none', classes=None, dtype='bfloat16')
    clip = jnp.zeros((1, 8, 224, 224, 3))

    def record(key):
        return headless.init_with_output(key, clip, train=False, capture_intermediates=True)

    features, variables = jax.eval_shape(record, jax.random.key(0))
    if backbone in STAGES:
        expected = {f'stage{i + 1}': (1, t, size, size, c) for i, (t, size, c) in enumerate(STAGES[backbone])}
        assert stage_shapes(variables['intermediates']) == expected
        assert (features.shape, features.dtype) == (expected['stage4'], jnp.bfloat16)
        return
    assert features.shape == (1, 1, 1, 1, 256 + 2048)
    slow_frames, before = SLOW[backbone], (56, 16)
    for i, (size, channels) in enumerate([(56, 256), (28, 512), (14, 1024), (7, 2048)]):
        recorded = variables['intermediates']
        assert recorded[f'lateral{i}']['__call__'][0].shape == (1, slow_frames, before[0], *before)
        assert stage_shapes(recorded['slow'])[f'stage{i + 1}'] == (1, slow_frames, size, size, channels)
        assert stage_shapes(recorded['fast'])[f'stage{i + 1}'] == (1, 8, size, size, channels // 8)
        before = size, channels // 4
