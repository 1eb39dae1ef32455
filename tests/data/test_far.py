"""Videos of a bucket become the records that they become from a disk, and data sets are written to it as to one."""

import json

import pytest
from bucket import ASKED, FAULTS, OBJECTS, ROOM
from numbered_videos import make_video

from dnr_jax.data import prepare
from dnr_jax.data.annotations.clips import clips
from dnr_jax.data.far import Near, fetched, found_in
from dnr_jax.data.source import open_split
from dnr_jax.files import as_path, buckets


def put(folder, url):
    """Copies a local folder to the bucket."""
    for path in (path for path in folder.rglob('*') if path.is_file()):
        OBJECTS[f'{url.partition("://")[2]}/{path.relative_to(folder).as_posix()}'] = path.read_bytes()


@pytest.fixture
def source(tmp_path):
    """Class folders with two videos each, a video that is none and a list."""
    for name in ('train/jump/a', 'train/run/b', 'validation/jump/c', 'validation/run/d'):
        path = tmp_path / 'source' / f'{name}.mp4'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_video(frames=8))
    (tmp_path / 'source/train/run/broken.mp4').write_bytes(b'none')
    (tmp_path / 'source/train/notes.txt').write_text('a note')
    return tmp_path / 'source'


def prepared(source, out, *more):
    arguments = ['videos', '--variant=own', f'--source={source}', f'--out={out}', '--workers=0', *more]
    return prepare.main(arguments)


def test_a_tree_of_names_takes_no_bytes(bucket, source):
    put(source, 'gs://bucket/videos')
    others = {name: bytes(number) for number, name in enumerate(('train.tar.gz', 'train/all.zip', 'train/all'), 1)}
    OBJECTS.update({f'bucket/videos/{name}': data for name, data in others.items()})
    ASKED.clear()
    with Near() as near:
        tree = near.of(as_path('gs://bucket/videos'))
        assert sorted(path.name for path in clips(tree)) == ['a.mp4', 'b.mp4', 'broken.mp4', 'c.mp4', 'd.mp4']
        assert (tree / 'train/notes.txt').read_text() == 'a note'
        assert (tree / 'train/jump/a.mp4').stat().st_size == len(OBJECTS['bucket/videos/train/jump/a.mp4'])
        assert {name: (tree / name).read_bytes() for name in others} == others
        assert near.far(tree / 'train') == as_path('gs://bucket/videos/train')
        assert near.told(f"no '{tree}/x'") == "no 'gs://bucket/videos/x'" and near.of(source) == source
    assert ASKED['get'] == 1 and not tree.exists()
    assert [str(path) for path in found_in(as_path('gs://bucket/videos/validation'), clips)] == [
        'gs://bucket/videos/validation/jump/c.mp4', 'gs://bucket/videos/validation/run/d.mp4'
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError), fetched(as_path('gs://bucket/none.mp4')):
        pass


def test_of_a_folder_of_frames_only_the_images_are_copied(bucket):
    names = ('00001.jpg', '00002.JPG', 'frames.tar.gz', 'more/00001.jpg')
    OBJECTS.update({f'bucket/video/{name}': name.encode() for name in names})
    with fetched(bucket / 'video') as folder:
        assert {file.name: file.read_text() for file in folder.iterdir()} == {name: name for name in names[:2]}


def test_records_are_those_of_the_disk(bucket, source, tmp_path, capsys):
    put(source, 'gs://bucket/videos')
    assert prepared(source, tmp_path / 'out') == 0
    capsys.readouterr()
    assert prepared('gs://bucket/videos', 'gs://bucket/out') == 0
    told = capsys.readouterr().out
    assert (
        '--config.data.dir=gs://bucket/out' in told and 'gs://bucket/out/videos/own-original/1.1.0/failures.csv' in told
    )
    for split in ('train', 'validation'):
        near, far = (open_split('videos', dir, split) for dir in (tmp_path / 'out', 'gs://bucket/out'))
        assert [near[i]['video'] for i in range(len(near))] == [far[i]['video'] for i in range(len(far))]
        assert near.fingerprint == far.fingerprint and near.own_names == far.own_names == ('jump', 'run')
    (lost,) = open_split('videos', 'gs://bucket/out', 'train').failures
    assert lost.path == 'gs://bucket/videos/train/run/broken.mp4'
    assert prepared('gs://bucket/videos', 'gs://bucket/out') == 0
    assert 'Already prepared' in capsys.readouterr().out
    assert not [name for name in OBJECTS if '/.' in name or 'incomplete' in name]


