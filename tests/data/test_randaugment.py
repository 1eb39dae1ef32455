import numpy as np
import pytest

from dnr_jax.data.transforms import colors
from dnr_jax.data.transforms.randaugment import OPERATIONS, RandAugment

GEOMETRY = ['rotate', 'shear_x', 'shear_y', 'translate_x', 'translate_y']
FACTORS = {'color': colors.saturation, 'contrast': colors.contrast, 'brightness': colors.brightness}


def random_clip(height=20, width=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (3, height, width, 3), np.uint8)


def values(*numbers):
    """A clip of one row, grey."""
    return np.repeat(np.uint8(numbers)[None, None, :, None], 3, axis=-1)


def dot(y, x):
    """A white dot in a black frame of 21 x 41."""
    clip = np.zeros((1, 21, 41, 3), np.uint8)
    clip[0, y, x] = 255
    return clip


def brightest(clip):
    """(y, x)"""
    assert clip.shape == (1, 21, 41, 3)
    grey = np.where(clip[0, ..., 0] == 128, 0, clip[0, ..., 0])  # 128 is what geometry uncovers
    return np.unravel_index(grey.argmax(), grey.shape)


@pytest.mark.parametrize('word', OPERATIONS)
@pytest.mark.parametrize('strength', [-1.0, -0.35, 0.0, 0.7, 1.0])
def test_operations_treat_all_frames_alike_and_each_by_itself(word, strength):
    clip = random_clip()
    changed = OPERATIONS[word](clip, strength)
    assert changed.shape == clip.shape and changed.dtype == np.uint8 and changed.flags.c_contiguous
    np.testing.assert_array_equal(changed[1:2], OPERATIONS[word](clip[1:2], strength))
    np.testing.assert_array_equal(clip, random_clip())  # not changed in place


@pytest.mark.parametrize('word', OPERATIONS)
def test_operations_have_a_direction_and_grow_from_nothing(word):
    clip = random_clip()
    none, some, much, back = (OPERATIONS[word](clip, strength).astype(int) for strength in (0.0, 0.3, 0.9, -0.9))
    if word in ('autocontrast', 'equalize', 'invert'):
        assert (none == much).all() and (none == back).all()
        return
    has_direction = word in (*GEOMETRY, *FACTORS, 'sharpness')
    assert (much == back).all() != has_direction
    if word == 'posterize':
        clip = clip & np.uint8(240)
    np.testing.assert_array_equal(none, clip)
    changed = [np.abs(result - clip).mean() for result in (some, much)]
    assert changed[0] > 0 and (changed[0] < changed[1] or word in GEOMETRY)


@pytest.mark.parametrize(
    'word, strength, before, after',
    [
        ('autocontrast', 0.5, [50, 100, 150], [0, 127, 255]),
        ('autocontrast', 0.5, [50, 50, 50], [50, 50, 50]),
        ('equalize', 0.5, [7, 8, 9, 10], [0, 85, 170, 255]),
        ('invert', 0.5, [0, 100, 255], [255, 155, 0]),
        ('posterize', 0.0, [255, 17, 15], [240, 16, 0]),  # 4 bits
        ('posterize', -0.7, [255, 130, 63], [192, 128, 0]),  # 4 - int(2.8) = 2
        ('posterize', 1.0, [255, 128, 0], [0, 0, 0]),
        ('solarize', -0.5, [127, 128, 255], [127, 127, 0]),  # from 256 - 128 on
        ('solarize', 1.0, [0, 255], [255, 0]),
        ('solarize_add', 0.5, [0, 127, 128, 255], [55, 182, 128, 255]),
        ('brightness', 0.5, [100, 200], [145, 255]),  # 1.45
        ('brightness', -1.0, [100, 200], [10, 20]),  # 0.1
        ('contrast', -1.0, [100, 200], [145, 155]),
        ('sharpness', 1.0, [100, 100, 100], [100, 100, 100]),
    ],
)
def test_values(word, strength, before, after):
    assert OPERATIONS[word](values(*before), strength)[0, 0, :, 0].tolist() == after


