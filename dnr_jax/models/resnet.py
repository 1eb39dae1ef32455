"""ResNet over the frames of a clip, [B T H W C], with a norm slot after every convolution.

Each frame goes through an ordinary 2D ResNet; what frames know of each other comes from the norms alone. A
stage makes the zero carry and threads it through its blocks:

    block(x, carry, train) -> (x, carry)

The stride of a bottleneck sits on its 3x3 convolution, and the last norm of a block starts at scale 1. Families in
which neighbouring frames also exchange features, such as TSM, override `before_conv1` or `before_conv2` of a block.

Source: He et al., CVPR 2016, in the form of torchvision (v1.5); norms placed as in github.com/caidonkey/dnr:
cross-layer after the first convolution of every block, cross-temporal after the second.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dnr_jax.models.layers import Head, SpatialConv, max_pool
from dnr_jax.normalization import is_cross_layer, norm_slots, plain
from dnr_jax.relay import Carry, RelayCell, zero_carry
from dnr_jax.statistics import Video

Input = Float[Array, 'B T H W I']
Output = Float[Array, 'B T H2 W2 D']


class Block(nn.Module):
    """What all blocks share: their parts, the places of other layers within them, and the shortcut around them.

    Attributes: `features` and `stride` of the block, `index` its place in the stage from 0, `norms` one word per
    convolution, `norm` as `make_norm`, `cell` that of the stage, `dtype` of activations.
    """

    features: int
    stride: int
    index: int
    norms: tuple[str, ...]
    norm: Callable[..., nn.Module]
    cell: RelayCell | None
    dtype: jnp.dtype

    def before_conv1(self, x: Input) -> Input:
        """What the first convolution reads of x; the shortcut reads x itself."""
        return x

    def before_conv2(self, y: Video, train: bool) -> Video:
        """What the second convolution reads of y, which the first has left."""
        return y

    def shortcut(self, x: Input, y: Output, train: bool) -> Output:
        """x, projected by a strided 1x1 convolution and a plain norm where its shape is not that of y."""
        if x.shape == y.shape:
            return x
        x = SpatialConv(y.shape[-1], 1, self.stride, self.dtype, name='conv_shortcut')(x)
        norm = self.norm(plain(self.norms[-1]), cell=None, name='norm_shortcut')
        return norm(x, zero_carry(len(x), x.shape[-1]), train)[0]


class BasicBlock(Block):
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
        return nn.relu(y + self.shortcut(x, y, train)), carry


class BottleneckBlock(Block):
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
        return nn.relu(y + self.shortcut(x, y, train)), carry


class Stage(nn.Module):
    """Blocks of one resolution and, where a norm is cross-layer, their one relay cell."""

    block: type[Block]
    blocks: int
    features: int
    stride: int
    norms: tuple[str, ...]
    norm: Callable[..., nn.Module]
    relay_cell: Callable[..., RelayCell]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Input, train: bool) -> Output:
        width = carry_width(self.norms, self.block.widths(self.features))
        cell = self.relay_cell(width, name='relay') if any(map(is_cross_layer, self.norms)) else None
        carry = zero_carry(len(x), width)
        for j in range(self.blocks):
            stride = self.stride if j == 0 else 1
            block = self.block(self.features, stride, j, self.norms, self.norm, cell, self.dtype, name=f'block{j + 1}')
            x, carry = block(x, carry, train)
        return x


def carry_width(norms: tuple[str, ...], widths: tuple[int, ...]) -> int:
    """Channels of the carry of a stage; ValueError if cross-layer norms of one block stand at several widths."""
    relayed = {width for word, width in zip(norms, widths, strict=True) if is_cross_layer(word)}
    if len(relayed) > 1:
        raise ValueError(
            f'The cross-layer norms of a block share one carry and so one width, got widths {sorted(relayed)} '
            f'from norms {norms}.'
        )
    return relayed.pop() if relayed else widths[0]


class ResNet(nn.Module):
    """Clip [B T H W 3] -> logits [B K]; with `classes=None`, the features before the head, [B T H' W' C].

    Attributes:
      block, blocks: the block and how many of them in each stage.
      width: channels of the stem and the first stage; each later stage doubles them.
      norms: one norm word per convolution of a block. norm: `make_norm` with its settings bound.
      relay_cell: `RelayCell` with its settings bound.
      dropout: share of features dropped before the linear layer. remat: whether the backward pass computes the
        activations within a stage again instead of keeping them. dtype: of activations; parameters are float32.
    """

    block: type[Block]
    blocks: tuple[int, ...]
    width: int
    norms: tuple[str, ...]
    norm: Callable[..., nn.Module]
    relay_cell: Callable[..., RelayCell]
    classes: int | None
    dropout: float
    remat: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, clip: Float[Array, 'B T H W 3'], train: bool) -> Float[Array, 'B *features']:
        x = SpatialConv(self.width, 7, 2, self.dtype, name='conv_stem')(clip)
        norm = self.norm(plain(self.norms[-1]), cell=None, name='norm_stem')
        x, _ = norm(x, zero_carry(len(x), self.width), train)
        x = max_pool(nn.relu(x))
        make_stage = nn.remat(Stage, static_argnums=(2,)) if self.remat else Stage
        for i, blocks in enumerate(self.blocks):
            stage = make_stage(
                self.block,
                blocks,
                self.width * 2**i,
                1 if i == 0 else 2,
                self.norms,
                self.norm,
                self.relay_cell,
                self.dtype,
                name=f'stage{i + 1}',
            )
            x = stage(x, train)
        return x if self.classes is None else Head(self.classes, self.dropout, name='head')(x, train)


def resnet(block, blocks, *, norms, **settings) -> ResNet:
    """A ResNet of those blocks; `norms` is a preset's name or one word per convolution."""
    return ResNet(block, blocks, norms=norm_slots(norms, len(block.widths(1))), **settings)


RESNETS = {
    'resnet18': partial(resnet, BasicBlock, (2, 2, 2, 2)),
    'resnet34': partial(resnet, BasicBlock, (3, 4, 6, 3)),
    'resnet50': partial(resnet, BottleneckBlock, (3, 4, 6, 3)),
    'resnet101': partial(resnet, BottleneckBlock, (3, 4, 23, 3)),
    'resnet152': partial(resnet, BottleneckBlock, (3, 8, 36, 3)),
}
