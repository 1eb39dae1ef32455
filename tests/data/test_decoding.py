import contextlib
import io
import pickle

import av
import cv2
import numpy as np
import pytest
from field_videos import make_field_video
from joined_videos import FRAMES, JOINT, RECORDINGS, join
from numbered_videos import decode_everything, make_video, read, remux

from dnr_jax.data.video import decoding, groups
from dnr_jax.data.video.decoding import count_frames, every_frame, inspect, read_frames
from dnr_jax.data.video.errors import UNLIMITED, Reason, VideoError

FILES = {
    'every frame a keyframe': dict(gop=1),
    'keyframe every 12': dict(gop=12),
    'B-frames': dict(gop=12, b_frames=3),
    'B-frames that refer to B-frames': dict(gop=20, b_frames=7, x264='b-pyramid=normal:ref=4'),
    'B-frames, open groups': dict(gop=12, b_frames=3, x264='open-gop=1'),
    'interlaced': dict(gop=12, b_frames=2, x264='tff=1'),
    'refreshed without keyframes': dict(gop=12, x264='intra-refresh=1'),
    'one keyframe': dict(gop=250, b_frames=2),
    'variable frame rate': dict(gop=12, b_frames=2, times=lambda index: index * (index + 1)),
    '10 bit': dict(gop=12, b_frames=2, pix_fmt='yuv420p10'),
    'matroska': dict(gop=12, b_frames=2, format='matroska'),
    'vp9 in webm': dict(codec='libvpx-vp9', format='webm', gop=12),
    'mjpeg in matroska': dict(codec='mjpeg', format='matroska', pix_fmt='yuvj420p'),
    'hevc': dict(codec='libx265', gop=12, b_frames=3),
    'mpeg4 in avi': dict(codec='mpeg4', format='avi', gop=12, b_frames=2),
    'mpeg4 in mp4': dict(codec='mpeg4', gop=12, b_frames=2),
    'h264 in avi': dict(gop=12, b_frames=2, format='avi'),
    'h264 in mpegts': dict(gop=12, b_frames=2, format='mpegts'),
}
GROUPS = {'every frame a keyframe': 1, 'keyframe every 12': 12, 'vp9 in webm': 12, 'mjpeg in matroska': 1}
NOT_PROVABLE = ('mpeg4 in avi', 'mpeg4 in mp4', 'h264 in avi', 'h264 in mpegts')


@pytest.fixture(scope='module')
def files():
    return {name: make_video(60, **settings) for name, settings in FILES.items()}


@pytest.fixture
def decoded(monkeypatch):
    """A list that grows by one for every frame the decoder hands out."""
    handed_out, frames = [], decoding.decoded

    def spy(*arguments):
        for frame in frames(*arguments):
            handed_out.append(frame)
            yield frame

    monkeypatch.setattr(decoding, 'decoded', spy)
    return handed_out


@pytest.mark.parametrize('name', FILES)
def test_frames_are_the_ones_asked_for(files, name):
    rng = np.random.default_rng(0)
    for indices in ([0], [59], [30, 7, 30, 8], list(range(60)), *(rng.integers(0, 60, 5) for _ in range(4))):
        frames = read_frames(files[name], indices, 60)
        assert frames.shape == (len(indices), 32, 64, 3) and frames.dtype == np.uint8
        assert read(frames) == list(indices)


@pytest.mark.parametrize('name', FILES)
def test_what_is_passed_over_changes_no_pixel(files, name):
    everything = decode_everything(files[name])
    rng = np.random.default_rng(1)
    for indices in (*([index] for index in range(0, 60, 13)), *(rng.integers(0, 60, 4) for _ in range(4))):
        np.testing.assert_array_equal(read_frames(files[name], indices, 60), everything[indices])


