import numpy as np
import pytest
from scipy import stats

from experiments.pairs import bits, compare, holm, paired_t, spread


def records(way='running', **right):
    """Runs of those seeds, from strings of 0 and 1."""
    return [
        {'seed': int(seed[1:]), 'right': {way: np.packbits([int(bit) for bit in clips]).tobytes().hex()}}
        for seed, clips in right.items()
    ]


def test_bits_are_those_that_were_packed():
    right = np.random.default_rng(0).random(13) < 0.5
    assert (bits(np.packbits(right).tobytes().hex(), 13) == right).all()


def test_differences_are_taken_seed_by_seed_and_clip_by_clip():
    a = records(s0='1100000000', s1='1000000000', s7='1111111111')
    b = records(s1='0111100000', s0='1111000000')
    found = compare(a, b, 'running', 10)
    assert found.pairs == 2
    assert found.mean == pytest.approx((0.2 + 0.3) / 2)
    assert found.spread == pytest.approx(0.1 / 2**0.5)
    of_clips = [-0.5, 0.5, 1, 1, 0.5, 0, 0, 0, 0, 0]  # the means of both seeds
    assert found.p_clips == pytest.approx(stats.ttest_1samp(of_clips, 0).pvalue)
    # t = mean / (spread / sqrt(2)) = 5, of one degree of freedom: p = 1 - 2 / pi * atan(5)
    assert found.p_seeds == pytest.approx(1 - 2 / np.pi * np.arctan(5))


def test_the_same_method_is_no_better():
    a = records(s0='1100', s1='1000')
    found = compare(a, a, 'running', 4)
    assert (found.mean, found.p_seeds, found.p_clips) == (0, 1, 1)


def test_one_seed_says_nothing_of_others():
    assert np.isnan(paired_t(np.array([0.1]))) and np.isnan(spread(np.array([0.1])))


def test_methods_without_a_seed_in_common_are_refused():
    with pytest.raises(ValueError, match=r'seeds of both: expected some, got \[0\] and \[1\]'):
        compare(records(s0='10'), records(s1='10'), 'running', 2)


def test_tests_are_corrected_for_their_number():
    """By hand: the smallest of three times 3, the next times 2, and none below one before it, nor above 1."""
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.001, float('nan')]) == pytest.approx([0.6, 0.002, float('nan')], nan_ok=True)
    assert holm([0.9, 0.8]) == [1, 1]
