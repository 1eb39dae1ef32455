"""One contract for every family of backbones under every preset of norms: 70 networks, each compiled once.

A part of them runs with every `make test`: all presets in one family, and in each of the others what it does in its own
way. The others are marked `every`; `make test-every` runs them.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_networks
import small_networks3d
from flax.traverse_util import flatten_dict
from numpy.testing import assert_allclose, assert_array_equal
from small_networks import normal

from dnr_jax.models import MODELS, weight_standardization
from dnr_jax.models.weight_standardization import standardized, with_standardized_kernels
from dnr_jax.norms.words import PRESETS

FLOAT32 = jnp.dtype('float32')


class Family(NamedTuple):
    """What a family does under every preset alike, and how its short network differs."""

    usual: tuple[str, ...]  # presets that run with every `make test`
    reads_order: bool = True  # of frames, by its own convolutions
    batch_statistics: bool = False  # also where the norms have none
    frames: int = 4
    seed: int = 1  # of variables under which no hidden layer of a relay is silent for all clips
    changes: dict = {}


FAMILIES = {
    'resnet18': Family(('dnr', 'dnr_temporal', 'dnr_group', 'none'), reads_order=False),
    'resnet50': Family((), reads_order=False),
    'tsm_resnet18': Family(('batch',)),
    'tsm_resnet50': Family(('none',)),
    'tanet_resnet50': Family(('batch',), batch_statistics=True),
    'tea_resnet50': Family(('none',), batch_statistics=True, seed=4),
    'mobilenet_v2': Family(('batch',), reads_order=False),
    'slowonly_resnet50': Family(('dnr',)),
    'i3d_resnet50': Family(('dnr_layer', 'dnr_temporal'), frames=16),
    'r2plus1d_18': Family(('batch',), frames=8, changes={'blocks': (1, 1)}),
    'r2plus1d_34': Family(('dnr_group',)),
    'slowfast_resnet50_8x8': Family(('group',), frames=8, changes={'alpha': 2}),
    'pyslowfast_resnet50_8x8': Family((), frames=8, changes={'alpha': 2}),
}
SAME_FILE = {  # other depths and inputs of the families above, which have the same blocks
    'resnet34', 'resnet101', 'resnet152', 'tsm_resnet34', 'tsm_resnet101', 'slowonly_resnet101', 'i3d_resnet50_8x8',
    'slowfast_resnet50_4x16', 'pyslowfast_resnet50_4x16',
}  # fmt: skip
NETWORKS = [
    pytest.param(name, preset, marks=() if preset in family.usual else pytest.mark.every)
    for name, family in FAMILIES.items()
    for preset in PRESETS
]


def test_every_backbone_stands_in_the_table():
    assert set(MODELS) == set(FAMILIES) | SAME_FILE


def short(backbone, preset):
    module = small_networks3d if backbone in small_networks3d.BACKBONES else small_networks
    return module.short(backbone, preset, classes=5, dropout=0.1, reduction=1).clone(**FAMILIES[backbone].changes)


def is_first_state(path):
    """Whether a stage's relay reads its state by this kernel; the first hop, in 3D often the only one, reads zero."""
    *_, owner, relay, gates, layer, kernel = [''] * 5 + [key.key for key in path]
    return owner.startswith('stage') and (relay, gates, layer, kernel) == ('relay', 'state_gates', 'reduce', 'kernel')


