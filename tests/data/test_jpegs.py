import cv2
import numpy as np
import pytest
import simplejpeg
from numbered_videos import draw, read

from dnr_jax.data.video import jpegs
from dnr_jax.data.video.errors import UNLIMITED, Reason, VideoError


def encode(image, **settings):
    return simplejpeg.encode_jpeg(image, quality=90, **settings)


@pytest.fixture(scope='module')
def packed():
    return jpegs.pack(encode(draw(index)) for index in range(20))


def test_packing():
    video, frame_ends = jpegs.pack([b'ab', b'c', b'def'])
    assert video == b'abcdef' and frame_ends.tolist() == [2, 3, 6] and frame_ends.dtype == np.int64
    video, frame_ends = jpegs.pack([])
    assert video == b'' and frame_ends.shape == (0,) and frame_ends.dtype == np.int64


@pytest.mark.parametrize('indices', [[0], [19], [7, 3, 7, 19, 3], list(range(20))])
def test_frames_are_the_ones_asked_for(packed, indices):
    frames = jpegs.read_frames(*packed, indices)
    assert frames.shape == (len(indices), 32, 64, 3) and frames.dtype == np.uint8
    assert read(frames) == indices
    expected = np.stack([simplejpeg.decode_jpeg(encode(draw(index))) for index in indices])
    np.testing.assert_array_equal(frames, expected)


def test_a_frame_is_decoded_once(packed, monkeypatch):
    decoded, decode = [], jpegs.decode
    monkeypatch.setattr(jpegs, 'decode', lambda frame, into: (decoded.append(1), decode(frame, into=into)))
    jpegs.read_frames(*packed, [4, 9, 4, 4, 9])
    assert len(decoded) == 2


def test_every_frame_is_counted_and_measured(packed):
    assert jpegs.inspect(*packed, UNLIMITED) == (20, 32, 64)


@pytest.mark.parametrize(('limit', 'at_most'), [('pixels', 32 * 64), ('frames', 20), ('bytes', None)])
def test_limits(packed, limit, at_most):
    at_most = at_most or len(packed[0])
    jpegs.inspect(*packed, UNLIMITED._replace(**{limit: at_most}))
    with pytest.raises(VideoError) as error:
        jpegs.inspect(*packed, UNLIMITED._replace(**{limit: at_most - 1}))
    assert error.value.reason == Reason.TOO_LARGE


@pytest.mark.parametrize('indices', [[], [-1], [0.5], 3])
def test_indices_must_be_whole_numbers(packed, indices):
    with pytest.raises(ValueError, match='whole numbers from 0'):
        jpegs.read_frames(*packed, np.array(indices))


def test_too_few_frames(packed):
    with pytest.raises(VideoError, match='frame 20 asked for, the video has 20') as error:
        jpegs.read_frames(*packed, [3, 20])
    assert error.value.reason == Reason.TOO_SHORT


def test_no_frame_is_refused():
    with pytest.raises(VideoError) as error:
        jpegs.inspect(b'', np.zeros(0, np.int64), UNLIMITED)
    assert error.value.reason == Reason.EMPTY


@pytest.mark.parametrize(
    'read_all', [lambda *v: jpegs.read_frames(*v, [0, 1]), lambda *v: jpegs.inspect(*v, UNLIMITED)]
)
def test_frames_must_have_one_size(read_all):
    video = jpegs.pack([encode(draw(0)), encode(draw(1)[:16])])
    with pytest.raises(VideoError) as error:
        read_all(*video)
    assert error.value.reason == Reason.SIZES_DIFFER


def test_every_cut_is_found():
    frame = encode(draw(3))
    for end in range(0, len(frame), 13):
        with pytest.raises(VideoError) as error:
            jpegs.read_frames(*jpegs.pack([frame[:end]]), [0])
        assert error.value.reason == Reason.DAMAGED


def test_flipped_bits_are_found_sometimes_and_never_crash():
    frame, rng, found = np.frombuffer(encode(draw(3)), np.uint8), np.random.default_rng(0), 0
    for position in rng.integers(0, 8 * len(frame), 600):
        flipped = frame.copy()
        flipped[position // 8] ^= 1 << position % 8
        try:
            jpegs.read_frames(*jpegs.pack([flipped.tobytes()]), [0])
        except VideoError:
            found += 1
    assert 60 < found < 540  # JPEG has no checksum: whoever stores the bytes has to keep one


def test_warnings_of_the_decoder_are_errors():
    frame = encode(draw(3))
    damaged = frame[: len(frame) // 2] + frame[-2:]  # well-formed, with half of the picture missing
    assert cv2.imdecode(np.frombuffer(damaged, np.uint8), cv2.IMREAD_COLOR) is not None
    with pytest.raises(VideoError, match='damaged'):
        jpegs.read_frames(*jpegs.pack([damaged]), [0])


@pytest.mark.parametrize('colours', ['grey', 'progressive', '4:4:4', '4:2:0', 'CMYK'])
def test_colours_of_the_wild(colours):
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16], image[16:] = (200, 40, 90), (20, 160, 250)
    if colours == 'grey':
        image = np.repeat(image[..., :1], 3, axis=2)
        frame = encode(np.ascontiguousarray(image[..., :1]), colorspace='GRAY', colorsubsampling='Gray')
    elif colours == 'progressive':
        frame = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    elif colours == 'CMYK':
        black = image.max(axis=2, keepdims=True).astype(int)
        light = np.concatenate([255 * image.astype(int) // black, black], axis=2)
        frame = encode(np.uint8(light), colorspace='CMYK', colorsubsampling='444')
    else:
        frame = encode(image, colorsubsampling=colours.replace(':', ''))
    decoded = jpegs.read_frames(*jpegs.pack([frame]), [0])[0]
    assert decoded.shape == (32, 32, 3) and np.abs(decoded.astype(int) - image).mean() < 6


def test_what_is_no_jpeg_is_refused():
    with pytest.raises(VideoError, match='no JPEG') as error:
        jpegs.read_frames(*jpegs.pack([b'no image']), [0])
    assert error.value.reason == Reason.DAMAGED