def test_channels_are_stretched_one_by_one():
    clip = np.uint8([[[[0, 100, 7], [200, 200, 7]]]])
    assert OPERATIONS['autocontrast'](clip, 0.0)[0, 0].tolist() == [[0, 0, 7], [255, 255, 7]]
    assert OPERATIONS['equalize'](clip, 0.0)[0, 0, :, :2].tolist() == [[0, 0], [255, 255]]


@pytest.mark.parametrize('word', FACTORS)
@pytest.mark.parametrize('strength, factor', [(1.0, 1.9), (0.5, 1.45), (-0.5, 0.55), (-1.0, 0.1)])
def test_factors(word, strength, factor):
    clip = random_clip()
    np.testing.assert_allclose(OPERATIONS[word](clip, strength), FACTORS[word](clip, factor), atol=1)


def test_sharpness_moves_pixels_away_from_their_neighbours():
    clip = np.full((1, 3, 3, 3), 100, np.uint8)
    clip[0, 1, 1] = 126  # smoothed 100 + 26 * 5 / 13 = 110
    assert OPERATIONS['sharpness'](clip, 0.5)[0, 1, 1].tolist() == [133] * 3  # 110 + 1.45 * 16 = 133.2
    assert OPERATIONS['sharpness'](clip, -0.5)[0, 1, 1].tolist() == [119] * 3  # 110 + 0.55 * 16 = 118.8


@pytest.mark.parametrize(
    'word, strength, before, after',
    [
        ('rotate', 1.0, (10, 30), (5, 29)),  # 10 to the right of the centre: 8.7 to the right, 5 up
        ('rotate', -1.0, (10, 30), (15, 29)),
        ('rotate', 1.0, (10, 20), (10, 20)),
        ('translate_x', 1.0, (10, 30), (10, 12)),  # 0.45 * 41 = 18.45 to the left
        ('translate_x', -0.5, (10, 20), (10, 29)),  # 9.2 to the right
        ('translate_y', 1.0, (15, 5), (6, 5)),  # 0.45 * 21 = 9.45 up
        ('shear_x', 1.0, (10, 20), (10, 17)),  # 0.3 * 10 to the left
        ('shear_y', -1.0, (5, 20), (11, 20)),  # 0.3 * 20 down
    ],
)
def test_places(word, strength, before, after):
    assert brightest(OPERATIONS[word](dot(*before), strength)) == after


@pytest.mark.parametrize('word', GEOMETRY)
def test_geometry_uncovers_grey(word):
    changed = OPERATIONS[word](np.zeros((1, 21, 41, 3), np.uint8), 1.0)
    assert (changed == 128).all(-1).any() and (changed == 0).all(-1).any()


def test_layers_draw_every_operation_half_of_the_time(monkeypatch):
    calls = {word: [] for word in OPERATIONS}

    def record(word):
        return lambda clip, strength: (calls[word].append(strength), clip)[1]

    for word in OPERATIONS:
        monkeypatch.setitem(OPERATIONS, word, record(word))
    augment, rng = RandAugment(layers=4, magnitude=7.0, deviation=0.5), np.random.default_rng(0)
    for _ in range(1500):
        augment(random_clip(2, 2), rng)
    counts = [len(strengths) for strengths in calls.values()]  # 1500 * 4 / 2 / 15 = 200 expected
    assert min(counts) > 150 and max(counts) < 250
    strengths = np.concatenate(list(calls.values()))
    assert abs((strengths > 0).mean() - 0.5) < 0.05
    assert abs(np.abs(strengths).mean() - 0.7) < 0.01 and abs(np.abs(strengths).std() - 0.05) < 0.005


def test_strengths_end_at_ten(monkeypatch):
    strengths = []
    for word in OPERATIONS:
        monkeypatch.setitem(OPERATIONS, word, lambda clip, strength: (strengths.append(strength), clip)[1])
    RandAugment(layers=1000, magnitude=5.0, deviation=20.0)(random_clip(2, 2), np.random.default_rng(0))
    assert min(strengths) == -1 and max(strengths) == 1


@pytest.mark.parametrize('wrong', [{'layers': -1}, {'deviation': -0.5}, {'magnitude': 10.5}, {'magnitude': -1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match='RandAugment'):
        RandAugment(**{'layers': 4, 'magnitude': 7.0, 'deviation': 0.5} | wrong)
