"""Soft targets against numbers computed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from configs import moving_shapes
from dnr_jax.data.source import open_split
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


def test_class_weights_by_hand():
    """Of 16, 4 and 0 videos: 1/16 to 1/4, and a mean of 1 over 20 videos."""
    counts = np.array([16, 0, 4])
    np.testing.assert_allclose(losses.class_weights(counts, 1), [20 / (2 * 16), 0, 20 / (2 * 4)])
    np.testing.assert_allclose(losses.class_weights(counts, 0.5), [20 / 6 / 4, 0, 20 / 6 / 2])
    np.testing.assert_allclose(losses.class_weights(counts, 0.0), [1, 0, 1])


def test_class_weights_of_a_config_are_of_its_videos(tiny_dir):
    config = moving_shapes.get_config()
    train = open_split('moving_shapes/tiny', tiny_dir, 'train[:10%]')
    assert losses.weights_of_labels(train.labels, 8, config.train.class_weights) is None
    config.train.class_weights = 1.0
    weights = np.array(losses.weights_of_labels(train.labels, 8, config.train.class_weights))
    counts = np.bincount([train[place]['label'] for place in range(len(train))], minlength=8)
    np.testing.assert_allclose(weights * counts, np.where(counts, len(train) / np.count_nonzero(counts), 0))
