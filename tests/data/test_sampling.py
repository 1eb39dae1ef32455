import numpy as np
import pytest

from dnr_jax.data.sampling import SAMPLINGS, as_taken

PUBLISHED = {'frames': 8, 'stride': 8}
CLIPS = {'segments': [1, 2], 'segments_slowfast': [1]}


def evaluate(word, n, *, frames=4, stride=2, clips=1):
    """[clips][T]"""
    return SAMPLINGS[word].evaluate(n, frames=frames, stride=stride, clips=clips).reshape(clips, frames).tolist()


def train(word, n, *, frames=4, stride=2, seed=0):
    return SAMPLINGS[word].train(n, frames=frames, stride=stride, rng=np.random.default_rng(seed)).tolist()


def drawn(word, n, *, draws=1000, **clip):
    """The set of the values that every index of a clip takes."""
    return [set(values) for values in zip(*(train(word, n, seed=seed, **clip) for seed in range(draws)), strict=True)]


# Every sampling.


@pytest.mark.parametrize('word', SAMPLINGS)
@pytest.mark.parametrize('frames, stride', [(1, 1), (8, 1), (4, 3), (16, 2), (7, 5)])
def test_indices_lie_in_the_video(word, frames, stride):
    rng = np.random.default_rng(1)
    for n in [*range(1, 90), 200, 1000]:
        indices = SAMPLINGS[word].train(n, frames=frames, stride=stride, rng=rng)
        assert indices.shape == (frames,) and indices.dtype == np.int64
        assert indices.min() >= 0 and indices.max() < n
        for clips in CLIPS.get(word, [1, 2, 3, 10]):
            indices = SAMPLINGS[word].evaluate(n, frames=frames, stride=stride, clips=clips)
            assert indices.shape == (clips * frames,) and indices.dtype == np.int64
            assert indices.min() >= 0 and indices.max() < n


@pytest.mark.parametrize('word', SAMPLINGS)
@pytest.mark.parametrize('n', [1, 3, 8, 300])
def test_the_generator_is_all_that_is_random(word, n):
    assert train(word, n, seed=5) == train(word, n, seed=5)
    if n == 300:
        assert len({tuple(train(word, n, seed=seed)) for seed in range(10)}) > 5


@pytest.mark.parametrize('word', SAMPLINGS)
@pytest.mark.parametrize('frames, stride', [(8, 8), (16, 8), (4, 3)])
def test_the_pace_is_that_of_the_frames(word, frames, stride):
    """Where there is none, the frames of a longer video lie farther apart."""
    pace = SAMPLINGS[word].pace(frames=frames, stride=stride)
    short, long = (np.diff(evaluate(word, n, frames=frames, stride=stride)[0]) for n in (300, 600))
    if pace is None:
        assert (long > short).all()
    else:
        assert set(short) == set(long) == {pace}
    assert as_taken(sampling=word, frames=frames, stride=stride).get('stride') == pace


@pytest.mark.parametrize('word', SAMPLINGS)
def test_numbers_below_one_are_refused(word):
    good = {'n': 10, 'frames': 8, 'stride': 8}
    for name in ('n', 'frames', 'stride') if word in ('dense', 'dense_looped') else ('n', 'frames'):
        numbers = good | {name: 0}
        with pytest.raises(ValueError, match=f'at least 1.*{name}=0'):
            SAMPLINGS[word].train(rng=np.random.default_rng(0), **numbers)
        with pytest.raises(ValueError, match=f'at least 1.*{name}=0'):
            SAMPLINGS[word].evaluate(clips=1, **numbers)
    with pytest.raises(ValueError, match='at least 1.*clips=0'):
        SAMPLINGS[word].evaluate(clips=0, **good)


@pytest.mark.parametrize('word', [word for word in SAMPLINGS if word not in ('dense', 'dense_looped')])
def test_the_stride_plays_no_part(word):
    assert train(word, 90, stride=2) == train(word, 90, stride=7)
    assert evaluate(word, 90, stride=2) == evaluate(word, 90, stride=7)


# 'dense'


@pytest.mark.parametrize(
    'n, expected',
    [
        (300, [11, 35, 59, 82, 106, 130, 154, 177, 201, 225]),
        (250, [9, 28, 46, 65, 84, 102, 121, 140, 158, 177]),
        (64, [0] * 10),
        (63, [0] * 10),
        (5, [0] * 10),
    ],
)
def test_dense_starts_of_ten_clips_are_the_released_ones(n, expected):
    assert [first for first, *_ in evaluate('dense', n, clips=10, **PUBLISHED)] == expected


