"""Which frames of a video a clip is made of: one pair of rules, for training and for evaluation, under every name.

Dense samplings take a short window of the video, at one pace; segment samplings spread the clip over the whole
video, one frame for each of T equal segments, and have no use for a stride.

    train(n, *, frames, stride, rng) -> int64 [T]
    evaluate(n, *, frames, stride, clips) -> int64 [clips T], clip after clip
    pace(*, frames, stride) -> from one frame of a clip to the next; None where that follows the length of the video

n is the number of frames of the video, `frames` is T, `rng` the only source of randomness. All indices are 0-based
and lie in [0, n), however short the video. A number below 1, and a clip that a rule cannot make, is a ValueError.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dnr_jax.registry import choose


class Sampling(NamedTuple):
    """A rule to draw one clip of a video, a rule to place any number of clips without drawing, and their pace."""

    train: Callable[..., np.ndarray]
    evaluate: Callable[..., np.ndarray]
    pace: Callable[..., int | None]


def _dense_train(n: int, *, frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """One window of `frames * stride` frames, its start uniform over all that fit."""
    _check(n=n, frames=frames, stride=stride)
    start = rng.integers(max(n - frames * stride + 1, 1))
    return _stay(np.array([start]), n, frames, stride)


def _dense_evaluate(n: int, *, frames: int, stride: int, clips: int) -> np.ndarray:
    """Windows in the middles of as many equal parts of all starts."""
    _check(n=n, frames=frames, stride=stride, clips=clips)
    positions = max(n - frames * stride + 1, 0)
    starts = (2 * np.arange(clips) + 1) * positions // (2 * clips)
    return _stay(starts, n, frames, stride)


def _looped_train(n: int, *, frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """One window of `frames * stride` frames, its start uniform over all that fit."""
    _check(n=n, frames=frames, stride=stride)
    start = rng.integers(max(n - frames * stride + 1, 1))
    return _loop(np.array([start]), n, frames, stride)


def _looped_evaluate(n: int, *, frames: int, stride: int, clips: int) -> np.ndarray:
    """Windows of `(frames - 1) * stride + 1` frames from the first to the last that fits, one in the middle."""
    _check(n=n, frames=frames, stride=stride, clips=clips)
    last = max(n - (frames - 1) * stride - 1, 0)
    starts = np.array([last // 2]) if clips == 1 else np.round(np.linspace(0, last, clips)).astype(np.int64)
    return _loop(starts, n, frames, stride)


def _dense_64_train(n: int, *, frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """A window of 64 frames whatever the stride, its start uniform over all that fit but the last."""
    _check_64(n, frames)
    start = rng.integers(max(n - 64, 1))
    return _loop(np.array([start]), n, frames, 64 // frames)


def _dense_64_evaluate(n: int, *, frames: int, stride: int, clips: int) -> np.ndarray:
    """Windows of 64 frames from the first to the last that fits, one in the middle."""
    _check_64(n, frames)
    _check(clips=clips)
    last = max(n - 64, 0)
    starts = np.array([(last + 1) // 2]) if clips == 1 else np.linspace(0, last, clips, dtype=np.int64)
    return _loop(starts, n, frames, 64 // frames)


def _segments_train(n: int, *, frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """A frame drawn from each segment of n // T frames; only the first frame where the video has fewer than T."""
    _check(n=n, frames=frames)
    length = n // frames
    if length == 0:
        return np.zeros(frames, np.int64)
    return np.arange(frames) * length + rng.integers(length, size=frames)


def _segments_evaluate(n: int, *, frames: int, stride: int, clips: int) -> np.ndarray:
    """The middles of the segments of n / T frames, then their beginnings: at most two clips."""
    _check(n=n, frames=frames, clips=clips)
    if clips > 2:
        raise ValueError(f"'segments' has 1 or 2 clips of a video, got {clips}: 'segments_uniform' has any number.")
    middles, beginnings = _middles(n, frames), np.arange(frames) * n // frames
    return np.concatenate([middles, beginnings][:clips])


