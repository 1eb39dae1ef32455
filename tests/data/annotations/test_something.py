import json

import pytest

from dnr_jax.data.annotations import something

# 174 names in an order of their own; the last one stands first when sorted.
NAMES = [f'Doing something {number:03d}' for range_ in (range(100, 173), range(100)) for number in range_]
NAMES.append('Approaching something, or something else')
TEMPLATE = 'Approaching [something], or [something else]'
V1 = 'something-something-v1-'
V2 = 'something-something-v2-'


def v1_files(prefix='', **splits):
    parts = {'labels': '\r\n'.join(NAMES) + '\r\n', 'train': '', 'validation': ''} | splits
    return {f'{prefix}{part}.csv': content for part, content in parts.items()}


def v2_files(prefix='', **splits):
    labels = {name: str(index) for index, name in reversed([*enumerate(NAMES)])}
    parts = {'labels': labels, 'train': [], 'validation': []} | splits
    return {f'{prefix}{part}.json': json.dumps(content) for part, content in parts.items()}


@pytest.fixture
def read(put, brief):
    def read(version, files):
        source = put(files)
        return brief(something.read(source, annotations=source, version=version, order='file'), source)

    return read


@pytest.mark.parametrize('version, files', [('v1', v1_files()), ('v2', v2_files())])
def test_both_orders_of_the_class_names(put, version, files):
    source = put(files)
    for order, names in (('file', NAMES), ('sorted', sorted(NAMES))):
        annotated = something.read(source, annotations=source, version=version, order=order)
        assert annotated.label_names == tuple(names)
    assert sorted(NAMES)[0] == NAMES[-1]


@pytest.mark.parametrize('prefix', [V1, '', f'labels/{V1}', 'annotations/'])
def test_v1(read, prefix):
    files = v1_files(prefix, train=f'\ufeff7;{NAMES[-1]}\r\n8;{NAMES[0]}\r\n\r\n', test='9\n10\n')
    files |= {f'20bn-something-something-v1/{id}/00001.jpg': '' for id in (7, 8, 9)}
    assert read('v1', files) == (
        [
            ('train', '7', '20bn-something-something-v1/7', 'Approaching something, or something else'),
            ('train', '8', '20bn-something-something-v1/8', NAMES[0]),
            ('test', '9', '20bn-something-something-v1/9', None),
        ],
        [('test', '10', 'missing')],
    )


def test_v1_rejections(read):
    train = f'1;{NAMES[0]}\n1;{NAMES[1]}\n2;Doing nothing\n3\n4;\n5;a;b\n6;{NAMES[0]}\n'
    files = v1_files(train=train, validation=f'1;{NAMES[0]}') | {f'{id}/00001.jpg': '' for id in range(1, 6)}
    rows, rejected = read('v1', files | {'6/readme.txt': ''})
    assert [row[:2] for row in rows] == [('train', '1'), ('validation', '1')]
    assert rejected == [
        ('train', '1', 'duplicate id'),
        ('train', '2', 'unknown label'),
        ('train', '3', 'malformed row'),
        ('train', '4;', 'malformed row'),
        ('train', '5;a;b', 'malformed row'),
        ('train', '6', 'missing'),
    ]


@pytest.mark.parametrize('prefix', [V2, 'labels/'])
def test_v2(read, prefix):
    item = {'id': '41775', 'label': 'approaching a mug, or a cup', 'template': TEMPLATE, 'placeholders': ['a mug']}
    files = v2_files(prefix, train=[item], validation=[item | {'id': 5}], test=[{'id': '8'}])
    files |= {'20bn-something-something-v2/41775.webm': '', '5.mp4': '', '8.webm': '', 'z/8.mp4': ''}
    assert read('v2', files) == (
        [
            ('train', '41775', '20bn-something-something-v2/41775.webm', NAMES[-1]),
            ('validation', '5', '5.mp4', NAMES[-1]),
            ('test', '8', '8.webm', None),
        ],
        [],
    )


def test_v2_answers_of_the_test_split(read):
    files = v2_files(test=[{'id': '8'}, {'id': '9'}]) | {'test-answers.csv': f'8;{NAMES[-1]}\n'}
    rows, rejected = read('v2', files | {'8.webm': '', '9.webm': ''})
    assert rows == [('test', '8', '8.webm', NAMES[-1])]
    assert rejected == [('test', "{'id': '9'}", 'malformed row')]


def test_v2_rejections(read):
    good = {'id': '1', 'template': TEMPLATE}
    bad = [{'id': '2'}, {'template': TEMPLATE}, {'id': '3', 'template': None}, 'text']
    unknown, missing = good | {'id': '4', 'template': 'Doing nothing'}, good | {'id': '5'}
    files = v2_files(train=[good, good, *bad, unknown, missing]) | {f'{id}.webm': '' for id in range(1, 5)}
    rows, rejected = read('v2', files)
    assert [row[1] for row in rows] == ['1']
    reasons = ['duplicate id', *['malformed row'] * 4, 'unknown label', 'missing']
    assert [entry[2] for entry in rejected] == reasons


@pytest.mark.parametrize(
    'version, change, message',
    [
        ('v1', {'labels.csv': None}, "'something-something-v1-labels.csv' or 'labels.csv'"),
        ('v1', {'validation.csv': None}, "'validation.csv'"),
        ('v1', {'labels.csv': '\n'.join(NAMES[:-1])}, '174 different class names expected, got 173'),
        ('v1', {'labels.csv': '\n'.join([*NAMES[:-1], NAMES[0]])}, r'got 174 \(173 different\)'),
        ('v2', {'train.json': None}, "'train.json'"),
        ('v2', {'labels.json': '{"a": "x"}'}, 'must give every template its number'),
        ('v3', {}, "Unknown version of Something-Something 'v3'"),
    ],
)
def test_files_that_are_wrong(put, version, change, message):
    source = put(v1_files() | v2_files())
    for name, content in change.items():
        (source / name).unlink() if content is None else put({name: content})
    with pytest.raises(ValueError, match=message):
        something.read(source, annotations=source, version=version, order='file')


def test_an_unknown_order(put):
    source = put(v1_files())
    with pytest.raises(ValueError, match="Unknown order of class names 'sort'. Did you mean 'sorted'"):
        something.read(source, annotations=source, version='v1', order='sort')