@pytest.mark.parametrize('n, expected', [(300, 118), (250, 93), (66, 1), (65, 1), (64, 0), (63, 0), (1, 0)])
def test_dense_start_of_one_clip_is_the_middle(n, expected):
    assert evaluate('dense', n, **PUBLISHED)[0][0] == expected


@pytest.mark.parametrize(
    'n, numbers_from_1',
    [
        (64, [1, 9, 17, 25, 33, 41, 49, 57]),
        (63, [1, 9, 17, 25, 33, 41, 49, 57]),
        (58, [1, 9, 17, 25, 33, 41, 49, 57]),
        (57, [1, 9, 17, 25, 33, 41, 49, 49]),
        (40, [1, 9, 17, 25, 33, 33, 33, 33]),
        (9, [1] * 8),
        (1, [1] * 8),
    ],
)
def test_dense_clips_stay_on_their_last_reachable_frame(n, numbers_from_1):
    expected = [number - 1 for number in numbers_from_1]
    assert evaluate('dense', n, **PUBLISHED) == [expected]
    assert train('dense', n, **PUBLISHED) == expected  # only one start is possible


@pytest.mark.parametrize('clips', [1, 2, 10])
def test_dense_starts_agree_with_the_published_formula(clips):
    for n in range(1, 1000):
        tick = (n - 63) / clips if n > 63 else 0
        expected = [int(np.floor(tick / 2 + k * tick + 1e-9)) for k in range(clips)]
        assert [first for first, *_ in evaluate('dense', n, clips=clips, **PUBLISHED)] == expected, n


@pytest.mark.parametrize('word', ['dense', 'dense_looped'])
def test_dense_starts_that_fit_are_drawn_equally_often(word):
    rng = np.random.default_rng(0)
    starts = [SAMPLINGS[word].train(30, frames=4, stride=5, rng=rng)[0] for _ in range(11_000)]
    counts = np.bincount(starts)
    assert len(counts) == 30 - 20 + 1
    assert counts.min() > 850 and counts.max() < 1150


def test_dense_indices_are_a_walk_that_stops_once():
    for n in [*range(1, 60), 200]:
        steps = np.diff([train('dense', n, stride=3), *evaluate('dense', n, stride=3, clips=3)], axis=1)
        assert np.isin(steps, [0, 3]).all()
        assert (np.diff(steps, axis=1) <= 0).all()  # a clip that has stopped stays there


# 'dense_looped'


@pytest.mark.parametrize(
    'n, clips, expected',
    [
        (12, 1, [[2, 4, 6, 8]]),  # spans 7 frames, so the last start is 5 and the middle one 2
        (12, 3, [[0, 2, 4, 6], [2, 4, 6, 8], [5, 7, 9, 11]]),  # 0, 2.5 and 5: halves go to even numbers
        (12, 4, [[0, 2, 4, 6], [2, 4, 6, 8], [3, 5, 7, 9], [5, 7, 9, 11]]),  # 0, 1.67, 3.33 and 5
        (7, 2, [[0, 2, 4, 6], [0, 2, 4, 6]]),
        (4, 1, [[0, 2, 0, 2]]),
        (5, 2, [[0, 2, 4, 1]] * 2),
        (1, 1, [[0, 0, 0, 0]]),
    ],
)
def test_looped_clips(n, clips, expected):
    assert evaluate('dense_looped', n, clips=clips) == expected


@pytest.mark.parametrize('n, expected', [(8, [0, 2, 4, 6]), (7, [0, 2, 4, 6]), (5, [0, 2, 4, 1]), (1, [0] * 4)])
def test_looped_clips_of_short_videos_start_at_their_first_frame(n, expected):
    assert drawn('dense_looped', n, draws=20) == [{index} for index in expected]


# 'dense_64'


@pytest.mark.parametrize(
    'n, clips, expected',
    [
        (100, 1, [[18, 34, 50, 66]]),  # 37 starts, number 37 // 2
        (100, 3, [[0, 16, 32, 48], [18, 34, 50, 66], [36, 52, 68, 84]]),
        (65, 1, [[1, 17, 33, 49]]),
        (64, 2, [[0, 16, 32, 48]] * 2),
        (40, 1, [[0, 16, 32, 8]]),
        (4, 1, [[0, 0, 0, 0]]),
        (1, 1, [[0, 0, 0, 0]]),
    ],
)
def test_windows_of_64(n, clips, expected):
    assert evaluate('dense_64', n, clips=clips) == expected


