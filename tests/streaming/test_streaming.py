"""A stream gives what the whole clip gives, group by group, or is refused with the reason."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import network, normal, short

from dnr_jax import streaming
from dnr_jax.models import MODELS
from dnr_jax.norms.words import PRESETS

STRIDE, GROUPS = 2, 3
CAUSAL = ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'mobilenet_v2']


def made(random_variables, backbone='resnet18', norms='dnr_temporal', **settings):
    """(model, variables, clip [2 6 16 16 3])."""
    model, clip = short(backbone, norms, **settings), normal(2, STRIDE * GROUPS, 16, 16, 3)
    return model, random_variables(model, clip, train=False), clip


def in_groups(clip):
    """[B T H W C] -> [G B stride H W C]."""
    return clip.reshape(len(clip), -1, STRIDE, *clip.shape[2:]).swapaxes(0, 1)


def stream(model, variables, clip):
    """The carry after the clip, and the logits [G B K]."""
    groups = in_groups(clip)
    carry = streaming.init(model, variables, groups.shape[1:])
    return jax.jit(partial(streaming.steps, model))(variables, carry, groups)


def whole(model, variables, clip):
    return jax.jit(partial(model.apply, train=False))(variables, clip)


@pytest.mark.parametrize(
    ('backbone', 'norms', 'settings'),
    [
        ('resnet18', 'dnr_temporal', {}),
        ('resnet18', 'dnr_temporal', {'running_per_hop': True}),
        ('resnet18', 'cross_temporal,batch', {'remat': True}),
        pytest.param('resnet50', 'dnr_temporal', {}, marks=pytest.mark.every),
        ('resnet50', 'batch,cross_temporal_group,none', {}),
        ('mobilenet_v2', 'dnr_temporal', {}),
        ('resnet18', 'batch', {}),
        ('mobilenet_v2', 'none', {}),
        pytest.param('resnet18', 'none', {}, marks=pytest.mark.every),
        pytest.param('mobilenet_v2', 'batch', {}, marks=pytest.mark.every),
    ],
)
def test_a_stream_gives_what_the_whole_clip_gives(random_variables, backbone, norms, settings):
    model, variables, clip = made(random_variables, backbone, norms, **settings)
    carry, logits = stream(model, variables, clip)
    expected = whole(model, variables, clip)
    np.testing.assert_allclose(logits[-1], expected, atol=1e-5)
    assert float(np.ptp(expected)) > 0.1 and carry.hops == GROUPS


def test_every_group_gives_what_the_clip_up_to_there_gives(random_variables):
    model, variables, clip = made(random_variables)
    _, logits = stream(model, variables, clip)
    np.testing.assert_allclose(logits[1], whole(model, variables, clip[:, : 2 * STRIDE]), atol=1e-5)


def test_a_stream_goes_on_from_its_carry(random_variables):
    """Chunk by chunk, or step by step, is one stream; the relays do matter."""
    model, variables, clip = made(random_variables)
    groups = in_groups(clip)
    advance = jax.jit(partial(streaming.step, model))
    carry = start = streaming.init(model, variables, groups.shape[1:])
    for group in groups:
        carry, logits = advance(variables, carry, group)
    after, expected = stream(model, variables, clip)
    np.testing.assert_allclose(logits, expected[-1], atol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), carry, after)
    forgetful = after._replace(relays=start.relays)
    assert np.abs(advance(variables, after, groups[0])[1] - advance(variables, forgetful, groups[0])[1]).max() > 1e-4


def test_after_the_last_hop_with_statistics_logits_are_not_a_number(random_variables):
    model, variables, clip = made(random_variables, running_per_hop=True)
    assert streaming.hops_known(variables) == GROUPS
    with pytest.raises(ValueError, match='for each of the 3 hops.*running_per_hop=False'):
        streaming.expect_endless(variables)
    _, logits = stream(model, variables, jnp.concatenate([clip, clip], axis=1))
    finite = np.isfinite(logits).all(axis=(1, 2))
    assert finite.tolist() == [True] * GROUPS + [False] * GROUPS


def test_memory_does_not_grow_with_the_stream(random_variables):
    """A chunk gives back the carry it was given, in shapes and types, so that one program serves for ever."""
    model, variables, clip = made(random_variables)
    groups = in_groups(clip)
    carry = streaming.init(model, variables, groups.shape[1:])
    after, _ = jax.eval_shape(partial(streaming.steps, model), variables, carry, groups)
    described = partial(jax.tree.map, lambda leaf: (leaf.shape, leaf.dtype))
    assert described(after) == described(carry)
    streaming.expect_endless(variables)


REASONS = {
    'tsm': 'next frame', 'tanet': 'all frames of a clip', 'tea': 'next frame', 'slow': 'convolutions over time',
    'i3d': 'convolutions over time', 'r2plus1d': 'convolutions over time', 'pyslowfast': 'convolutions over time',
}  # fmt: skip


@pytest.mark.parametrize('backbone', MODELS)
def test_backbones_that_look_ahead_are_refused(backbone):
    norms = 'batch,batch,batch,batch' if backbone.startswith('r2plus1d') else 'batch'
    model = network(backbone, norms)
    if backbone in CAUSAL:
        return streaming.expect_causal(model)
    reason = next(reason for family, reason in REASONS.items() if backbone.startswith(family))
    with pytest.raises(ValueError, match=f'cannot be streamed: .*{reason}.*Expected a ResNet'):
        streaming.expect_causal(model)


def test_an_unknown_block_is_refused():
    model = network('resnet18', 'batch')
    changed = model.clone(block=type('NewBlock', (model.block,), {}))
    with pytest.raises(ValueError, match='nothing is known of what NewBlock reads'):
        streaming.expect_causal(changed)


@pytest.mark.parametrize('norms', [*PRESETS, 'batch,batch,cross_temporal_group'])
def test_norms_over_the_whole_clip_are_refused(norms):
    model = network('resnet50', norms)
    if norms in ('batch', 'dnr_temporal', 'none'):
        return streaming.expect_causal(model)
    reason = 'group norm takes' if norms in ('group', 'batch,batch,cross_temporal_group') else 'pools the whole clip'
    assert re.search(reason, streaming.why_not_causal(model))


def test_groups_are_of_the_stride(random_variables):
    model, variables, _ = made(random_variables)
    with pytest.raises(ValueError, match='expected 2 frames in a group, got 3'):
        streaming.init(model, variables, (1, 3, 16, 16, 3))
