"""What the questions of a study count, by hand."""

import numpy as np
import pytest
from matplotlib.text import Text

from dnr_jax import figures
from dnr_jax.study import memory, motion, order
from dnr_jax.study.ablation import cost, matching, parts
from dnr_jax.study.motion import Motion


def test_motion_of_classes():
    shift = np.array([[[1.0], [2.0]], [[3.0], [6.0]], [[5.0], [5.0]]])  # [3 clips, 2 hops, 1 channel]
    of = motion.by_class(Motion(shift / 10, shift), np.array([0, 0, 2]), 3)
    np.testing.assert_array_equal(of.clips, [2, 0, 1])
    np.testing.assert_allclose(of.mean.shift[:, :, 0], [[2, 4], [np.nan, np.nan], [5, 5]])
    np.testing.assert_allclose(of.std.shift[:, :, 0], [[1, 2], [np.nan, np.nan], [0, 0]])
    np.testing.assert_allclose(of.low.shift[:, :, 0], [[1.5, 3], [np.nan, np.nan], [5, 5]])
    np.testing.assert_allclose(of.high.shift[:, :, 0], [[2.5, 5], [np.nan, np.nan], [5, 5]])
    np.testing.assert_allclose(of.mean.scale, of.mean.shift / 10)
    np.testing.assert_allclose(motion.spread(of.mean)[:, 0], [1.5, 0.5])  # of 2 and 5, of 4 and 5
    np.testing.assert_allclose(motion.steps(of.mean).shift, [np.sqrt((2**2 + 0**2) / 2)])


def test_channels_that_differ_most():
    shift = np.zeros((2, 2, 3))
    shift[1, 0, 2], shift[1, 1, 0] = 5, 3
    assert motion.most_different_channels(Motion(shift, shift), 2).tolist() == [2, 0]


def test_classes_that_differ_most():
    """Means around 0: -3 of one clip, 2 of four and 1 of nine, which count as 3, 4 and 3; and a class without clips."""
    mean = np.array([-3.0, 2, 1, np.nan]).reshape(4, 1, 1)
    of = motion.ByClass(np.array([1, 4, 9, 0]), *[Motion(mean, mean)] * 4)
    assert motion.most_different_classes(of, 1) == [1]
    assert motion.most_different_classes(of, 2) == [0, 1]
    assert motion.most_different_classes(of, 4) == [0, 1, 2]


def test_order():
    """Of three clips, one keeps its prediction; of each other one, a quarter of the probability moves."""
    first, second, third = np.log([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])
    logits, of_reversed = np.stack([first, first, second]), np.stack([first, second, third])
    found = order.compare(logits, of_reversed, np.array([0, 0, 1]))
    assert (found.top1, found.top1_reversed, found.agreement) == pytest.approx((1, 1 / 3, 1 / 3))
    assert found.moved == pytest.approx((0 + 0.25 + 0.25) / 3)
    np.testing.assert_array_equal(found.turned, [[1, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert order.turns_into(found, 1) == (2, 1.0) and order.turns_into(found, 2) is None


def test_of_many_classes_the_greatest_predicted_are_shown(monkeypatch, tmp_path):
    """0 is predicted twice, 1 once, 2 five times; of those that are 2, three become 0, one 2, and one 1."""
    found = order.Order(8, 0.9, 0.1, 0.2, 0.8, np.array([[1, 1, 0], [1, 0, 0], [3, 1, 1]]))
    np.testing.assert_array_equal(order.shares_of(found, [0, 1, 2])[2], [3 / 5, 1 / 5, 1 / 5])
    monkeypatch.setattr(order, 'MOST_NAMED', 2)
    assert order.greatest({'a': found}) == [0, 2]
    np.testing.assert_allclose(order.shares_of(found, [0, 2]), [[1 / 2, 0, 1 / 2], [3 / 5, 1 / 5, 1 / 5]])
    drawn = []
    monkeypatch.setattr(figures, 'save', lambda figure, path: drawn.append(figure))
    order.draw(tmp_path / 'order.png', {'a': found}, ['up', 'down', 'left'], 'of the whole')
    matrix = drawn[0].axes[1]
    assert [label.get_text() for label in matrix.get_xticklabels()] == ['up', 'left', 'others']
    assert [label.get_text() for label in matrix.get_yticklabels()] == ['up', 'left']


@pytest.mark.parametrize('networks', [1, 2])
@pytest.mark.parametrize('name', ['up', 'turn counter-clockwise'])
def test_of_the_picture_of_order_nothing_is_cut_off_or_covered(networks, name, monkeypatch, tmp_path):
    found = order.Order(8, 0.9, 0.1, 0.2, 0.8, np.eye(8, dtype=int))
    drawn = []
    monkeypatch.setattr(figures, 'save', lambda figure, path: drawn.append(figure))
    order.draw(tmp_path / 'order.png', {str(n): found for n in range(networks)}, [name] * 8, 'of the whole')
    (page,) = drawn
    figures.pixels(page)
    texts = [text for text in page.findobj(Text) if text.get_text() and text.get_visible()]
    assert {'of the whole', 'prediction, frames reversed', 'percent'} <= {text.get_text() for text in texts}
    for text in texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 and box.x1 <= page.bbox.x1 and 0 <= box.y0 and box.y1 <= page.bbox.y1, text
    title = page._suptitle.get_window_extent()
    assert all(axis.title.get_window_extent().y1 <= title.y0 for axis in page.axes)


def test_memory():
    """I[t, t] is 4 on average, one hop back 2 and 0, two hops back 1."""
    np.testing.assert_allclose(memory.memory(np.array([[4.0, 0, 0], [2, 2, 0], [1, 0, 6]])), [1, 0.25, 0.25])
    np.testing.assert_array_equal(memory.memory(np.zeros((2, 2))), 0)  # of a relay that is deaf


def test_cost():
    """Of four clips three are right, of these two without the relay."""
    plain, logits = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 0, 0]]
    found = cost('norm2$', 2, 'zero', logits, plain, np.array([0, 1, 2, 2]))
    assert (found.top1, found.cost, found.changed) == (0.5, 0.25, 0.25)
    assert found.low <= 0.25 <= found.high


def test_parts_of_a_network():
    layers = [f'stage{stage}/block1/norm{slot}' for stage in (1, 2) for slot in (1, 2)]
    assert parts(layers) == ['', 'stage1/', 'stage2/', 'norm1$', 'norm2$']
    assert parts(layers[:2]) == ['', 'norm1$', 'norm2$']  # all of them are those of the one stage
    assert list(matching(layers, 'stage2/').values()) == [False, False, True, True]
