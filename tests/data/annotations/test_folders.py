import errno
import os
from unicodedata import normalize

import pytest

from dnr_jax.data.annotations import folders


@pytest.fixture
def read(put, brief):
    def read(*videos):
        source = put(dict.fromkeys(videos, ''))
        annotated = folders.read(source)
        return annotated.label_names, *brief(annotated, source)

    return read


@pytest.mark.parametrize(
    'train, validation, test',
    [('train', 'val', 'test'), ('training', 'valid', 'testing'), ('TRAIN', 'Validation', 'Test')],
)
def test_a_tree_with_splits(read, train, validation, test):
    names, rows, rejected = read(
        f'{train}/zèbre/-b.mp4',
        f'{train}/a c/deep/v1.2/00002.jpg',
        f'{train}/a c/deep/v1.2/00001.jpg',
        f'{validation}/a c/x.webm',
        f'{test}/y.mov',
        'labels/names.txt',
        'README.png',
    )
    assert names == ('a c', 'zèbre') and rejected == []
    assert rows == [
        ('train', f'{train}/a c/deep/v1.2', f'{train}/a c/deep/v1.2', 'a c'),
        ('train', f'{train}/zèbre/-b', f'{train}/zèbre/-b.mp4', 'zèbre'),
        ('validation', f'{validation}/a c/x', f'{validation}/a c/x.webm', 'a c'),
        ('test', f'{test}/y', f'{test}/y.mov', None),
    ]


def test_a_tree_without_splits_is_for_training(read):
    names, rows, rejected = read('b/1.mp4', 'a/2.mp4', 'a/notes.txt', 'a/cover.jpg')
    assert names == ('a', 'b') and rejected == []
    assert rows == [('train', 'a/2', 'a/2.mp4', 'a'), ('train', 'b/1', 'b/1.mp4', 'b')]


def test_files_that_are_left_out_are_counted(put):
    names = ['a/1.gif', 'a/2.GIF', 'a/deep/3.gif', 'val/b/4.dat', 'val/b/notes']
    seen_or_not_looked_at = ['a/1.mp4', 'a/cover.jpg', 'a/.hidden', '.trash/5.gif']
    source = put(dict.fromkeys([f'train/{name}' for name in names[:3] + seen_or_not_looked_at] + names[3:], ''))
    annotated = folders.read(source)
    assert [row.id for row in annotated.rows] == ['train/a/1']
    assert annotated.left_out == (('.gif', 3), ('.dat', 1), ('', 1))


def test_files_that_are_left_out_are_named_where_there_is_no_other(put):
    source = put(dict.fromkeys(['a/1.gif', 'a/2.GIF', 'b/3.gif', 'b/notes'], ''))
    message = r'there are none, but files of other names: 3 .gif, 1 without suffix. Videos are files .* --list reads'
    with pytest.raises(ValueError, match=message):
        folders.read(source)


@pytest.mark.parametrize('other', ['test', 'train'])
def test_a_class_is_one_however_its_accents_are_written(read, other):
    """As one letter, or as a letter and an accent, as some systems unpack names of files."""
    one, two = (normalize(form, 'café') for form in ('NFC', 'NFD'))
    names, rows, rejected = read(f'train/{two}/1.mp4', f'{other}/{one}/2.mp4', 'train/run/3.mp4')
    assert names == (one, 'run') and rejected == []
    assert {row[1].split('/')[-1]: row[3] for row in rows} == {'1': one, '2': one, '3': 'run'}


def test_rejections(read):
    _, rows, rejected = read(
        'train/a/1.mp4',
        'train/a/1.webm',
        'train/loose.mp4',
        'train/images/1.jpg',
        'val/b/2.mp4',
        'test/a/3.mp4',
        'test/4.mp4',
    )
    assert [row[1] for row in rows] == ['train/a/1', 'test/a/3']
    assert sorted(rejected) == [
        ('test', 'test/4', 'unknown label'),
        ('train', 'train/a/1', 'duplicate id'),
        ('train', 'train/images', 'unknown label'),
        ('train', 'train/loose', 'unknown label'),
        ('validation', 'val/b/2', 'unknown label'),
    ]