@pytest.mark.parametrize('name', GROUPS)
def test_only_groups_with_wanted_frames_are_decoded(files, decoded, name):
    size = GROUPS[name]
    for wanted in ([0], [13, 12], [41, 30], [59], [50, 23, 1]):
        decoded.clear()
        read_frames(files[name], wanted, 60)
        last = {index // size: index for index in sorted(wanted)}
        assert len(decoded) == sum(index % size + 1 for index in last.values())


@pytest.mark.parametrize('name', ['B-frames', 'B-frames that refer to B-frames', 'one keyframe', 'matroska'])
def test_frames_that_no_other_needs_are_passed_over(files, decoded, name):
    read_frames(files[name], [11], 60)
    assert 1 < len(decoded) < 12


def test_without_their_number_frames_are_counted_from_the_beginning(files, decoded):
    assert read(read_frames(files['keyframe every 12'], [30])) == [30]
    assert len(decoded) == 31


@pytest.mark.parametrize('name', NOT_PROVABLE)
def test_without_a_proof_decoding_starts_at_the_beginning(files, decoded, name):
    read_frames(files[name], [50, 23], 60)
    assert len(decoded) == 51


def test_open_groups_are_entered_at_closed_ones_only(files, decoded, monkeypatch):
    monkeypatch.setattr(decoding, 'needed', lambda codec, group, order, ranks: [*group, None])
    read_frames(files['B-frames, open groups'], [59], 60)
    assert len(decoded) == 60


@pytest.mark.parametrize('format', ['mp4', 'matroska'])
@pytest.mark.parametrize(
    ('source', 'times'),
    [
        ('B-frames', [0, 1, 2, 3]),  # not reordered, as the pictures are
        ('one keyframe', [0, 1, 2, 3]),
        ('mjpeg in matroska', [1, 0, 2, 3]),
        ('mjpeg in matroska', [0, 3, 2, 1]),
        ('keyframe every 12', [0, 3, 2, 1]),
    ],
)
def test_times_that_contradict_the_decoder_do_not_number_frames(files, source, times, format):
    def retime(number, packet):
        packet.dts = 1000 * number
        packet.pts = 1000 * (number // 4 * 4 + times[number % 4] + 4)

    video = remux(files[source], lambda number: True, format, retime=retime)
    everything = decode_everything(video)
    for index in range(20):
        np.testing.assert_array_equal(read_frames(video, [index], len(everything))[0], everything[index])


@pytest.mark.parametrize('skipped', [1, 5, 13])
@pytest.mark.parametrize('name', ['keyframe every 12', 'B-frames', 'B-frames, open groups'])
def test_a_file_that_begins_without_a_keyframe(files, name, skipped):
    video = remux(files[name], lambda number: number >= skipped, 'matroska')
    everything = decode_everything(video)
    for index in range(0, len(everything), 5):  # a frame is right or refused
        with contextlib.suppress(VideoError):
            np.testing.assert_array_equal(read_frames(video, [index], len(everything))[0], everything[index])


def test_what_groups_do_not_give_is_decoded_from_the_beginning(files, decoded, monkeypatch):
    closed_groups = decoding.closed_groups

    def groups_without_keyframes(container, stream):
        return [group[1:] for group in closed_groups(container, stream)]

    monkeypatch.setattr(decoding, 'closed_groups', groups_without_keyframes)
    assert read(read_frames(files['keyframe every 12'], [30], 60)) == [30]
    assert len(decoded) >= 31


FIELDS = {'all': lambda index: True, 'some': lambda index: index % 3 == 1, 'none': lambda index: False}


@pytest.mark.parametrize('format', ['mp4', 'matroska'])
@pytest.mark.parametrize('coded', FIELDS)
def test_a_packet_may_be_half_a_frame(decoded, coded, format):
    """Frames are not counted in packets, which would pass over every second one, and the video is no worse for it."""
    video = make_field_video(45, gop=15, format=format, in_fields=FIELDS[coded])
    assert read(decode_everything(video)) == list(range(45))
    for indices in ([0, 8, 16, 24], [2], [16], [44], [3, 31, 17], range(45)):
        assert read(read_frames(video, indices, 45)) == list(indices)
    for most in (3, 45):
        assert inspect(video, UNLIMITED, groups=most).num_frames == 45
    decoded.clear()
    read_frames(video, [44], 45)
    assert len(decoded) == {'all': 45, 'some': 45, 'none': 8}[coded]  # of the last group, every second is passed over


@pytest.mark.parametrize(('every', 'place'), [(every, place) for every in (2, 3, 4) for place in range(every)])
def test_frames_that_differ_by_themselves_are_found_wherever_they_stand(files, every, place, monkeypatch):
    """Fields come in twos, reordered frames in threes and fours: no such place is passed over throughout."""
    frames_of_group = decoding._frames_of_group

    def others(stream, group, ranks):
        for rank, frame in frames_of_group(stream, group, ranks):
            if rank % every == place:
                frame = av.VideoFrame(frame.width, frame.height, 'yuv420p')
            yield rank, frame

    monkeypatch.setattr(decoding, '_frames_of_group', others)
    with pytest.raises(VideoError, match='another one'):
        inspect(files['one keyframe'], UNLIMITED, groups=1)


JOINED = [('described', 'mp4'), ('once', 'mp4'), ('once', 'matroska'), ('again', 'mp4'), ('again', 'matroska')]


@pytest.mark.parametrize('codec', RECORDINGS)
@pytest.mark.parametrize(('told', 'format'), JOINED)
def test_parameter_sets_that_were_told_before_a_group(decoded, codec, told, format):
    video = join(codec, told=told, format=format)
    everything = decode_everything(video)
    assert read(everything) == list(range(FRAMES))
    for indices in ([FRAMES - 1], [JOINT], [JOINT + 13, 3], [JOINT - 1, JOINT + 20]):
        np.testing.assert_array_equal(read_frames(video, indices, len(everything)), everything[indices])
    assert inspect(video, UNLIMITED, groups=FRAMES).num_frames == FRAMES
    decoded.clear()
    read_frames(video, [JOINT + 13], FRAMES)
    assert len(decoded) == (2 if told == 'again' else 14)  # from the keyframe before it, or from the joint


@pytest.mark.parametrize('format', ['mp4', 'matroska'])
@pytest.mark.parametrize('codec', RECORDINGS)
def test_parameter_sets_that_come_back(codec, format):
    video = join(codec, told='once', format=format, kinds=(0, 1, 0))
    everything = decode_everything(video)
    assert read(everything) == list(range(3 * JOINT))
    for indices in ([3 * JOINT - 1], [2 * JOINT], [JOINT + 13, 3, 2 * JOINT + 13]):
        np.testing.assert_array_equal(read_frames(video, indices, len(everything)), everything[indices])
    assert inspect(video, UNLIMITED, groups=FRAMES).num_frames == 3 * JOINT


@pytest.mark.parametrize('codec', RECORDINGS)
def test_frames_that_differ_when_read_by_themselves_are_found(codec, monkeypatch):
    monkeypatch.setattr(groups, '_know_all', lambda packets, stream: [True] * len(packets))
    video = join(codec, told='once')
    inspect(video, UNLIMITED)
    for most in (1, FRAMES):
        with pytest.raises(VideoError, match=r'frame \d+ is another one') as error:
            inspect(video, UNLIMITED, groups=most)
        assert error.value.reason == Reason.DAMAGED


@pytest.mark.parametrize('name', FILES)
def test_every_frame_is_counted_and_measured(files, name):
    assert count_frames(files[name]) == 60
    assert inspect(files[name], UNLIMITED, groups=3) == inspect(files[name], UNLIMITED, groups=60) == (60, 32, 64)
    assert read(np.stack(list(every_frame(files[name], step=7, limits=UNLIMITED)))) == list(range(0, 60, 7))


@pytest.mark.parametrize('rotation', [90, 180, -90])
def test_rotation_is_applied(rotation):
    upright = read_frames(make_video(1), [0])
    rotated = read_frames(make_video(1, rotation=rotation), [0])
    np.testing.assert_array_equal(rotated, np.rot90(upright, rotation // 90, axes=(1, 2)))
    assert inspect(make_video(1, rotation=rotation), UNLIMITED) == (1, *rotated.shape[1:3])


@pytest.mark.parametrize(('limit', 'at_most'), [('pixels', 32 * 64), ('frames', 3), ('bytes', None)])
def test_limits(limit, at_most):
    video = make_video(3)
    at_most = at_most or len(video)
    assert inspect(video, UNLIMITED._replace(**{limit: at_most})).num_frames == 3
    with pytest.raises(VideoError, match=str(at_most - 1)) as error:
        inspect(video, UNLIMITED._replace(**{limit: at_most - 1}))
    assert error.value.reason == Reason.TOO_LARGE


def test_a_large_image_is_refused_before_it_is_decoded():
    image = cv2.imencode('.png', np.zeros((2000, 2000), np.uint8))[1].tobytes()
    assert inspect(image, UNLIMITED) == (1, 2000, 2000)
    with pytest.raises(VideoError) as error:
        inspect(image, UNLIMITED._replace(pixels=2000 * 2000 - 1))
    assert error.value.reason == Reason.TOO_LARGE


def test_other_files_are_not_opened(tmp_path, monkeypatch):
    (tmp_path / 'video.mp4').write_bytes(make_video(3))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError) as error:
        read_frames(b'ffconcat version 1.0\nfile video.mp4\n', [0])
    assert error.value.reason == Reason.UNREADABLE


def test_frames_of_two_sizes_are_refused():
    small = make_video(30, format='h264')
    with av.open(io.BytesIO(), 'w', format='h264') as container:
        stream = container.add_stream('libx264', rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 48, 'yuv420p'
        image = av.VideoFrame.from_ndarray(np.zeros((48, 96, 3), np.uint8), format='rgb24')
        large = b''.join(bytes(packet) for packet in [*stream.encode(image), *stream.encode()])
    for function in (lambda video: inspect(video, UNLIMITED), lambda video: read_frames(video, [0, 30])):
        with pytest.raises(VideoError, match='one size') as error:
            function(small + large)
        assert error.value.reason == Reason.SIZES_DIFFER


def test_odd_sizes():
    file = io.BytesIO()
    with av.open(file, 'w', format='mp4') as container:
        stream = container.add_stream('libx264', rate=12, options={'qp': '0'})
        stream.width, stream.height, stream.pix_fmt = 65, 33, 'yuv444p'
        image = np.full((33, 65, 3), (200, 100, 50), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())
    assert np.abs(read_frames(file.getvalue(), [0]).astype(int) - image).max() <= 3
    assert inspect(file.getvalue(), UNLIMITED) == (1, 33, 65)


def test_the_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(VideoError('frame 3 is bad', Reason.DAMAGED)))
    assert str(error) == 'frame 3 is bad' and error.reason is Reason.DAMAGED


@pytest.mark.parametrize('indices', [[], [-1], [[0]], [0.5], ['0'], 0])
def test_indices_must_be_whole_numbers(files, indices):
    with pytest.raises(ValueError, match='whole numbers from 0'):
        read_frames(files['B-frames'], np.array(indices))


@pytest.mark.parametrize('name', FILES)
def test_too_few_frames(files, name):
    with pytest.raises(VideoError, match='frame 70 asked for, the video ends after 60') as error:
        read_frames(files[name], [3, 70], 60)
    assert error.value.reason == Reason.TOO_SHORT


def test_a_truncated_mp4_without_its_index_is_refused(files):
    with pytest.raises(VideoError, match='damaged|no readable video|no video stream'):
        read_frames(files['B-frames'][:-500], [0])


@pytest.mark.parametrize('name', ['matroska', 'mpeg4 in avi', 'mp4 that begins with its index'])
def test_a_truncated_file_is_refused_where_it_ends(files, name):
    if name == 'mp4 that begins with its index':
        files = {name: remux(files['B-frames'], lambda number: True, 'mp4', movflags='faststart')}
    video = files[name][: len(files[name]) // 2]
    assert read(read_frames(video, [0, 5], 60)) == [0, 5]
    for indices in ([59], [0, 59]):
        with pytest.raises(VideoError, match='damaged'):
            read_frames(video, indices, 60)
    if name == 'matroska':
        return  # has no list of its frames: where it is cut, later reordered frames move up
    for index in range(60):  # a frame is right or refused, never half of it
        with contextlib.suppress(VideoError):
            np.testing.assert_array_equal(read_frames(video, [index], 60), read_frames(files[name], [index]))


@pytest.mark.parametrize('name', ['matroska', 'vp9 in webm'])
def test_a_truncated_matroska_file_is_no_shorter_video(files, name):
    video = files[name]
    assert count_frames(video + b'what is behind the video') == 60
    for size in (len(video) // 3, len(video) // 2, len(video) - 1):
        for decode_all in (count_frames, lambda cut: list(every_frame(cut, step=1, limits=UNLIMITED))):
            with pytest.raises(VideoError, match=f'{size} bytes of at least {len(video)}.* truncated') as error:
                decode_all(video[:size])
            assert error.value.reason == Reason.DAMAGED


def test_a_matroska_file_of_unknown_size_is_refused_where_it_ends_within_an_element(files):
    stream = remux(files['vp9 in webm'], lambda number: True, 'webm', live='1')
    cluster = stream.index(bytes.fromhex('1f43b675')) + 4
    assert stream[cluster] >> 6 == 0b01, 'a size of two bytes is expected'
    of_unknown_clusters = stream[:cluster] + b'\x7f\xff' + stream[cluster + 2 :]
    for video in (stream, of_unknown_clusters):
        assert count_frames(video) == count_frames(video + bytes(100)) == 60
        for size in (len(video) // 2, len(video) - 1):
            with pytest.raises(VideoError, match='truncated'):
                count_frames(video[:size])


def test_a_damaged_packet_is_refused():
    video = bytearray(make_video(60, gop=250))
    with av.open(io.BytesIO(video)) as container:
        packet = [packet for packet in container.demux() if packet.size][20]
    video[packet.pos : packet.pos + packet.size] = b'\xff' * packet.size
    video = bytes(video)
    assert read(read_frames(video, [19], 60)) == [19]
    with pytest.raises(VideoError, match='damaged'):
        read_frames(video, [40], 60)
    with pytest.raises(VideoError, match='damaged') as error:
        count_frames(video)
    assert error.value.reason == Reason.DAMAGED


@pytest.mark.parametrize('video', [b'', b'no video', bytes(100_000), b'<html>' * 1000])
@pytest.mark.parametrize('function', [count_frames, lambda video: read_frames(video, [0])])
def test_what_is_no_video_is_refused(function, video):
    with pytest.raises(VideoError, match=f'{len(video)} bytes') as error:
        function(video)
    assert error.value.reason == (Reason.UNREADABLE if video else Reason.EMPTY)


def test_sound_alone_is_refused():
    file = io.BytesIO()
    with av.open(file, 'w', format='mp4') as container:
        stream = container.add_stream('aac', rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match='no video stream') as error:
        read_frames(file.getvalue(), [0])
    assert error.value.reason == Reason.NO_VIDEO_STREAM
