import pytest

from dnr_jax.data.annotations import ucf101

NAMES = ['ApplyEyeMakeup', 'HandstandPushups', *(f'Zumba{number:02d}' for number in range(99))]
CLASS_IND = ''.join(f'{number} {name}\r\n' for number, name in enumerate(NAMES, 1))


def files(train='', test='', *videos, folder='', class_ind=CLASS_IND, fold='01'):
    lists = {'classInd': class_ind, f'trainlist{fold}': train, f'testlist{fold}': test}
    return {f'{folder}{name}.txt': content for name, content in lists.items()} | dict.fromkeys(videos, '')


@pytest.mark.parametrize('folder', ['', 'ucfTrainTestlist/', 'annotations/'])
@pytest.mark.parametrize('place', ['', 'videos/HandstandPushups/'])
def test_lists(put, brief, folder, place):
    train = '\ufeffHandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\n\r\n'
    test = 'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\n\n'
    video = f'{place}v_HandstandPushups_g08_c01.avi'
    source = put(files(train, test, video, 'v_ApplyEyeMakeup_g01_c01.mp4', folder=folder, fold='03'))
    annotated = ucf101.read(source, annotations=source, fold=3)
    assert annotated.label_names == tuple(NAMES)
    assert brief(annotated, source) == (
        [
            ('train', 'v_HandStandPushups_g08_c01', video, 'HandstandPushups'),
            ('test', 'v_ApplyEyeMakeup_g01_c01', 'v_ApplyEyeMakeup_g01_c01.mp4', 'ApplyEyeMakeup'),
        ],
        [],
    )


def test_rejections(put, brief):
    train = 'A/a.avi 1\nA/a.avi 2\nA/b.avi 102\nA/c.avi 0\nA/d.avi one\nA/e.avi 1 1\nA/f.avi 1\n'
    test = 'NoSuchClass/a.avi\na.avi\n'
    source = put(files(train, test, *(f'{name}.avi' for name in 'abcde')))
    rows, rejected = brief(ucf101.read(source, annotations=source, fold=1), source)
    assert rows == [('train', 'a', 'a.avi', 'ApplyEyeMakeup')]
    assert rejected == [
        ('train', 'a', 'duplicate id'),
        ('train', 'b', 'unknown label'),
        ('train', 'c', 'unknown label'),
        ('train', 'A/d.avi one', 'malformed row'),
        ('train', 'A/e.avi 1 1', 'malformed row'),
        ('train', 'f', 'missing'),
        ('test', 'a', 'unknown label'),
        ('test', 'a', 'unknown label'),
    ]


@pytest.mark.parametrize(
    'changes, fold, message',
    [
        ({}, 4, 'got fold=4'),
        ({}, 2, "'trainlist02.txt'.*ucfTrainTestlist"),
        ({'class_ind': CLASS_IND[: CLASS_IND.index('101 ')]}, 1, '101 different class names expected, got 100'),
        ({'class_ind': CLASS_IND.replace('2 Hand', '3 Hand')}, 1, 'must number its lines from 1'),
    ],
)
def test_files_that_are_wrong(put, changes, fold, message):
    source = put(files(**changes))
    with pytest.raises(ValueError, match=message):
        ucf101.read(source, annotations=source, fold=fold)
