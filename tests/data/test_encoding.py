import numpy as np
import pytest

from dnr_jax.data.builders.encoding import encode
from dnr_jax.data.decoding import count_frames, read_frames


def clip(frames=6, height=32, width=48, seed=0):
    """Smooth colours that change from frame to frame."""
    y, x = np.mgrid[:height, :width] / 50
    phase = np.random.default_rng(seed).uniform(0, 6, (frames, 1, 1, 3))
    return np.uint8(127.5 + 100 * np.sin(phase + x[..., None] + 2 * y[..., None]))


@pytest.mark.parametrize('keyframe_interval', [1, 3])
def test_what_goes_in_comes_out(keyframe_interval):
    frames = clip()
    video = encode(frames, 12, quantizer=10, keyframe_interval=keyframe_interval)
    assert count_frames(video) == 6
    assert np.abs(read_frames(video, range(6)).astype(int) - frames).mean() < 3


def test_same_frames_give_same_bytes():
    first, second = (encode(clip(), 12, quantizer=27, keyframe_interval=1) for _ in range(2))
    assert first == second != encode(clip(seed=1), 12, quantizer=27, keyframe_interval=1)


def test_frames_coded_by_themselves_do_not_show_the_direction_of_time():
    frames = clip(24)
    forward, backward = (
        read_frames(encode(video, 12, quantizer=27, keyframe_interval=1), range(24)) for video in (frames, frames[::-1])
    )
    np.testing.assert_array_equal(forward, backward[::-1])


@pytest.mark.parametrize(
    'frames',
    [
        np.zeros((2, 4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 1), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
        np.zeros((2, 5, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(frames):
    with pytest.raises(ValueError, match=r'uint8 \[T H W 3\] with even H and W, got'):
        encode(frames, 12, quantizer=27, keyframe_interval=1)
