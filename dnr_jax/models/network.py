"""What all backbones are made of: blocks, stages of blocks, a network of stages, over [B T H W C].

    block(x, carry, train) -> (x, carry)        a residual block; its norms along layers move the carry
    stage(x, carry, train) -> (x, carry)        blocks of one resolution, and the one relay cell they share
    network(clip, train) -> logits              a stem, the stages in turn, a head

As released, the carry begins at zero in every stage. A family is a kind of `Block` and the `Network` that stacks it.

Source: Cai, Yao, Chen, NeurIPS 2021; one cell per stage as in github.com/caidonkey/dnr.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dnr_jax.models.layers import Head, SpatialConv
from dnr_jax.norms.relay import Carry, NextCarry, RelayCell, handed_on, zero_carry
from dnr_jax.norms.words import goes_on, is_cross_layer, plain
from dnr_jax.operations import Video, max_pool

Input = Float[Array, 'B T H W I']
Output = Float[Array, 'B T2 H2 W2 D']


class Block(nn.Module):
    """What all blocks share: their parts, and the shortcut around them.

    A subclass has `widths(features)`, the channels at each of its norms.

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

    def shortcut(self, x: Input, y: Output, train: bool) -> Output:
        """x, projected by a strided 1x1 convolution and a plain norm where its shape is not that of y."""
        if x.shape == y.shape:
            return x
        x = SpatialConv(y.shape[-1], 1, self.stride, self.dtype, name='conv_shortcut')(x)
        return self.plain_norm(x, 'norm_shortcut', train)

    def plain_norm(self, x: Video, name: str, train: bool) -> Video:
        return without_carry(self.norm(plain(self.norms[-1]), cell=None, name=name), x, train)


class Stage(nn.Module):
    """Blocks of one resolution, by their constructors, and, where a norm is cross-layer, their one relay cell.

    The first block has the `stride`. `widths` are the channels at each norm of a block. Other attributes as in `Block`;
    `relay_cell` is `RelayCell` with its settings bound.
    """

    blocks: tuple[Callable[..., Block], ...]
    widths: tuple[int, ...]
    features: int
    stride: int
    norms: tuple[str, ...]
    norm: Callable[..., nn.Module]
    relay_cell: Callable[..., RelayCell]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Input, carry: Carry, train: bool) -> tuple[Output, NextCarry]:
        width = carry_width(self.norms, self.widths)
        cell = self.relay_cell(width, name='relay') if any(map(is_cross_layer, self.norms)) else None
        carry = handed_on(carry, width) if any(map(goes_on, self.norms)) else zero_carry(len(x), width)
        for j, make_block in enumerate(self.blocks):
            block = make_block(
                features=self.features,
                stride=self.stride if j == 0 else 1,
                index=j,
                norms=self.norms,
                norm=self.norm,
                cell=cell,
                dtype=self.dtype,
                name=f'block{j + 1}',
            )
            x, carry = block(x, carry, train)
        return x, carry


def carry_width(norms: tuple[str, ...], widths: tuple[int, ...]) -> int:
    """Channels of the carry of a stage; ValueError if cross-layer norms of one block stand at several widths."""
    relayed = {width for word, width in zip(norms, widths, strict=True) if is_cross_layer(word)}
    if len(relayed) > 1:
        raise ValueError(
            f'The cross-layer norms of a block share one carry and so one width, got widths {sorted(relayed)} '
            f'from norms {norms}.'
        )
    return relayed.pop() if relayed else widths[0]


class Network(nn.Module):
    """Clip [B T H W 3] -> logits [B K]; with `classes=None`, the features before the head, [B T' H' W' C].

    Attributes:
      width: channels of the first stage, by which all others scale.
      norms: one norm word per convolution of a block. norm: `make_norm` with its settings bound.
      relay_cell: `RelayCell` with its settings bound.
      classes: K. dropout: share of features dropped before the linear layer.
      remat: whether the backward pass computes the activations within a stage again instead of keeping them.
      dtype: of activations; parameters are float32.
    """

    width: int
    norms: tuple[str, ...]
    norm: Callable[..., nn.Module]
    relay_cell: Callable[..., RelayCell]
    classes: int | None
    dropout: float
    remat: bool
    dtype: jnp.dtype

    def stage(
        self, i: int, blocks: tuple[Callable[..., Block], ...], widths: Callable, features: int, stride: int
    ) -> nn.Module:
        """The stage of that place, from 0; `widths` are those of its blocks as a function of its features."""
        make_stage = nn.remat(Stage, static_argnums=(3,)) if self.remat else Stage
        settings = {'norms': self.norms, 'norm': self.norm, 'relay_cell': self.relay_cell, 'dtype': self.dtype}
        return make_stage(blocks, widths(features), features, stride, **settings, name=f'stage{i + 1}')

    def plain_norm(self, x: Video, name: str, train: bool) -> Video:
        """The norm of stem and laterals, where no relay stands."""
        return without_carry(self.norm(plain(self.norms[-1]), cell=None, name=name), x, train)

    def pooled_norm(self, name: str) -> nn.Module:
        """The norm of a stem and the max-pool behind it, see `PooledNorm`."""
        return self.norm(plain(self.norms[-1]), cell=None, name=name, pool=max_pool)

    def classify(self, x: Video, train: bool) -> Float[Array, 'B *features']:
        """What the head makes of the features, where there is one."""
        return x if self.classes is None else Head(self.classes, self.dropout, name='head')(x, train)


def without_carry(norm: nn.Module, x: Video, train: bool) -> Video:
    """A static norm by itself."""
    return norm(x, zero_carry(len(x), x.shape[-1]), train)[0]
