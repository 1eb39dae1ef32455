"""Statistics of sets of clips by numbers: against random companions, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_networks import NORM

from dnr_jax.norms.relay import RelayCell, zero_carry
from dnr_jax.norms.set_statistics import RenormalizedStatistics, SelfInclusiveStatistics
from dnr_jax.norms.statistics import Moments, moments
from dnr_jax.norms.words import make_norm

POPULATION = np.random.default_rng(0).normal(size=(64, 4, 2, 2, 3)) * np.random.default_rng(1).uniform(
    0.5, 2, (64, 1, 1, 1, 3)
) + np.random.default_rng(2).normal(size=(64, 1, 1, 1, 3))
OF_POPULATION = moments(jnp.asarray(POPULATION, jnp.float32), groups=2, clips_apart=True)


def self_inclusive(clips, frozen=''):
    return SelfInclusiveStatistics('device', 0.0, True, frozen, clips)


def of(chosen):
    """The moments of those clips of the population."""
    return Moments(OF_POPULATION.mean[chosen], OF_POPULATION.square[chosen], OF_POPULATION.count)


@pytest.mark.parametrize('clips', [1, 2, 5])
def test_evaluation_expects_what_training_does_with_random_companions(clips):
    """One clip with 4,000 draws of companions in training mode, against the closed form of evaluation."""
    statistics = self_inclusive(clips)
    variables = statistics.init(jax.random.key(0), of(slice(2)), train=True)
    _, known = statistics.apply(variables, OF_POPULATION, train=True, mutable='batch_stats')
    own, draws = 7, 4000
    others = np.random.default_rng(3).integers(0, 64, (draws, clips - 1))
    sets = np.concatenate([np.full((draws, 1), own), others], axis=1)
    in_training = jax.jit(jax.vmap(lambda chosen: statistics.apply(known, of(chosen), train=True, mutable=True)[0]))
    expected = statistics.apply(known, of(np.array([own])), train=False)
    for drawn, closed in zip(in_training(sets), expected, strict=True):
        error = np.std(drawn, axis=0) / np.sqrt(draws)
        assert np.all(abs(drawn.mean(axis=0) - closed) <= 5 * error + 1e-5)
        assert clips == 1 or np.all(error > 0)


def test_a_set_of_one_is_the_clip_itself_and_a_large_one_the_population():
    variables = self_inclusive(1).init(jax.random.key(0), of(slice(2)), train=True)
    _, known = self_inclusive(1).apply(variables, OF_POPULATION, train=True, mutable='batch_stats')
    mean, var = self_inclusive(1).apply(known, of(slice(3)), train=False)
    assert_allclose(mean, OF_POPULATION.mean[:3], rtol=1e-6)
    assert_allclose(var, OF_POPULATION.square[:3] - OF_POPULATION.mean[:3] ** 2, rtol=1e-4)
    mean, var = self_inclusive(10**6).apply(known, of(slice(3)), train=False)
    assert_allclose(mean, np.broadcast_to(OF_POPULATION.mean.mean(axis=0), mean.shape), atol=1e-4)
    whole = POPULATION.reshape(64, 2, 2, 2, 2, 3)
    assert_allclose(var, np.broadcast_to(whole.var(axis=(0, 2, 3, 4)), var.shape), rtol=1e-3)


def test_by_hand():
    """B = 2, m = 3, v = 1; mu = 1, V = 2, mu^2 + t2 = 5: mean 1.5 + 0.5, var 0.5 + 1 + (4 + 4) / 4."""
    variables = {'mean': [1.0], 'var': [9.0], 'within': [2.0], 'square_of_means': [5.0]}
    given = {'batch_stats': jax.tree.map(jnp.array, variables, is_leaf=lambda of: isinstance(of, list))}
    own = Moments(jnp.full((1, 1, 1), 3.0), jnp.full((1, 1, 1), 10.0), 4)
    mean, var = self_inclusive(2).apply(given, own, train=False)
    assert (mean.item(), var.item()) == (2.0, 3.5)
    mean, var = self_inclusive(2, frozen='.*').apply(given, own, train=False)
    assert (mean.item(), var.item()) == (1.0, 9.0)  # training does not count it either


@pytest.mark.parametrize('word', ['batch', 'cross_layer', 'cross_temporal'])
def test_a_prediction_is_of_its_own_clip_alone(word):
    """And differs from that of running averages; a norm along frames looks at no later ones."""

    x = jnp.asarray(POPULATION[:2], jnp.float32)

    def norm(**changes):
        return make_norm(word, cell=RelayCell(3, 2, name='cell'), name='norm', **NORM | {'reduction': 2} | changes)

    counted, carry = norm(counted_into=2, running_per_hop=True), zero_carry(2, 3)
    variables = jax.jit(lambda x: counted.init(jax.random.key(0), x, carry, train=True))(x)
    evaluate = jax.jit(lambda norm, x: norm.apply(variables, x, carry, train=False)[0], static_argnums=0)
    together, other = evaluate(counted, x), evaluate(counted, x.at[1].set(0.0))
    assert_allclose(together[0], other[0], rtol=1e-6)
    later = evaluate(counted, x.at[:, 2:].set(0.0))
    assert (abs(together - later)[:, :2].max() < 1e-6) == (word == 'cross_temporal')


def test_renormalized_by_hand():
    """Set of mean 3 and variance 4, running 1 and 1: r = 2, d = 2, so y = (x - 3) / 2 * 2 + 2 = x - 1; limits bind."""
    given = {'batch_stats': {'mean': jnp.array([1.0]), 'var': jnp.array([1.0])}}
    of_set = Moments(jnp.full((2, 1, 1), 3.0), jnp.full((2, 1, 1), 13.0), 4)

    def slope_and_shift(most_r, most_d):
        statistics = RenormalizedStatistics('device', 0.9, False, '', 0.0, most_r, most_d)
        (mean, var), _ = statistics.apply(given, of_set, train=True, mutable='batch_stats')
        return (1 / jnp.sqrt(var)).item(), (-mean / jnp.sqrt(var)).item()

    assert_allclose(slope_and_shift(3.0, 5.0), (1.0, -1.0), rtol=1e-6)
    assert_allclose(slope_and_shift(1.0, 0.0), (0.5, -1.5), rtol=1e-6)  # batch norm
    assert_allclose(slope_and_shift(1.5, 1.0), (0.75, -1.25), rtol=1e-6)


def test_by_limits_of_one_and_zero_a_renormalized_norm_is_batch_norm():
    """Of the same variables, so that a training may begin with those of the other; by wider limits it is not."""
    x, carry = jnp.asarray(POPULATION[:4] + 2, jnp.float32), zero_carry(4, 3)
    batch, same, wider = (
        make_norm(word, cell=None, name='norm', **NORM | {'renormalization': limits})
        for word, limits in (
            ('batch', (3.0, 5.0)),
            ('batch_renormalized', (1.0, 0.0)),
            ('batch_renormalized', (3.0, 5.0)),
        )
    )
    variables, others = (norm.init(jax.random.key(0), x, carry, train=True) for norm in (batch, same))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, others)
    y, of_same, of_wider = (
        norm.apply(variables, x, carry, train=True, mutable=True)[0][0] for norm in (batch, same, wider)
    )
    assert_allclose(of_same, y, atol=1e-5)
    assert abs(of_wider - y).max() > 0.5


def test_factors_of_renormalization_have_no_gradient():
    """Within the limits, y = x - 1 of above has the gradient of (x - mean) / std * 2 + 2."""
    statistics = RenormalizedStatistics('device', 0.9, False, '', 0.0, 3.0, 5.0)
    given = {'batch_stats': {'mean': jnp.array([1.0]), 'var': jnp.array([1.0])}}
    x = jnp.array([1.0, 5.0, 1.0, 5.0]).reshape(1, 4, 1, 1, 1)

    def outputs(x):
        (mean, var), _ = statistics.apply(given, moments(x, 1, True), train=True, mutable='batch_stats')
        return (x - mean[:, :, None, None]) / jnp.sqrt(var)[:, :, None, None]

    def batch_norm(x):
        return 2 * (x - x.mean()) / x.std() + 2

    assert_allclose(outputs(x), x - 1, rtol=1e-6)
    weigh = jnp.array([1.0, 2.0, 3.0, 5.0]).reshape(x.shape)
    gradient, of_batch_norm = (jax.grad(lambda x, of=of: (of(x) * weigh).sum())(x) for of in (outputs, batch_norm))
    assert_allclose(gradient, of_batch_norm, atol=1e-6)
