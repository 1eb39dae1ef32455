import pytest

from dnr_jax.data.annotations import hmdb51

NAMES = ['brush_hair', 'sword', 'sword_exercise', *(f'x{number:02d}' for number in range(48))]


def read(source, fold, classes=51):
    return hmdb51.read(source, annotations=source, fold=fold, classes=classes)


def files(lines, *videos, folder='', fold=1):
    lists = {f'{folder}{name}_test_split{fold}.txt': lines.get(name, '') for name in NAMES}
    return lists | dict.fromkeys(videos, '')


@pytest.mark.parametrize('folder', ['', 'testTrainMulti_7030_splits/', 'splits/'])
def test_lists(put, brief, folder):
    odd = "#1 (Best)_Früh & 'spät'!_brush_hair_u_0"
    lines = {
        'brush_hair': f'\ufeff{odd}.avi 1 \r\n-a.avi 2 \r\nunused.avi 0 \r\n\r\n',
        'sword_exercise': 'draw.avi 1\n',
        'sword': 'draw.avi 1\n',
    }
    videos = [f'brush_hair/{odd}.avi', '-a.mp4', 'brush_hair/unused.avi', 'sword/draw.avi', 'v/sword_exercise/draw.avi']
    source = put(files(lines, *videos, folder=folder, fold=2))
    annotated = read(source, fold=2)
    assert annotated.label_names == tuple(NAMES)
    assert brief(annotated, source) == (
        [
            ('train', f'brush_hair/{odd}', f'brush_hair/{odd}.avi', 'brush_hair'),
            ('test', 'brush_hair/-a', '-a.mp4', 'brush_hair'),
            ('train', 'sword/draw', 'sword/draw.avi', 'sword'),
            ('train', 'sword_exercise/draw', 'v/sword_exercise/draw.avi', 'sword_exercise'),
        ],
        [],
    )


def test_rejections(put, brief):
    lines = {'sword': 'a.avi 1\na.avi 1\na.avi 2\nb.avi 3\nc.avi\nonly_elsewhere.avi 2\n'}
    source = put(files(lines, 'sword/a.avi', 'sword/b.avi', 'sword/c.avi', 'sword_exercise/only_elsewhere.avi'))
    rows, rejected = brief(read(source, fold=1), source)
    assert [row[:2] for row in rows] == [('train', 'sword/a'), ('test', 'sword/a')]
    assert rejected == [
        ('train', 'sword/a', 'duplicate id'),
        ('train', 'b.avi 3', 'malformed row'),
        ('train', 'c.avi', 'malformed row'),
        ('test', 'sword/only_elsewhere', 'missing'),
    ]


def test_files_that_are_wrong(put):
    source = put(files({}))
    with pytest.raises(ValueError, match='got fold=0'):
        read(source, fold=0)
    with pytest.raises(ValueError, match='51 different class names expected, got 0.*_test_split3.txt.*7030_splits'):
        read(source, fold=3)
    (source / 'sword_test_split1.txt').unlink()
    with pytest.raises(ValueError, match='got 50'):
        read(source, fold=1)


def test_j_hmdb_has_21_classes(put, brief):
    lists = {f'splits/class{number:02d}_test_split1.txt': '' for number in range(21)}
    source = put(
        lists | {'splits/class00_test_split1.txt': 'a.avi 1\nb.avi 2\n', 'class00/a.avi': '', 'class00/b.avi': ''}
    )
    annotated = read(source, fold=1, classes=21)
    assert len(annotated.label_names) == 21
    assert [row[:2] for row in brief(annotated, source)[0]] == [('train', 'class00/a'), ('test', 'class00/b')]
    with pytest.raises(ValueError, match='51 different class names expected, got 21'):
        read(source, fold=1)
