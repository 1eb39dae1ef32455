"""Norms against the NumPy reference, Flax's layers and hand-computed numbers; one contract for them all."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from conftest import make_random_variables
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dnr_jax.norms.normalization import frame_groups
from dnr_jax.norms.relay import RelayCell, relay_over_frames, zero_carry
from dnr_jax.norms.statistics import moments
from dnr_jax.norms.words import NORMS, PRESETS, is_cross_layer, make_norm, norm_slots, plain

SETTINGS = {
    'stride': 2, 'reduction': 2, 'statistics_scope': 'device', 'momentum': 0.9, 'running_per_hop': False,
    'frozen_statistics': '', 'epsilon': 1e-5, 'groups': 2,
    'renormalization': (3.0, 5.0), 'reading_dropout': 0.1,
}  # fmt: skip
DROPOUT = {'dropout': jax.random.key(1)}
assert_close = partial(assert_allclose, rtol=2e-4, atol=2e-5)


class Chain(nn.Module):
    """Norms one after the other, ReLU after each but the last; one cell for all that are cross-layer."""

    words: tuple[str, ...]
    settings: dict

    @nn.compact
    def __call__(self, x, carry, train):
        relayed = any(map(is_cross_layer, self.words))
        cell = RelayCell(x.shape[-1], self.settings['reduction'], name='relay') if relayed else None
        for j, word in enumerate(self.words):
            x = nn.relu(x) if j else x
            x, carry = make_norm(word, cell=cell, name=f'norm{j}', **self.settings)(x, carry, train)
        return x, carry


def single(word, **changes):
    return Chain((word,), SETTINGS | changes)


def normal(*shape, seed=0, mean=0.5):
    return jnp.asarray(np.random.default_rng(seed).normal(mean, size=shape), jnp.float32)


def applied(model, variables, x, carry, train):
    """((y, carry after it), statistics after it), of one compilation; only training drops anything."""
    rngs = DROPOUT if train else {}
    return jax.jit(partial(model.apply, train=train, mutable='batch_stats'))(variables, x, carry, rngs=rngs)


def both_modes(model):
    """(variables, x, carry) -> evaluation output, training output, statistics after it; one compilation."""

    def run(variables, x, carry):
        evaluated, _ = model.apply(variables, x, carry, train=False)
        (trained, _), after = model.apply(variables, x, carry, train=True, mutable='batch_stats')
        return evaluated, trained, after

    return jax.jit(run)


def running(variables, norm='norm0'):
    statistics = variables['batch_stats'][norm]['statistics']
    return np.float64(statistics['mean']), np.float64(statistics['var'])


# Against the reference


@settings(max_examples=5)
@given(
    clips=st.integers(1, 3),
    hops=st.integers(1, 4),
    stride=st.integers(1, 3),
    height=st.integers(2, 3),
    features=st.integers(2, 4),
    reduction=st.integers(1, 2),
    momentum=st.sampled_from([0.9, 0.5]),
    epsilon=st.sampled_from([1e-5, 0.1]),
)
def test_cross_temporal_is_the_reference(
    random_variables, clips, hops, stride, height, features, reduction, momentum, epsilon
):
    model = single('cross_temporal', stride=stride, reduction=reduction, momentum=momentum, epsilon=epsilon)
    x, carry = normal(clips, hops * stride, height, 3, features), zero_carry(clips, features)
    variables = random_variables(model, x, carry, train=False)
    evaluated, trained, after = both_modes(model)(variables, x, carry)

    cell = variables['params']['norm0']['transform']['relay']
    pair = running(variables)
    expected = partial(reference.cross_temporal, cell, np.float64(x), stride, pair, momentum, epsilon)
    assert_close(evaluated, expected(train=False)[0])
    y, moved = expected(train=True)
    assert_close(trained, y)
    assert_close(running(after), moved)


def test_cross_layer_chain_is_the_reference(random_variables):
    """Three norms: one cell, statistics of their own."""
    model = Chain(('cross_layer',) * 3, SETTINGS | {'momentum': 0.7, 'epsilon': 1e-3})
    x, carry = normal(2, 4, 2, 3, 6), zero_carry(2, 6)
    variables = random_variables(model, x, carry, train=False)
    assert set(variables['params']) == {'relay'}
    assert set(variables['batch_stats']) == {'norm0', 'norm1', 'norm2'}
    evaluated, trained, after = both_modes(model)(variables, x, carry)

    pairs = [running(variables, f'norm{j}') for j in range(3)]
    cell = variables['params']['relay']
    expected = partial(reference.cross_layer_chain, cell, np.float64(x), pairs, 0.7, 1e-3)
    assert_close(nn.relu(evaluated), expected(train=False)[0])
    y, moved = expected(train=True)
    assert_close(nn.relu(trained), y)
    for j in range(3):
        assert_close(running(after, f'norm{j}'), moved[j])


def test_relays_over_group_statistics_are_the_reference(random_variables):
    x, carry = normal(2, 4, 2, 3, 4), (normal(2, 4, seed=1), normal(2, 4, seed=2))
    clips, state = np.float64(x), tuple(map(np.float64, carry))
    temporal, layer = single('cross_temporal_group'), single('cross_layer_group')
    variables = [random_variables(model, x, carry, train=False) for model in (temporal, layer)]

    @jax.jit
    def run(variables, x, carry):
        models = zip((temporal, layer), variables, strict=True)
        return [model.apply(given, x, carry, train=True)[0] for model, given in models]

    temporal_y, layer_y = run(variables, x, carry)

    groups = [clips[:, :2], clips[:, 2:]]
    pooled = np.stack([reference.pool(group) for group in groups], axis=1)
    cell = variables[0]['params']['norm0']['transform']['relay']
    h, c = reference.relay(cell, np.zeros((2, 4)), np.zeros((2, 4)), pooled)
    standardized = [reference.group_standardize(group, 2, 1e-5) for group in groups]
    expected = [reference.transform(standardized[g], h[:, g], c[:, g]) for g in (0, 1)]
    assert_close(temporal_y, np.concatenate(expected, axis=1))

    h, c = reference.cell(variables[1]['params']['relay'], *state, reference.pool(clips))
    assert_close(layer_y, reference.transform(reference.group_standardize(clips, 2, 1e-5), h, c))


def with_gradient(apply, x, weight):
    """Output and gradients of a weighted sum of it, with respect to variables and x."""

    def total(params, x):
        y, after = apply(params, x)
        return jnp.sum(y * weight), (y, after)

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))


def test_batch_is_the_reference_and_flax_batch_norm(random_variables):
    x, carry, weight = normal(2, 4, 3, 2, 4), zero_carry(2, 4), normal(2, 4, 3, 2, 4, seed=1)
    model, flax_model = single('batch'), nn.BatchNorm(momentum=0.9, epsilon=1e-5)
    variables = random_variables(model, x, carry, train=False)
    static, old = variables['params']['norm0']['transform'], variables['batch_stats']['norm0']['statistics']

    def ours(static, x):
        given = {'params': {'norm0': {'transform': static}}, 'batch_stats': variables['batch_stats']}
        (y, _), after = model.apply(given, x, carry, train=True, mutable='batch_stats')
        return y, running_pair(after['batch_stats']['norm0']['statistics'])

    def flax(static, x):
        given = {'params': {'scale': static['scale'], 'bias': static['shift']}, 'batch_stats': old}
        y, after = flax_model.apply(given, x, use_running_average=False, mutable='batch_stats')
        return y, running_pair(after['batch_stats'])

    (_, (y, (mean, var))), gradients = with_gradient(ours, x, weight)(static, x)
    (_, (flax_y, (flax_mean, flax_var))), flax_gradients = with_gradient(flax, x, weight)(static, x)
    assert_close(y, flax_y)
    assert_close(mean, flax_mean)
    jax.tree.map(partial(assert_allclose, rtol=1e-3, atol=1e-4), gradients, flax_gradients)
    count = x.size // 4
    assert_close(var - 0.9 * old['var'], (flax_var - 0.9 * old['var']) * count / (count - 1))

    pair = running(variables)
    expected = partial(reference.batch_norm, np.float64(x), *static.values(), pair, momentum=0.9, epsilon=1e-5)
    trained, moved = expected(train=True)
    assert_close(y, trained)
    assert_close((mean, var), moved)
    assert_close(model.apply(variables, x, carry, train=False)[0], expected(train=False)[0])


def running_pair(statistics):
    return statistics['mean'], statistics['var']


def test_group_is_the_reference_and_flax_group_norm(random_variables):
    x, carry, weight = normal(2, 3, 3, 2, 6), zero_carry(2, 6), normal(2, 3, 3, 2, 6, seed=1)
    model, flax_model = single('group', groups=3), nn.GroupNorm(num_groups=3, epsilon=1e-5)
    static = random_variables(model, x, carry, train=False)['params']['norm0']['transform']

    def ours(static, x):
        return model.apply({'params': {'norm0': {'transform': static}}}, x, carry, train=True)[0], None

    def flax(static, x):
        return flax_model.apply({'params': {'scale': static['scale'], 'bias': static['shift']}}, x), None

    (_, (y, _)), gradients = with_gradient(ours, x, weight)(static, x)
    (_, (flax_y, _)), flax_gradients = with_gradient(flax, x, weight)(static, x)
    assert_close(y, flax_y)
    jax.tree.map(partial(assert_allclose, rtol=1e-3, atol=1e-4), gradients, flax_gradients)
    assert_close(y, reference.group_norm(np.float64(x), static['scale'], static['shift'], 3, 1e-5))


# By hand


def test_running_statistics_by_hand(random_variables):
    """Groups of 16 values g + 1 and g - 1, g = 1 to 4: mean g, variance 1, unbiased 16/15; four updates."""
    x = np.ones((2, 8, 2, 2, 2), np.float32) * np.repeat([1, 2, 3, 4], 2).reshape(1, 8, 1, 1, 1)
    x = jnp.asarray(x + np.array([1, -1]).reshape(1, 1, 1, 2, 1), jnp.float32)
    carry, model = zero_carry(2, 2), single('cross_temporal')
    variables = random_variables(model, x, carry, train=False)
    zeroed = {
        'params': variables['params'],
        'batch_stats': {'norm0': {'statistics': {'mean': jnp.zeros(2), 'var': jnp.ones(2)}}},
    }
    mean, var = running(both_modes(model)(zeroed, x, carry)[2])
    assert_allclose(mean, [0.1 * (0.9**3 * 1 + 0.9**2 * 2 + 0.9 * 3 + 4)] * 2, rtol=1e-6)
    assert_allclose(var, [0.9**4 + (1 - 0.9**4) * 16 / 15] * 2, rtol=1e-6)


def test_a_new_norm_starts_with_mean_zero_and_variance_one():
    x, carry = normal(2, 4, 2, 2, 4), zero_carry(2, 4)
    for train in True, False:
        variables = single('batch').init(jax.random.key(0), x, carry, train=train)
        assert_array_equal(running(variables), [np.zeros(4), np.ones(4)])
        assert_array_equal(variables['params']['norm0']['transform']['scale'], np.ones(4))
        assert_array_equal(variables['params']['norm0']['transform']['shift'], np.zeros(4))


def test_moments_by_hand():
    x = jnp.arange(2 * 4 * 1 * 2 * 1, dtype=jnp.float32).reshape(2, 4, 1, 2, 1)
    mean, square, count = moments(x, groups=2, clips_apart=True)
    assert_allclose(mean[..., 0], [[1.5, 5.5], [9.5, 13.5]])
    assert_allclose(square[..., 0], [[3.5, 31.5], [91.5, 183.5]])
    assert count == 4


# One contract for every norm


@pytest.mark.parametrize('word', NORMS)
def test_contract(random_variables, word):
    model, x, carry = single(word), normal(3, 4, 3, 2, 6), (normal(3, 6, seed=1), normal(3, 6, seed=2))
    variables = random_variables(model, x, carry, train=False)
    params, statistics = variables.get('params', {}), variables.get('batch_stats', {})
    weights = normal(*x.shape, seed=3), (normal(3, 6, seed=4), normal(3, 6, seed=5))
    traces = []

    def loss(params, x, carry, statistics):
        traces.append(word)
        given = {'params': params, 'batch_stats': statistics}
        outputs, after = model.apply(given, x, carry, train=True, mutable='batch_stats', rngs=DROPOUT)
        weighted = jax.tree.map(lambda value, weight: jnp.sum(value * weight), outputs, weights)
        return sum(jax.tree.leaves(weighted)), (*outputs, after.get('batch_stats', {}))

    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    step(params, x, carry, statistics)
    (_, (y, next_carry, after)), gradients = step(params, x + 1, carry, statistics)
    assert traces == [word]

    assert y.shape == x.shape
    for before, now in zip(carry, next_carry, strict=True):
        assert now.shape == before.shape
        assert np.array_equal(now, before) == (NORMS[word].transform != 'cross_layer')
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(gradient)), path
        assert np.any(gradient != 0), path
    assert bool(statistics) == plain(word).startswith('batch')
    for before, now in zip(jax.tree.leaves(statistics), jax.tree.leaves(after), strict=True):
        assert np.all(before != now)

    (evaluated, _), unmoved = applied(model, variables, x, carry, train=False)
    assert evaluated.shape == x.shape
    jax.tree.map(assert_array_equal, unmoved.get('batch_stats', {}), statistics)


@pytest.mark.parametrize('word', ['cross_layer', 'cross_temporal'])
def test_a_unit_relay_has_four_times_the_scale_and_the_same_shift_and_state(word):
    """With x = +1 and -1 in equal parts, standardized x is x: y is shift + scale and shift - scale."""
    x, carry = jnp.tile(jnp.array([1.0, -1.0]), (2, 4, 2, 1)).reshape(2, 4, 2, 2, 1), zero_carry(2, 1)
    released, unit = (single(of, reduction=1, epsilon=0.0) for of in (word, f'{word}_unit'))
    variables = released.init(jax.random.key(0), x, carry, train=False)
    (y, state), (y_unit, state_unit) = (
        applied(model, variables, x, carry, train=True)[0] for model in (released, unit)
    )
    scale, scale_unit = ((of.max(axis=(2, 3)) - of.min(axis=(2, 3))) / 2 for of in (y, y_unit))
    assert_allclose(scale_unit, 4 * scale, rtol=1e-5)
    assert_allclose(y_unit.mean(axis=(2, 3)), y.mean(axis=(2, 3)), atol=1e-6)
    jax.tree.map(assert_array_equal, state_unit, state)


@pytest.mark.parametrize(('word', 'start'), [('batch', 1.0), ('group', 1.0), ('batch_quarter', 0.25)])
def test_where_static_scales_start(word, start):
    variables = single(word).init(jax.random.key(0), normal(1, 4, 2, 2, 6), zero_carry(1, 6), train=False)
    assert_array_equal(variables['params']['norm0']['transform']['scale'], np.full(6, start))


def test_a_whole_relay_standardizes_all_frames_alike(random_variables):
    """And scales and shifts them as the released one does: by the means of its hops."""
    x, carry = normal(3, 4, 3, 2, 6), zero_carry(3, 6)
    released, whole = (single(of, reduction=1) for of in ('cross_temporal', 'cross_temporal_whole'))
    variables = random_variables(released, x, carry, train=False)
    params = {'params': variables['params']['norm0']['transform']['relay']}
    pooled = x.reshape(3, 2, 2, 3, 2, 6).mean(axis=(2, 3, 4))
    _, (scale, shift) = RelayCell(6, 1).apply(params, carry, pooled, method=relay_over_frames)
    scale, shift = (jnp.repeat(of, 2, axis=1)[:, :, None, None] for of in (scale, shift))
    mean, var = (of(axis=(0, 1, 2, 3), keepdims=True) for of in (x.mean, x.var))
    standardized = (x - mean) / np.sqrt(var + 1e-5)
    (y, _), after = applied(whole, variables, x, carry, train=True)
    assert_allclose(y, scale * standardized + shift, rtol=1e-4, atol=1e-5)
    before, now = (of['batch_stats']['norm0']['statistics']['mean'] for of in (variables, after))
    assert_allclose(now, 0.9 * before + 0.1 * mean.ravel(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('word', [word for word in NORMS if word != 'none'])
def test_half_precision_touches_only_input_and_output(random_variables, word):
    """From bfloat16 input, the result is the float32 one rounded once: statistics and cell are float32."""
    model, carry = single(word), zero_carry(2, 4)
    x = normal(2, 4, 8, 8, 4, mean=3).astype(jnp.bfloat16)
    variables = random_variables(model, x, carry, train=False)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}

    @jax.jit
    def apply(x):
        (y, carry_out), after = model.apply(variables, x, carry, train=True, mutable='batch_stats', rngs=DROPOUT)
        return y, (carry_out, after)

    y, exact = apply(x)
    expected_y, expected = apply(x.astype(jnp.float32))
    assert y.dtype == jnp.bfloat16
    assert np.abs(np.float32(y) - expected_y).max() <= 2**-8 * np.abs(expected_y).max()
    assert {leaf.dtype for leaf in jax.tree.leaves(exact)} == {jnp.dtype('float32')}
    jax.tree.map(partial(assert_allclose, rtol=1e-6, atol=1e-6), exact, expected)


def test_time_has_a_direction(random_variables):
    """A cross-temporal norm reads no later group and, in evaluation, no other clip; a reversal shows."""
    model, carry = single('cross_temporal', reduction=1), zero_carry(2, 6)
    x = normal(2, 6, 2, 2, 6)
    variables = random_variables(model, x, carry, train=False)

    def energy(x, train):
        (y, _), _ = model.apply(variables, x, carry, train=train, mutable='batch_stats')
        return jnp.square(y).reshape(2, 3, -1).sum(axis=-1)

    def in_both_modes(function):
        return jax.jit(lambda x: [function(x, train) for train in (False, True)])

    energies, backwards = in_both_modes(energy)(x), in_both_modes(energy)(x[:, ::-1])
    jacobians = in_both_modes(jax.jacrev(energy))(x)
    for train in False, True:
        assert np.abs(energies[train] - backwards[train][:, ::-1]).max() > 1e-2
        reach = np.abs(jacobians[train]).reshape(2, 3, 2, 3, -1).max(axis=-1)  # [B G B G]
        for clip in range(2):
            assert_array_equal(np.triu(reach[clip, :, clip], 1), 0)
            assert np.all(reach[clip, :, clip][np.tril_indices(3)] > 0)
            assert np.any(reach[clip, :, 1 - clip] > 0) == train


# Names and errors


def test_presets_are_spelled_with_known_words():
    for words in PRESETS.values():
        assert len(words) == 3
        assert set(words) <= set(NORMS)


def test_norm_slots():
    assert norm_slots('dnr', 3) == ('cross_layer', 'cross_temporal', 'batch')
    assert norm_slots('dnr', 2) == ('cross_layer', 'cross_temporal')
    assert norm_slots(['batch', 'none'], 2) == ('batch', 'none')
    assert norm_slots('batch, group', 2) == ('batch', 'group')


def test_plain_keeps_the_statistics():
    words = 'cross_layer', 'cross_temporal_group', 'none'
    assert [plain(word) for word in words] == ['batch', 'group', 'none']


@pytest.mark.parametrize(
    ('norms', 'message'),
    [
        ('dnr_temporl', "Unknown norm preset 'dnr_temporl'. Did you mean 'dnr_temporal'.* dnr_group"),
        (('cross_layr', 'batch', 'batch'), "Unknown norm 'cross_layr'. Did you mean 'cross_layer'.* batch"),
        (('batch', 'batch'), '3 words, got 2'),
        ('batch,batch,batch,batch', '3 words, got 4'),
    ],
)
def test_norm_slot_errors(norms, message):
    with pytest.raises(ValueError, match=message):
        norm_slots(norms, 3)


def test_frame_groups():
    assert [frame_groups(8, stride) for stride in (1, 2, 8, None)] == [8, 4, 1, 1]
    for stride in 0, -2, 3, 16:
        with pytest.raises(ValueError, match=rf'got stride {stride} for T = 8 .* that fit: 1, 2, 4, 8\.'):
            frame_groups(8, stride)


@pytest.mark.parametrize(
    ('word', 'changes', 'message'),
    [
        ('cross_temporal', {'stride': 3}, r'stride 3 for T = 4 frames; strides that fit: 1, 2, 4\.'),
        ('group', {'groups': 4}, 'split 6 channels into groups of equal size, got 4 groups'),
        ('cross_layer', {'reduction': 7}, 'over 6 channels needs a reduction ratio from 1 to 6, got 7'),
        ('cross_temporal', {'reduction': 0}, 'over 6 channels needs a reduction ratio from 1 to 6, got 0'),
        ('bach', {}, "Unknown norm 'bach'. Did you mean 'batch'"),
    ],
)
def test_settings_that_do_not_fit(word, changes, message):
    class One(nn.Module):
        @nn.compact
        def __call__(self, x, carry):
            cell = RelayCell(6, changes['reduction'], name='relay') if word == 'cross_layer' else None
            return make_norm(word, cell=cell, name='norm', **(SETTINGS | changes))(x, carry, train=True)

    with pytest.raises(ValueError, match=message):
        One().init(jax.random.key(0), normal(2, 4, 1, 1, 6), zero_carry(2, 6))


@pytest.mark.parametrize('per_hop', [True, False])
def test_running_statistics_per_hop_are_those_of_training(random_variables, per_hop):
    """With no memory, evaluation repeats training if every hop has its own pair, and does not if they share one."""
    norm = make_norm(
        'cross_temporal', cell=None, name='norm', **SETTINGS | {'momentum': 0.0, 'running_per_hop': per_hop}
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 6, 5, 5, 4)) + np.arange(6)[:, None, None, None]  # later frames are brighter
    x = jnp.asarray(x, jnp.float32)
    carry = zero_carry(8, 4)
    variables = random_variables(norm, x, carry, train=False)
    (trained, _), updated = applied(norm, variables, x, carry, train=True)
    (evaluated, _), _ = applied(norm, variables | updated, x, carry, train=False)
    assert jax.tree.leaves(updated)[0].shape == ((3, 4) if per_hop else (4,))
    difference = float(jnp.abs(evaluated - trained).max())
    assert difference < 0.02 if per_hop else difference > 0.5


def standardized(statistics, x, frozen='', word='cross_temporal'):
    """(y, running statistics before, and after) of a norm over clips x in one step of training."""
    settings = SETTINGS | {'statistics_scope': statistics, 'frozen_statistics': frozen}
    norm = make_norm(word, cell=None, name='norm', **settings)
    carry = zero_carry(len(x), x.shape[-1])
    variables = make_random_variables(norm, x, carry, train=False)
    (y, _), updated = applied(norm, variables, x, carry, train=True)
    return y, variables['batch_stats'], updated['batch_stats']


def test_statistics_of_two_clips_are_those_of_the_clips_alone():
    x = normal(6, 4, 3, 3, 4, seed=5) * jnp.arange(1.0, 7.0)[:, None, None, None, None]
    y, _, running = standardized('2', x)
    alone = [standardized('device', x[i : i + 2]) for i in (0, 2, 4)]
    assert_close(y, jnp.concatenate([y for y, _, _ in alone]))
    mean_of_runs = jax.tree.map(lambda *leaves: sum(leaves) / 3, *[running for _, _, running in alone])
    jax.tree.map(assert_close, running, mean_of_runs)
    assert float(jnp.abs(y - standardized('device', x)[0]).max()) > 0.1


def test_global_statistics_are_those_of_all_devices():
    x = normal(4, 4, 3, 3, 4, seed=6) * jnp.arange(1.0, 5.0)[:, None, None, None, None]
    y, _, running = jax.vmap(partial(standardized, 'global'), axis_name='clips')(x.reshape(2, 2, *x.shape[1:]))
    expected_y, _, expected = standardized('device', x)
    assert_close(y.reshape(x.shape), expected_y)
    for device in range(2):
        jax.tree.map(lambda leaf, whole: assert_close(leaf[device], whole), running, expected)  # noqa: B023


@pytest.mark.parametrize('statistics', ['4', '0', 'devices', '-2', ''])
def test_a_scope_that_does_not_fit(statistics):
    with pytest.raises(ValueError, match="'device', 'global', or a number of clips that divides the 6 of a device"):
        standardized(statistics, normal(6, 4, 3, 3, 4))


def test_frozen_statistics_stand_still_in_training():
    x = normal(2, 4, 3, 3, 4)
    frozen, before, after = standardized('device', x, frozen='^statistics')
    moving, _, updated = standardized('device', x, frozen='stage1')
    jax.tree.map(assert_array_equal, before, after)
    assert float(jnp.abs(frozen - moving).max()) > 0.1
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.any(a != b), before, updated)))


def test_a_single_value_has_no_variance():
    with pytest.raises(ValueError, match='at least 2 values per channel, got 1'):
        standardized('1', normal(2, 1, 1, 1, 4), word='batch')
