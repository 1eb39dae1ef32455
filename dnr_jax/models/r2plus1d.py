"""R(2+1)D: every 3 x 3 x 3 convolution is a spatial one to M channels, a norm, a ReLU and a temporal one, [B T H W C].

M keeps the number of parameters that of the whole convolution. Stages 2 to 4 halve T and space alike: the spatial
convolution takes the stride in space, the temporal one that in time. Two published forms:

    r2plus1d_18   torchvision: M is that of a block's first convolution for both, the stem has 45 of 64, no max-pool
    r2plus1d_34   mmaction2: M per convolution, a max-pool of space after the stem, and the projection of a shortcut
                  is split as well

A block has four convolutions and so four norm words: inner (spatial), outer (temporal), inner, outer. Presets give

    dnr:  batch, cross_layer, cross_temporal, batch

The cross-layer norm is the first outer one: the features of a stage are the width that repeats, while M differs
between its first block and the others. The cross-temporal norm is the second inner one: there each frame group still
stands for its own frames, as after the 3x3 convolution of the 2D network, while after a temporal convolution it holds
its neighbours too. It is the wider place: 'batch,cross_layer,batch,cross_temporal' takes a quarter of the cells.

mmaction2 trains its outer norms with epsilon 1e-3 and the inner ones with 1e-5; here one setting serves all. M has few
divisors (45, 83, 230, 921, ...), so presets with group statistics take one group: config.model.norm.groups = 1.

Source: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from dnr_jax.models.layers import SpatialConv
from dnr_jax.models.network import Block, Network, Output
from dnr_jax.models.resnet3d import TemporalConv, apply_norm
from dnr_jax.norms.relay import Carry, zero_carry
from dnr_jax.norms.words import PRESETS, is_cross_layer, norm_slots, plain
from dnr_jax.operations import Video, relu_of_sum


def middle(inputs: int, features: int, kernel: int) -> int:
    """M, so that k x k to M and 3 x 1 x 1 to `features` have the parameters of 3 x k x k (rounded down)."""
    area = kernel * kernel
    return 3 * area * inputs * features // (area * inputs + 3 * features)


class SplitBlock(Block):
    """Two split 3 x 3 x 3 convolutions, the first with the stride; of r2plus1d_18."""

    @staticmethod
    def widths(features: int) -> tuple[int, ...]:
        """Channels of the carry at each norm; no carry stands at the inner ones, whose width varies."""
        return (features,) * 4

    def middles(self, inputs: int) -> tuple[int, int]:
        """M of both convolutions."""
        first = middle(inputs, self.features, 3)
        return first, first

    def strided_shortcut(self, x: Video, y: Output, train: bool) -> Output:
        return self.shortcut(x[:, :: self.stride], y, train)

    @nn.compact
    def __call__(self, x: Video, carry: Carry, train: bool) -> tuple[Output, Carry]:
        first, second = self.middles(x.shape[-1])
        y, carry = self.split_convolution(x, first, self.stride, 1, carry, train)
        y = nn.relu(y)
        y, carry = self.split_convolution(y, second, 1, 2, carry, train)
        return relu_of_sum(y + self.strided_shortcut(x, y, train)), carry

    def split_convolution(self, x: Video, middle: int, stride: int, number: int, carry: Carry, train: bool):
        """Spatial convolution, norm, ReLU, temporal convolution, norm; `number` is the place in the block, 1 or 2."""
        inner, outer = self.norms[2 * number - 2 : 2 * number]
        y = SpatialConv(middle, 3, stride, self.dtype, name=f'conv{number}_spatial')(x)
        y, carry = apply_norm(self.norm(inner, cell=self.cell, name=f'norm{number}_spatial'), y, carry, train)
        y = nn.relu(y)
        y = TemporalConv(self.features, 3, stride, self.dtype, name=f'conv{number}_temporal')(y)
        return apply_norm(self.norm(outer, cell=self.cell, name=f'norm{number}_temporal'), y, carry, train)


class FullySplitBlock(SplitBlock):
    """The same with M per convolution, and a split 1 x 1 x 1 convolution in the shortcut; of r2plus1d_34."""

    def middles(self, inputs: int) -> tuple[int, int]:
        return middle(inputs, self.features, 3), middle(self.features, self.features, 3)

    def strided_shortcut(self, x: Video, y: Output, train: bool) -> Output:
        if x.shape == y.shape:
            return x
        between = middle(x.shape[-1], self.features, 1)
        x = SpatialConv(between, 1, self.stride, self.dtype, name='conv_shortcut_spatial')(x)
        x = nn.relu(self.plain_norm(x, 'norm_shortcut_spatial', train))
        x = SpatialConv(self.features, 1, 1, self.dtype, name='conv_shortcut_temporal')(x[:, :: self.stride])
        return self.plain_norm(x, 'norm_shortcut_temporal', train)


class R2Plus1D(Network):
    """Stages of `blocks` blocks each; `norms` has four words.

    Further attributes: `stem_middle`, M of the stem; `pools`, whether a max-pool of space follows it.
    """

    block: type[SplitBlock]
    blocks: tuple[int, ...]
    stem_middle: int
    pools: bool

    @nn.compact
    def __call__(self, clip: Float[Array, 'B T H W 3'], train: bool) -> Float[Array, 'B *features']:
        x = SpatialConv(self.stem_middle, 7, 2, self.dtype, name='conv_stem_spatial')(clip)
        x = nn.relu(self.plain_norm(x, 'norm_stem_spatial', train))
        conv_temporal = TemporalConv(self.width, 3, 1, self.dtype, name='conv_stem_temporal')
        if self.pools:
            x = self.pooled_norm('norm_stem_temporal')(partial(conv_temporal, x), self.width, train)
        else:
            x = self.plain_norm(conv_temporal(x), 'norm_stem_temporal', train)
        x = nn.relu(x)
        carry = zero_carry(len(x), self.width)
        for i, blocks in enumerate(self.blocks):
            stage = self.stage(i, (self.block,) * blocks, self.block.widths, self.width * 2**i, 1 if i == 0 else 2)
            x, carry = stage(x, carry, train)
        return self.classify(x, train)


def split_slots(norms: str | Sequence[str]) -> tuple[str, ...]:
    """The norm after each convolution of a block: four words, or a preset, whose three follow a plain inner norm.

    ValueError for unknown words, another number of them, or a cross-layer norm at an inner place.
    """
    is_preset = isinstance(norms, str) and norms in PRESETS
    words = (plain(PRESETS[norms][-1]), *PRESETS[norms]) if is_preset else norm_slots(norms, 4)
    if is_cross_layer(words[0]) or is_cross_layer(words[2]):
        raise ValueError(
            'The cross-layer norms of R(2+1)D stand after temporal convolutions, words 2 and 4 of a block, for the '
            f'width after its spatial ones differs from block to block; got {words}.'
        )
    return words


def r2plus1d_18(*, norms, width, **settings) -> R2Plus1D:
    """The form of torchvision."""
    form = {'block': SplitBlock, 'blocks': (2, 2, 2, 2), 'stem_middle': 45 * width // 64, 'pools': False}
    return R2Plus1D(**form, norms=split_slots(norms), width=width, **settings)


def r2plus1d_34(*, norms, width, **settings) -> R2Plus1D:
    """The form of mmaction2."""
    form = {'block': FullySplitBlock, 'blocks': (3, 4, 6, 3), 'stem_middle': middle(3, width, 7), 'pools': True}
    return R2Plus1D(**form, norms=split_slots(norms), width=width, **settings)


R2PLUS1DS = {'r2plus1d_18': r2plus1d_18, 'r2plus1d_34': r2plus1d_34}
