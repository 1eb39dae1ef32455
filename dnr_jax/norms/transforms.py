"""Transforms: where the scale and the shift of a norm come from.

    transform(carry, pooled) -> (carry, (scale, shift))      pooled [B G C], scale and shift [1 G C] or [B G C]

Learned once for all videos (static), for every hop by itself (a clock); made of this very clip by a cell; or relayed,
for this very clip, from the previous layer or the previous frames. Those in between tell apart what a relay is made of.
A static transform passes the carry through, one along the layers moves it, one along the frames starts its own at zero.

Axes: B clips, G groups of consecutive frames, C channels. Float32.

Source: Cai, Yao, Chen, NeurIPS 2021.
"""

from collections.abc import Callable

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from dnr_jax.norms.relay import Carry, RelayCell, relay_over_frames, zero_carry
from dnr_jax.operations import PerGroup


class StaticTransform(nn.Module):
    """One learned scale and shift per channel for all videos: what the relay replaces. The scale begins at `start`."""

    start: float

    @nn.compact
    def __call__(self, carry: Carry, pooled: PerGroup) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        scale = self.param('scale', nn.initializers.constant(self.start), pooled.shape[-1:])
        shift = self.param('shift', nn.initializers.zeros, pooled.shape[-1:])
        return carry, (scale[None, None], shift[None, None])


class HopwiseTransform(nn.Module):
    """One learned scale and shift per channel and hop for all videos: a clock, which knows the time and no clip.

    The scale begins at `start`. ValueError for other hops than it has learned.
    """

    start: float

    @nn.compact
    def __call__(self, carry: Carry, pooled: PerGroup) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        expect_known_hops(self, 'scale', pooled)
        scale = self.param('scale', nn.initializers.constant(self.start), pooled.shape[1:])
        shift = self.param('shift', nn.initializers.zeros, pooled.shape[1:])
        return carry, (scale[None], shift[None])


def expect_known_hops(transform: nn.Module, name: str, pooled: PerGroup) -> None:
    """Raises ValueError where this parameter of every hop has been learned for another number of hops."""
    known = transform.get_variable('params', name)
    if known is not None and known.shape != pooled.shape[1:]:
        raise ValueError(
            f'The {name} of every hop was learned for {len(known)} hops, got {pooled.shape[1]}: give clips of as many '
            'frames as in training.'
        )


class ResidualTransform(nn.Module):
    """A static transform, and on top of it what another makes of the clip, from nothing on:

    scale = gamma + a h,  shift = beta + b c      gamma begins at 1; beta, a and b, learned per channel, at 0
    """

    of: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, carry: Carry, pooled: PerGroup) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        _, (gamma, beta) = StaticTransform(1.0, name='static')(carry, pooled)
        _, (a, b) = StaticTransform(0.0, name='share')(carry, pooled)
        carry, (h, c) = self.of(name='of')(carry, pooled)
        return carry, (gamma + a * h, beta + b * c)


class ClipTransform(nn.Module):
    """The cell of the stage reads the whole clip, as in `CrossLayerTransform`, but hears of no layer before.

    It has no state side, see `RelayCell.alone`; the carry passes through.
    """

    cell: RelayCell
    gain: float

    def __call__(self, carry: Carry, pooled: Float[Array, 'B 1 C']) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        scale, shift = self.cell.alone(pooled)
        return carry, (self.gain * scale, shift)


class HopTransform(nn.Module):
    """This layer's own cell reads each frame group, as in `CrossTemporalTransform`, but hears of none before.

    It has no state side, see `RelayCell.alone`.
    """

    reduction: int
    gain: float

    @nn.compact
    def __call__(self, carry: Carry, pooled: Float[Array, 'B G C']) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        scale, shift = RelayCell(pooled.shape[-1], self.reduction, name='cell').alone(pooled)
        return carry, (self.gain * scale, shift)


class TimedTransform(nn.Module):
    """This layer's own cell reads each frame group, and is told the time in place of what was relayed.

    What the state would add to the gates, and its c, are learned for every hop, from zero. So it knows the time, as a
    clock does, and the clip, and hears of no frame before. ValueError for other hops than it has learned.
    """

    reduction: int
    gain: float

    @nn.compact
    def __call__(self, carry: Carry, pooled: Float[Array, 'B G C']) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        expect_known_hops(self, 'c', pooled)
        hops, channels = pooled.shape[1:]
        gates = self.param('gates', nn.initializers.zeros, (hops, 4 * channels))
        c = self.param('c', nn.initializers.zeros, (hops, channels))
        scale, shift = RelayCell(channels, self.reduction, name='cell').alone(pooled, gates[None], c[None])
        return carry, (self.gain * scale, shift)


class CrossLayerTransform(nn.Module):
    """One hop along the layers: the cell of the stage reads the whole clip and the state of the layer before.

    The scale is `gain` times that of the cell.
    """

    cell: RelayCell
    gain: float

    def __call__(self, carry: Carry, pooled: Float[Array, 'B 1 C']) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        carry, (scale, shift) = self.cell(carry, pooled[:, 0])
        return carry, (self.gain * scale[:, None], shift[:, None])


class CrossTemporalTransform(nn.Module):
    """A relay along the frame groups with this layer's own cell, from zero at the first frames.

    Where the collection 'stream' is mutable, the relay goes on from the state it holds there, and leaves its own.
    The scale is `gain` times that of the cell.
    """

    reduction: int
    gain: float

    @nn.compact
    def __call__(self, carry: Carry, pooled: Float[Array, 'B G C']) -> tuple[Carry, tuple[PerGroup, PerGroup]]:
        clips, _, channels = pooled.shape
        cell = RelayCell(channels, self.reduction, name='relay')
        state = self.get_variable('stream', 'state', zero_carry(clips, channels))
        state, (scale, shift) = relay_over_frames(cell, state, pooled)
        if self.is_mutable_collection('stream') and not self.is_initializing():
            self.put_variable('stream', 'state', state)
        return carry, (self.gain * scale, shift)