def test_windows_of_64_are_drawn_from_all_starts_but_the_last():
    assert drawn('dense_64', 70) == [{start + step for start in range(6)} for step in (0, 16, 32, 48)]
    for n in (64, 65):
        assert drawn('dense_64', n, draws=20) == [{0}, {16}, {32}, {48}]
    assert drawn('dense_64', 40, draws=20) == [{0}, {16}, {32}, {8}]


def test_windows_of_64_have_an_even_stride_and_at_most_64_frames():
    assert evaluate('dense_64', 64, frames=10) == [[0, 6, 12, 18, 24, 30, 36, 42, 48, 54]]
    assert evaluate('dense_64', 64, frames=64) == [list(range(64))]
    with pytest.raises(ValueError, match='frames=65'):
        evaluate('dense_64', 100, frames=65)
    with pytest.raises(ValueError, match='frames=65'):
        train('dense_64', 100, frames=65)


# 'segments', 'segments_uniform'


@pytest.mark.parametrize(
    'n, middles, beginnings',
    [
        (16, [2, 6, 10, 14], [0, 4, 8, 12]),
        (10, [1, 3, 6, 8], [0, 2, 5, 7]),  # 1.25, 3.75, 6.25, 8.75
        (4, [0, 1, 2, 3], [0, 1, 2, 3]),
        (3, [0, 1, 1, 2], [0, 0, 1, 2]),  # 0.375, 1.125, 1.875, 2.625
        (1, [0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_segments(n, middles, beginnings):
    assert evaluate('segments', n) == [middles]
    assert evaluate('segments', n, clips=2) == [middles, beginnings]
    assert evaluate('segments_uniform', n) == [middles]


def test_segments_have_no_rounding_errors():
    assert int(122 / 14 * 7) == 60  # what a frame number would be that is 61
    assert evaluate('segments', 122, frames=14, clips=2)[1][7] == 61


@pytest.mark.parametrize(
    'n, clips, expected',
    [
        (16, 2, [[0, 4, 8, 12], [3, 7, 11, 15]]),
        (16, 3, [[0, 4, 8, 12], [1, 5, 9, 13], [3, 7, 11, 15]]),  # starts 0, 1.5, 3
        (10, 2, [[0, 2, 5, 7], [1, 3, 6, 8]]),  # starts 0, 1.5
        (4, 2, [[0, 1, 2, 3]] * 2),
        (3, 3, [[0, 0, 1, 2]] * 3),
        (1, 2, [[0, 0, 0, 0]] * 2),
    ],
)
def test_uniform_clips(n, clips, expected):
    assert evaluate('segments_uniform', n, clips=clips) == expected


@pytest.mark.parametrize('word', ['segments', 'segments_uniform'])
def test_every_frame_of_a_segment_is_drawn(word):
    assert drawn(word, 15) == [{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11}]
    assert drawn(word, 4, draws=20) == [{0}, {1}, {2}, {3}]
    assert drawn(word, 3, draws=20) == [{0}, {0}, {0}, {0}]


def test_segments_have_two_clips():
    with pytest.raises(ValueError, match="got 3: 'segments_uniform'"):
        evaluate('segments', 16, clips=3)


# 'segments_slowfast'


@pytest.mark.parametrize(
    'n, bounds, middles',
    [
        (17, [0, 4, 8, 12, 16], [2, 6, 10, 14]),
        (11, [0, 2, 5, 8, 10], [1, 3, 6, 9]),  # 2.5 and 7.5 are rounded to even numbers
        (4, [0, 1, 2, 2, 3], [0, 1, 2, 2]),  # 0.75, 1.5, 2.25
        (3, [0, 0, 1, 2, 2], [0, 0, 1, 2]),  # 0.5, 1, 1.5
        (1, [0, 0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_slowfast_segments_share_their_bounds(n, bounds, middles):
    assert evaluate('segments_slowfast', n) == [middles]
    segments = zip(bounds[:-1], bounds[1:], strict=True)
    assert drawn('segments_slowfast', n, draws=300) == [set(range(first, last + 1)) for first, last in segments]


def test_slowfast_segments_have_one_clip():
    with pytest.raises(ValueError, match="got 2: 'segments_uniform'"):
        evaluate('segments_slowfast', 16, clips=2)
