import errno
import re
from unicodedata import normalize

import pytest

from dnr_jax.data.annotations import listing

VIDEOS = dict.fromkeys(['a.mp4', 'b c, d.mp4', '-e/é.mp4', 'clip/1.jpg', 'clip 7/1.jpg'], '')


@pytest.fixture
def read(put, brief):
    """Reads one list, by default of the training split, and returns class names, rows and rejections."""

    def read(*lines, names=None, split='train', newline='\n', more=()):
        files = VIDEOS | {'list.txt': newline.join([*lines, '']), **dict(more)}
        source = put(files if names is None else files | {'names.txt': '\n'.join(names)})
        label_names = source / 'names.txt' if names is not None else None
        annotated = listing.read(source, lists={split: source / 'list.txt'}, label_names=label_names)
        return annotated.label_names, *brief(annotated, source)

    return read


@pytest.mark.parametrize(
    'lines',
    [
        ['a.mp4 run', 'b c, d.mp4 sit', '-e/é.mp4 run', 'clip sit'],
        ['\ufeffa.mp4  run', 'b c, d.mp4\tsit', '  -e/é.mp4 run ', '', 'clip sit', ' '],
        ['path label', 'a.mp4 run', 'b c, d.mp4 sit', '-e/é.mp4 run', 'clip 120 sit'],
        ['a.mp4,run', '"b c, d.mp4",sit', '-e/é.mp4, run', 'clip,sit'],
        ['a.mp4,run', '"b c, d.mp4",sit', '-e/é.mp4, run', 'clip,120,sit'],
        ['Class,n,Video', 'run,1,a.mp4', 'sit,2,"b c, d.mp4"', 'run,3,-e/é.mp4', '"sit",4,clip'],
        ['filename,label', './a.mp4,run', '"clip/../b c, d.mp4",sit', '-e/é.mp4,run', 'clip/,sit'],
    ],
)
@pytest.mark.parametrize('newline', ['\n', '\r\n'])
def test_forms_of_lines(read, lines, newline):
    names, rows, rejected = read(*lines, newline=newline)
    assert names == ('run', 'sit') and rejected == []
    assert rows == [
        ('train', 'a', 'a.mp4', 'run'),
        ('train', 'b c, d', 'b c, d.mp4', 'sit'),
        ('train', '-e/é', '-e/é.mp4', 'run'),
        ('train', 'clip', 'clip', 'sit'),
    ]


def test_labels_of_several_words(read):
    lines = ['a.mp4 pull up', 'b c, d.mp4\tpull  up', '-e/é.mp4 300 run', 'a.MP4 b.mp4 3 point shot']
    names, rows, _ = read(*lines, more={'a.MP4 b.mp4': ''})
    assert names == ('3 point shot', 'pull up', 'run')
    assert [row[2:] for row in rows] == [
        ('a.mp4', 'pull up'),
        ('b c, d.mp4', 'pull up'),
        ('-e/é.mp4', 'run'),
        ('a.MP4 b.mp4', '3 point shot'),
    ]


TWELVE = [f'{number}.mp4' for number in range(12)]


@pytest.mark.parametrize(
    'lines',
    [
        ['file_name,label', *(f'{file},{i}' for i, file in enumerate(TWELVE))],
        ['Video Path;Class-ID', *(f'{file};{i}' for i, file in enumerate(TWELVE))],
        [',path,target', *(f'{i},{file},{i}.0' for i, file in enumerate(TWELVE))],
        ['# path label', '#0.mp4 0', *(f'{file} {i}' for i, file in enumerate(TWELVE))],
        ['# path,label', '#', *(f'{file},{i}.0' for i, file in enumerate(TWELVE))],
        [f'{file} {i}.00' for i, file in enumerate(TWELVE)],
        [f'{file}\t{i:02}' for i, file in enumerate(TWELVE)],
        [f'"{file}" "{i}"' for i, file in enumerate(TWELVE)],
        [f'"{file}","{i}"' for i, file in enumerate(TWELVE)],
        [f'.\\{file} {i}' for i, file in enumerate(TWELVE)],
        ['klass,item', *(f'{file},{i}' for i, file in enumerate(TWELVE))],
        ['12.mp4 word', '13.mp4 1.5', '14.mp4 3,4', *(f'{file} {i}' for i, file in enumerate(TWELVE))],
    ],
)
def test_number_i_is_class_i(read, lines):
    names, rows, _ = read(*lines, more=dict.fromkeys(TWELVE, ''))
    assert names == tuple(map(str, range(12)))
    assert [row[2:] for row in rows] == [(file, str(i)) for i, file in enumerate(TWELVE)]


