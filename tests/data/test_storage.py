import errno
import io
import pathlib
import pickle

import av
import cv2
import numpy as np
import pytest
import simplejpeg
from field_videos import make_field_video
from joined_videos import FRAMES, join
from numbered_videos import decode_everything, draw, make_video, read, remux

from dnr_jax.data.storage import FORMS, Storage, check, name, read_frames, store, verify
from dnr_jax.data.video import decoding, groups
from dnr_jax.data.video.errors import UNLIMITED, Reason, VideoError
from dnr_jax.files import MachineError

ORIGINAL = Storage('original', short_side=0, keyframe_interval=1, quality=95, frame_step=1)
STORAGES = {
    'original': ORIGINAL,
    'video': Storage('video', short_side=0, keyframe_interval=12, quality=18, frame_step=1),
    'video24': Storage('video', short_side=24, keyframe_interval=5, quality=18, frame_step=1),
    'video24step3': Storage('video', short_side=24, keyframe_interval=5, quality=18, frame_step=3),
    'jpeg': Storage('jpeg', short_side=0, keyframe_interval=1, quality=90, frame_step=1),
    'jpeg24': Storage('jpeg', short_side=24, keyframe_interval=1, quality=90, frame_step=1),
    'jpeg24step4': Storage('jpeg', short_side=24, keyframe_interval=1, quality=90, frame_step=4),
}


