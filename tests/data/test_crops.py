import collections

import cv2
import numpy as np
import pytest

from dnr_jax.data.transforms import crops, eval_views, mirrored_crops
from dnr_jax.data.transforms.crops import Box, MultiScaleCrop, RandomResizedCrop, ScaleJitterCrop

MULTI_SCALE = {'scales': (1.0, 0.875, 0.75, 0.66), 'max_scale_gap': 1, 'positions': 5, 'snap': 0}
PUBLISHED = MultiScaleCrop(size=224, short_side=256, **MULTI_SCALE)
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


def boxes(crop, height, width, draws):
    rng = np.random.default_rng(0)
    return [crop.draw(height, width, rng) for _ in range(draws)]


# Resizing.


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
    assert crops.resize_short_side(random_clip(1, *shape), short_side).shape == (1, *expected, 3)


def test_resize_is_bilinear_frame_by_frame():
    clip = random_clip(3, 20, 30)
    resized = crops.resize(clip, 13, 17)
    for source, target in zip(clip, resized, strict=True):
        np.testing.assert_array_equal(target, cv2.resize(source, (17, 13), interpolation=cv2.INTER_LINEAR))
    assert crops.resize(np.uint8([[[[0], [100]]]]), 1, 4).reshape(-1).tolist() == [0, 25, 75, 100]


def test_resize_of_the_right_size_copies_nothing():
    clip = random_clip(2, 8, 9)
    assert crops.resize(clip, 8, 9) is clip
    assert crops.resize_short_side(clip, 8) is clip


def test_boxes_outside_of_the_frame_are_refused():
    for box in (Box(0, 5, 5, 8), Box(6, 0, 5, 5), Box(-1, 0, 5, 5), Box(0, -1, 5, 5)):
        with pytest.raises(ValueError, match='does not fit into 10 x 12 pixels'):
            crops.cut(random_clip(1, 10, 12), box)


# 'multi_scale'


def test_the_ten_published_crop_sizes():
    sizes = PUBLISHED.sizes(256, 340)
    assert len(sizes) == 10 and set(sizes) == PUBLISHED_SIZES


def test_multi_scale_draws_are_uniform_over_sizes_and_places():
    drawn = boxes(PUBLISHED, 256, 340, 10_000)
    assert {(box.height, box.width) for box in drawn} == PUBLISHED_SIZES
    # Height 256 leaves no room to move vertically, so the four corners fall onto two places.
    places = collections.Counter((box.top, box.left) for box in drawn if box[2:] == (192, 168))
    assert set(places) == {(0, 0), (0, 172), (64, 0), (64, 172), (32, 86)}
    assert min(places.values()) > 130 and max(places.values()) < 270
    sizes = collections.Counter((box.height, box.width) for box in drawn)
    assert min(sizes.values()) > 850 and max(sizes.values()) < 1150


@pytest.mark.parametrize('positions', [5, 13])
def test_places_are_whole_quarters(positions):
    crop = MultiScaleCrop(6, 13, **MULTI_SCALE | {'scales': (0.5,), 'positions': positions})
    # Sizes 6: 7 // 4 = 1 step down and 11 // 4 = 2 steps right; the last rows and columns are never reached.
    places = [(0, 0), (0, 8), (4, 0), (4, 8), (2, 4)]
    if positions == 13:
        places += [(2, 0), (2, 8), (0, 4), (4, 4), (1, 2), (1, 6), (3, 2), (3, 6)]
    counts = collections.Counter(boxes(crop, 13, 17, 200 * positions))
    assert set(counts) == {Box(top, left, 6, 6) for top, left in places}
    assert min(counts.values()) > 140 and max(counts.values()) < 260