@pytest.mark.parametrize(
    ('line', 'told'),
    [
        ('{} 1 17 3', 'more numbers'),
        ('{} 1.5 9.25 run', 'more numbers'),
        ('{} 3 4', 'more numbers'),
        ('{},3,4', 'expected: path,label'),
        ('{},3,4,5', 'expected: path,label'),
        ('{} 3,4', "one from 0, got '3,4'"),
        ('{} 3/4', "one from 0, got '3/4'"),
        ('{};"3 4"', "one from 0, got '3 4'"),
        ('{} -1', "one from 0, got '-1'"),
        ('{},0.5', "one from 0, got '0.5'"),
        ('{} 3 # three', "one from 0, got '3 # three'"),
        ('{} run # slowly', "one from 0, got 'run # slowly'"),
        ('7 {}', 'missing'),
        ('{}', 'has no label'),
    ],
)
def test_what_is_not_understood_is_no_class(read, line, told):
    with pytest.raises(ValueError, match=f"list of 'train', .*{re.escape(told)}"):
        read(*(line.format(file) for file in TWELVE), more=dict.fromkeys(TWELVE, ''))


def test_a_folder_with_more_than_its_frames(read):
    with pytest.raises(ValueError, match="'clip 1 120 5', malformed row, expected: path label, got more numbers"):
        read('clip 1 120 5')


def test_names_beside_numbers(read):
    with pytest.raises(ValueError, match="numbers beside 'run'. Give --labels"):
        read('a.mp4 1', 'clip run')
    assert read('a.mp4 1', 'none.mp4 run')[0] == ('0', '1')
    with pytest.raises(ValueError, match=r"one column each .* got \['label', 'class_id'\]"):
        read('path,label,class_id', 'a.mp4,run,0')


def test_a_comment_that_is_a_video(read):
    names, rows, _ = read('#1 best.mp4 run', '# a.mp4 sit', '#no.mp4 sit', more={'#1 best.mp4': ''})
    assert names == ('run',) and [row[1] for row in rows] == ['#1 best']


def test_commas_in_the_names_of_most_videos(read):
    videos = [f'a, {number}.mp4' for number in range(3)]
    names, rows, rejected = read(*(f'{video} pull up' for video in videos), more=dict.fromkeys(videos, ''))
    assert names == ('pull up',) and [row[2] for row in rows] == videos and rejected == []


def test_spaces_in_the_names_of_folders(read):
    folders = {f'my clip {number}/1.jpg': '' for number in range(3)}
    _, rows, _ = read(*(f'my clip {number}\tpull up' for number in range(3)), more=folders)
    assert [row[2:] for row in rows] == [(f'my clip {number}', 'pull up') for number in range(3)]
    _, rows, _ = read('my clip 1', 'my clip 2', more=folders, split='test', names=['run'])
    assert [row[2:] for row in rows] == [('my clip 1', None), ('my clip 2', None)]


@pytest.mark.parametrize(('on_disk', 'in_list'), [('NFC', 'NFD'), ('NFD', 'NFC')])
def test_letters_with_accents(read, on_disk, in_list):
    disk, line = normalize(on_disk, 'é/Läufe.mp4'), normalize(in_list, 'é/Läufe.mp4 Läufe')
    names, rows, _ = read(line, more={disk: ''}, names=[normalize(on_disk, 'Läufe')])
    assert names == ('Läufe',) and [row[2:] for row in rows] == [(disk, 'Läufe')]


def test_a_label_without_any_video_is_no_class(put):
    source = put(VIDEOS | {'list.txt': 'a.mp4 run\nnone.mp4 sit\nnone.mp4 run\ngone.mp4 sit\n'})
    annotated = listing.read(source, lists={'train': source / 'list.txt'}, label_names=None)
    assert annotated.label_names == ('run',) and [row.reason for row in annotated.rejected] == ['missing'] * 3
    assert annotated.notes == ("labels without any video, which are no classes therefore: 'sit'",)


def test_numbers_from_1(read):
    assert read('a.mp4 1', 'clip 2')[0] == ('0', '1', '2')
    with pytest.raises(ValueError, match='numbers from 0, got 1 to 2 for 2 class names. Subtract 1'):
        read('a.mp4 1', 'clip 2', names=['sit', 'run'])
    assert [row[3] for row in read('a.mp4 01', 'clip 02', names=['01', '02'])[1]] == ['01', '02']


def test_a_test_list_alone(read):
    assert read('a.mp4 run', 'clip sit', split='test')[0] == ('run', 'sit')


def test_a_folder_whose_name_ends_in_a_number(read):
    _, rows, _ = read('clip 7 run', 'clip 9 run')
    assert [row[1] for row in rows] == ['clip 7', 'clip']


@pytest.mark.parametrize(
    'lines', [['a.mp4', 'b c, d.mp4', 'clip'], ['file,size', 'a.mp4,1', '"b c, d.mp4",2', 'clip,3']]
)
def test_a_list_without_labels(read, lines):
    _, rows, rejected = read(*lines, split='test', names=['run'])
    assert [(row[1], row[3]) for row in rows] == [('a', None), ('b c, d', None), ('clip', None)] and rejected == []


def test_numbers_index_the_class_names(read):
    names, rows, rejected = read('a.mp4 1', 'clip 0', '-e/é.mp4 sit', 'b c, d.mp4 2', names=['sit', 'Läufe, schnelle'])
    assert names == ('sit', 'Läufe, schnelle')
    assert [row[3] for row in rows] == ['Läufe, schnelle', 'sit', 'sit']
    assert rejected == [('train', 'b c, d', 'unknown label')]


