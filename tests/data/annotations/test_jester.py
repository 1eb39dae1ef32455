import pytest

from dnr_jax.data.annotations import jester
from dnr_jax.data.transforms import mirrored_labels

# The names of the data set, in the order of its file.
NAMES = [
    *(f'Swiping {way}' for way in ('Left', 'Right', 'Down', 'Up')),
    'Pushing Hand Away',
    'Pulling Hand In',
    *(f'Sliding Two Fingers {way}' for way in ('Left', 'Right', 'Down', 'Up')),
    'Pushing Two Fingers Away',
    'Pulling Two Fingers In',
    'Rolling Hand Forward',
    'Rolling Hand Backward',
    'Turning Hand Clockwise',
    'Turning Hand Counterclockwise',
    *(f'Zooming {way} With {what}' for what in ('Full Hand', 'Two Fingers') for way in ('In', 'Out')),
    'Thumb Up',
    'Thumb Down',
    'Shaking Hand',
    'Stop Sign',
    'Drumming Fingers',
    'No gesture',
    'Doing other things',
]


def files(prefix='jester-v1-', **splits):
    parts = {'labels': '\n'.join(NAMES), 'train': '', 'validation': ''} | splits
    return {f'{prefix}{part}.csv': content for part, content in parts.items()}


@pytest.mark.parametrize('prefix', ['jester-v1-', 'annotations/jester-v1-', 'labels/'])
def test_lists(put, brief, prefix):
    written = files(prefix, train='34870;Drumming Fingers\n', validation='9223;Thumb Up\n', test='1420\n1421\n')
    frames = {f'20bn-jester-v1/{id}/00001.jpg': '' for id in (34870, 9223, 1420)}
    source = put(written | frames)
    annotated = jester.read(source, annotations=source)
    assert annotated.label_names == tuple(NAMES)
    assert brief(annotated, source) == (
        [
            ('train', '34870', '20bn-jester-v1/34870', 'Drumming Fingers'),
            ('validation', '9223', '20bn-jester-v1/9223', 'Thumb Up'),
            ('test', '1420', '20bn-jester-v1/1420', None),
        ],
        [('test', '1421', 'missing')],
    )


def test_rejections(put, brief):
    train = '1;Thumb Up\n1;Thumb Up\n2;Thumb Sideways\n3\n4;Thumb Up\n'
    source = put(files(train=train) | {f'{id}/00001.jpg': '' for id in (1, 2, 3)})
    rows, rejected = brief(jester.read(source, annotations=source), source)
    assert rows == [('train', '1', '1', 'Thumb Up')]
    assert [reason for *_, reason in rejected] == ['duplicate id', 'unknown label', 'malformed row', 'missing']


@pytest.mark.parametrize(
    'change, message',
    [
        ({'labels': '\n'.join(NAMES[:-1])}, '27 different class names expected, got 26'),
        ({'validation': None}, "'jester-v1-validation.csv' or 'validation.csv'"),
    ],
)
def test_files_that_are_wrong(put, change, message):
    written = files(**change)
    source = put({name: content for name, content in written.items() if content is not None})
    with pytest.raises(ValueError, match=message):
        jester.read(source, annotations=source)


def test_mirrored_gestures():
    """A swipe, a slide and a turn have another gesture as their mirror image; the others are their own."""
    changed = {NAMES[i]: NAMES[k] for i, k in enumerate(mirrored_labels(NAMES)) if i < k}
    assert changed == {
        'Swiping Left': 'Swiping Right',
        'Sliding Two Fingers Left': 'Sliding Two Fingers Right',
        'Turning Hand Clockwise': 'Turning Hand Counterclockwise',
    }
