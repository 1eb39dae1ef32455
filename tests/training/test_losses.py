"""Soft targets against numbers computed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from dnr_jax.evaluation import metrics
from dnr_jax.training import losses

LOGITS = jnp.log(jnp.array([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]]))
LABEL = jnp.array([2, 0])


def test_targets_by_hand():
    targets = losses.one_hot_targets(LABEL, 4, 0.2)
    np.testing.assert_allclose(targets, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]], rtol=1e-6)


def test_no_smoothing_is_one_hot():
    np.testing.assert_array_equal(losses.one_hot_targets(LABEL, 4, 0.0), [[0, 0, 1, 0], [1, 0, 0, 0]])


def test_loss_by_hand():
    """Logarithms to the base of 2 of the probabilities are -1, -2, -3, -3."""
    loss = losses.soft_cross_entropy(LOGITS, losses.one_hot_targets(LABEL, 4, 0.2))
    np.testing.assert_allclose(loss, np.log(2) * np.array([0.05 * (1 + 2 + 3) + 0.85 * 3, 2]), rtol=1e-6)


def test_one_hot_loss_is_the_cross_entropy():
    loss = losses.soft_cross_entropy(LOGITS, losses.one_hot_targets(LABEL, 4, 0.0))
    np.testing.assert_allclose(loss, metrics.cross_entropy(LOGITS, LABEL), rtol=1e-6)


@pytest.mark.parametrize('smoothing', [-0.1, 1.0])
def test_smoothing_is_a_share(smoothing):
    with pytest.raises(ValueError, match=f'smoothing < 1, got {smoothing}'):
        losses.one_hot_targets(LABEL, 4, smoothing)
