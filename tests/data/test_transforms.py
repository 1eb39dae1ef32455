import pickle

import cv2
import numpy as np
import pytest

from dnr_jax.data import transforms
from dnr_jax.data.transforms import crops

PLAIN = {
    'label_names': ['stand', 'go left', 'go right'],
    'crop': 'multi_scale',
    'short_side': 32,
    'scales': (1.0, 0.875, 0.75, 0.66),
    'max_scale_gap': 1,
    'positions': 5,
    'snap': 0,
    'area': (0.1, 1.0),
    'ratio': (0.75, 1.33),
    'short_sides': (32, 40),
    'size': 28,
    'flip': 0.5,
    'flip_labels': False,
    'color_jitter': (0.0, 0.0, 0.0, 0.0),
    'rand_augment': {'layers': 0, 'magnitude': 7.0, 'deviation': 0.5},
    'erasing': 0.0,
}
WHOLE = {'short_side': 28, 'scales': (1.0,)}  # a square clip of 28 is not cropped
VARIANTS = {
    'multi_scale': {},
    'multi_scale of TSM': {'positions': 13, 'snap': 3},
    'random_resized': {'crop': 'random_resized'},
    'scale_jitter': {'crop': 'scale_jitter'},
    'no crop': WHOLE | {'flip': 0.0},
    'color_jitter': {'color_jitter': (0.4, 0.4, 0.4, 0.1)},
    'rand_augment': {'rand_augment': {'layers': 4, 'magnitude': 7.0, 'deviation': 0.5}},
    'erasing': {'erasing': 1.0},
}
VARIANTS['all'] = VARIANTS['random_resized'] | VARIANTS['color_jitter'] | VARIANTS['rand_augment'] | {'erasing': 0.5}


