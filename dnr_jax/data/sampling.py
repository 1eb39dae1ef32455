"""Which frames of a video a clip is made of.

The rule of the released code: one window of `frames * stride` frames, of which every `stride`-th is taken. A
clip that would run past the end stays on its last reachable frame; it does not start over. Written for a
video of n frames, with 0-based indices (the released code counts from 1).
"""

import numpy as np


def train_indices(n: int, *, frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """Draws one window, its start uniform over all that fit.

    Args:
      n: frames in the video.
      frames: frames in the clip, T.
      stride: distance between them.
      rng: the only source of randomness.

    Returns:
      int64 [T]; increasing, constant after the last reachable frame.

    Raises:
      ValueError: if a number is below 1.
    """
    positions = _window_starts(n, frames, stride)
    start = rng.integers(max(positions, 1))
    return _clips(np.array([start]), n, frames, stride)[0]


def eval_indices(n: int, *, frames: int, stride: int, clips: int) -> np.ndarray:
    """Places `clips` windows evenly: 1 is the validation rule (the middle window), more are the test rule.

    Args:
      n: frames in the video.
      frames: frames in each clip, T.
      stride: distance between them.
      clips: number of windows.

    Returns:
      int64 [clips T].

    Raises:
      ValueError: if a number is below 1.
    """
    positions = _window_starts(n, frames, stride)
    if clips < 1:
        raise ValueError(f'At least one clip is needed, got clips={clips}.')
    # The middles of as many equal parts of all starts.
    starts = (2 * np.arange(clips) + 1) * max(positions, 0) // (2 * clips)
    return _clips(starts, n, frames, stride)


def _window_starts(n: int, frames: int, stride: int) -> int:
    """Number of starts for which the window fits; 0 or less if it never does."""
    if min(n, frames, stride) < 1:
        raise ValueError(f'Videos, clips and strides are at least 1 frame, got {n=}, {frames=}, {stride=}.')
    return n - frames * stride + 1


def _clips(starts: np.ndarray, n: int, frames: int, stride: int) -> np.ndarray:
    """[clips] to [clips T]: a step is taken only if it ends before the last frame, strictly."""
    starts = starts[:, None]
    reachable = np.maximum((n - 2 - starts) // stride, 0)
    return starts + stride * np.minimum(np.arange(frames), reachable)