@pytest.mark.parametrize('snap, expected', [(0, [30, 27, 23]), (2, [30, 28, 23]), (3, [28, 28, 23]), (6, [28, 28, 28])])
def test_sides_near_the_size_snap_to_it(snap, expected):
    crop = MultiScaleCrop(28, 30, **MULTI_SCALE | {'scales': (1.0, 0.9, 0.77), 'snap': snap, 'max_scale_gap': 0})
    assert crop.sizes(30, 40) == [(side, side) for side in expected]  # 28 is 2, 1 and 5 away


@pytest.mark.parametrize(
    'wrong',
    [{'positions': 9}, {'snap': -1}, {'max_scale_gap': -1}, {'scales': ()}, {'scales': (1.1,)}, {'scales': (0.01,)}],
)
def test_multi_scale_crops_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match='MultiScaleCrop'):
        MultiScaleCrop(28, 30, **MULTI_SCALE | wrong)


def test_snapping_out_of_the_frame_is_refused():
    with pytest.raises(ValueError, match=r'sides of \[32\]'):
        MultiScaleCrop(32, 30, **MULTI_SCALE | {'scales': (1.0,), 'snap': 3})


# 'random_resized'


def test_random_resized_crops_have_the_areas_and_ratios_asked_for():
    crop = RandomResizedCrop(24, 200, area=(0.1, 0.5), ratio=(0.5, 2.0))
    drawn = boxes(crop, 200, 260, 3000)
    areas = [box.height * box.width / (200 * 260) for box in drawn]
    ratios = [box.width / box.height for box in drawn]
    assert 0.098 < min(areas) < 0.11 and 0.47 < max(areas) < 0.502
    assert 0.48 < min(ratios) < 0.55 and 1.8 < max(ratios) < 2.05
    small = [box for box in drawn if box.height * box.width < 0.2 * 200 * 260]  # all shapes of these fit
    assert abs(np.mean([box.width > box.height for box in small]) - 0.5) < 0.06
    assert all(box.top + box.height <= 200 and box.left + box.width <= 260 for box in drawn)


def test_random_resized_crops_reach_every_place():
    crop = RandomResizedCrop(4, 10, area=(0.3, 0.3), ratio=(1.0, 1.0))
    # sqrt(0.3 * 10 * 12) = 6
    expected = {Box(top, left, 6, 6) for top in range(5) for left in range(7)}
    assert set(boxes(crop, 10, 12, 1000)) == expected


def test_random_resized_crops_that_never_fit_are_the_centre():
    crop = RandomResizedCrop(4, 10, area=(1.0, 1.0), ratio=(4.0, 4.0))
    assert crop.draw(10, 15, np.random.default_rng(0)) == Box(0, 2, 10, 10)
    assert crop.draw(15, 10, np.random.default_rng(0)) == Box(2, 0, 10, 10)


def test_random_resized_crop_is_a_resized_box():
    crop, clip = RandomResizedCrop(24, 32, area=(0.1, 0.5), ratio=(0.5, 2.0)), random_clip(2, 40, 50)
    resized = crops.resize_short_side(clip, 32)
    box = crop.draw(*resized.shape[1:3], np.random.default_rng(3))
    expected = crops.resize(crops.cut(resized, box), 24, 24)
    np.testing.assert_array_equal(crop(clip, np.random.default_rng(3)), expected)


@pytest.mark.parametrize(
    'wrong',
    [{'area': (0.5, 0.1)}, {'area': (0.0, 1.0)}, {'area': (0.5, 1.1)}, {'ratio': (0.0, 1.0)}, {'ratio': (1.0,)}],
)
def test_random_resized_crops_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match='RandomResizedCrop'):
        RandomResizedCrop(24, 32, **{'area': (0.1, 1.0), 'ratio': (0.5, 2.0)} | wrong)


# 'scale_jitter'


