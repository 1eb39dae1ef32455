"""Metrics against numbers counted by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from dnr_jax.evaluation import metrics

LOGITS = jnp.array([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 3.0, 2.0]])
LABEL = jnp.array([0, 0, 3])


def test_top_k_by_hand():
    np.testing.assert_array_equal(metrics.top_k(LOGITS, LABEL, 1), [1, 0, 0])
    np.testing.assert_array_equal(metrics.top_k(LOGITS, LABEL, 2), [1, 0, 1])
    np.testing.assert_array_equal(metrics.top_k(LOGITS, LABEL, 3), [1, 0, 1])
    np.testing.assert_array_equal(metrics.top_k(LOGITS, LABEL, 4), [1, 1, 1])


def test_ties_and_nan_count_against_the_label():
    constant = jnp.zeros((2, 4))
    np.testing.assert_array_equal(metrics.top1(constant, jnp.array([0, 3])), [0, 0])
    np.testing.assert_array_equal(metrics.top1(constant * jnp.nan, jnp.array([0, 3])), [0, 0])


def test_top5_of_six_classes():
    logits = jnp.arange(6.0)[None]
    assert metrics.top5(logits, jnp.array([0]))[0] == 0
    assert metrics.top5(logits, jnp.array([1]))[0] == 1


def test_cross_entropy_by_hand():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25]]))
    np.testing.assert_allclose(metrics.cross_entropy(logits, jnp.array([1])), [np.log(4)], rtol=1e-6)


def test_mask_is_the_same_as_leaving_out():
    mask = jnp.array([True, False, True])
    kept = jnp.array([0, 2])
    masked = metrics.averages(LOGITS, LABEL, mask)
    subset = metrics.averages(LOGITS[kept], LABEL[kept], jnp.ones(2, bool))
    assert masked.keys() == {'loss', 'top1', 'top5'}
    for name in masked:
        np.testing.assert_allclose(masked[name], subset[name], rtol=1e-6)


def test_masked_values_may_be_anything():
    assert metrics.masked_mean(jnp.array([1.0, jnp.nan]), jnp.array([True, False])) == 1
    assert metrics.masked_mean(jnp.array([1.0]), jnp.array([False])) == 0


def test_confusion_and_mean_class_accuracy():
    label, predicted = np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2])
    confusion = metrics.confusion_matrix(predicted, label, classes=3)
    np.testing.assert_array_equal(confusion, [[2, 1, 0], [0, 0, 0], [0, 0, 1]])
    assert metrics.mean_class_accuracy(confusion) == pytest.approx((2 / 3 + 1) / 2)


def test_check_finite_names_what_and_where():
    metrics.check_finite({'loss': 1.0}, 'at step 3')
    with pytest.raises(FloatingPointError, match="at step 3.*'loss': nan.*learning_rate"):
        metrics.check_finite({'top1': 0.5, 'loss': float('nan')}, 'at step 3')


def test_right_is_top1_without_a_device():
    for logits in (LOGITS, jnp.zeros((3, 4)), LOGITS * jnp.nan):
        np.testing.assert_array_equal(metrics.right(np.asarray(logits), np.asarray(LABEL)), metrics.top1(logits, LABEL))


@pytest.mark.parametrize(
    ('share', 'examples', 'told'),
    [(1 / 8, 32, '12.5%'), (0.0, 0, '0.0%'), (1.0, 1, '100.0%'), (123 / 1000, 1000, '12.3%'), (1 / 3, 1001, '33.33%'),
     (1 / 3, 10_000, '33.33%'), (1 / 3, 19_404, '33.333%')],
)  # fmt: skip
def test_digits_that_a_number_of_examples_supports(share, examples, told):
    assert metrics.percent(share, examples) == told