def test_what_was_interrupted_goes_on(bucket, source, capsys, monkeypatch):
    """Shards that are there are not written again, and without the inventory there is no data set."""
    upload, uploaded = buckets.upload, []

    def stop_at(name):
        def stopping(file, path):
            if name in str(path):
                raise KeyboardInterrupt
            uploaded.append(path.name)
            upload(file, path)

        return stopping

    monkeypatch.setattr(buckets, 'upload', stop_at('-validation.array_record'))
    with pytest.raises(KeyboardInterrupt):
        prepared(source, 'gs://bucket/out')
    with pytest.raises(ValueError, match='No prepared data set videos'):
        open_split('videos', 'gs://bucket/out', 'train')
    monkeypatch.setattr(buckets, 'upload', stop_at('nothing'))
    uploaded.clear()
    assert prepared(source, 'gs://bucket/out') == 0
    assert not [name for name in uploaded if '-train.array' in name] and uploaded[-1] == 'inventory.json'


def test_a_bucket_that_becomes_full(bucket, source, capsys):
    """One line names the object; what is there is no data set yet, and with room the same command goes on."""
    assert prepared(source, 'gs://bucket/whole') == 0
    whole = {name: data for name, data in OBJECTS.items() if name.endswith('.json') or '.array_record' in name}
    OBJECTS.clear()
    capsys.readouterr()
    ROOM[:] = [sum(map(len, whole.values())) // 2]
    assert prepared(source, 'gs://bucket/out') == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert ': gs://bucket/out/' in told and 'no room left for it' in told
    with pytest.raises(ValueError, match='No prepared data set videos'):
        open_split('videos', 'gs://bucket/out', 'train')
    ROOM.clear()
    assert prepared(source, 'gs://bucket/out') == 0
    assert len(open_split('videos', 'gs://bucket/out', 'train')) == 2


def test_a_late_video_is_taken_in(bucket, source, capsys):
    put(source, 'gs://bucket/videos')
    assert prepared('gs://bucket/videos', 'gs://bucket/out') == 0
    OBJECTS['bucket/videos/train/run/broken.mp4'] = OBJECTS['bucket/videos/train/run/b.mp4']
    assert prepared('gs://bucket/videos', 'gs://bucket/out', '--refresh') == 0
    assert len(open_split('videos', 'gs://bucket/out', 'train')) == 3
    inventory = json.loads(OBJECTS['bucket/out/videos/own-original/1.1.0/inventory.json'])
    assert inventory['splits']['train']['records'] == 3


def test_one_that_is_refreshed_is_none_meanwhile(bucket, source, capsys, monkeypatch):
    put(source, 'gs://bucket/videos')
    assert prepared('gs://bucket/videos', 'gs://bucket/out') == 0
    OBJECTS['bucket/videos/train/run/broken.mp4'] = OBJECTS['bucket/videos/train/run/b.mp4']
    monkeypatch.setattr(buckets, 'upload', lambda file, path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepared('gs://bucket/videos', 'gs://bucket/out', '--refresh')
    with pytest.raises(ValueError, match='No prepared data set videos'):
        open_split('videos', 'gs://bucket/out', 'train')


def test_a_network_that_is_away_is_told_in_a_line(bucket, source, capsys):
    FAULTS[:] = [ConnectionError('away')] * 10**4
    assert prepared(source, 'gs://bucket/out') == 2
    assert 'gs://bucket/out' in capsys.readouterr().err
    FAULTS.clear()
