import struct
import zlib
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numbered_videos import draw, make_video

from dnr_jax.data import storage
from dnr_jax.data.video import orientation
from dnr_jax.data.video.decoding import every_frame, inspect, read_frames
from dnr_jax.data.video.errors import UNLIMITED

# By the numbers of EXIF: the picture as it is to be shown, and the upper left of its display matrix, by rows.
SHOWN = {
    1: (lambda image: image, [1, 0, 0, 1]),
    2: (lambda image: image[:, ::-1], [-1, 0, 0, 1]),
    3: (lambda image: np.rot90(image, 2), [-1, 0, 0, -1]),
    4: (lambda image: image[::-1], [1, 0, 0, -1]),
    5: (lambda image: image.swapaxes(0, 1), [0, 1, 1, 0]),
    6: (lambda image: np.rot90(image, -1), [0, 1, -1, 0]),
    7: (lambda image: image.swapaxes(0, 1)[::-1, ::-1], [0, -1, -1, 0]),
    8: (lambda image: np.rot90(image, 1), [0, -1, 1, 0]),
}


def exif(number, order, kind='H'):
    """EXIF data with two entries: a maker of six letters, and the orientation."""
    value = struct.pack(f'{order}{kind}', number).ljust(4, b'\0')
    entries = struct.pack(f'{order}HHIIHHI', 0x10F, 2, 6, 38, 0x112, {'H': 3, 'I': 4}[kind], 1)
    start = {'<': b'II*\0', '>': b'MM\0*'}[order] + struct.pack(f'{order}IH', 8, 2)
    return start + entries + value + bytes(4) + b'maker\0'


def as_jpeg(image, exif):
    file = cv2.imencode('.jpg', image)[1].tobytes()
    block = b'Exif\0\0' + exif
    return file[:2] + b'\xff\xe1' + struct.pack('>H', len(block) + 2) + block + file[2:]


def as_png(image, exif):
    file = cv2.imencode('.png', image)[1].tobytes()
    chunk = b'eXIf' + exif
    return file[:33] + struct.pack('>I', len(exif)) + chunk + struct.pack('>I', zlib.crc32(chunk)) + file[33:]


def as_webp(image, exif):
    file = cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    height, width = image.shape[:2]
    sizes = (width - 1).to_bytes(3, 'little') + (height - 1).to_bytes(3, 'little')
    header = b'VP8X' + struct.pack('<IBxxx', 10, 8) + sizes
    content = b'WEBP' + header + file[12:] + b'EXIF' + struct.pack('<I', len(exif)) + exif + bytes(len(exif) % 2)
    return b'RIFF' + struct.pack('<I', len(content)) + content


IMAGES = {'jpg': as_jpeg, 'png': as_png, 'webp': as_webp}


@pytest.mark.parametrize('format', ['mp4', 'matroska'])
@pytest.mark.parametrize('number', SHOWN)
def test_the_whole_display_matrix_of_a_video(number, format):
    shown, (a, b, c, d) = SHOWN[number]
    stored = read_frames(make_video(2, format=format), [0, 1])
    video = make_video(2, format=format, matrix=[a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30])
    expected = np.stack([shown(frame) for frame in stored])
    np.testing.assert_array_equal(read_frames(video, [0, 1]), expected)
    np.testing.assert_array_equal(list(every_frame(video, step=1, limits=UNLIMITED)), expected)
    assert inspect(video, UNLIMITED, groups=1) == (2, *expected.shape[1:3])


@pytest.mark.parametrize('form', storage.FORMS)
@pytest.mark.parametrize('format', IMAGES)
@pytest.mark.parametrize('number', SHOWN)
def test_exif_data_of_images(tmp_path, number, format, form):
    for index, order in enumerate('<>'):
        file = IMAGES[format](draw(index)[..., ::-1], exif(number, order))
        (tmp_path / f'{index}.{format}').write_bytes(file)
    form = storage.Storage(form, 0, 1, 10 if form == 'video' else 95, 1)
    frames = storage.read_frames(storage.store(tmp_path, form, UNLIMITED), [0, 1], 1)
    expected = np.stack([SHOWN[number][0](draw(index)) for index in (0, 1)])
    assert frames.shape == expected.shape
    assert np.abs(frames.astype(int) - expected).mean() < 32  # noise loses its colours; turned otherwise, it is 80


@pytest.mark.parametrize('broken', [b'', b'II*\0', exif(0, '<'), exif(9, '>'), exif(6, '<')[:14], b'Exif\0\0'])
def test_exif_data_that_say_nothing(broken):
    for write in IMAGES.values():
        assert orientation.of_image(write(draw(0), broken)) == orientation.AS_STORED


def test_an_upright_jpeg_is_kept_as_it_is(tmp_path):
    files = [as_jpeg(draw(index), exif(1, '>')) for index in (0, 1)]
    for index, file in enumerate(files):
        (tmp_path / f'{index}.jpg').write_bytes(file)
    original = storage.Storage('original', 0, 1, 95, 1)
    assert storage.store(tmp_path, original, UNLIMITED)['video'] == b''.join(files)


@pytest.mark.parametrize('kind', 'HI')
def test_short_and_long_numbers(kind):
    assert orientation.of_image(as_jpeg(draw(0), exif(6, '>', kind))) == (0, 1, -1, 0)


def test_frames_with_exif_data_within_a_video(tmp_path):
    with av.open(tmp_path / 'camera.mov', 'w') as container:
        stream = container.add_stream('mjpeg', rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 32, 'yuvj420p'
        for index in range(3):
            packet = av.Packet(as_jpeg(draw(index), exif(6, '>')))
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, index, index, Fraction(1, 12)
            container.mux(packet)
    assert read_frames((tmp_path / 'camera.mov').read_bytes(), [0, 2]).shape == (2, 64, 32, 3)