def random_clip(frames, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


def transform(**changes):
    return transforms.train_transform(**PLAIN | changes)


@pytest.mark.parametrize('variant', VARIANTS.values(), ids=VARIANTS)
def test_all_frames_of_a_clip_are_treated_alike(variant):
    view_of = transform(**variant)
    for seed in range(10):
        clip = np.repeat(random_clip(1, 28, 40 if seed % 2 else 28, seed), 6, axis=0)
        given = clip.copy()
        view, label = view_of(clip, 1, np.random.default_rng(seed))
        assert view.shape == (6, 28, 28, 3) and view.dtype == np.uint8 and view.flags.c_contiguous
        assert (view == view[0]).all() and label == 1
        np.testing.assert_array_equal(clip, given)


@pytest.mark.parametrize('variant', VARIANTS.values(), ids=VARIANTS)
def test_the_generator_is_all_that_is_random(variant):
    view_of, clip = transform(**variant), random_clip(2, 40, 50)
    copy = pickle.loads(pickle.dumps(view_of))
    assert copy == view_of
    views = [view_of(clip, 1, np.random.default_rng(seed))[0].tobytes() for seed in range(12)]
    assert views == [copy(clip, 1, np.random.default_rng(seed))[0].tobytes() for seed in range(12)]
    if view_of.flip:
        assert len(set(views)) > 6


@pytest.mark.parametrize('variant', VARIANTS.values(), ids=VARIANTS)
def test_every_frame_is_transformed_by_itself_and_keeps_its_place(variant):
    view_of, clip = transform(**variant), random_clip(3, 40, 50)
    for seed in range(5):
        view, _ = view_of(clip, 0, np.random.default_rng(seed))
        for t in range(3):
            alone, _ = view_of(clip[t : t + 1], 0, np.random.default_rng(seed))
            np.testing.assert_array_equal(view[t : t + 1], alone)


def test_the_plain_transform_is_its_parts_one_after_the_other():
    clip = random_clip(2, 40, 50)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        resized = crops.resize_short_side(clip, 32)
        sizes = [int(32 * scale) for scale in (1.0, 0.875, 0.75, 0.66)]
        pairs = [(h, w) for i, h in enumerate(sizes) for j, w in enumerate(sizes) if abs(i - j) <= 1]
        height, width = pairs[rng.integers(10)]
        down, right = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))[rng.integers(5)]
        top, left = down * ((32 - height) // 4), right * ((40 - width) // 4)
        expected = resized[:, top : top + height, left : left + width]
        expected = np.stack([cv2.resize(frame, (28, 28), interpolation=cv2.INTER_LINEAR) for frame in expected])
        if rng.random() < 0.5:
            expected = expected[:, :, ::-1]
        view, _ = transform()(clip, 0, np.random.default_rng(seed))
        np.testing.assert_array_equal(view, expected)


def test_what_is_off_draws_and_costs_nothing():
    assert transform().distortions == ()
    assert len(transform(**VARIANTS['all']).distortions) == 3
    clip = random_clip(1, 28, 28)
    view, _ = transform(**WHOLE, flip=0.0)(clip, 0, np.random.default_rng(0))
    assert np.shares_memory(view, clip)


def test_distortions_come_after_the_flip_in_a_fixed_order():
    clip, seed = random_clip(2, 40, 50), 4
    view_of = transform(**VARIANTS['all'])
    rng = np.random.default_rng(seed)
    expected = view_of.crop(clip, rng)
    if rng.random() < 0.5:
        expected = expected[:, :, ::-1]
    expected = np.ascontiguousarray(expected)
    names = [type(distort).__name__ for distort in view_of.distortions]
    assert names == ['ColorJitter', 'RandAugment', 'Erasing']
    for distort in view_of.distortions:
        expected = distort(expected, rng)
    np.testing.assert_array_equal(view_of(clip, 0, np.random.default_rng(seed))[0], expected)


def test_flip_mirrors_left_and_right():
    clip = random_clip(2, 28, 28)
    for flip, expected in ((0.0, clip), (1.0, clip[:, :, ::-1])):
        view, _ = transform(**WHOLE, flip=flip)(clip, 0, np.random.default_rng(0))
        np.testing.assert_array_equal(view, expected)


@pytest.mark.parametrize('flip_labels, labels', [(False, [0, 1, 2]), (True, [0, 2, 1])])
def test_labels_follow_the_flip(flip_labels, labels):
    view_of, clip = transform(**WHOLE, flip=0.25, flip_labels=flip_labels), random_clip(1, 28, 28)
    mirrored, rng = [], np.random.default_rng(0)
    for number in range(1000):
        label = number % 3
        view, new_label = view_of(clip, label, rng)
        mirrored.append((view != clip).any())
        assert new_label == (labels[label] if mirrored[-1] else label)
    assert 0.2 < np.mean(mirrored) < 0.3


@pytest.mark.parametrize(
    'wrong, message',
    [
        ({'crop': 'multiscale'}, "Unknown crop 'multiscale'. Did you mean 'multi_scale'.*random_resized, scale_jitter"),
        ({'size': 0}, 'size=0'),
        ({'flip': 1.5}, 'flip=1.5'),
        ({'flip': -0.1}, 'flip=-0.1'),
        ({'erasing': 2.0}, 'erasing=2.0'),
        ({'color_jitter': (0.1, 0.1)}, 'brightness, contrast, saturation, hue'),
        ({'color_jitter': (0.1, 0.1, 0.1, 0.6)}, 'hue=0.6'),
        ({'rand_augment': {'layers': -1, 'magnitude': 7.0, 'deviation': 0.5}}, 'layers=-1'),
        ({'positions': 4}, 'positions=4'),
        ({'crop': 'random_resized', 'area': (0.0, 1.0)}, r'area=\(0.0, 1.0\)'),
        ({'crop': 'scale_jitter', 'size': 33}, 'size=33'),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        transform(**wrong)


def test_settings_of_another_crop_play_no_part():
    assert transform(area=(), short_sides=()) == transform()