def write_frames(folder, pattern, numbers):
    """A folder of images that show their position."""
    folder.mkdir()
    for position, number in enumerate(numbers):
        file = str(folder / pattern.format(number))
        assert cv2.imwrite(file, cv2.cvtColor(draw(position), cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    """Videos of 25 frames."""
    dir = tmp_path_factory.mktemp('sources')
    files = {
        'mp4': make_video(25, b_frames=2),
        'mkv without number of frames': make_video(25, b_frames=2, format='matroska'),
        'avi with reordered frames': make_video(25, codec='mpeg4', format='avi', b_frames=2),
        'webm': make_video(25, codec='libvpx-vp9', format='webm'),
        'variable frame rate': make_video(25, b_frames=2, times=lambda index: index * (index + 1)),
        '10 bit': make_video(25, b_frames=2, pix_fmt='yuv420p10'),
    }
    paths = {}
    for number, (source, video) in enumerate(files.items()):
        paths[source] = dir / f'{number}'
        paths[source].write_bytes(video)
    paths['folder of jpg'] = write_frames(dir / 'jpg', '{:05}.jpg', range(1, 26))
    paths['folder of png'] = write_frames(dir / 'png', 'img_{:05}.png', range(1, 26))
    paths['folder of bmp, short numbers'] = write_frames(dir / 'bmp', 'frame{}.bmp', range(25))
    return paths


SOURCES = (
    'mp4',
    'mkv without number of frames',
    'avi with reordered frames',
    'webm',
    'variable frame rate',
    '10 bit',
    'folder of jpg',
    'folder of png',
    'folder of bmp, short numbers',
)


@pytest.mark.parametrize('form', STORAGES)
@pytest.mark.parametrize('source', SOURCES)
def test_what_is_stored_is_read(sources, source, form):
    storage = STORAGES[form]
    record = store(sources[source], storage, UNLIMITED)
    assert record['num_frames'] == 25 and isinstance(record['video'], bytes)
    assert record['frame_ends'].dtype == np.int64
    step, (height, width) = storage.frame_step, (24, 48) if storage.short_side else (32, 64)
    for indices in (np.arange(25), np.array([24]), np.array([13, 2, 13, 7])):
        frames = read_frames(record, indices, step)
        assert frames.shape == (len(indices), height, width, 3)
        assert read(frames) == (indices // step * step).tolist()
    stored = -(-25 // step)
    assert len(record['frame_ends']) in (0, stored)
    if len(record['frame_ends']) == 0:
        assert len(decode_everything(record['video'])) == stored


@pytest.mark.parametrize('source', [source for source in SOURCES if 'folder' not in source])
def test_originals_are_not_touched(sources, source):
    record = store(sources[source], ORIGINAL, UNLIMITED)
    assert record['video'] == sources[source].read_bytes() and len(record['frame_ends']) == 0
    np.testing.assert_array_equal(read_frames(record, np.arange(25), 1), decode_everything(record['video']))


def test_original_jpegs_are_not_touched(sources):
    record = store(sources['folder of jpg'], ORIGINAL, UNLIMITED)
    files = sorted(sources['folder of jpg'].iterdir())
    assert record['video'] == b''.join(file.read_bytes() for file in files)
    expected = np.stack([simplejpeg.decode_jpeg(file.read_bytes()) for file in files])
    np.testing.assert_array_equal(read_frames(record, np.arange(25), 1), expected)


@pytest.mark.parametrize('form', ['video24', 'jpeg24'])
def test_frames_look_the_same(sources, form):
    record = store(sources['folder of png'], STORAGES[form], UNLIMITED)
    frames = read_frames(record, np.arange(25), 1)
    for index in range(25):
        expected = cv2.resize(draw(index), (48, 24), interpolation=cv2.INTER_AREA)
        assert np.abs(frames[index].astype(int) - expected)[:12].mean() < 8


@pytest.mark.parametrize('form', FORMS)
def test_rotation_is_applied(tmp_path, form):
    (tmp_path / 'phone.mp4').write_bytes(make_video(2, rotation=90))
    record = store(tmp_path / 'phone.mp4', STORAGES[form], UNLIMITED)
    upright = np.rot90(read_frames(record, [0, 1], 1), -1, axes=(1, 2))
    assert upright.shape == (2, 32, 64, 3) and read(upright) == [0, 1]


def test_same_input_gives_same_record(sources):
    for form in STORAGES.values():
        first, second = (store(sources['mp4'], form, UNLIMITED) for _ in range(2))
        assert first['video'] == second['video']


def sound():
    file = io.BytesIO()
    with av.open(file, 'w', format='mp4') as container:
        stream = container.add_stream('aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    return file.getvalue()


def damaged():
    video = bytearray(make_video(25, gop=250))
    with av.open(io.BytesIO(video)) as container:
        packet = [packet for packet in container.demux() if packet.size][20]
    video[packet.pos : packet.pos + packet.size] = b'\xff' * packet.size
    return bytes(video)


BAD_FILES = {
    'nothing': (lambda: b'', Reason.EMPTY),
    'a web page': (lambda: b'<html>' * 1000, Reason.UNREADABLE),
    'an mp4 without its end': (lambda: make_video(25)[:-2000], Reason.UNREADABLE),
    'an mp4 cut in the middle': (
        lambda: remux(make_video(25), lambda number: True, 'mp4', movflags='faststart')[:5000],
        Reason.DAMAGED,
    ),
    'a damaged packet': (damaged, Reason.DAMAGED),
    'sound alone': (sound, Reason.NO_VIDEO_STREAM),
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('bad', BAD_FILES)
def test_bad_files_are_refused(tmp_path, bad, form):
    make, reason = BAD_FILES[bad]
    (tmp_path / 'video').write_bytes(make())
    with pytest.raises(VideoError) as error:
        store(tmp_path / 'video', STORAGES[form], UNLIMITED)
    assert error.value.reason == reason


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(VideoError, match='nowhere') as error:
        store(tmp_path / 'nowhere', ORIGINAL, UNLIMITED)
    assert error.value.reason == Reason.MISSING


@pytest.mark.parametrize('code', [errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EMFILE])
def test_trouble_of_the_machine_is_not_the_video_s(tmp_path, monkeypatch, code):
    def fail(path):
        raise OSError(code, 'trouble')

    (tmp_path / 'video').write_bytes(b'')
    monkeypatch.setattr(pathlib.Path, 'read_bytes', fail)
    with pytest.raises(OSError, match='trouble') as error:
        store(tmp_path / 'video', ORIGINAL, UNLIMITED)
    assert error.value.errno == code and isinstance(error.value, MachineError)
    assert str(error.value).startswith(f"trouble: '{tmp_path / 'video'}'. ")
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.parametrize('path', ['x' * 300, 'file/video', 'loop', 'forbidden'])
def test_paths_that_cannot_be_read_are_refused(tmp_path, monkeypatch, path):
    def refuse(path):
        raise PermissionError(errno.EACCES, 'forbidden')

    (tmp_path / 'file').write_bytes(b'')
    (tmp_path / 'loop').symlink_to(tmp_path / 'loop')
    (tmp_path / 'forbidden').write_bytes(b'')
    monkeypatch.setattr(pathlib.Path, 'read_bytes', refuse)  # root may read what others may not
    with pytest.raises(VideoError) as error:
        store(tmp_path / path, ORIGINAL, UNLIMITED)
    assert error.value.reason == Reason.UNREADABLE


def change(folder: pathlib.Path, what: str) -> Reason:
    """Spoils a folder of frames; returns the reason to expect."""
    second = folder / '00002.jpg'
    if what == 'a gap':
        second.unlink()
        return Reason.MISSING_FRAMES
    if what == 'a late start':
        (folder / '00001.jpg').unlink()
        return Reason.MISSING_FRAMES
    if what == 'one number twice':
        (folder / '2.jpg').write_bytes(second.read_bytes())
        return Reason.MISSING_FRAMES
    if what == 'two kinds of frames':
        (folder / 'depth_00001.jpg').write_bytes(second.read_bytes())
        return Reason.MISSING_FRAMES
    if what == 'no number':
        (folder / 'cover.jpg').write_bytes(second.read_bytes())
        return Reason.UNREADABLE
    if what == 'no image':
        for file in folder.iterdir():
            file.unlink()
        return Reason.EMPTY
    if what == 'a frame of another size':
        second.write_bytes(simplejpeg.encode_jpeg(draw(1)[:16].copy()))
        return Reason.SIZES_DIFFER
    second.write_bytes({'a cut frame': second.read_bytes()[:-200], 'an empty frame': b'', 'garbage': b'no image'}[what])
    return {'a cut frame': Reason.DAMAGED, 'an empty frame': Reason.EMPTY, 'garbage': Reason.UNREADABLE}[what]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(
    'what',
    [
        'a gap',
        'a late start',
        'one number twice',
        'two kinds of frames',
        'no number',
        'no image',
        'a frame of another size',
        'a cut frame',
        'an empty frame',
        'garbage',
    ],
)
def test_bad_folders_are_refused(tmp_path, what, form):
    folder = write_frames(tmp_path / 'frames', '{:05}.jpg', range(1, 5))
    reason = change(folder, what)
    with pytest.raises(VideoError) as error:
        store(folder, STORAGES[form], UNLIMITED)
    assert error.value.reason == reason


def test_optical_flow_is_left_out(tmp_path):
    folder = write_frames(tmp_path / 'frames', 'img_{:05}.jpg', range(1, 5))
    for number in range(1, 4):
        for axis in 'xy':
            (folder / f'flow_{axis}_{number:05}.jpg').write_bytes(b'no frame')
    record = store(folder, ORIGINAL, UNLIMITED._replace(frames=4))
    assert read(read_frames(record, np.arange(4), 1)) == [0, 1, 2, 3]
    (folder / 'depth_1.png').write_bytes(b'')
    with pytest.raises(VideoError, match=r"named alike before their numbers, got \['depth_', 'img_'\]"):
        store(folder, ORIGINAL, UNLIMITED)


def test_a_folder_of_flow_alone(tmp_path):
    assert store(write_frames(tmp_path / 'a', 'flower{}.jpg', range(3)), ORIGINAL, UNLIMITED)['num_frames'] == 3
    folder = write_frames(tmp_path / 'b', 'flow_x_{:05}.jpg', range(3))
    (folder / 'flow_y_00001.jpg').write_bytes(b'')
    with pytest.raises(VideoError) as error:
        store(folder, ORIGINAL, UNLIMITED)
    assert error.value.reason == Reason.EMPTY


def test_other_files_of_a_folder_are_left_alone(tmp_path):
    folder = write_frames(tmp_path / 'frames', '{:05}.jpg', range(1, 5))
    for other in ('._00001.jpg', '.DS_Store', 'notes.txt'):
        (folder / other).write_bytes(b'not a frame')
    assert store(folder, ORIGINAL, UNLIMITED)['num_frames'] == 4


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('source', ['mp4', 'folder of jpg', 'folder of png'])
@pytest.mark.parametrize(('limit', 'at_most'), [('pixels', 32 * 64 - 1), ('frames', 24), ('bytes', 1000)])
def test_limits(sources, source, form, limit, at_most):
    with pytest.raises(VideoError) as error:
        store(sources[source], STORAGES[form], UNLIMITED._replace(**{limit: at_most}))
    assert error.value.reason == Reason.TOO_LARGE


def test_what_is_stored_is_read_as_a_training_reads_it(tmp_path, monkeypatch):
    path = tmp_path / 'video.mp4'
    path.write_bytes(join('libx264', told='once'))
    record = store(path, ORIGINAL, UNLIMITED)
    verify(record, 1)
    monkeypatch.setattr(groups, '_know_all', lambda packets, stream: [True] * len(packets))
    for read_it in (
        lambda: store(path, ORIGINAL, UNLIMITED, groups=1),
        lambda: store(path, ORIGINAL, UNLIMITED),
        lambda: verify(record, 1),
    ):
        with pytest.raises(VideoError, match='another one when its group of pictures is decoded by itself') as error:
            read_it()
        assert error.value.reason == Reason.DAMAGED
    for form in ('video', 'jpeg'):  # for which all is decoded from the beginning
        assert read(read_frames(store(path, STORAGES[form], UNLIMITED), range(FRAMES), 1)) == list(range(FRAMES))


def test_too_few_frames(sources):
    for form, storage in STORAGES.items():
        record = store(sources['mp4'], storage, UNLIMITED)
        with pytest.raises(VideoError) as error:
            read_frames(record, [3, 25 + storage.frame_step], storage.frame_step)
        assert error.value.reason == Reason.TOO_SHORT, form


@pytest.mark.parametrize('form', ['original', 'jpeg'])
@pytest.mark.parametrize('indices', [[], [-1], [0.5], [[1]]])
def test_indices_must_be_whole_numbers(sources, form, indices):
    record = store(sources['mp4'], STORAGES[form], UNLIMITED)
    with pytest.raises(ValueError, match='whole numbers from 0'):
        read_frames(record, np.array(indices), 1)


@pytest.mark.parametrize('expected', STORAGES)
def test_names(expected):
    assert name(STORAGES[expected]) == expected


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(form='jpg'), "Did you mean 'jpeg'"),
        (dict(frame_step=0), 'frame_step >= 1'),
        (dict(short_side=-1), 'short_side >= 0'),
        (dict(keyframe_interval=0), 'keyframe_interval >= 1'),
        (dict(frame_step=2), 'Originals hold all frames'),
        (dict(quality=0), '1 to 100'),
        (dict(form='jpeg', quality=101), '1 to 100'),
        (dict(form='video', quality=52), '0 to 51'),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, changes, message):
    storage = ORIGINAL._replace(**changes)
    for function in (check, lambda storage: store(tmp_path, storage, UNLIMITED)):
        with pytest.raises(ValueError, match=message):
            function(storage)


@pytest.mark.parametrize('format', ['mp4', 'matroska'])
def test_frames_that_were_coded_as_fields_are_stored_and_read_as_frames(tmp_path, format):
    path = tmp_path / 'interlaced'
    path.write_bytes(make_field_video(45, gop=15, format=format))
    for form in ('original', 'video', 'jpeg'):
        record = store(path, STORAGES[form], UNLIMITED)
        verify(record, 1)
        assert record['num_frames'] == 45 and read(read_frames(record, [0, 8, 16, 24], 1)) == [0, 8, 16, 24]


@pytest.mark.parametrize('form', ['original', 'video24', 'video24step3'])
def test_the_number_of_stored_frames_spares_decoding(form, tmp_path, monkeypatch):
    (tmp_path / 'video.mp4').write_bytes(make_video(25, gop=5))
    record = store(tmp_path / 'video.mp4', STORAGES[form], UNLIMITED)
    decoded, count = decoding.decoded, []
    monkeypatch.setattr(decoding, 'decoded', lambda *of: (count.append(frame) or frame for frame in decoded(*of)))
    read_frames(record, [24], STORAGES[form].frame_step)
    assert 1 <= len(count) <= 5


@pytest.mark.parametrize('storage', STORAGES)
def test_verify_finds_a_missing_frame_and_damage(storage, sources):
    storage = STORAGES[storage]
    record = store(sources['mp4'], storage, UNLIMITED)
    verify(record, storage.frame_step)
    for broken in (record | {'num_frames': 50}, record | {'video': record['video'][: len(record['video']) // 2]}):
        with pytest.raises(VideoError) as error:
            verify(broken, storage.frame_step)
        assert error.value.reason in (Reason.DAMAGED, Reason.UNREADABLE)
