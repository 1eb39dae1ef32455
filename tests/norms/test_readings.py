"""What cells are given in place of the means: by hand, and what is dropped in training alone."""

import jax
import jax.numpy as jnp
from numpy.testing import assert_allclose, assert_array_equal
from small_networks import NORM, normal

from dnr_jax.norms.readings import DroppedReading
from dnr_jax.norms.relay import zero_carry
from dnr_jax.norms.statistics import BatchStatistics
from dnr_jax.norms.words import make_norm

CLIP = normal(2, 4, 3, 3, 4)
STATISTICS = BatchStatistics('device', 0.9, False, '')


def test_a_standardized_relay_reads_how_a_clip_differs():
    """Running averages that are those of the clip itself leave nothing to read, whatever the clip; others do not."""
    norm = make_norm('cross_temporal_standardized', cell=None, name='norm', **NORM | {'running_per_hop': True})
    carry = zero_carry(1, 4)
    variables = norm.init(jax.random.key(0), CLIP[:1], carry, train=False)

    def read(x, mean):
        given = {**variables, 'batch_stats': {'statistics': {'mean': mean, 'var': jnp.ones_like(mean)}}}
        _, kept = norm.apply(given, x, carry, train=False, capture_intermediates=True, mutable='intermediates')
        return kept['intermediates']['reading']['__call__'][0]

    pooled = CLIP[:1].reshape(1, 2, 2, 3, 3, 4).mean(axis=(2, 3, 4))
    assert jnp.allclose(read(CLIP[:1], pooled[0]), 0, atol=1e-6)
    expected = pooled / jnp.sqrt(1 + NORM['epsilon'])
    assert jnp.allclose(read(CLIP[:1], jnp.zeros((2, 4))), expected, atol=1e-6)


def test_training_drops_a_share_and_keeps_the_mean():
    """Each mean becomes nothing, or 4/3 of itself where a quarter is dropped; by key, and of one key the same."""
    pooled, reading = jnp.full((4, 2, 1000), 3.0), DroppedReading(rate=0.25)
    one, again, other = (
        reading.apply({}, pooled, STATISTICS, train=True, rngs={'dropout': jax.random.key(seed)}) for seed in (1, 1, 2)
    )
    assert_array_equal(one, again)
    assert 0.3 < jnp.mean(one != other) < 0.45  # 2 * 1/4 * 3/4 of them
    assert_allclose(jnp.unique(one), [0.0, 4.0], rtol=1e-6)
    assert abs(jnp.mean(one == 0) - 0.25) < 5 * (0.25 * 0.75 / pooled.size) ** 0.5
    assert abs(jnp.mean(one) - 3) < 5 * (3 / pooled.size) ** 0.5  # of variance 4^2 * 1/4 * 3/4


def test_evaluation_drops_nothing_and_needs_no_key():
    pooled = normal(2, 3, 8)
    assert_array_equal(DroppedReading(rate=0.25).apply({}, pooled, STATISTICS, train=False), pooled)


def test_a_relay_with_dropout_is_the_relay_but_in_training():
    """By the setting `reading_dropout`, as often as it says."""

    def outputs(word, rate, train, seed=0):
        norm = make_norm(word, cell=None, name='norm', **NORM | {'reduction': 1, 'reading_dropout': rate})
        rngs = {'dropout': jax.random.key(seed)} if train else {}
        return norm.apply(variables, CLIP, carry, train=train, mutable='batch_stats', rngs=rngs)[0][0]

    carry = zero_carry(2, 4)
    relayed = make_norm('cross_temporal', cell=None, name='norm', **NORM | {'reduction': 1})
    variables = relayed.init(jax.random.key(0), CLIP, carry, train=False)
    for rate, train in ((0.5, False), (0.0, True)):
        assert_array_equal(outputs('cross_temporal_dropout', rate, train), outputs('cross_temporal', 0.0, train))
    dropped = [outputs('cross_temporal_dropout', 0.5, True, seed) for seed in (1, 2)]
    for one, other in ((dropped[0], dropped[1]), (dropped[0], outputs('cross_temporal', 0.0, True))):
        assert jnp.abs(one - other).max() > 1e-3
