import json

import pytest

from dnr_jax.data.annotations import diving48

VOCABULARY = [[take_off, f'{number}som', 'NoTwis', 'PIKE'] for take_off in ('Back', 'Inward') for number in range(24)]


def files(train=(), test=(), *videos, folder='', vocabulary=VOCABULARY):
    contents = {'Diving48_vocab': vocabulary, 'Diving48_V2_train': list(train), 'Diving48_V2_test': list(test)}
    written = {f'{folder}{name}.json': json.dumps(content) for name, content in contents.items()}
    return written | dict.fromkeys(videos, '')


def row(name, label):
    return {'vid_name': name, 'label': label, 'start_frame': 0, 'end_frame': 48}


@pytest.mark.parametrize('folder', ['', 'annotations/'])
def test_dives_by_number(put, brief, folder):
    names = '-mmq0PT-u8k_00155', '2x00lRzlTVQ_00001'
    videos = f'rgb/{names[0]}.mp4', f'frames/{names[1]}/00001.jpg'
    source = put(files([row(names[0], 47)], [row(names[1], 0)], *videos, folder=folder))
    annotated = diving48.read(source, annotations=source)
    assert annotated.label_names[:2] == ('Back 0som NoTwis PIKE', 'Back 1som NoTwis PIKE')
    assert brief(annotated, source) == (
        [
            ('train', names[0], f'rgb/{names[0]}.mp4', 'Inward 23som NoTwis PIKE'),
            ('test', names[1], f'frames/{names[1]}', 'Back 0som NoTwis PIKE'),
        ],
        [],
    )


def test_rejections(put, brief):
    bad = [{'vid_name': 'c'}, {'vid_name': 'd', 'label': '3'}, 'text']
    source = put(files([row('a', 1), row('a', 2), row('b', 48), *bad, row('e', 3)], [], 'a.mp4', 'b.mp4'))
    rows, rejected = brief(diving48.read(source, annotations=source), source)
    assert rows == [('train', 'a', 'a.mp4', 'Back 1som NoTwis PIKE')]
    assert [reason for *_, reason in rejected] == [
        'duplicate id', 'unknown label', 'malformed row', 'malformed row', 'malformed row', 'missing',
    ]  # fmt: skip


@pytest.mark.parametrize(
    'vocabulary, message',
    [
        (VOCABULARY[:-1], '48 different class names expected, got 47'),
        (['Back'] * 48, 'must list the words of every dive'),
        ({}, 'must hold a JSON list, got dict'),
    ],
)
def test_vocabularies_that_are_wrong(put, vocabulary, message):
    source = put(files(vocabulary=vocabulary))
    with pytest.raises(ValueError, match=message):
        diving48.read(source, annotations=source)


def test_the_files_of_the_first_version_are_not_taken_for_the_second(put):
    source = put(files())
    (source / 'Diving48_V2_train.json').rename(source / 'Diving48_train.json')
    with pytest.raises(ValueError, match="the annotation file 'Diving48_V2_train.json'"):
        diving48.read(source, annotations=source)
