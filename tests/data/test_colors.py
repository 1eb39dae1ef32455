import colorsys

import numpy as np
import pytest

from dnr_jax.data.transforms import colors
from dnr_jax.data.transforms.colors import ColorJitter

PIXELS = np.uint8([[[[0, 0, 0], [10, 100, 250]], [[255, 255, 255], [40, 40, 40]]]])  # [1 2 2 3]


def random_clip(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (3, 8, 9, 3), np.uint8)


def test_brightness():
    assert colors.brightness(PIXELS, 0.5)[0, 0].tolist() == [[0, 0, 0], [5, 50, 125]]
    assert colors.brightness(PIXELS, 1.5)[0, :, 1].tolist() == [[15, 150, 255], [60, 60, 60]]


def test_contrast_is_about_the_mean_grey_of_each_frame():
    # Greys are 0, 90.19, 255 and 40: mean 96.3. The second frame is 200 everywhere.
    clip = np.concatenate([PIXELS, np.full_like(PIXELS, 200)])
    half = colors.contrast(clip, 0.5)
    assert half[0].tolist() == [[[48, 48, 48], [53, 98, 173]], [[176, 176, 176], [68, 68, 68]]]
    assert (half[1] == 200).all()
    assert colors.contrast(PIXELS, 0.0)[0].tolist() == [[[96] * 3] * 2] * 2


def test_saturation_is_about_the_grey_of_each_pixel():
    # 0.299 * 10 + 0.587 * 100 + 0.114 * 250 = 90.19
    assert colors.saturation(PIXELS, 0.0)[0].tolist() == [[[0] * 3, [90] * 3], [[255] * 3, [40] * 3]]
    assert colors.saturation(PIXELS, 0.5)[0, 0, 1].tolist() == [50, 95, 170]
    assert colors.saturation(PIXELS, 1.5)[0, 0, 1].tolist() == [0, 105, 255]


@pytest.mark.parametrize(
    'turn, expected', [(1 / 3, [0, 255, 0]), (-1 / 3, [0, 0, 255]), (0.5, [0, 255, 255]), (-0.5, [0, 255, 255])]
)
def test_hue_turns_red(turn, expected):
    turned = colors.hue(np.uint8([[[[255, 0, 0]]]]), turn).reshape(3)
    np.testing.assert_allclose(turned, expected, atol=6)


def test_hue_is_a_turn_of_the_circle():  # a hue is a byte, and one step of it up to 6 steps of a colour
    clip = random_clip()
    for turn in (-0.4, -0.1, 0.2, 0.5):
        expected = []
        for pixel in clip.reshape(-1, 3):
            h, s, v = colorsys.rgb_to_hsv(*pixel / 255)
            expected.append(colorsys.hsv_to_rgb((h + turn) % 1, s, v))
        np.testing.assert_allclose(colors.hue(clip, turn).reshape(-1, 3), 255 * np.array(expected), atol=12)


@pytest.mark.parametrize('change', [colors.brightness, colors.contrast, colors.saturation])
def test_a_factor_of_one_changes_nothing(change):
    clip = random_clip()
    np.testing.assert_array_equal(change(clip, 1.0), clip)


def test_jitter_factors_stay_in_their_range():
    grey = np.full((1, 1, 1, 3), 100, np.uint8)
    values = [ColorJitter(0.4, 0.0, 0.0, 0.0)(grey, np.random.default_rng(seed))[0, 0, 0, 0] for seed in range(500)]
    assert 60 <= min(values) <= 61 and 139 <= max(values) <= 140
    values = [ColorJitter(3.0, 0.0, 0.0, 0.0)(grey, np.random.default_rng(seed))[0, 0, 0, 0] for seed in range(300)]
    assert min(values) < 5 and np.mean(np.equal(values, 0)) < 0.05  # a factor is never negative


@pytest.mark.parametrize('strengths', np.eye(4).tolist())
def test_each_strength_moves_its_own_property(strengths):
    which = strengths.index(1.0)
    change = (colors.brightness, colors.contrast, colors.saturation, colors.hue)[which]
    clip, rng = random_clip(), np.random.default_rng(0)
    jittered = ColorJitter(*(strength / 2 for strength in strengths))(clip, np.random.default_rng(0))
    rng.permutation(4)
    low, high = (-0.5, 0.5) if which == 3 else (0.5, 1.5)
    np.testing.assert_array_equal(jittered, change(clip, rng.uniform(low, high)))


class Recorded(np.random.Generator):
    """A given order, and the middle of every range."""

    def __init__(self, order):
        super().__init__(np.random.PCG64(0))
        self.order, self.ranges = order, []

    def permutation(self, count):
        assert count == len(self.order)
        return self.order

    def uniform(self, low, high):
        self.ranges.append((round(low, 3), round(high, 3)))
        return (low + high) / 2


@pytest.mark.parametrize('order', [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_jitter_comes_in_the_order_drawn(order):
    rng = Recorded(order)
    ColorJitter(0.1, 0.2, 0.3, 0.4)(random_clip(), rng)
    ranges = [(0.9, 1.1), (0.8, 1.2), (0.7, 1.3), (-0.4, 0.4)]
    assert rng.ranges == [ranges[number] for number in order]


@pytest.mark.parametrize('strengths', [(-0.1, 0.0, 0.0, 0.0), (0.0, 0.0, -1.0, 0.0), (0.0, 0.0, 0.0, 0.6)])
def test_strengths_out_of_range_are_refused(strengths):
    with pytest.raises(ValueError, match='ColorJitter'):
        ColorJitter(*strengths)