def _uniform_evaluate(n: int, *, frames: int, stride: int, clips: int) -> np.ndarray:
    """The beginnings of the segments, moved on evenly up to their last frame; the middles for one clip."""
    _check(n=n, frames=frames, clips=clips)
    if clips == 1:
        return _middles(n, frames)
    starts = np.linspace(0, max(n / frames - 1, 0), clips, dtype=np.int64)
    return (starts[:, None] + np.arange(frames) * n // frames).reshape(-1)


def _slowfast_train(n: int, *, frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """A frame drawn from each of T segments of (n - 1) / T frames, which share the frames at their bounds."""
    _check(n=n, frames=frames)
    bounds = _slowfast_bounds(n, frames)
    return rng.integers(bounds[:-1], bounds[1:] + 1)


def _slowfast_evaluate(n: int, *, frames: int, stride: int, clips: int) -> np.ndarray:
    """The middles of those segments, rounded down: one clip."""
    _check(n=n, frames=frames, clips=clips)
    if clips > 1:
        raise ValueError(f"'segments_slowfast' has 1 clip of a video, got {clips}: 'segments_uniform' has any number.")
    bounds = _slowfast_bounds(n, frames)
    return (bounds[:-1] + bounds[1:]) // 2


def _by_stride(*, frames: int, stride: int) -> int:
    return stride


def _within_64(*, frames: int, stride: int) -> int:
    return 64 // frames


def _by_video(*, frames: int, stride: int) -> None:
    return None


SAMPLINGS = {
    # The released code: a clip that would run past the end stays on its last reachable frame.
    'dense': Sampling(_dense_train, _dense_evaluate, _by_stride),
    # open-mmlab/mmaction2, SampleFrames: such a clip starts over.
    'dense_looped': Sampling(_looped_train, _looped_evaluate, _by_stride),
    # mit-han-lab/temporal-shift-module, dense_sample; one clip in the middle as in liu-zhy/temporal-adaptive-module.
    'dense_64': Sampling(_dense_64_train, _dense_64_evaluate, _within_64),
    # mit-han-lab/temporal-shift-module, which follows TSN (Wang et al., 2016); two clips are its twice_sample.
    'segments': Sampling(_segments_train, _segments_evaluate, _by_video),
    # liu-zhy/temporal-adaptive-module, uniform-<clips>, which lets videos of fewer than T frames begin at their end.
    'segments_uniform': Sampling(_segments_train, _uniform_evaluate, _by_video),
    # facebookresearch/SlowFast, Something-Something V2.
    'segments_slowfast': Sampling(_slowfast_train, _slowfast_evaluate, _by_video),
}


def as_taken(*, sampling: str, frames: int, stride: int) -> dict[str, Any]:
    """Rule and number of frames of a clip, and its true stride where it has one: what is to be known of it later."""
    pace = choose(SAMPLINGS, sampling, 'sampling').pace(frames=frames, stride=stride)
    return {'sampling': sampling, 'frames': frames} | ({} if pace is None else {'stride': pace})


def pace_of_streams(*, sampling: str, frames: int, stride: int) -> int:
    """Frames from one that is looked at to the next, in a video without end: `stride` where rules follow its length."""
    return as_taken(sampling=sampling, frames=frames, stride=stride).get('stride', stride)


def _stay(starts: np.ndarray, n: int, frames: int, stride: int) -> np.ndarray:
    """[clips] to [clips T]: a step is taken only if it ends before the last frame, strictly."""
    starts = starts[:, None]
    reachable = np.maximum((n - 2 - starts) // stride, 0)
    return (starts + stride * np.minimum(np.arange(frames), reachable)).reshape(-1)


def _loop(starts: np.ndarray, n: int, frames: int, stride: int) -> np.ndarray:
    """[clips] to [clips T]: the video starts over after its last frame."""
    return ((starts[:, None] + stride * np.arange(frames)) % n).reshape(-1)


def _middles(n: int, frames: int) -> np.ndarray:
    return (2 * np.arange(frames) + 1) * n // (2 * frames)


def _slowfast_bounds(n: int, frames: int) -> np.ndarray:
    return np.round((n - 1) / frames * np.arange(frames + 1)).astype(np.int64)


def _check(**numbers: int) -> None:
    if min(numbers.values()) < 1:
        got = ', '.join(f'{name}={number}' for name, number in numbers.items())
        raise ValueError(f'Videos and clips have at least 1 frame, strides and numbers of clips are at least 1: {got}.')


def _check_64(n: int, frames: int) -> None:
    _check(n=n, frames=frames)
    if frames > 64:
        raise ValueError(f"'dense_64' takes a clip from 64 frames, got frames={frames}: 'dense_looped' has no limit.")