@pytest.mark.parametrize(('backbone', 'preset'), NETWORKS)
def test_contract(random_variables, backbone, preset):
    """Logits, gradients to every parameter, statistics that move in training only, clips apart, frames in order."""
    family, tiny = FAMILIES[backbone], short(backbone, preset)
    clip, weight = normal(2, family.frames, 16, 16, 3), normal(2, 5, seed=1)
    variables = random_variables(tiny, clip, seed=family.seed, train=False)
    params, statistics = variables['params'], variables.get('batch_stats', {})
    traces = []

    def loss(params, clip, key):
        given = {'params': params, 'batch_stats': statistics}
        logits, after = tiny.apply(given, clip, train=True, mutable='batch_stats', rngs={'dropout': key})
        return jnp.sum(logits * weight), (logits, after.get('batch_stats', {}))

    @jax.jit
    def train_and_evaluate(params, clip, key):
        traces.append(backbone)
        gradients, trained = jax.grad(loss, has_aux=True)(params, clip, key)
        given = {'params': params, 'batch_stats': statistics}
        return trained, gradients, tiny.apply(given, clip, train=False, mutable='batch_stats')

    run = partial(train_and_evaluate, params)
    (logits, after), gradients, (evaluated, rested) = run(clip, jax.random.key(1))
    *_, (swapped, _) = run(clip[::-1], jax.random.key(2))
    *_, (backward, _) = run(clip[:, ::-1], jax.random.key(3))
    assert len(traces) == 1

    assert (logits.shape, logits.dtype) == (evaluated.shape, evaluated.dtype) == ((2, 5), FLOAT32)
    one_hop = backbone in ('i3d_resnet50', 'r2plus1d_18', 'r2plus1d_34') or 'slowfast' in backbone
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(gradient)), path
        assert np.any(gradient != 0) or (one_hop and is_first_state(path)), path

    assert bool(statistics) == (family.batch_statistics or preset not in ('group', 'dnr_group', 'none'))
    assert jax.tree.structure(after) == jax.tree.structure(statistics)
    for before, now in zip(jax.tree.leaves(statistics), jax.tree.leaves(after), strict=True):
        assert np.all(before != now)
    jax.tree.map(assert_array_equal, rested.get('batch_stats', {}), statistics)

    assert_allclose(swapped, evaluated[::-1], rtol=1e-4, atol=1e-5)
    assert np.abs(evaluated[0] - evaluated[1]).max() > 1e-4
    moved = np.abs(backward - evaluated).max() / np.abs(evaluated).max()
    assert moved > 1e-4 if family.reads_order or 'cross_temporal' in str(PRESETS[preset]) else moved < 1e-5


@pytest.mark.parametrize('preset', PRESETS)
@pytest.mark.parametrize('backbone', FAMILIES)
def test_every_family_takes_every_preset(backbone, preset):
    """Shapes alone, which takes no compilation."""
    module, clip = short(backbone, preset), jnp.zeros((2, FAMILIES[backbone].frames, 16, 16, 3))
    logits, variables = jax.eval_shape(lambda key: module.init_with_output(key, clip, train=False), jax.random.key(0))
    assert (logits.shape, logits.dtype) == ((2, 5), FLOAT32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {FLOAT32}


@pytest.mark.parametrize('backbone', FAMILIES)
def test_standardized_are_kernels_over_features_and_no_others(monkeypatch, backbone):
    """Of those that read means over space, a gate or a relay would not hear what all its inputs have in common."""
    network, clip, of_features = short(backbone, 'dnr'), jnp.zeros((2, FAMILIES[backbone].frames, 16, 16, 3)), set()

    def look(call, arguments, settings, context):
        module = context.module
        result = call(*arguments, **settings)
        if context.method_name == '__call__' and module.has_variable('params', 'kernel'):
            x, taps = arguments[0], module.get_variable('params', 'kernel').ndim - 2
            if x.ndim == 5 and max(x.shape[2:4]) > 1 and taps > 1:
                of_features.add('/'.join(module.path))
        return result

    with nn.intercept_methods(look):
        shapes = jax.eval_shape(partial(network.init, train=False), jax.random.key(0), clip)['params']
    monkeypatch.setattr(weight_standardization, 'kernel_of', lambda w, epsilon: w[..., :0])
    left = flatten_dict(jax.eval_shape(partial(standardized, epsilon=1e-5), shapes), sep='/')
    found = {path.removesuffix('/kernel') for path, of in left.items() if not of.size}
    assert found == of_features and 'conv_stem' in ''.join(found)


@pytest.mark.parametrize('backbone', FAMILIES)
def test_every_family_takes_standardized_weights(backbone):
    """Its parameters are the same, and it is the same program, by standardized kernels."""
    plain, clip = short(backbone, 'dnr'), jnp.zeros((2, FAMILIES[backbone].frames, 16, 16, 3))
    network = with_standardized_kernels(plain)
    variables, expected = (
        jax.eval_shape(partial(of.init, train=False), jax.random.key(0), clip) for of in (network, plain)
    )
    assert variables == expected

    def by_hand(variables, clip):
        params = standardized(variables['params'], epsilon=1e-5)
        return plain.apply({**variables, 'params': params}, clip, train=False)

    found, program = (jax.make_jaxpr(of)(variables, clip) for of in (partial(network.apply, train=False), by_hand))
    assert str(found) == str(program)