def test_links_are_followed_but_not_in_circles(put, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    (elsewhere / '1.mp4').write_text('')
    source = put({'a/2.mp4': ''})
    (source / 'b').symlink_to(elsewhere)
    (source / 'a' / 'up').symlink_to(source)
    assert [row.id for row in folders.read(source).rows] == ['a/2', 'b/1']


def test_links_that_lead_nowhere_are_missing(put):
    source = put({'a/1.mp4': '', 'c/frames/2.jpg': ''})
    for link in ('a/file.mp4', 'a/folder', 'a/v1.2', 'a/loop.mp4', 'b/only.mkv', 'class', 'd/notes.txt', 'd/v/3.jpg'):
        (source / link).parent.mkdir(parents=True, exist_ok=True)
        (source / link).symlink_to(source / (link if 'loop' in link else 'unmounted') / 'x')
    annotated = folders.read(source)
    assert annotated.label_names == ('a', 'b', 'c', 'd') and annotated.left_out == (('.txt', 1),)
    assert [row.id for row in annotated.rows] == ['a/1', 'c/frames', 'd/v']
    assert [(row.id, row.reason) for row in annotated.rejected] == [
        (id, 'missing') for id in ('class', 'a/file', 'a/folder', 'a/loop', 'a/v1.2', 'b/only')
    ]


def test_a_split_that_leads_nowhere(put):
    source = put({'test/a/1.mp4': ''})
    (source / 'train').symlink_to(source / 'unmounted')
    with pytest.raises(ValueError, match="train' is a link that leads nowhere"):
        folders.read(source)


def test_trouble_of_the_machine_is_no_missing_video(put, monkeypatch):
    source = put({'a/1.mp4': ''})
    (source / 'a' / '2.mp4').symlink_to(source / 'a' / '1.mp4')

    stat = os.stat

    def fail(path, **options):
        if str(path).endswith('2.mp4'):
            raise OSError(errno.ESTALE, 'stale')
        return stat(path, **options)

    monkeypatch.setattr(os, 'stat', fail)
    with pytest.raises(OSError, match='stale'):
        folders.read(source)


def test_other_pictures_of_the_same_video_are_no_videos(put):
    source = put(
        {f'{label}/v{n}/{part}/00001.jpg': '' for label in 'ab' for n in (1, 2) for part in ('RGB', 'flow_x', 'flow_y')}
        | {'a/v3/1.jpg': '', 'a/v3/audio/sound.wav': '', 'a/x/1.jpg': '', 'a/y/1.jpg': ''}
    )
    (source / 'empty' / 'deep').mkdir(parents=True)
    annotated = folders.read(source)
    videos = ['a/v1/RGB', 'a/v2/RGB', 'a/x', 'a/y', 'b/v1/RGB', 'b/v2/RGB']
    assert [row.id for row in annotated.rows] == videos
    assert annotated.notes == (
        "1 folders without any video: 'empty'",
        "8 folders of images beside one of RGB frames, left out: 'a/v1/flow_x', 'a/v1/flow_y', 'a/v2/flow_x', "
        "'a/v2/flow_y', 'b/v1/flow_x', ...",
        "1 images beside videos or folders, left out: 'a/v3/1.jpg'",
    )


@pytest.mark.parametrize('split', ['test', 'val'])
def test_one_split_that_is_not_for_training(read, split):
    names, rows, rejected = read(f'{split}/b/1.mp4', f'{split}/a/2.mp4')
    assert names == ('a', 'b') and rejected == []
    of = {'test': 'test', 'val': 'validation'}[split]
    assert [(row[0], row[3]) for row in rows] == [(of, 'a'), (of, 'b')]


def test_folders_that_link_to_each_other(put):
    source = put({'a/1.mp4': '', 'b/2.mp4': ''})
    (source / 'a' / 'x').symlink_to(source / 'b')
    (source / 'b' / 'y').symlink_to(source / 'a')
    (source / 'b' / 'self').symlink_to(source / 'b' / 'self')
    assert [row.id for row in folders.read(source).rows] == ['a/1', 'a/x/2', 'b/2', 'b/y/1']


def test_a_link_out_and_up(put, tmp_path_factory):
    source, elsewhere = put({'train/a/1.mp4': ''}), tmp_path_factory.mktemp('elsewhere')
    (elsewhere / 'deep').mkdir()
    (elsewhere / 'deep' / '2.mp4').write_text('')
    (elsewhere / 'deep' / 'up').symlink_to(elsewhere)
    (source / 'train' / 'a' / 'up').symlink_to(source)
    (source / 'train' / 'b').symlink_to(elsewhere / 'deep')
    assert [row.id for row in folders.read(source).rows] == ['train/a/1', 'train/b/2']


@pytest.mark.parametrize('suffix', 'ts mts M2TS ogv wmv flv 3gp mpg mpeg m4v qt h264 rmvb'.split())
def test_suffixes_of_videos(read, suffix):
    assert [row[1] for row in read(f'a/1.{suffix}')[1]] == ['a/1']


@pytest.mark.parametrize('suffix', 'jpg JPEG png bmp webp'.split())
def test_suffixes_of_frames(read, suffix):
    assert [row[2] for row in read(f'a/b/1.{suffix}')[1]] == ['a/b']


@pytest.mark.parametrize(
    'videos, message',
    [
        (['a.mp4'], "Expected videos in '.*/train/<class>/'"),
        (['00001.jpg'], 'Expected videos'),
        (['train/1.mp4', 'val/a/1.mp4'], 'Expected videos'),
        (['val/1.mp4'], 'Expected videos'),
        (['train/a/1.mp4', 'val/a/1.mp4', 'validation/a/1.mp4'], 'One folder for each split'),
        (['train/a/1.mp4', 'Training/a/1.mp4'], 'One folder for each split'),
        (['train/a/1.mp4', 'test/a/1.mp4', 'held out/a/1.mp4'], r"\['train', 'test'\].*, \['held out'\]"),
    ],
)
def test_trees_that_are_wrong(read, videos, message):
    with pytest.raises(ValueError, match=message):
        read(*videos)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(ValueError, match='No folder of videos'):
        folders.read(tmp_path / 'data')
