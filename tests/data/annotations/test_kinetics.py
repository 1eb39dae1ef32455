import json

import pytest

from dnr_jax.data.annotations import kinetics

HEADER = 'label,youtube_id,time_start,time_end,split,is_cc'


def train_csv(names, *more, header=HEADER):
    """A row for each class, its id being 'id' and nine digits, then the lines of `more`."""
    quoted = (name.replace('"', '""') for name in names)
    rows = [f'"{name}",id{number:09d},{number},{number + 10},train,0' for number, name in enumerate(quoted)]
    return '\n'.join([header, *rows, *more, '', ''])


def rest(pair, count=400):
    """Without the rows of `train_csv`, none of which has a video."""
    rows, rejected = pair
    fillers = [entry for entry in rejected if entry[1].startswith('id0')]
    assert len(fillers) == count and {reason for *_, reason in fillers} == {'missing'}
    return rows, [entry for entry in rejected if entry not in fillers]


@pytest.fixture
def read(put, brief, numbered):
    """Reads Kinetics-400 with some more training lines and other files; returns what is not filler."""

    def read(*more, files=(), classes=400, names=None):
        source = put({'train.csv': train_csv(names or numbered(classes), *more), **dict(files)})
        annotated = kinetics.read(source, annotations=source, classes=classes)
        return rest(brief(annotated, source), classes)

    return read


@pytest.mark.parametrize('classes', [400, 600, 700])
def test_class_names_are_sorted(put, numbered, classes):
    source = put({'train.csv': train_csv(numbered(classes)[::-1])})
    assert kinetics.read(source, annotations=source, classes=classes).label_names == tuple(numbered(classes))


def test_a_wrong_number_of_classes(put, numbered):
    source = put({'train.csv': train_csv(numbered(399))})
    with pytest.raises(ValueError, match='400 different class names expected, got 399'):
        kinetics.read(source, annotations=source, classes=400)
    again = train_csv(numbered(400)).splitlines()[1:]
    put({'train.csv': train_csv(numbered(400), *again, 'klass 007,abc,1,2,train,0')})
    with pytest.raises(ValueError, match=r"got 401.* the labels of train in .*: 'klass 007' 1, 'class 399' 2, "):
        kinetics.read(source, annotations=source, classes=400)
    with pytest.raises(ValueError, match='got classes=500'):
        kinetics.read(source, annotations=source, classes=500)


def test_a_misspelt_label_outside_of_training_is_rejected(read):
    val = f'{HEADER}\nclass 001,abc,1,2,val,0\nklass 001,xyz,1,2,val,0\n'
    rows, rejected = read(files={'val.csv': val, 'abc.mp4': '', 'xyz.mp4': ''})
    assert [row[1] for row in rows] == ['abc_000001_000002']
    assert rejected == [('validation', 'xyz_000001_000002', 'unknown label')]


def test_class_names_of_validation_alone(put, numbered):
    source = put({'val.csv': train_csv(numbered(400)).replace(',train,', ',val,')})
    assert kinetics.read(source, annotations=source, classes=400).label_names == tuple(numbered(400))


@pytest.mark.parametrize(
    'file, split, word',
    [
        ('val.csv', 'validation', 'val'),
        ('validate.csv', 'validation', 'validate'),
        ('kinetics-400_val.csv', 'validation', 'val'),
        ('annotations/validation.csv', 'validation', 'validation'),
        ('kinetics400/test.csv', 'test', 'test'),
    ],
)
def test_names_of_files_and_splits(read, file, split, word):
    files = {file: f'{HEADER}\nclass 007,-a_b-000001,3,13,{word},0\n', 'x/-a_b-000001_000003_000013.mp4': ''}
    row = (split, '-a_b-000001_000003_000013', 'x/-a_b-000001_000003_000013.mp4', 'class 007')
    assert read(files=files) == ([row], [])


def test_a_file_of_this_kinetics_is_preferred(read):
    files = {
        'kinetics-600_val.csv': f'{HEADER}\nclass 001,sixhundred,1,11,val,0\n',
        'val.csv': f'{HEADER}\nclass 001,anonymous,1,11,val,0\n',
        'kinetics-400_val.csv': f'{HEADER}\nclass 001,fourhundred,1,11,val,0\n',
    }
    assert read(files=files)[1] == [('validation', 'fourhundred_000001_000011', 'missing')]


