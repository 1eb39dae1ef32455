import io
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest
import simplejpeg
from numbered_videos import draw, read

from dnr_jax.data.video.decoding import count_frames, frame_rate, read_frames
from dnr_jax.data.video.encoding import FPS, encode, reencode, to_jpegs
from dnr_jax.data.video.errors import UNLIMITED, Reason, VideoError


def clip(frames=6, height=32, width=48, seed=0):
    """Smooth colours that change from frame to frame."""
    y, x = np.mgrid[:height, :width] / 50
    phase = np.random.default_rng(seed).uniform(0, 6, (frames, 1, 1, 3))
    return np.uint8(127.5 + 100 * np.sin(phase + x[..., None] + 2 * y[..., None]))


@pytest.mark.parametrize('fps', [12, Fraction(30000, 1001), 60])
def test_a_file_keeps_its_frame_rate(fps):
    assert frame_rate(reencode(clip(), **settings(), fps=fps), UNLIMITED) == fps


def test_frame_rates_that_cannot_be_are_not_believed():
    assert frame_rate(reencode(clip(), **settings()), UNLIMITED) == FPS
    assert frame_rate(reencode(clip(), **settings(), fps=2000), UNLIMITED) is None


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


def settings(**changes):
    return {'short_side': 0, 'keyframe_interval': 4, 'quality': 18} | changes


def test_reencoding_keeps_number_and_order():
    frames = np.stack([draw(index) for index in range(50)])
    video = reencode(iter(frames), **settings(keyframe_interval=16))
    assert read(read_frames(video, range(50))) == list(range(50)) and count_frames(video) == 50
    with av.open(io.BytesIO(video)) as container:
        stream = container.streams.video[0]
        shown = [round(frame.pts * stream.time_base * FPS) for frame in container.decode(stream)]
    assert shown == list(range(50))


@pytest.mark.parametrize('keyframe_interval', [1, 4])
def test_keyframes_come_in_their_interval(keyframe_interval):
    video = reencode(clip(20), **settings(keyframe_interval=keyframe_interval))
    with av.open(io.BytesIO(video)) as container:
        keys = [number for number, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert max(np.diff([*keys, 20])) == keyframe_interval


def test_reencoding_gives_same_bytes_whatever_was_in_memory_before():
    def frames():
        for index in range(25):
            [rng.integers(0, 256, size, np.uint8) for size in rng.integers(1000, 40000, 50)]
            yield draw(index)

    rng = np.random.default_rng(0)
    assert len({reencode(frames(), **settings(keyframe_interval=12)) for _ in range(6)}) == 1


def test_less_quality_takes_fewer_bytes():
    fine, coarse = (len(reencode(clip(), **settings(quality=quality))) for quality in (18, 35))
    assert coarse < fine


@pytest.mark.parametrize(
    ('height', 'width', 'short_side', 'even', 'exact'),
    [
        (32, 48, 16, (16, 24), (16, 24)),
        (48, 32, 16, (24, 16), (24, 16)),
        (32, 48, 64, (32, 48), (32, 48)),
        (33, 47, 0, (32, 46), (33, 47)),
        (32, 48, 15, (14, 22), (15, 22)),
        (1, 9, 0, (2, 8), (1, 9)),
    ],
)
def test_sizes(height, width, short_side, even, exact):
    frames = clip(2, height, width)
    video = reencode(frames, **settings(short_side=short_side))
    assert read_frames(video, [1]).shape == (1, *even, 3)
    jpegs = list(to_jpegs(frames, short_side=short_side, quality=90))
    assert [simplejpeg.decode_jpeg(jpeg).shape for jpeg in jpegs] == [(*exact, 3)] * 2


def test_smaller_frames_look_the_same():
    frames = clip(3, 64, 96)
    expected = frames.reshape(3, 32, 2, 48, 2, 3).mean(axis=(2, 4))
    video = read_frames(reencode(frames, **settings(short_side=32, quality=5)), range(3))
    jpegs = [simplejpeg.decode_jpeg(jpeg) for jpeg in to_jpegs(frames, short_side=32, quality=95)]
    for result in (video, np.stack(jpegs)):
        assert np.abs(result - expected).mean() < 3


def test_jpegs_are_smaller_at_less_quality():
    fine, coarse = (sum(map(len, to_jpegs(clip(), short_side=0, quality=quality))) for quality in (95, 30))
    assert coarse < fine


@pytest.mark.parametrize('function', [reencode, lambda frames, **_: list(to_jpegs(frames, short_side=0, quality=90))])
def test_frames_must_have_one_size(function):
    with pytest.raises(VideoError) as error:
        function([*clip(1), *clip(1, 32, 64)], **settings())
    assert error.value.reason == Reason.SIZES_DIFFER


def test_a_frame_too_large_for_the_encoder_is_refused():
    with pytest.raises(VideoError, match='64 x 20000 pixels') as error:
        reencode(clip(1, 64, 20000), **settings())
    assert error.value.reason == Reason.TOO_LARGE


def test_no_frame_is_refused():
    with pytest.raises(VideoError) as error:
        reencode(iter(()), **settings())
    assert error.value.reason == Reason.EMPTY


def test_frames_are_taken_one_by_one():
    """A long video must not lie in memory: when the encoder asks for a frame, few others are still there."""
    handed_out, most = [], 0

    def frames():
        nonlocal most
        for image in clip(100):
            image = image.copy()
            handed_out.append(weakref.ref(image))
            most = max(most, sum(frame() is not None for frame in handed_out))
            yield image

    reencode(frames(), **settings())
    assert most <= 4
