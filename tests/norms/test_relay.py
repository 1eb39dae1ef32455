"""The cell and its scan over frames against hand-computed numbers, a Python loop, and the NumPy reference."""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dnr_jax.norms import relay
from dnr_jax.norms.relay import RelayCell, relay_over_frames, zero_carry


class Scan(nn.Module):
    """`relay_over_frames` over a cell of its own."""

    reduction: int

    @nn.compact
    def __call__(self, carry, pooled):
        return relay_over_frames(RelayCell(pooled.shape[-1], self.reduction, name='relay'), carry, pooled)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def loop(variables, reduction, carry, pooled):
    """What the scan stands for: hop by hop, each through the whole cell."""
    cell = RelayCell(pooled.shape[-1], reduction)
    hops = []
    for g in range(pooled.shape[1]):
        carry, state = cell.apply({'params': variables['params']['relay']}, carry, pooled[:, g])
        hops.append(state)
    scale, shift = zip(*hops, strict=True)
    return carry, (jnp.stack(scale, 1), jnp.stack(shift, 1))


def test_one_hop_by_hand(random_variables):
    """All kernels zero, so the gates are the biases; their order is i, f, g, o."""
    cell, h, c, pooled = RelayCell(features=1, reduction=1), *jnp.array([[[0.3]], [[2.0]], [[1.0]]])
    params = jax.tree.map(jnp.zeros_like, random_variables(cell, (h, c), pooled))['params']
    params['input_gates']['expand']['bias'] = jnp.array([math.log(3), 0.0, math.atanh(0.5), 0.0])
    params['state_gates']['expand']['bias'] = jnp.array([0.0, -math.log(3), 0.0, math.log(4)])
    carry, (scale, shift) = jax.jit(cell.apply)({'params': params}, (h, c), pooled)
    c = 0.25 * 2 + 0.75 * 0.5
    assert_allclose(shift, [[c]], rtol=1e-6)
    assert_allclose(scale, [[0.8 / (1 + math.exp(-c))]], rtol=1e-6)
    assert_array_equal(carry, (scale, shift))


@settings(max_examples=5)
@given(
    clips=st.integers(1, 3),
    groups=st.integers(1, 5),
    features=st.integers(2, 6),
    data=st.data(),
    seed=st.integers(0, 99),
)
def test_scan_is_the_loop_is_the_reference(random_variables, clips, groups, features, data, seed):
    reduction = data.draw(st.integers(1, features), 'reduction')
    pooled = normal(clips, groups, features, seed=seed)
    start = normal(clips, features, seed=seed + 1), normal(clips, features, seed=seed + 2)
    variables = random_variables(Scan(reduction), start, pooled, seed=seed)
    carry, states = jax.jit(Scan(reduction).apply)(variables, start, pooled)
    looped = jax.jit(partial(loop, reduction=reduction))(variables, carry=start, pooled=pooled)
    jax.tree.map(partial(assert_allclose, rtol=1e-5, atol=1e-6), (carry, states), looped)
    expected = reference.relay(variables['params']['relay'], *map(np.float64, start), np.float64(pooled))
    jax.tree.map(partial(assert_allclose, rtol=1e-5, atol=1e-6), states, expected)
    jax.tree.map(assert_array_equal, carry, tuple(state[:, -1] for state in states))


def test_unrolled_and_looped_scan_agree(random_variables, monkeypatch):
    pooled, carry = normal(2, 4, 6), zero_carry(2, 6)
    variables = random_variables(Scan(2), carry, pooled)

    def value_and_gradient():
        def total(variables, pooled):
            _, (scale, shift) = Scan(2).apply(variables, carry, pooled)
            return jnp.sum(scale * pooled) + jnp.sum(jnp.square(shift))

        traced = jax.jit(jax.value_and_grad(total, argnums=(0, 1))).trace(variables, pooled)
        return str(traced.jaxpr), traced.lower().compile()(variables, pooled)

    unrolled_code, unrolled = value_and_gradient()
    monkeypatch.setattr(relay, 'LONGEST_UNROLLED_SCAN', 3)
    looped_code, looped = value_and_gradient()
    jax.tree.map(partial(assert_allclose, rtol=2e-5, atol=1e-6), looped, unrolled)
    assert 'unroll=4' in unrolled_code
    assert 'unroll=1' in looped_code


