"""The temporal adaptive module against its equations in NumPy, and what it adds to a ResNet."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference import batch_norm, sigmoid
from small_networks import NORM, classifier, normal, parameters, shapes, short

from dnr_jax.models.tanet import TemporalAdaptive
from dnr_jax.norms.words import make_norm


def module():
    return TemporalAdaptive(partial(make_norm, **NORM))


def normed(x, params, statistics, train):
    running = statistics['mean'], statistics['var']
    return batch_norm(x, *(params['transform'][name] for name in ('scale', 'shift')), running, 0.9, 1e-5, train)


def plain_module(params, statistics, x, train):
    """The module as a loop over clips, channels and frames; the next running means of its two norms beside."""
    clips, frames, _, _, channels = x.shape
    p = x.mean(axis=(2, 3))

    g, s = params['global'], statistics['global']['norm']['statistics']
    rows = np.stack([p[n, :, c] @ g['expand']['kernel'] for n in range(clips) for c in range(channels)])
    rows, (global_mean, _) = normed(rows, g['norm'], s, train)
    scores = np.exp(np.maximum(rows, 0) @ g['reduce']['kernel']).reshape(clips, channels, 3)
    taps = scores / scores.sum(axis=-1, keepdims=True)

    g, s = params['local'], statistics['local']['norm']['statistics']
    kernel, reduced = g['reduce']['kernel'], np.zeros((clips, frames, channels // 4))
    for n, t, i in np.ndindex(clips, frames, 3):
        if 0 <= t + i - 1 < frames:
            reduced[n, t] += p[n, t + i - 1] @ kernel[i]
    reduced, (local_mean, _) = normed(reduced, g['norm'], s, train)
    gate = sigmoid(np.maximum(reduced, 0) @ g['expand']['kernel'])

    y = np.zeros_like(x)
    for n, t, c, i in np.ndindex(clips, frames, channels, 3):
        if 0 <= t + i - 1 < frames:
            y[n, t, :, :, c] += taps[n, c, i] * gate[n, t + i - 1, c] * x[n, t + i - 1, :, :, c]
    return y, global_mean, local_mean


@pytest.mark.parametrize('train', [False, True])
def test_module_follows_its_equations(random_variables, train):
    x = normal(2, 4, 2, 3, 8) + 0.5
    variables = random_variables(module(), x, train=False)
    y, after = module().apply(variables, x, train=train, mutable='batch_stats')
    exact = jax.tree.map(np.float64, variables)
    expected, *means = plain_module(exact['params'], exact['batch_stats'], np.float64(x), train)
    assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    for branch, mean in zip(('global', 'local'), means, strict=True):
        assert_allclose(after['batch_stats'][branch]['norm']['statistics']['mean'], mean, rtol=1e-5, atol=1e-6)


def test_layers_start_as_those_of_pytorch():
    """Uniform up to 1 / sqrt(fan in), with no bias anywhere."""
    init = jax.jit(partial(module().init, train=False))
    params = init(jax.random.key(0), jnp.zeros((1, 4, 1, 1, 64)))['params']
    fans = {('global', 'expand'): 4, ('global', 'reduce'): 8, ('local', 'reduce'): 192, ('local', 'expand'): 16}
    for (branch, layer), fan_in in fans.items():
        assert set(params[branch][layer]) == {'kernel'}
        largest = np.abs(params[branch][layer]['kernel']).max()
        assert 0.8 * fan_in**-0.5 < largest <= fan_in**-0.5


# Of 8 frames, in every block: 8 x 16 and 16 x 3 and a norm of 16 over time, 3 C x C/4 and a norm and C/4 x C over
# channels, for 3, 4, 6, 3 blocks of 64, 128, 256, 512 channels.
MODULES = 16 * (8 * 16 + 2 * 16 + 16 * 3) + sum(
    blocks * (3 * c * c // 4 + 2 * c // 4 + c // 4 * c)
    for blocks, c in zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True)
)


@pytest.mark.parametrize('preset', ['batch', 'none'])
def test_parameter_count(preset):
    assert parameters('tanet_resnet50', preset) == parameters('resnet50', preset) + MODULES


def test_parameter_counts_of_the_published_models():
    backbone = 23_508_032 + MODULES
    assert backbone + classifier(2048, 400) == 25_590_320
    assert backbone + classifier(2048, 174) == 25_127_246


def test_gating_norms_stay_under_every_preset():
    """Their statistics too are those of config.model.norm."""
    made = shapes(short('tanet_resnet50', 'none'), jnp.zeros((1, 4, 16, 16, 3)))
    kept = {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(made['batch_stats'])}
    assert len(kept) == 2 * 2 * 2 and all("['tam']" in path for path in kept)


@pytest.mark.parametrize('remat', [False, True])
def test_another_number_of_frames(remat):
    model = short('tanet_resnet50', 'batch', remat=remat)
    variables = shapes(model, jnp.zeros((1, 4, 16, 16, 3)))
    with pytest.raises(ValueError, match='made for clips of 4 frames, got 8: give clips of 4 frames'):
        jax.eval_shape(lambda variables: model.apply(variables, jnp.zeros((1, 8, 16, 16, 3)), train=False), variables)
