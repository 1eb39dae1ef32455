import collections

import cv2
import numpy as np
import pytest

from dnr_jax.data import transforms
from dnr_jax.data.transforms import Box

PUBLISHED = {'scales': (1.0, 0.875, 0.75, 0.66), 'max_scale_gap': 1}
VIEW = {'short_side': 32, 'size': 28, 'flip': 0.5, **PUBLISHED}
PUBLISHED_SIZES = {
    (256, 256),
    (256, 224),
    (224, 256),
    (224, 224),
    (224, 192),
    (192, 224),
    (192, 192),
    (192, 168),
    (168, 192),
    (168, 168),
}


def random_clip(frames, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


def coordinates(height, width):
    """A clip of one frame whose pixel (y, x) is (y, x, 0)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, 0 * x], axis=-1).astype(np.uint8)[None]


@pytest.mark.parametrize(
    'shape, short_side, expected',
    [
        ((240, 320), 256, (256, 341)),  # 341.33
        ((320, 240), 256, (341, 256)),
        ((256, 340), 128, (128, 170)),
        ((256, 341), 128, (128, 171)),  # 170.5 is rounded up
        ((72, 72), 72, (72, 72)),
    ],
)
def test_short_side(shape, short_side, expected):
    assert transforms.resize_short_side(random_clip(1, *shape), short_side).shape == (1, *expected, 3)


def test_resize_is_bilinear_frame_by_frame():
    clip = random_clip(3, 20, 30)
    resized = transforms.resize(clip, 13, 17)
    for source, target in zip(clip, resized, strict=True):
        np.testing.assert_array_equal(target, cv2.resize(source, (17, 13), interpolation=cv2.INTER_LINEAR))
    assert transforms.resize(np.uint8([[[[0], [100]]]]), 1, 4).reshape(-1).tolist() == [0, 25, 75, 100]


def test_resize_of_the_right_size_copies_nothing():
    clip = random_clip(2, 8, 9)
    assert transforms.resize(clip, 8, 9) is clip
    assert transforms.resize_short_side(clip, 8) is clip


def test_the_ten_published_crop_sizes():
    sizes = transforms.crop_sizes(256, 340, **PUBLISHED)
    assert len(sizes) == 10 and set(sizes) == PUBLISHED_SIZES


def test_draws_are_uniform_over_sizes_and_places():
    rng = np.random.default_rng(0)
    boxes = [transforms.draw_crop(256, 340, rng=rng, **PUBLISHED) for _ in range(10_000)]
    counts = collections.Counter(boxes)
    assert {(box.height, box.width) for box in boxes} == PUBLISHED_SIZES
    # Height 256 leaves no room to move vertically, so the four corners fall onto two places.
    places = collections.Counter((box.top, box.left) for box in boxes if box[2:] == (192, 168))
    assert set(places) == {(0, 0), (0, 172), (64, 0), (64, 172), (32, 86)}
    assert min(places.values()) > 130 and max(places.values()) < 270
    sizes = collections.Counter((box.height, box.width) for box in counts.elements())
    assert min(sizes.values()) > 850 and max(sizes.values()) < 1150


def test_corners_are_four_whole_steps():
    rng = np.random.default_rng(0)
    drawn = {transforms.draw_crop(13, 17, scales=(0.5,), max_scale_gap=0, rng=rng) for _ in range(200)}
    # Sizes 6: 7 // 4 = 1 step down and 11 // 4 = 2 steps right; the last rows and columns are never reached.
    assert drawn == {Box(top, left, 6, 6) for top, left in [(0, 0), (0, 8), (4, 0), (4, 8), (2, 4)]}


@pytest.mark.parametrize(
    'height, width, corners',
    [
        (6, 11, [(0, 0), (0, 2), (0, 4)]),  # (11 - 6) // 2 = 2, so column 10 is never seen
        (11, 6, [(0, 0), (2, 0), (4, 0)]),
        (6, 6, [(0, 0)] * 3),
    ],
)
def test_three_crops_lie_along_the_long_side(height, width, corners):
    crops = transforms.three_crops(coordinates(height, width), 6)
    assert crops.shape == (3, 1, 6, 6, 3)
    assert [tuple(first[:2]) for first in crops[:, 0, 0, 0].tolist()] == corners


def test_center_crop():
    first = transforms.center_crop(coordinates(7, 10), 4)[0, 0, 0]
    assert first.tolist() == [1, 3, 0]


def test_flip_mirrors_left_and_right():
    clip = coordinates(8, 8)
    whole = dict(short_side=8, size=8, scales=(1.0,), max_scale_gap=0, rng=np.random.default_rng(0))
    plain, flipped = (transforms.train_view(clip, flip=flip, **whole) for flip in (0.0, 1.0))
    np.testing.assert_array_equal(plain, clip)
    np.testing.assert_array_equal(flipped[0, :, :, 1], 7 - clip[0, :, :, 1])


def test_flips_happen_with_their_probability():
    clip, rng = coordinates(2, 2), np.random.default_rng(0)
    whole = dict(short_side=2, size=2, scales=(1.0,), max_scale_gap=0, rng=rng)
    flipped = [transforms.train_view(clip, flip=0.25, **whole)[0, 0, 0, 1] == 1 for _ in range(2000)]
    assert 0.2 < np.mean(flipped) < 0.3


def test_all_frames_of_a_clip_are_treated_alike():
    clip = np.repeat(random_clip(1, 40, 50), 6, axis=0)
    for seed in range(10):
        view = transforms.train_view(clip, rng=np.random.default_rng(seed), **VIEW)
        assert view.shape == (6, 28, 28, 3) and view.dtype == np.uint8 and view.flags.c_contiguous
        assert (view == view[0]).all()


def test_train_view_is_its_parts_one_after_the_other():
    clip, seed = random_clip(2, 40, 50), 3
    rng = np.random.default_rng(seed)
    expected = transforms.resize_short_side(clip, 32)
    expected = transforms.crop(expected, transforms.draw_crop(*expected.shape[1:3], rng=rng, **PUBLISHED))
    expected = np.stack([cv2.resize(frame, (28, 28), interpolation=cv2.INTER_LINEAR) for frame in expected])
    if rng.random() < 0.5:
        expected = expected[:, :, ::-1]
    view = transforms.train_view(clip, rng=np.random.default_rng(seed), **VIEW)
    np.testing.assert_array_equal(view, expected)


def test_eval_views():
    clip = random_clip(2, 40, 50)
    resized = transforms.resize_short_side(clip, 32)
    one, three = (
        transforms.eval_views(clip, short_side=32, size=size, crops=crops) for size, crops in ((24, 1), (32, 3))
    )
    np.testing.assert_array_equal(one, resized[None, :, 4:28, 8:32])
    np.testing.assert_array_equal(three, np.stack([resized[:, :, x : x + 32] for x in (0, 4, 8)]))
    with pytest.raises(ValueError, match='crops is 1 .* or 3 .*, got 2'):
        transforms.eval_views(clip, short_side=32, size=24, crops=2)


@pytest.mark.parametrize(
    'make',
    [
        lambda clip: transforms.center_crop(clip, 11),
        lambda clip: transforms.three_crops(clip, 11),
        lambda clip: transforms.crop(clip, Box(0, 5, 5, 8)),
        lambda clip: transforms.crop(clip, Box(-1, 0, 5, 5)),
        lambda clip: transforms.train_view(
            clip, short_side=10, size=5, scales=(1.5,), max_scale_gap=0, flip=0.0, rng=np.random.default_rng(0)
        ),
    ],
)
def test_crops_that_do_not_fit_are_refused(make):
    with pytest.raises(ValueError, match='does not fit into 10 x 12 pixels'):
        make(random_clip(1, 10, 12))
