"""Few bytes that claim to be much are refused by what they claim, before memory is taken for it."""

import io
import os
import struct
import zlib

import av
import numpy as np
import pytest
import simplejpeg

from dnr_jax.data.video import live
from dnr_jax.data.video.errors import Reason, VideoError
from dnr_jax.predict import whole

SIDE = 30_000  # of an image of 2.7 GB
SIDE_OF_PNG = 8_192  # much larger ones FFmpeg refuses by itself


def jpeg():
    data = simplejpeg.encode_jpeg(np.zeros((16, 16, 3), np.uint8))
    size = data.index(b'\xff\xc0') + 5
    return data[:size] + struct.pack('>HH', SIDE, SIDE) + data[size + 4 :]


def png():
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', SIDE_OF_PNG, SIDE_OF_PNG, 1, 0, 0, 0, 0)  # one bit for a pixel
    rows = zlib.compress(bytes(SIDE_OF_PNG * (1 + SIDE_OF_PNG // 8)), 1)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')


def video(width, height):
    """Two black frames."""
    written = io.BytesIO()
    with av.open(written, 'w', format='avi') as container:
        stream = container.add_stream('mjpeg', rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuvj420p'
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame(width, height, 'yuvj420p')))
        container.mux(stream.encode(None))
    return written.getvalue()


@pytest.mark.parametrize(('make', 'suffix'), [(jpeg, '.jpg'), (png, '.png')])
def test_images(tmp_path, make, suffix):
    for number in range(2):
        (tmp_path / f'{number}{suffix}').write_bytes(make())
    with pytest.raises(VideoError) as caught:
        whole.read(tmp_path)
    assert caught.value.reason == Reason.TOO_LARGE


def test_frames(tmp_path):
    path = tmp_path / 'a.avi'
    path.write_bytes(video(8192, 4352))
    with pytest.raises(VideoError) as caught:
        whole.read(path)
    assert caught.value.reason == Reason.TOO_LARGE
    with pytest.raises(VideoError) as caught:
        next(live.frames(str(path), format=''))
    assert caught.value.reason == Reason.TOO_LARGE


def test_a_file_that_is_mostly_hole(tmp_path):
    with (tmp_path / 'a.mp4').open('wb') as file:
        file.truncate(2**40)
    with pytest.raises(VideoError) as caught:
        whole.read(tmp_path / 'a.mp4')
    assert caught.value.reason == Reason.TOO_LARGE


@pytest.mark.parametrize('name', ['a.mp4', 'frames/1.jpg'])
def test_a_pipe_that_never_ends(tmp_path, name):
    (tmp_path / 'frames').mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises(VideoError, match='a pipe or a device'):
        whole.read(tmp_path / name.partition('/')[0])
