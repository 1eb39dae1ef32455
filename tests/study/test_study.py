"""The trace is what the network did; influence is its gradient; an ablation changes what it says and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import normal, short

from dnr_jax.norms.relay import relay_over_frames, zero_carry
from dnr_jax.study import ablated, influence, trace
from dnr_jax.study.ablation import Means, matching
from dnr_jax.study.tracing import find_relays, observe


@pytest.fixture(scope='module')
def network(random_variables):
    """(model, variables, clip) of a network with both relays."""
    model, clip = short('resnet18', 'dnr', reduction=1), normal(2, 6, 16, 16, 3)
    return model, random_variables(model, clip, train=False), clip


@pytest.fixture(scope='module')
def traced(network):
    return jax.jit(lambda variables, clip: trace(network[0], variables, clip))(*network[1:])


def test_the_trace_holds_every_relayed_layer_and_the_equations_of_the_cell(network, traced):
    model, variables, clip = network
    relays = find_relays(model, variables, clip.shape)
    assert {relay.over for relay in relays} == {'frames', 'layers'}
    assert {layer for relay in relays for layer in relay.layers} == set(traced)
    for relay in relays:
        of = {
            name: relay.along({layer: getattr(traced[layer], name) for layer in relay.layers})
            for name in traced[relay.layers[0]]._fields
        }
        for name in ('h', 'c'):
            before = jnp.pad(of[name][:, :-1], [(0, 0), (1, 0), (0, 0)])
            np.testing.assert_allclose(of[f'{name}_before'], before, rtol=1e-6)
        remembered = of['forget'] * of['c_before']
        np.testing.assert_allclose(of['c'], remembered + of['input'] * of['cell'], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(of['h'], of['output'] * jax.nn.sigmoid(of['c']), rtol=1e-4, atol=1e-5)


def test_a_scale_with_a_gain_is_that_many_times_the_state_which_the_next_hop_reads(network):
    model, variables, clip = network
    unit = short('resnet18', 'cross_layer_unit,cross_temporal_unit', reduction=1)
    traced = jax.jit(lambda variables, clip: trace(unit, variables, clip))(variables, clip)
    for of in traced.values():
        np.testing.assert_allclose(of.h, 4 * of.output * jax.nn.sigmoid(of.c), rtol=1e-4, atol=1e-5)
        remembered = of.forget[:, 1:] * of.c[:, :-1]  # along frames; along layers a layer has one hop
        np.testing.assert_allclose(of.c[:, 1:], remembered + (of.input * of.cell)[:, 1:], rtol=1e-4, atol=1e-5)


def test_a_relay_that_is_added_to_a_static_norm_is_traced_and_ablated_like_others(random_variables, network):
    _, _, clip = network
    model = short('resnet18', 'cross_layer_residual,cross_temporal_residual', reduction=1)
    variables = random_variables(model, clip, train=False)
    logits, traced = jax.jit(lambda variables, clip: observe(model, variables, clip)[:2])(variables, clip)
    relays = find_relays(model, variables, clip.shape)
    assert {layer.rpartition('/')[2] for layer in traced} == {'norm1', 'norm2'}
    assert {relay.name.rpartition('/')[2] for relay in relays if relay.over == 'frames'} == {'norm2'}
    for of in traced.values():
        np.testing.assert_allclose(of.h, of.output * jax.nn.sigmoid(of.c), rtol=1e-4, atol=1e-5)
    settings = {'means': means_of(traced), 'keys': jax.random.split(jax.random.key(0), 2)}
    chosen = matching(traced, '')
    without = ablated(model, variables, clip, ablation='zero', chosen=chosen, **settings)
    alone = jax.tree_util.tree_map_with_path(
        lambda path, of: jnp.zeros_like(of) if 'share' in jax.tree_util.keystr(path) else of, variables['params']
    )
    static = model.apply({**variables, 'params': alone}, clip, train=False)
    np.testing.assert_allclose(without, static, rtol=1e-4, atol=1e-5)
    assert abs(logits - static).max() > 1e-3


def test_the_trace_of_a_clip_does_not_depend_on_the_others(network, traced):
    model, variables, clip = network
    alone = jax.jit(jax.vmap(lambda one: trace(model, variables, one[None])))(clip)
    for layer, of in traced.items():
        for one, both in zip(alone[layer], of, strict=True):
            np.testing.assert_allclose(one[:, 0], both, rtol=1e-4, atol=1e-5)


def test_observing_changes_nothing(network):
    model, variables, clip = network
    observed = jax.jit(lambda variables, clip: observe(model, variables, clip)[0])(variables, clip)
    plain = jax.jit(lambda variables, clip: model.apply(variables, clip, train=False))(variables, clip)
    np.testing.assert_allclose(observed, plain, rtol=1e-5, atol=1e-6)


def test_influence_is_causal_and_the_gradient_of_the_scale(network, traced):
    model, variables, clip = network
    found = jax.jit(lambda variables, clip: influence(model, variables, clip))(variables, clip)
    relay = next(relay for relay in find_relays(model, variables, clip.shape) if relay.over == 'frames')
    matrix = np.asarray(found[relay.name][0])
    assert (np.triu(matrix, 1) == 0).all() and (np.diag(matrix) > 0).all() and matrix[2, 0] > 0

    def scale(pooled):
        zero = zero_carry(1, pooled.shape[-1])
        return relay.cell.apply(relay.variables(variables), zero, jnp.asarray(pooled)[None], method=relay_over_frames)[
            1
        ][0][0]

    pooled, small = np.asarray(traced[relay.name].pooled[0]), 1e-2
    lengths = 0.0
    for channel in range(pooled.shape[-1]):
        step = np.zeros_like(pooled)
        step[0, channel] = small
        lengths += np.square((scale(pooled + step) - scale(pooled - step))[2] / (2 * small)).sum()
    assert matrix[2, 0] == pytest.approx(np.sqrt(lengths / pooled.shape[-1]), rel=2e-2)


def means_of(traced):
    return {layer: Means(of.h.mean(axis=0), of.c.mean(axis=0)) for layer, of in traced.items()}


@pytest.mark.parametrize('norms', ['dnr', 'cross_layer_unit,cross_temporal_unit'])
@pytest.mark.parametrize('ablation', ['none', 'cut:99'])
def test_what_takes_nothing_away_changes_nothing(network, traced, ablation, norms):
    _, variables, clip = network
    model = short('resnet18', norms, reduction=1)
    keys = jax.random.split(jax.random.key(0), 2)
    logits = ablated(
        model, variables, clip, ablation=ablation, chosen=matching(traced, ''), means=means_of(traced), keys=keys
    )
    np.testing.assert_allclose(logits, model.apply(variables, clip, train=False), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('ablation', ['zero', 'mean', 'mean_per_hop', 'shuffle', 'reverse', 'cut:1'])
def test_what_takes_something_away_changes_the_logits_and_only_where_it_is_asked_to(network, traced, ablation):
    model, variables, clip = network
    settings = {'ablation': ablation, 'means': means_of(traced), 'keys': jax.random.split(jax.random.key(1), 2)}
    whole = model.apply(variables, clip, train=False)
    everywhere = matching(traced, '')
    nowhere = dict.fromkeys(traced, False)
    assert np.abs(ablated(model, variables, clip, chosen=everywhere, **settings) - whole).max() > 1e-4
    np.testing.assert_array_equal(ablated(model, variables, clip, chosen=nowhere, **settings), whole)


def test_unknown_ablations_and_static_networks_are_refused(network, random_variables):
    model, variables, clip = network
    with pytest.raises(ValueError, match='ablation'):
        ablated(
            model, variables, clip, ablation='halve', chosen={}, means={}, keys=jax.random.split(jax.random.key(0), 2)
        )
    static = short('resnet18', 'batch')
    with pytest.raises(ValueError, match='Expected a network with a relay'):
        find_relays(static, random_variables(static, clip, train=False), clip.shape)
