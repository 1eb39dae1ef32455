"""Which videos an epoch reads: numbers by hand."""

import pickle

import numpy as np
import pytest

from dnr_jax.data.order import Order, balanced, share_of_classes
from dnr_jax.data.source import VideoSource

LABELS = np.array([0, 1, 0, 0, 2, 0, 0, 2, 0, 0])  # seven, one and two videos


class Labelled(VideoSource):
    """A source of nothing but labels."""

    labels = LABELS

    def __init__(self):
        pass

    def __len__(self):
        return len(self.labels)


SOURCE = Labelled()


def test_shares_by_hand():
    counts = np.array([16, 0, 1, 4])
    np.testing.assert_allclose(share_of_classes(counts, 0), [16 / 21, 0, 1 / 21, 4 / 21])
    np.testing.assert_allclose(share_of_classes(counts, 0.5), [4 / 7, 0, 1 / 7, 2 / 7])
    np.testing.assert_allclose(share_of_classes(counts, 1), [1 / 3, 0, 1 / 3, 1 / 3])


def test_without_balance_every_video_comes_up_once():
    """In the order that trainings had before there was a balance."""
    orders = [Order(SOURCE, 0.0, seed=5)(epoch) for epoch in range(3)]
    for epoch, order in enumerate(orders):
        assert sorted(order) == list(range(10))
        np.testing.assert_array_equal(order, np.random.default_rng((5, epoch, 1)).permutation(10))


@pytest.mark.parametrize('epoch', range(5))
def test_of_every_class_as_many(epoch):
    """Ten places of three classes: 3 or 4 each. Of seven videos no one comes up twice, one comes up every time."""
    times = np.bincount(Order(SOURCE, 1.0, seed=0)(epoch), minlength=10)
    of_class = np.array([times[LABELS == label].sum() for label in range(3)])
    assert times.sum() == 10 and set(of_class) == {3, 4}
    assert times[LABELS == 0].max() == 1 and np.ptp(times[LABELS == 2]) <= 1


def test_shares_are_exact_in_the_mean():
    orders = np.concatenate([Order(SOURCE, 0.5, seed=1)(epoch) for epoch in range(400)])
    roots = np.sqrt([7, 1, 2])
    np.testing.assert_allclose(np.bincount(LABELS[orders]) / len(orders), roots / roots.sum(), atol=5e-3)
    times = np.bincount(orders)[LABELS == 0]
    assert times.min() > 0.8 * times.max()  # all videos of a class, over the epochs


def test_an_order_follows_from_seed_and_epoch_alone():
    order = Order(SOURCE, 0.7, seed=3)
    late = order(8)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(order))(8), late)
    assert not np.array_equal(order(9), late) and not np.array_equal(Order(SOURCE, 0.7, seed=4)(8), late)


def test_a_class_without_videos():
    assert sorted(balanced(np.array([2, 2, 0, 0]), 1.0, np.random.default_rng(0))) == [0, 1, 2, 3]
