"""Prediction on a video without end: frames come a group at a time, what a network knows of the past is carried.

    carry = init(model, variables, shape)                       # of one frame group, [B T H W C]
    carry, logits = step(model, variables, carry, group)
    carry, logits = steps(model, variables, carry, groups)      # [G B T H W C] -> [G B K]

The carry has one size for ever: the state of every cross-temporal relay, and the mean of the features so far. Logits
are those of all frames up to here, so after the groups of a whole clip they are those of the clip. A relay that has
learned from short clips need not stand many more hops than they have: `endless` looks back over so many and no more.

That holds where a network is causal in evaluation mode, where frames know nothing of later ones. So are

    backbones   ResNet (the networks of TSN) and MobileNetV2, whose frames meet in the norms alone
    norms       batch, of running statistics; cross_temporal and cross_temporal_group, relayed group by group; none
    presets     batch, dnr_temporal, none; 'batch,cross_temporal_group,batch' and other words of these norms

and all others are refused: a cross-layer norm pools the whole clip, as group norm takes its statistics of it, and the
other backbones mix frames with later ones. Where `running_per_hop` keeps statistics for every hop, there are none
after those of a clip (see `hops_known`), and logits are not a number from there on.

Axes: B clips, T frames of a group, G groups, H W space, C channels, K classes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from dnr_jax.models.layers import Head, pooled
from dnr_jax.models.mobilenet import InvertedBlock, MobileNetV2
from dnr_jax.models.resnet import BasicBlock, BottleneckBlock, ResNet
from dnr_jax.models.tanet import AdaptiveBlock
from dnr_jax.models.tea import TemporalAggregationBlock
from dnr_jax.models.tsm import EverySecondShiftedBlock, ShiftedBasicBlock, ShiftedBottleneckBlock
from dnr_jax.norms.words import is_cross_layer, knows_time, plain
from dnr_jax.operations import Video

Variables = Mapping[str, Any]

CAUSAL_BLOCKS = (BasicBlock, BottleneckBlock)
LOOKS_AHEAD = {
    **dict.fromkeys(
        (ShiftedBasicBlock, ShiftedBottleneckBlock, EverySecondShiftedBlock),
        'temporal shift takes channels from the next frame',
    ),
    AdaptiveBlock: 'its adaptive modules read all frames of a clip as one vector',
    TemporalAggregationBlock: 'motion excitation and temporal aggregation read the next frame',
}


class Carry(NamedTuple):
    """What a network knows of the frames it has seen."""

    relays: dict[str, Any]  # the state (h, c) of every cross-temporal relay, [B C] each
    features: Float[Array, 'B C']  # mean over the frames, and over space
    hops: Int[Array, '']  # groups seen


def init(model: nn.Module, variables: Variables, shape: tuple[int, ...]) -> Carry:
    """The carry before the first frame group, whose shape is [B T H W C].

    Raises ValueError for a network that is not causal, or where T is not `frames_per_group`.
    """
    expect_causal(model)
    if shape[1] != frames_per_group(model):
        raise ValueError(
            f'A stream is read in groups of the stride of the relay: expected {frames_per_group(model)} frames in a '
            f'group, got {shape[1]}.'
        )
    variables = of_hop(variables, jnp.int32(0))
    group = jax.ShapeDtypeStruct(shape, jnp.float32)
    features, relays = jax.eval_shape(partial(advance, model), variables, {}, group)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (relays, features))
    return Carry(*zeros, jnp.int32(0))


def step(model: nn.Module, variables: Variables, carry: Carry, group: Video) -> tuple[Carry, Float[Array, 'B K']]:
    """One frame group further, [B T H W C] as `model.apply` takes clips; the new carry, and the logits up to here."""
    features, relays = advance(model, of_hop(variables, carry.hops), carry.relays, group)
    hops = carry.hops + 1
    mean = carry.features + (features - carry.features) / hops
    head = Head(model.classes, model.dropout)
    logits = head.apply({'params': variables['params']['head']}, mean[:, None, None, None], train=False)
    return Carry(relays, mean, hops), logits


def steps(
    model: nn.Module, variables: Variables, carry: Carry, groups: Float[Array, 'G B T H W C']
) -> tuple[Carry, Float[Array, 'G B K']]:
    """A chunk of the stream, group by group in one scan: the carry after it, and the logits at each group."""
    return lax.scan(partial(step, model, variables), carry, groups)


def advance(model: nn.Module, variables: Variables, relays: Mapping, group: Video) -> tuple[Array, dict]:
    """The mean features [B C] of a group, and the relays after it; without relays, as before the first group."""
    headless = model.clone(classes=None)
    features, updated = headless.apply({**variables, 'stream': relays}, group, train=False, mutable=['stream'])
    return pooled(features), updated.get('stream', {})


def of_hop(variables: Variables, hop: Int[Array, '']) -> Variables:
    """The variables with the statistics of that hop, of norms that have them for every hop; NaN after the last."""
    statistics = variables.get('batch_stats', {})
    of_this = jax.tree.map(
        lambda leaf: leaf if leaf.ndim == 1 else leaf.at[hop].get(mode='fill', fill_value=jnp.nan), statistics
    )
    return {**variables, 'batch_stats': of_this}


def frames_per_group(model: nn.Module) -> int:
    """T of a frame group: the stride of the relay, also where there is none."""
    return model.norm.keywords['stride']


def groups_of(model: nn.Module, frames: int) -> int:
    """How many groups a clip of so many frames has."""
    return max(1, frames // frames_per_group(model))


def hops_known(variables: Variables) -> int | None:
    """How many groups of a stream there are statistics for; None for any number."""
    running = jax.tree.leaves(variables.get('batch_stats', {}))
    return min((len(leaf) for leaf in running if leaf.ndim == 2), default=None)


def expect_endless(variables: Variables) -> None:
    """Raises ValueError if there are statistics for so many groups only."""
    hops = hops_known(variables)
    if hops is not None:
        raise ValueError(
            f'This model has running statistics for each of the {hops} hops of a clip and none for a longer video: '
            'expected a model trained with config.model.norm.running_per_hop=False.'
        )


def expect_causal(model: nn.Module) -> None:
    """Raises ValueError, with the reason, for a network in which frames depend on later ones."""
    reason = why_not_causal(model)
    if reason:
        raise ValueError(
            f'This network cannot be streamed: {reason}. Expected a ResNet or MobileNetV2 with the norms dnr_temporal, '
            'batch or none.'
        )


def why_not_causal(model: nn.Module) -> str | None:
    """What makes frames depend on later ones; None if nothing does."""
    if model.norm.keywords.get('counted_into'):
        return 'config.run.self_inclusive takes statistics of the whole clip'
    block = getattr(model, 'block', InvertedBlock if isinstance(model, MobileNetV2) else None)
    if block in LOOKS_AHEAD:
        return LOOKS_AHEAD[block]
    if not isinstance(model, ResNet | MobileNetV2):
        return 'its convolutions over time read later frames'
    if isinstance(model, ResNet) and block not in CAUSAL_BLOCKS:
        return f'nothing is known of what {block.__name__} reads of later frames'
    for word in (*model.norms, plain(model.norms[-1])):
        if is_cross_layer(word):
            return f"the norm '{word}' pools the whole clip"
        if knows_time(word):
            return f"the norm '{word}' knows the hops of a clip by their number"
        if word == 'group':
            return 'group norm takes its statistics of the whole clip'
    return None
