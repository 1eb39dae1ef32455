import numpy as np
import pytest

from dnr_jax.data.transforms.erasing import Erasing

CLIP = np.zeros((3, 100, 120, 3), np.uint8)


def erased(seed, probability=1.0):
    return Erasing(probability)(CLIP, np.random.default_rng(seed))


def test_a_box_of_noise_alike_in_all_frames():
    areas, ratios, tops, lefts = [], [], set(), set()
    for seed in range(200):
        clip = erased(seed)
        assert (clip == clip[0]).all() and clip.flags.c_contiguous
        rows, columns = np.nonzero(clip[0].any(-1))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width or len(rows) > 0.999 * height * width  # noise may be black
        areas.append(height * width / (100 * 120))
        ratios.append(width / height)
        tops.add(rows.min() == 0)
        lefts.add(columns.min() == 0)
    assert 0.018 < min(areas) < 0.04 and 0.28 < max(areas) < 0.34
    assert 0.29 < min(ratios) < 0.4 and 2.5 < max(ratios) < 3.4
    assert len(tops) == len(lefts) == 2
    noise = erased(0)[0][erased(0)[0].any(-1)]
    counts = np.bincount(noise.reshape(-1), minlength=256)
    assert counts.min() > 0 and counts.max() < 4 * counts.mean()


def test_every_pixel_may_be_erased():
    clip, rng = CLIP[:1, :12, :14], np.random.default_rng(0)
    reached = sum(Erasing(1.0)(clip, rng)[0].any(-1).astype(int) for _ in range(1500))
    assert reached.min() > 0


@pytest.mark.parametrize('probability', [0.0, 0.25, 1.0])
def test_probability(probability):
    share = np.mean([erased(seed, probability).any() for seed in range(400)])
    assert abs(share - probability) < 0.06
    assert not CLIP.any()  # the clip given in has not been changed


def test_frames_too_small_for_a_box_stay():
    clip = np.zeros((1, 1, 1, 3), np.uint8)
    assert not Erasing(1.0)(clip, np.random.default_rng(0)).any()
