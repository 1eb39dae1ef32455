"""MobileNetV2 over the frames of a clip: narrow between blocks, wide within, where channels are convolved apart.

    block: 1x1 to six times the input, norm, ReLU6, depthwise 3x3, norm, ReLU6, 1x1 to the features, norm

Like the ResNet here, it averages frames, and what frames know of each other comes from the norms alone. All channels
are the published ones at width 64 and scale with it: the width multiplier is width / 64.

Norms: cross-layer after the first convolution, cross-temporal after the depthwise one. The expanded width is six times
that of the *input*, so the first block of a stage differs from the others: the carry of a stage has the width of its
repeated blocks, and where a cross-layer norm would stand at another width stands the plain norm over the same
statistics. Stages of a single block, the first and the last, thus have no cross-layer norm.

A cell over expanded channels as wide inside as elsewhere would be 36 times that over the channels of its block, and
all of them six times the rest of the network. Here they have C / 36 units in the place of C, but no fewer than 24, and
the reduction divides these. At the published width and a reduction of 4 that is six units in every cell, so that a
network with relays has less than 1.3 times the parameters of one with batch norm.

Source: Sandler et al., "MobileNetV2", CVPR 2018, in the form of torchvision.
"""

from functools import partial

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from dnr_jax.models.layers import DepthwiseConv, SpatialConv
from dnr_jax.models.network import Block, Input, Network, Output
from dnr_jax.norms.relay import Carry, RelayCell, zero_carry
from dnr_jax.norms.words import is_cross_layer, norm_slots, plain
from dnr_jax.operations import Video

STEM, LAST = 32, 1280
EXPANSION = 6
FEWEST_UNITS = 24  # inside a cell, before it is reduced, where it has as many channels
# Blocks, features and first stride of every stage at width 64.
BLOCKS = (1, 2, 3, 4, 3, 3, 1)
FEATURES = (16, 24, 32, 64, 96, 160, 320)
STRIDES = (1, 2, 2, 2, 1, 2, 1)


class InvertedBlock(Block):
    """1x1 to six times the input, depthwise 3x3, 1x1; added to the input where stride and features allow."""

    @staticmethod
    def widths(features: int) -> tuple[int, ...]:
        """Channels after each convolution of a repeated block."""
        return EXPANSION * features, EXPANSION * features, features

    @nn.compact
    def __call__(self, x: Input, carry: Carry, train: bool) -> tuple[Output, Carry]:
        y = SpatialConv(EXPANSION * x.shape[-1], 1, 1, self.dtype, name='conv1')(x)
        y, carry = self.norm_at(0, y, carry, train)
        return self.project(x, nn.relu6(y), carry, train)

    def project(self, x: Input, y: Video, carry: Carry, train: bool) -> tuple[Output, Carry]:
        """What follows y, the expansion of x."""
        y = DepthwiseConv(self.stride, self.dtype, name='conv2')(y)
        y, carry = self.norm_at(1, y, carry, train)
        y = SpatialConv(self.features, 1, 1, self.dtype, name='conv3')(nn.relu6(y))
        y, carry = self.norm_at(2, y, carry, train)
        return (x + y if self.stride == 1 and x.shape == y.shape else y), carry

    def norm_at(self, slot: int, y: Video, carry: Carry, train: bool) -> tuple[Video, Carry]:
        """The norm after that convolution; the plain one in place of a cross-layer norm the carry does not fit."""
        word = self.norms[slot]
        if is_cross_layer(word) and y.shape[-1] != carry[0].shape[-1]:
            word = plain(word)
        reduction = reduction_over(y.shape[-1], self.norm.keywords['reduction'])
        return self.norm(word, cell=self.cell, name=f'norm{slot + 1}', reduction=reduction)(y, carry, train)


class UnexpandedBlock(InvertedBlock):
    """An inverted block without its first convolution, as in the first stage."""

    @nn.compact
    def __call__(self, x: Input, carry: Carry, train: bool) -> tuple[Output, Carry]:
        return self.project(x, x, carry, train)


def reduction_over(expanded: int, reduction: int) -> int:
    """How much narrower than so many channels a cell over them is inside, where it is `reduction` elsewhere."""
    if reduction > expanded:
        return reduction  # which the cell refuses
    units = min(max(expanded // EXPANSION**2, FEWEST_UNITS), expanded)
    return expanded // max(units // reduction, 1)


def cell_over(expanded: int, *, reduction: int, name: str) -> RelayCell:
    """The cell of a stage over so many channels."""
    return RelayCell(expanded, reduction_over(expanded, reduction), name=name)


def scaled(channels: int, width: int) -> int:
    """`channels` times width / 64, as the nearest multiple of 8 that is not below nine tenths of it."""
    exact = channels * width / 64
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * exact else rounded + 8


class MobileNetV2(Network):
    """Stages of `blocks` blocks each, between two convolutions; `width` 64 is the published network."""

    blocks: tuple[int, ...]

    @nn.compact
    def __call__(self, clip: Float[Array, 'B T H W 3'], train: bool) -> Float[Array, 'B *features']:
        x = self.convolve(clip, scaled(STEM, self.width), 3, 2, 'stem', train)
        carry = zero_carry(len(x), self.width)
        for i, (blocks, features, stride) in enumerate(zip(self.blocks, FEATURES, STRIDES, strict=False)):
            block = UnexpandedBlock if i == 0 else InvertedBlock
            stage = self.stage(i, (block,) * blocks, block.widths, scaled(features, self.width), stride)
            x, carry = stage(x, carry, train)
        x = self.convolve(x, max(LAST, scaled(LAST, self.width)), 1, 1, 'last', train)
        return self.classify(x, train)

    def convolve(self, x: Input, features: int, kernel: int, stride: int, name: str, train: bool) -> Output:
        """Convolution, plain norm, ReLU6."""
        x = SpatialConv(features, kernel, stride, self.dtype, name=f'conv_{name}')(x)
        return nn.relu6(self.plain_norm(x, f'norm_{name}', train))


def mobilenet(*, norms, relay_cell, **settings) -> MobileNetV2:
    """`norms` is a preset's name or one word per convolution of a block."""
    cell = partial(cell_over, **relay_cell.keywords)
    return MobileNetV2(blocks=BLOCKS, norms=norm_slots(norms, 3), relay_cell=cell, **settings)


MOBILENETS = {'mobilenet_v2': mobilenet}
