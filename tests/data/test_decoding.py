import contextlib
import io

import av
import numpy as np
import pytest

from dnr_jax.data import decoding
from dnr_jax.data.decoding import VideoError, count_frames, read_frames

BITS, CELL = 8, 8  # a frame shows its index as black and white bars


def draw(index):
    """A frame of 32 x 64 pixels: bars in the upper half, noise in the lower, which makes frames differ."""
    bits = (index >> np.arange(BITS)) & 1
    frame = np.random.default_rng(index).integers(0, 256, (32, BITS * CELL, 3), np.uint8)
    frame[:16] = 255 * np.repeat(bits, CELL)[:, None]
    return frame


def read(frames):
    """The indices that frames [N H W C] show."""
    cells = frames[:, :16].mean(axis=(1, 3)).reshape(len(frames), BITS, CELL).mean(axis=2)
    assert (np.abs(cells - 127.5) > 60).all(), 'frames must be clear'
    return ((cells > 127.5) << np.arange(BITS)).sum(axis=1).tolist()


def make_video(frames, *, format='mp4', codec='libx264', gop=12, b_frames=0, open_groups=False, rotation=0):
    file = io.BytesIO()
    with av.open(file, 'w', format=format) as container:
        x264 = f'bframes={b_frames}:b-adapt=0:scenecut=0:open-gop={int(open_groups)}'
        options = {'x264-params': x264} if codec == 'libx264' else {}
        stream = container.add_stream(codec, rate=12, options=options)
        stream.width, stream.height, stream.gop_size = BITS * CELL, 32, gop
        stream.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
        stream.max_b_frames = b_frames
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw(index), format='rgb24')))
        container.mux(stream.encode())
    return file.getvalue()


FILES = {
    'every frame a keyframe': dict(gop=1),
    'keyframe every 12': dict(gop=12),
    'B-frames': dict(gop=12, b_frames=3),
    'B-frames, open groups': dict(gop=12, b_frames=3, open_groups=True),
    'one keyframe': dict(gop=250, b_frames=2),
    'matroska': dict(gop=12, b_frames=2, format='matroska'),
    'mjpeg in matroska': dict(codec='mjpeg', format='matroska'),
    'mpeg4 in avi': dict(codec='mpeg4', format='avi', gop=12, b_frames=2),
    'mpeg4 in mp4': dict(codec='mpeg4', gop=12, b_frames=2),
    'h264 in avi': dict(gop=12, b_frames=2, format='avi'),
    'h264 in mpegts': dict(gop=12, b_frames=2, format='mpegts'),
}
SEEKABLE = {
    'every frame a keyframe': 1,
    'keyframe every 12': 12,
    'B-frames': 12,
    'matroska': 12,
    'mjpeg in matroska': 1,
}


@pytest.fixture(scope='module')
def files():
    return {name: make_video(60, **settings) for name, settings in FILES.items()}


@pytest.fixture
def decoded(monkeypatch):
    """A list that grows by one for every frame the decoder hands out."""
    handed_out, frames = [], decoding._frames

    def spy(*arguments):
        for index, frame in frames(*arguments):
            handed_out.append(index)
            yield index, frame

    monkeypatch.setattr(decoding, '_frames', spy)
    return handed_out


@pytest.mark.parametrize('name', FILES)
def test_frames_are_the_ones_asked_for(files, name):
    rng = np.random.default_rng(0)
    for indices in ([0], [59], [30, 7, 30, 8], list(range(60)), *(rng.integers(0, 60, 5) for _ in range(8))):
        frames = read_frames(files[name], indices)
        assert frames.shape == (len(indices), 32, 64, 3) and frames.dtype == np.uint8
        assert read(frames) == list(indices)


@pytest.mark.parametrize('name', FILES)
def test_a_keyframe_start_changes_no_pixel(files, name):
    everything = read_frames(files[name], range(60))
    for index in range(1, 60, 6):
        np.testing.assert_array_equal(read_frames(files[name], [index])[0], everything[index])


@pytest.mark.parametrize('name', FILES)
def test_nothing_is_decoded_without_need(files, decoded, name):
    for first, last in ((0, 0), (12, 14), (30, 41), (59, 59), (23, 50)):
        decoded.clear()
        read_frames(files[name], [last, first])
        if name in SEEKABLE:
            assert len(decoded) == last - first // SEEKABLE[name] * SEEKABLE[name] + 1
        elif name != 'B-frames, open groups':
            assert len(decoded) == last + 1


