"""A stream without end of a network that has learned from short clips.

A relay that has learned from a few hops need not stand more of them: its state may grow with every hop, until it hears
of nothing new. So with a horizon of N groups two streams (see `stream`) run side by side, and take turns to begin
anew: each after N groups, one halfway between the other. Logits are of the one that has seen more: those of a clip of
the last m groups, N / 2 < m <= N, or of all while they are fewer. Memory is constant, and no group is read again.

With horizon 0 there is one stream, which never begins anew.

Axes: S streams side by side, B clips, T frames of a group, G groups, H W space, C channels, K classes.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Shaped

from dnr_jax.operations import Video
from dnr_jax.streaming import stream
from dnr_jax.streaming.stream import Carry, Variables


def init(model: nn.Module, variables: Variables, shape: tuple[int, ...], *, horizon: int) -> Carry:
    """The carry before the first frame group [B T H W C]: that of `stream.init` with an axis S before all others.

    Raises ValueError, with the reason, for a network that cannot be streamed so far.
    """
    carry, hops = stream.init(model, variables, shape), stream.hops_known(variables)
    if hops is None or not 0 < horizon <= hops:
        stream.expect_endless(variables)
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * (2 if horizon else 1)), carry)


def step(
    model: nn.Module, variables: Variables, carry: Carry, group: Video, *, horizon: int
) -> tuple[Carry, Float[Array, 'B K']]:
    """One frame group further; returns the new carry and the logits of the longer stream. `horizon` as in `init`."""
    if horizon:
        begins = carry.hops[0] % horizon == jnp.array([0, horizon // 2])
        carry = jax.tree.map(partial(zero_where, begins), carry)
    carry, logits = jax.vmap(partial(stream.step, model, variables), in_axes=(0, None))(carry, group)
    return carry, logits[carry.hops.argmax()]


def steps(
    model: nn.Module, variables: Variables, carry: Carry, groups: Float[Array, 'G B T H W C'], *, horizon: int
) -> tuple[Carry, Float[Array, 'G B K']]:
    """A chunk of the stream, group by group in one scan: the carry after it, and the logits at each group."""
    return lax.scan(lambda carry, group: step(model, variables, carry, group, horizon=horizon), carry, groups)


def zero_where(begins: Bool[Array, 'S'], leaf: Shaped[Array, 'S *axes']) -> Shaped[Array, 'S *axes']:
    """The leaf, with zero for the streams that begin."""
    return jnp.where(begins.reshape(-1, *(1,) * (leaf.ndim - 1)), jnp.zeros_like(leaf), leaf)
