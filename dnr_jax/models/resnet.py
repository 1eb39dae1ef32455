"""ResNet over the frames of a clip, [B T H W C], with a norm slot after every convolution.

Each frame goes through an ordinary 2D ResNet; what frames know of each other comes from the norms alone. The
stride of a bottleneck sits on its 3x3 convolution, and the last norm of a block starts at scale 1. Families in which
neighbouring frames also exchange features, such as TSM, override `before_conv1` or `before_conv2` of a block.

Source: He et al., CVPR 2016, in the form of torchvision (v1.5); norms placed as in github.com/caidonkey/dnr:
cross-layer after the first convolution of every block, cross-temporal after the second.
"""

from functools import partial

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from dnr_jax.models.layers import SpatialConv
from dnr_jax.models.network import Block, Input, Network, Output
from dnr_jax.norms.relay import Carry, zero_carry
from dnr_jax.norms.words import norm_slots
from dnr_jax.operations import Video, relu_of_sum


class ResidualBlock(Block):
    """A block of a ResNet, with the places of other layers within it."""

    def before_conv1(self, x: Input) -> Input:
        """What the first convolution reads of x; the shortcut reads x itself."""
        return x

    def before_conv2(self, y: Video, train: bool) -> Video:
        """What the second convolution reads of y, which the first has left."""
        return y


class BasicBlock(ResidualBlock):
    """3x3, 3x3."""

    @staticmethod
    def widths(features: int) -> tuple[int, ...]:
        """Channels after each convolution."""
        return features, features

    @nn.compact
    def __call__(self, x: Input, carry: Carry, train: bool) -> tuple[Output, Carry]:
        first, second = self.norms
        y = SpatialConv(self.features, 3, self.stride, self.dtype, name='conv1')(self.before_conv1(x))
        y, carry = self.norm(first, cell=self.cell, name='norm1')(y, carry, train)
        y = self.before_conv2(nn.relu(y), train)
        y = SpatialConv(self.features, 3, 1, self.dtype, name='conv2')(y)
        y, carry = self.norm(second, cell=self.cell, name='norm2')(y, carry, train)
        return relu_of_sum(y + self.shortcut(x, y, train)), carry


class BottleneckBlock(ResidualBlock):
    """1x1, 3x3, 1x1 to four times the features."""

    @staticmethod
    def widths(features: int) -> tuple[int, ...]:
        """Channels after each convolution."""
        return features, features, 4 * features

    @nn.compact
    def __call__(self, x: Input, carry: Carry, train: bool) -> tuple[Output, Carry]:
        first, second, third = self.norms
        y = SpatialConv(self.features, 1, 1, self.dtype, name='conv1')(self.before_conv1(x))
        y, carry = self.norm(first, cell=self.cell, name='norm1')(y, carry, train)
        y = self.before_conv2(nn.relu(y), train)
        y = SpatialConv(self.features, 3, self.stride, self.dtype, name='conv2')(y)
        y, carry = self.norm(second, cell=self.cell, name='norm2')(y, carry, train)
        y = nn.relu(y)
        y = SpatialConv(4 * self.features, 1, 1, self.dtype, name='conv3')(y)
        y, carry = self.norm(third, cell=self.cell, name='norm3')(y, carry, train)
        return relu_of_sum(y + self.shortcut(x, y, train)), carry


class ResNet(Network):
    """Stages of `blocks` blocks each; each stage has twice the channels of the one before."""

    block: type[Block]
    blocks: tuple[int, ...]

    @nn.compact
    def __call__(self, clip: Float[Array, 'B T H W 3'], train: bool) -> Float[Array, 'B *features']:
        conv_stem = SpatialConv(self.width, 7, 2, self.dtype, name='conv_stem')
        x = nn.relu(self.pooled_norm('norm_stem')(partial(conv_stem, clip), self.width, train))
        carry = zero_carry(len(x), self.width)
        for i, blocks in enumerate(self.blocks):
            stage = self.stage(i, (self.block,) * blocks, self.block.widths, self.width * 2**i, 1 if i == 0 else 2)
            x, carry = stage(x, carry, train)
        return self.classify(x, train)


def resnet(block, blocks, *, norms, **settings) -> ResNet:
    """A ResNet of those blocks; `norms` is a preset's name or one word per convolution."""
    return ResNet(block=block, blocks=blocks, norms=norm_slots(norms, len(block.widths(1))), **settings)


RESNETS = {
    'resnet18': partial(resnet, BasicBlock, (2, 2, 2, 2)),
    'resnet34': partial(resnet, BasicBlock, (3, 4, 6, 3)),
    'resnet50': partial(resnet, BottleneckBlock, (3, 4, 6, 3)),
    'resnet101': partial(resnet, BottleneckBlock, (3, 4, 23, 3)),
    'resnet152': partial(resnet, BottleneckBlock, (3, 8, 36, 3)),
}