def test_numbers_without_class_names(read):
    names, rows, _ = read('a.mp4 10', 'clip 2')
    assert names == tuple(map(str, range(11))) and [row[3] for row in rows] == ['10', '2']


def test_several_lists(put, brief):
    lists = {'train': 'a.mp4 1\n', 'validation': 'a.mp4 0\nclip 3\n', 'test': '-e/é.mp4\n'}
    source = put(VIDEOS | {f'{split}.txt': content for split, content in lists.items()})
    annotated = listing.read(source, lists={split: source / f'{split}.txt' for split in lists}, label_names=None)
    assert annotated.label_names == ('0', '1')
    rows, rejected = brief(annotated, source)
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ('train', 'a', '1'),
        ('validation', 'a', '0'),
        ('test', '-e/é', None),
    ]
    assert rejected == [('validation', 'clip', 'unknown label')]


def test_paths_stay_inside(read, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp('outside') / 'x.mp4'
    outside.write_text('')
    (tmp_path / 'linked.mp4').symlink_to(outside)
    beside = f'{tmp_path}-beside/x.mp4'
    written = [f'{tmp_path}/a.mp4', 'linked.mp4', str(outside), '../x.mp4', 'clip/../../x.mp4', '.', beside]
    _, rows, rejected = read(*(f'{path} run' for path in written))
    assert [row[2] for row in rows] == ['a.mp4', 'linked.mp4']
    assert rejected == [('train', path, 'path outside the source folder') for path in written[2:]]


def test_a_source_that_is_a_link(put, tmp_path_factory):
    source = put(VIDEOS)
    link = tmp_path_factory.mktemp('links') / 'data'
    link.symlink_to(source)
    put({'list.txt': f'{source}/a.mp4 run\n{link}/clip run\n'})
    annotated = listing.read(link, lists={'train': source / 'list.txt'}, label_names=None)
    assert [row.path for row in annotated.rows] == [link / 'a.mp4', link / 'clip']


def test_rejections(read):
    lines = [
        'a.mp4,run',
        'a.mp4,run',
        'a.webm,run',
        'none.mp4,run',
        '"open,run',
        'clip,"run',
        'clip,x,run',
        'clip,',
        'empty,run',
    ]
    _, rows, rejected = read(*lines, more={'a.webm': '', 'empty/notes.txt': ''})
    assert rows == [('train', 'a', 'a.mp4', 'run')]
    assert rejected == [
        ('train', 'a', 'duplicate id'),
        ('train', 'a', 'duplicate id'),
        ('train', 'none', 'missing'),
        ('train', '"open,run', 'malformed row'),
        ('train', 'clip,"run', 'malformed row'),
        ('train', 'clip,x,run', 'malformed row'),
        ('train', 'clip', 'malformed row'),
        ('train', 'empty', 'missing'),
    ]
    assert read('path,label', 'a.mp4,run', 'a.mp4,run,fast')[2] == [('train', 'a.mp4,run,fast', 'malformed row')]
    assert read('a.mp4 run', 'clip')[2] == [('train', 'clip', 'malformed row')]


@pytest.mark.parametrize('line', ['{}.mp4 run', '{} run', '{} 120 run', '{}/{}.mp4,run'])
def test_a_name_that_is_too_long_is_missing(read, line):
    _, rows, rejected = read(line.format('x' * 300, 'y' * 300), 'a.mp4 run' if ',' not in line else 'a.mp4,run')
    assert len(rows) == 1 and [entry[2] for entry in rejected] == ['missing']


def test_trouble_of_the_machine_is_no_missing_video(read, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, 'trouble')

    monkeypatch.setattr('dnr_jax.data.annotations.clips._is_image', fail)
    with pytest.raises(OSError, match='trouble'):
        read('clip run')


def test_lists_that_are_wrong(put):
    source = put(
        VIDEOS | {'list.txt': 'a.mp4\n', 'big.txt': 'a.mp4 20240131\n', 'names.txt': 'run\nrun\n', 'empty.txt': '\n'}
    )

    def read(lists, names=None):
        listing.read(source, lists=lists, label_names=names)

    with pytest.raises(ValueError, match=r"Lists are given for .* got \['val'\]"):
        read({'val': source / 'list.txt'})
    with pytest.raises(ValueError, match=r'got \[\]'):
        read({})
    with pytest.raises(ValueError, match="No list file '.*none.txt'"):
        read({'train': source / 'none.txt'})
    with pytest.raises(ValueError, match="No list file '.*none.txt'"):
        read({'train': source / 'list.txt'}, source / 'none.txt')
    with pytest.raises(ValueError, match="list of 'train', which has no label"):
        read({'train': source / 'list.txt'})
    with pytest.raises(ValueError, match='numbers up to 20240131'):
        read({'train': source / 'big.txt'})
    with pytest.raises(ValueError, match="empty.txt' is empty: expected a class name a line"):
        read({'train': source / 'list.txt'}, source / 'empty.txt')
    with pytest.raises(ValueError, match=r'got 2 \(1 different\)'):
        read({'train': source / 'list.txt'}, source / 'names.txt')
