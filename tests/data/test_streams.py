import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from numbered_videos import draw, make_video, read

from dnr_jax.data.video import live
from dnr_jax.data.video.decoding import inspect, read_frames
from dnr_jax.data.video.errors import UNLIMITED, Reason, VideoError


def sound(container):
    stream = container.add_stream('aac', rate=8000)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
    frame.sample_rate = 8000
    return stream, lambda: [*stream.encode(frame), *stream.encode()]


def video(frames, size, disposition=0):
    """Frames that show their number, or of one colour where they are not of the usual size."""

    def add(container):
        stream = container.add_stream('libx264', rate=12)
        (stream.height, stream.width), stream.pix_fmt = size, 'yuv420p'
        stream.disposition = disposition
        images = (draw(i) if size == (32, 64) else np.full((*size, 3), 9 * i, np.uint8) for i in range(frames))
        shown = (av.VideoFrame.from_ndarray(image, format='rgb24') for image in images)
        return stream, lambda: [packet for frame in (*shown, None) for packet in stream.encode(frame)]

    return add


def picture(size, disposition):
    def add(container):
        stream = container.add_stream('mjpeg', rate=12)
        (stream.height, stream.width), stream.pix_fmt = size, 'yuvj420p'
        stream.disposition = disposition
        packet = av.Packet(cv2.imencode('.jpg', np.zeros((*size, 3), np.uint8))[1].tobytes())
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        return stream, lambda: [packet]

    return add


VIDEO = video(20, (32, 64))
MARKED = video(20, (32, 64), Disposition.default)
COVER = picture((200, 200), Disposition.attached_pic)
FILES = {
    'a cover in front': ('mp4', COVER, MARKED),
    'a cover behind': ('mp4', MARKED, COVER),
    'a still in front': ('matroska', picture((200, 200), 0), MARKED),
    'a still in front, nothing marked': ('matroska', picture((200, 200), 0), VIDEO),
    'a still of one frame': ('mp4', video(1, (200, 200), Disposition.default), MARKED),
    'a preview in front': ('matroska', video(5, (16, 16)), MARKED),
    'a preview in front, nothing marked': ('matroska', video(5, (16, 16)), VIDEO),
    'a larger version that is not the usual one': ('matroska', video(5, (64, 128)), MARKED),
    'several alike': ('matroska', VIDEO, video(5, (64, 32))),
    'sound in front': ('matroska', sound, VIDEO),
}


def write(path, format, *streams):
    with av.open(path, 'w', format=format) as container:
        for _, packets in [add(container) for add in streams]:
            for packet in packets():
                container.mux(packet)
    return path


@pytest.mark.parametrize('name', FILES)
def test_the_video_is_the_one_that_a_player_shows(name, tmp_path):
    path = write(tmp_path / 'file', *FILES[name])
    assert inspect(path.read_bytes(), UNLIMITED, groups=1) == (20, 32, 64)
    assert read(read_frames(path.read_bytes(), range(20))) == list(range(20))
    assert read(np.stack(list(live.frames(str(path), format='')))) == list(range(20))


@pytest.mark.parametrize('name', ['sound', 'a codec that nobody knows'])
def test_no_video(name, tmp_path):
    path = tmp_path / 'file'
    if name == 'sound':
        write(path, 'mp4', sound, COVER)
    else:
        path.write_bytes(make_video(3).replace(b'avc1\0\0\0\0\0\0\0\1', b'zzzz\0\0\0\0\0\0\0\1'))
    for read_it in (lambda: inspect(path.read_bytes(), UNLIMITED), lambda: next(live.frames(str(path), format=''))):
        with pytest.raises(VideoError, match='no video stream that can be decoded') as error:
            read_it()
        assert error.value.reason == Reason.NO_VIDEO_STREAM