@pytest.mark.parametrize(
    'header, line',
    [
        (HEADER, 'class 002,abcdefghijk,5,15,val,1'),
        ('\ufeff' + HEADER.upper(), 'class 002,abcdefghijk,5,15,val,1'),
        ('youtube_id,time_start,time_end,label', 'abcdefghijk,5.0,15.0,class 002'),
        ('id,start,end,class', ' abcdefghijk , 5.4 ,15.9, "class 002"'),
        ('split,end_time,start_time,video_id,label,url', 'validate,15,5,abcdefghijk,class 002,"a,b"'),
    ],
)
@pytest.mark.parametrize('newline', ['\n', '\r\n'])
def test_columns_are_read_by_name(read, header, line, newline):
    files = {'val.csv': newline.join([header, line, '', ' ', '']), 'abcdefghijk_000005_000015.webm': ''}
    rows, rejected = read(files=files)
    expected = ('validation', 'abcdefghijk_000005_000015', 'abcdefghijk_000005_000015.webm', 'class 002')
    assert (rows, rejected) == ([expected], [])


def test_quoted_commas_and_letters_of_other_languages(read, numbered):
    names = [*numbered(398), 'cooking, frying (not "cake")', 'jeté']
    quoted = '"cooking, frying (not ""cake"")",aaaaaaaaaaa,1,11,val,0'
    files = {'val.csv': f'{HEADER}\n{quoted}\njeté,bbbbbbbbbbb,1,11,val,0'}
    files |= {'aaaaaaaaaaa_000001_000011.mp4': '', 'jeté/bbbbbbbbbbb_000001_000011.mp4': ''}
    rows, rejected = read(files=files, names=names)
    assert [row[3] for row in rows] == names[398:] and rejected == []


@pytest.mark.parametrize('header', ['youtube_id,time_start,time_end,split', 'youtube_id,time_start,time_end,label'])
def test_a_test_file_without_labels(read, header):
    files = {
        'test.csv': f'{header}\n-bcdefghijk,1,11,{"test" if "split" in header else ""}',
        '-bcdefghijk_000001_000011.mov': '',
    }
    row = ('test', '-bcdefghijk_000001_000011', '-bcdefghijk_000001_000011.mov', None)
    assert read(files=files) == ([row], [])


def test_json(read):
    def entry(label, subset, segment):
        return {'annotations': {'label': label, 'segment': segment}, 'subset': subset, 'duration': 10.0, 'url': ''}

    files = {
        'validate.json': json.dumps(
            {
                'aaaaaaaaaaa': entry('class 001', 'validate', [1.0, 11.0]),
                'bbbbbbbbbbb': entry('class 001', 'validate', [1.0]),
                'ccccccccccc': entry('class 001', 'train', [1.0, 11.0]),
                'ddddddddddd': 5,
            }
        ),
        'test.json': json.dumps({'eeeeeeeeeee': {'annotations': {'segment': [2.0, 12.0]}, 'subset': 'test'}}),
        'aaaaaaaaaaa_000001_000011.mp4': '',
        'eeeeeeeeeee_000002_000012.mp4': '',
    }
    rows, rejected = read(files=files)
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ('validation', 'aaaaaaaaaaa_000001_000011', 'class 001'),
        ('test', 'eeeeeeeeeee_000002_000012', None),
    ]
    assert rejected == [('validation', f'{letter * 11}', 'malformed row') for letter in 'bcd']


@pytest.mark.parametrize(
    'line',
    [
        'class 001,abc,1,11,train',
        'class 001,abc,1,11,train,0,0',
        'class, 001,abc,1,11,train,0',
        '"class 001,abc,1,11,train,0',
        'class 001,abc,soon,11,train,0',
        'class 001,abc,nan,11,train,0',
        'class 001,abc,1,inf,train,0',
        'class 001,,1,11,train,0',
        ',abc,1,11,train,0',
        'class 001,abc,1,11,test,0',
    ],
)
def test_malformed_rows(read, line):
    assert read(line, files={'abc_000001_000011.mp4': ''}) == ([], [('train', line, 'malformed row')])


def test_a_malformed_row_leaves_the_next_ones_alone(read):
    rows, rejected = read('"open,abc,1,11,train,0', 'class 001,xyz,1,11,train,0', files={'xyz_000001_000011.mp4': ''})
    assert [row[1] for row in rows] == ['xyz_000001_000011'] and len(rejected) == 1


def test_unknown_labels_duplicates_and_missing_videos(read):
    files = {
        'test.csv': f'{HEADER}\nno class,abc,1,11,test,0\nclass 001,abc,1,11,test,0',
        'abc_000001_000011.mp4': '',
    }
    again = 'class 001,abc,1.0,11,train,0'
    rows, rejected = read('class 001,abc,1,11,train,0', again, 'class 001,abc,2,12,train,0', files=files)
    assert [row[:2] for row in rows] == [('train', 'abc_000001_000011'), ('test', 'abc_000001_000011')]
    assert rejected == [
        ('train', 'abc_000001_000011', 'duplicate id'),
        ('train', 'abc_000002_000012', 'missing'),
        ('test', 'abc_000001_000011', 'unknown label'),
    ]