def test_a_relay_interrupted_and_resumed_is_the_whole_relay(random_variables):
    pooled, carry = normal(2, 4, 4), zero_carry(2, 4)
    variables = random_variables(Scan(2), carry, pooled)
    run = jax.jit(partial(Scan(2).apply, variables))
    whole_carry, whole = run(carry, pooled)
    middle, first = run(carry, pooled[:, :2])
    end, second = run(middle, pooled[:, 2:])
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), first, second)
    jax.tree.map(partial(assert_allclose, rtol=1e-5, atol=1e-6), (end, joined), (whole_carry, whole))


def test_time_has_a_direction(random_variables):
    """No scale or shift depends on a later group or on another clip, all depend on every earlier group."""
    groups = 4
    pooled, carry = normal(2, groups, 8), zero_carry(2, 8)
    variables = random_variables(Scan(1), carry, pooled)
    states_of = jax.jit(lambda pooled: Scan(1).apply(variables, carry, pooled)[1])
    states, backwards = states_of(pooled), states_of(pooled[:, ::-1])
    jacobians = jax.jit(jax.jacrev(states_of))(pooled)
    for state, reversed_state, jacobian in zip(states, backwards, jacobians, strict=True):
        assert np.abs(state[:, -1] - reversed_state[:, -1]).max() > 1e-2
        reach = np.abs(jacobian).max(axis=(2, 5))  # [B G B G]: output clip and group, input clip and group
        for clip in range(2):
            assert_array_equal(reach[clip, :, 1 - clip], 0)
            assert_array_equal(np.triu(reach[clip, :, clip], 1), 0)
            assert np.all(reach[clip, :, clip][np.tril_indices(groups)] > 0)


def test_a_fresh_cell():
    """Weights and biases in U(+-1/sqrt(fan_in)), so that h is near sigmoid(0)^2 and c centred on zero."""
    features, reduction = 64, 4
    pooled, carry = normal(16, 4, features), zero_carry(16, features)
    fresh = jax.jit(Scan(reduction).init_with_output)
    draws = [fresh(jax.random.key(seed), carry, pooled) for seed in range(8)]
    params = draws[0][1]['params']['relay']
    fan_in = {'reduce': features, 'expand': features // reduction}
    for path, value in jax.tree_util.tree_leaves_with_path(params):
        bound = fan_in[path[1].key] ** -0.5
        assert np.abs(value).max() <= bound
        assert value.max() > 0.8 * bound and value.min() < -0.8 * bound, path
        if value.size > 1000:
            assert_allclose(np.std(value), bound / 3**0.5, rtol=0.04)
    kernels = [params[side]['reduce']['kernel'] for side in ('input_gates', 'state_gates')]
    assert not np.array_equal(*kernels)
    scale, shift = (np.stack([draw[0][1][k] for draw in draws]) for k in (0, 1))
    assert np.all((scale > 0) & (scale < 1))
    assert 0.235 < scale.mean() < 0.255
    assert abs(shift.mean()) < 0.05
    assert 0.1 < shift.std() < 0.46


@pytest.mark.parametrize('features', [4, 64, 512])
def test_parameter_count(features):
    def parameters(reduction):
        inputs = zero_carry(1, features), jnp.zeros((1, features))
        shapes = jax.eval_shape(RelayCell(features, reduction).init, jax.random.key(0), *inputs)
        assert list(shapes) == ['params']
        assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype('float32')}
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    assert parameters(reduction=4) == 2.5 * features**2 + 8.5 * features
    assert parameters(reduction=2) == 5 * features**2 + 9 * features


def test_every_matmul_asks_for_full_float32_and_the_input_side_is_not_scanned(random_variables, monkeypatch):
    monkeypatch.setattr(relay, 'LONGEST_UNROLLED_SCAN', 0)
    pooled, carry = normal(2, 8, 4), zero_carry(2, 4)
    variables = random_variables(Scan(2), carry, pooled)
    code = str(jax.make_jaxpr(Scan(2).apply)(variables, carry, pooled))
    assert code.count('dot_general[') == 4
    assert code.count('(Precision.HIGHEST, Precision.HIGHEST)') == 4
    outside = [line for line in code.splitlines() if 'dot_general' in line and 'f32[2,8,' in line]
    assert len(outside) == 2


@pytest.mark.parametrize('reduction', [0, 9])
def test_reduction_must_leave_a_hidden_unit(reduction):
    with pytest.raises(ValueError, match=f'8 channels .* from 1 to 8, got {reduction}'):
        RelayCell(8, reduction).init(jax.random.key(0), zero_carry(1, 8), jnp.zeros((1, 8)))