def test_scale_jitter_draws_every_scale_and_place():
    crop, rng = ScaleJitterCrop(8, (8, 10)), np.random.default_rng(0)
    clip = np.repeat(np.repeat(coordinates(10, 12), 8, axis=1), 8, axis=2)  # so large that resizing tells places apart
    scales = {side: crops.resize_short_side(clip, side) for side in (8, 9, 10)}
    expected = {
        scaled[:, top : top + 8, left : left + 8].tobytes()
        for scaled in scales.values()
        for top in range(scaled.shape[1] - 7)
        for left in range(scaled.shape[2] - 7)
    }
    assert len(expected) == 1 * 3 + 2 * 4 + 3 * 5  # widths 10, 11 and 12
    assert {crop(clip, rng).tobytes() for _ in range(500)} == expected


@pytest.mark.parametrize('short_sides', [(7, 10), (10, 9), (10,), (8, 9, 10)])
def test_scale_jitters_that_cannot_be_are_refused(short_sides):
    with pytest.raises(ValueError, match='ScaleJitterCrop'):
        ScaleJitterCrop(8, short_sides)


# Evaluation.


@pytest.mark.parametrize(
    'height, width, corners',
    [
        (6, 11, [(0, 0), (0, 2), (0, 4)]),  # (11 - 6) // 2 = 2, so column 10 is never seen
        (11, 6, [(0, 0), (2, 0), (4, 0)]),
        (6, 6, [(0, 0)] * 3),
    ],
)
def test_three_crops_lie_along_the_long_side(height, width, corners):
    views = eval_views(coordinates(height, width), short_side=6, size=6, crops=3)
    assert views.shape == (3, 1, 6, 6, 3)
    assert [tuple(first[:2]) for first in views[:, 0, 0, 0].tolist()] == corners


def test_one_crop_is_the_centre():
    views = eval_views(coordinates(7, 10), short_side=7, size=4, crops=1)
    assert views.shape == (1, 1, 4, 4, 3) and views[0, 0, 0, 0].tolist() == [1, 3, 0]


def test_five_crops_are_the_corners_and_the_centre():
    views = eval_views(coordinates(13, 17), short_side=13, size=6, crops=5)
    assert views[:, 0, 0, 0, :2].tolist() == [[0, 0], [0, 8], [4, 0], [4, 8], [2, 4]]


def test_ten_crops_are_five_and_their_mirror_images():
    clip = random_clip(2, 13, 17)
    five, ten = (eval_views(clip, short_side=13, size=6, crops=crops) for crops in (5, 10))
    np.testing.assert_array_equal(ten[:5], five)
    np.testing.assert_array_equal(ten[5:], five[:, :, :, ::-1])
    assert mirrored_crops(10) == [False] * 5 + [True] * 5
    assert [sum(mirrored_crops(crops)) for crops in (1, 3, 5)] == [0, 0, 0]


@pytest.mark.parametrize('crops', [1, 3, 5, 10])
def test_views_are_new_contiguous_clips(crops):
    clip = random_clip(2, 8, 8)
    views = eval_views(clip, short_side=8, size=8, crops=crops)
    assert views.shape == (crops, 2, 8, 8, 3) and views.dtype == np.uint8 and views.flags.c_contiguous
    assert not np.shares_memory(views, clip)
    with pytest.raises(ValueError, match='does not fit into 8 x 8 pixels'):
        eval_views(clip, short_side=8, size=9, crops=crops)


def test_views_are_cut_after_resizing():
    clip = random_clip(2, 40, 50)
    resized = crops.resize_short_side(clip, 32)
    one, three = (eval_views(clip, short_side=32, size=size, crops=crops) for size, crops in ((24, 1), (32, 3)))
    np.testing.assert_array_equal(one, resized[None, :, 4:28, 8:32])
    np.testing.assert_array_equal(three, np.stack([resized[:, :, x : x + 32] for x in (0, 4, 8)]))


def test_other_numbers_of_crops_are_refused():
    for number in (0, 2, 20):
        with pytest.raises(ValueError, match=f'crops is 1 .* got {number}'):
            eval_views(random_clip(1, 8, 8), short_side=8, size=8, crops=number)