@pytest.mark.parametrize(
    'files, taken',
    [
        (['riding_a_bike/abc_000001_000011.MP4'], 'riding_a_bike/abc_000001_000011.MP4'),
        (['frames/abc_000001_000011/img_00001.jpg'], 'frames/abc_000001_000011'),
        (['abc.mkv'], 'abc.mkv'),
        (['abc.mkv', 'x/abc_000001_000011.avi'], 'x/abc_000001_000011.avi'),
        (['b/abc_000001_000011.mp4', 'a/abc_000001_000011.mp4'], 'a/abc_000001_000011.mp4'),
        (
            ['a/abc_000001_000011.mp4', 'replacement_for_corrupted_k400/abc_000001_000011.mp4'],
            'replacement_for_corrupted_k400/abc_000001_000011.mp4',
        ),
        (['.trash/abc_000001_000011.mp4', '._abc_000001_000011.mp4'], None),
        (['abc_000002_000012.mp4', 'abc_000001_000011.mp4.part'], None),
    ],
)
def test_where_a_video_is_found(read, files, taken):
    rows, rejected = read('class 001,abc,1,11,train,0', files=dict.fromkeys(files, ''))
    assert [row[2] for row in rows] == ([taken] if taken else [])
    assert [entry[2] for entry in rejected] == ([] if taken else ['missing'])


def test_a_whole_video_cannot_stand_for_two_clips_of_it(read):
    val = f'{HEADER}\nclass 002,abc,90,100,val,0\n'
    rows, rejected = read('class 001,abc,1,11,train,0', files={'val.csv': val, 'abc.mp4': ''})
    assert rows == [] and [entry[2] for entry in rejected] == ['missing', 'missing']


def test_mini_kinetics(put, brief, numbered):
    source = put(
        {
            'kinetics400/train.csv': train_csv(
                numbered(400), 'class 001,-bc,1,11,train,0', 'class 001,-bc,2,12,train,0'
            ),
            'kinetics400/validate.csv': f'{HEADER}\nclass 000,xyz,1,11,validate,0\nclass 399,abc,1,11,validate,0\n',
            'train_ytid_list.txt': ''.join(f'id{number:09d}\n' for number in range(200)) + '-bc\n-bc\nnobody\n',
            'val_ytid_list.txt': 'xyz\r\n\r\n',
            '-bc_000001_000011.mp4': '',
            'xyz_000001_000011.mp4': '',
        }
    )
    annotated = kinetics.read(source, annotations=source, classes=200)
    assert annotated.label_names == tuple(numbered(200))
    assert rest(brief(annotated, source), 200) == (
        [
            ('train', '-bc_000001_000011', '-bc_000001_000011.mp4', 'class 001'),
            ('validation', 'xyz_000001_000011', 'xyz_000001_000011.mp4', 'class 000'),
        ],
        [('train', '-bc_000001_000011', 'duplicate id'), ('train', 'nobody', 'unknown label')],
    )


def test_files_that_are_not_there(put, numbered):
    source = put({'test.csv': HEADER})
    with pytest.raises(ValueError, match="Expected the annotation file 'train.csv' or .*kinetics400.*Name the folder"):
        kinetics.read(source, annotations=source, classes=400)
    put({'train.csv': train_csv(numbered(400))})
    with pytest.raises(ValueError, match="'train_ytid_list.txt'"):
        kinetics.read(source, annotations=source, classes=200)
    with pytest.raises(ValueError, match='No folder of videos'):
        kinetics.read(source / 'videos', annotations=source, classes=400)


def test_files_that_cannot_be_read(put):
    source = put({'train.csv': 'label,name\nx,y\n'})
    with pytest.raises(ValueError, match="must have the columns youtube_id.*its header is 'label,name'"):
        kinetics.read(source, annotations=source, classes=400)
    (source / 'train.csv').write_bytes(f'{HEADER}\njet\xe9'.encode('latin-1'))
    with pytest.raises(ValueError, match='train.csv. is not UTF-8 at byte'):
        kinetics.read(source, annotations=source, classes=400)
    (source / 'train.csv').unlink()
    for content, message in (('{', 'is not JSON'), ('[]', 'must hold a JSON dict, got list')):
        put({'train.json': content})
        with pytest.raises(ValueError, match=message):
            kinetics.read(source, annotations=source, classes=400)