def test_open_groups_are_entered_at_closed_ones_only(files, decoded):
    read_frames(files['B-frames, open groups'], [59])
    assert len(decoded) == 60


def test_a_decoder_that_breaks_the_promise_is_started_from_the_beginning(files, decoded, monkeypatch):
    enter = decoding._enter

    def enter_with_wrong_times(packets, first):
        packets, start, times = enter(packets, first)
        return packets, start, [time + 1 for time in times]

    monkeypatch.setattr(decoding, '_enter', enter_with_wrong_times)
    assert read(read_frames(files['keyframe every 12'], [30])) == [30]
    assert len(decoded) == 1 + 31


@pytest.mark.parametrize('name', FILES)
def test_count(files, name):
    assert count_frames(files[name]) == 60


@pytest.mark.parametrize('rotation', [90, 180, -90])
def test_rotation_is_applied(rotation):
    upright = read_frames(make_video(1), [0])
    rotated = read_frames(make_video(1, rotation=rotation), [0])
    np.testing.assert_array_equal(rotated, np.rot90(upright, rotation // 90, axes=(1, 2)))


@pytest.mark.parametrize('indices', [[], [-1], [[0]], [0.5], ['0'], 0])
def test_indices_must_be_whole_numbers(files, indices):
    with pytest.raises(ValueError, match='whole numbers from 0'):
        read_frames(files['B-frames'], np.array(indices))


@pytest.mark.parametrize('name', FILES)
def test_too_few_frames(files, name):
    with pytest.raises(VideoError, match='frame 70 asked for, the video ends after 60'):
        read_frames(files[name], [3, 70])


def test_a_truncated_mp4_without_its_index_is_refused(files):
    with pytest.raises(VideoError, match='damaged|no readable video|no video stream'):
        read_frames(files['B-frames'][:-500], [0])


@pytest.mark.parametrize('name', ['matroska', 'mpeg4 in avi', 'mp4 that begins with its index'])
def test_a_truncated_file_is_refused_where_it_ends(files, name, tmp_path):
    if name == 'mp4 that begins with its index':
        with av.open(io.BytesIO(files['B-frames'])) as source:
            with av.open(tmp_path / 'video.mp4', 'w', options={'movflags': 'faststart'}) as target:
                stream = target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux():
                    if packet.size:
                        packet.stream = stream
                        target.mux(packet)
        files = {name: (tmp_path / 'video.mp4').read_bytes()}
    video = files[name][: len(files[name]) // 2]
    assert read(read_frames(video, [0, 5])) == [0, 5]
    for indices in ([59], [0, 59]):
        with pytest.raises(VideoError, match='damaged'):
            read_frames(video, indices)
    if name == 'matroska':
        return  # has no list of its frames: where it is cut, later reordered frames move up
    for index in range(60):  # a frame is right or refused, never half of it
        with contextlib.suppress(VideoError):
            np.testing.assert_array_equal(read_frames(video, [index]), read_frames(files[name], [index]))


def test_a_damaged_packet_is_refused():
    video = bytearray(make_video(60, gop=250))
    with av.open(io.BytesIO(video)) as container:
        packet = [packet for packet in container.demux() if packet.size][20]
    video[packet.pos : packet.pos + packet.size] = b'\xff' * packet.size
    video = bytes(video)
    assert read(read_frames(video, [19])) == [19]
    with pytest.raises(VideoError, match='damaged'):
        read_frames(video, [40])
    with pytest.raises(VideoError, match='damaged'):
        count_frames(video)


@pytest.mark.parametrize('video', [b'', b'no video', bytes(100_000), b'<html>' * 1000])
@pytest.mark.parametrize('function', [count_frames, lambda video: read_frames(video, [0])])
def test_what_is_no_video_is_refused(function, video):
    with pytest.raises(VideoError, match=f'{len(video)} bytes'):
        function(video)


def test_sound_alone_is_refused():
    file = io.BytesIO()
    with av.open(file, 'w', format='mp4') as container:
        stream = container.add_stream('aac', rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match='no video stream'):
        read_frames(file.getvalue(), [0])
