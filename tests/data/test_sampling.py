import numpy as np
import pytest

from dnr_jax.data.sampling import eval_indices, train_indices

PUBLISHED = {'frames': 8, 'stride': 8}


def starts(n, clips, **clip):
    return eval_indices(n, clips=clips, **clip or PUBLISHED)[:, 0].tolist()


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
def test_starts_of_ten_clips_are_the_released_ones(n, expected):
    assert starts(n, clips=10) == expected


@pytest.mark.parametrize('n, expected', [(300, 118), (250, 93), (66, 1), (65, 1), (64, 0), (63, 0), (1, 0)])
def test_start_of_one_clip_is_the_middle(n, expected):
    assert starts(n, clips=1) == [expected]


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
def test_short_videos_stay_on_their_last_reachable_frame(n, numbers_from_1):
    assert (eval_indices(n, clips=1, **PUBLISHED)[0] + 1).tolist() == numbers_from_1
    if n <= 64:  # only one start is possible
        rng = np.random.default_rng(0)
        assert (train_indices(n, rng=rng, **PUBLISHED) + 1).tolist() == numbers_from_1


@pytest.mark.parametrize('clips', [1, 2, 10])
def test_starts_agree_with_the_published_formula(clips):
    for n in range(1, 1000):
        tick = (n - 63) / clips if n > 63 else 0
        assert starts(n, clips) == [int(np.floor(tick / 2 + k * tick + 1e-9)) for k in range(clips)], n


def test_every_start_that_fits_is_drawn_equally_often():
    rng = np.random.default_rng(0)
    drawn = [train_indices(30, frames=4, stride=5, rng=rng)[0] for _ in range(11_000)]
    counts = np.bincount(drawn)
    assert len(counts) == 30 - 20 + 1
    assert counts.min() > 850 and counts.max() < 1150


@pytest.mark.parametrize('frames, stride', [(1, 1), (8, 1), (4, 3), (16, 2)])
def test_indices_are_a_walk_inside_the_video(frames, stride):
    rng = np.random.default_rng(1)
    for n in [*range(1, 60), 200]:
        indices = np.concatenate(
            [
                train_indices(n, frames=frames, stride=stride, rng=rng)[None],
                eval_indices(n, frames=frames, stride=stride, clips=3),
            ]
        )
        assert indices.shape == (4, frames) and indices.dtype.kind == 'i'
        assert indices.min() >= 0 and indices.max() < n
        steps = np.diff(indices, axis=1)
        assert np.isin(steps, [0, stride]).all()
        assert (np.diff(steps, axis=1) <= 0).all()  # a clip that has stopped stays there


@pytest.mark.parametrize('n, frames, stride, clips', [(0, 8, 8, 1), (10, 0, 8, 1), (10, 8, 0, 1), (10, 8, 8, 0)])
def test_numbers_below_one_are_refused(n, frames, stride, clips):
    with pytest.raises(ValueError, match='at least|At least'):
        eval_indices(n, frames=frames, stride=stride, clips=clips)


def test_same_generator_state_gives_same_indices():
    first, second = (train_indices(300, rng=np.random.default_rng(5), **PUBLISHED) for _ in range(2))
    assert (first == second).all()
