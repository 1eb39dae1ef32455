"""What holds for every reader: each row of the annotations ends in `rows` or in `rejected`, once."""

import json
import pickle

import pytest
from bucket import OBJECTS

from dnr_jax.data.annotations import diving48, folders, hmdb51, jester, kinetics, listing, something, ucf101
from dnr_jax.data.annotations.rows import REASONS
from dnr_jax.data.far import Near

NAMES_174 = [f'Doing something {number:03d}' for number in range(174)]


def kinetics_400(numbered):
    rows = [f'{name},abc,{number},{number + 10},train' for number, name in enumerate(numbered(400))]
    more = [rows[0], '"open,x,1,2,train', 'class 000,x,y,2,train', 'too,few']
    test = ['no class,abc,1,11,test', 'class 001,abc,1,11,test', 'class 001,abc,7,17,test']
    header = 'label,youtube_id,time_start,time_end,split'
    files = {'train.csv': '\n'.join([header, *rows, *more]), 'test.csv': '\n'.join([header, *test])}
    return files | {f'abc_{number:06d}_{number + 10:06d}.mp4': '' for number in range(5)}, 400 + 4 + 3


def read_kinetics_400(source):
    return kinetics.read(source, annotations=source, classes=400)


def mini_kinetics(numbered):
    header = 'label,youtube_id,time_start,time_end,split'
    rows = [f'{name},id{number},1,11,train' for number, name in enumerate(numbered(400))]
    ids = [f'id{number}' for number in range(200)]
    files = {
        'train.csv': '\n'.join([header, *rows, 'too,few']),
        'train_ytid_list.txt': '\n'.join([*ids, 'id0', 'nobody']),
        'val_ytid_list.txt': 'id0\n',
    }
    return files | {'id0_000001_000011.mp4': '', 'id1.mp4': ''}, 200 + 2 + 1


def read_mini_kinetics(source):
    return kinetics.read(source, annotations=source, classes=200)


def something_v1(numbered):
    files = {
        'labels.csv': '\n'.join(NAMES_174),
        'train.csv': f'1;{NAMES_174[0]}\n1;{NAMES_174[0]}\n2;nothing\n3\n4;{NAMES_174[0]}\n',
        'validation.csv': f'1;{NAMES_174[0]}\n',
        'test.csv': '1\n5;6;7\n',
    }
    return files | {'frames/1/00001.jpg': '', 'frames/2/00001.jpg': ''}, 5 + 1 + 2


def read_something_v1(source):
    return something.read(source, annotations=source, version='v1', order='sorted')


def something_v2(numbered):
    item = {'id': '1', 'template': NAMES_174[0]}
    train = [item, item, item | {'id': 2, 'template': 'nothing'}, {'id': '3'}, [], item | {'id': '4'}]
    files = {
        'labels.json': json.dumps({name: str(number) for number, name in enumerate(NAMES_174)}),
        'train.json': json.dumps(train),
        'validation.json': json.dumps([item]),
        'test.json': json.dumps([{'id': '1'}, {'id': '9'}]),
        'test-answers.csv': f'1;{NAMES_174[0]}\n',
    }
    return files | {'1.webm': '', '2.webm': ''}, 6 + 1 + 2


def read_something_v2(source):
    return something.read(source, annotations=source, version='v2', order='file')


def diving(numbered):
    train = [{'vid_name': name, 'label': label} for name, label in (('a', 0), ('a', 1), ('b', 48), ('c', 2))]
    files = {
        'Diving48_vocab.json': json.dumps([[name, 'FREE'] for name in numbered(48)]),
        'Diving48_V2_train.json': json.dumps([*train, {'label': 1}]),
        'Diving48_V2_test.json': json.dumps([{'vid_name': 'a', 'label': 3, 'start_frame': 0, 'end_frame': 9}]),
    }
    return files | {'rgb/a.mp4': '', 'rgb/b.mp4': ''}, 5 + 1


def read_diving(source):
    return diving48.read(source, annotations=source)


def gestures(numbered):
    names = numbered(27)
    files = {
        'jester-v1-labels.csv': '\n'.join(names),
        'jester-v1-train.csv': f'1;{names[0]}\n1;{names[0]}\n2;nothing\n3\n4;{names[0]}\n',
        'jester-v1-validation.csv': f'1;{names[0]}\n',
        'jester-v1-test.csv': '1\n5;6;7\n',
    }
    return files | {'20bn-jester-v1/1/00001.jpg': '', '20bn-jester-v1/2/00001.jpg': ''}, 5 + 1 + 2


def read_gestures(source):
    return jester.read(source, annotations=source)


def ucf(numbered):
    names = numbered(101)
    files = {
        'classInd.txt': '\n'.join(f'{number} {name}' for number, name in enumerate(names, 1)),
        'trainlist01.txt': 'x/a.avi 1\nx/a.avi 1\nx/b.avi 200\nx/c.avi 1\nx/d.avi 1 1\n',
        'testlist01.txt': 'y/a.avi 2\nx/a.avi\n',
    }
    return files | {'a.avi': '', 'b.avi': ''}, 5 + 2


def read_ucf(source):
    return ucf101.read(source, annotations=source, fold=1)


def hmdb(numbered):
    files = {f'{name}_test_split1.txt': '' for name in numbered(51)}
    files['class 000_test_split1.txt'] = 'a.avi 1\na.avi 1\na.avi 2\nb.avi 2\nc.avi 7\nunused.avi 0\n'
    return files | {'class 000/a.avi': ''}, 5


def read_hmdb(source):
    return hmdb51.read(source, annotations=source, fold=1, classes=51)


def tree(numbered):
    videos = ['train/a/1.mp4', 'train/a/1.mkv', 'train/b/2/1.jpg', 'train/3.mp4', 'val/c/4.mp4', 'test/5.mp4']
    return dict.fromkeys(videos, ''), 6


def lists_of_lines(numbered):
    files = {
        'train.txt': 'a.mp4 x\na.mp4 x\nb.mp4 y\n/etc/c.mp4 x\na.mp4\n\n',
        'test.txt': 'a.mp4\n../a.mp4\n-d.mp4\n',
        'validation.txt': 'path,label\na.mp4,x\na.mp4,z\n"a.mp4,x\nb\n',
    }
    return files | {'a.mp4': ''}, 5 + 3 + 4


def read_lists(source):
    splits = ('train', 'test', 'validation')
    return listing.read(source, lists={split: source / f'{split}.txt' for split in splits}, label_names=None)


READERS = {
    read_kinetics_400: kinetics_400,
    read_mini_kinetics: mini_kinetics,
    read_something_v1: something_v1,
    read_something_v2: something_v2,
    read_diving: diving,
    read_gestures: gestures,
    read_ucf: ucf,
    read_hmdb: hmdb,
    folders.read: tree,
    read_lists: lists_of_lines,
}


@pytest.mark.parametrize('read', READERS)
def test_every_row_is_kept_or_rejected(read, put, numbered):
    files, count = READERS[read](numbered)
    annotated = read(put(files))
    assert len(annotated.rows) + len(annotated.rejected) == count
    assert annotated.rows and annotated.rejected
    assert len({(row.split, row.id) for row in annotated.rows}) == len(annotated.rows)
    assert all(row.path.exists() for row in annotated.rows)
    assert {row.label for row in annotated.rows} <= {None, *annotated.label_names}
    assert len(set(annotated.label_names)) == len(annotated.label_names)
    assert {entry.reason for entry in annotated.rejected} <= set(REASONS)
    assert all(entry.detail for entry in annotated.rejected)
    assert {entry.split for entry in (*annotated.rows, *annotated.rejected)} <= {'train', 'validation', 'test'}
    assert pickle.loads(pickle.dumps(annotated)) == annotated
    assert read(put({})) == annotated


@pytest.mark.parametrize('read', READERS)
def test_in_a_bucket_every_reader_finds_what_it_finds_on_a_disk(read, put, numbered, brief, bucket):
    """Whatever files it opens, they are among those that are copied."""
    files, _ = READERS[read](numbered)
    OBJECTS.update({f'bucket/source/{name}': content.encode() for name, content in files.items()})
    source = put(files)
    with Near() as near:
        tree = near.of(bucket / 'source')
        assert brief(read(tree), tree) == brief(read(source), source)


def test_every_reason_occurs(put, numbered):
    reasons = set()
    for read, make in READERS.items():
        own = f'{read.__module__}.{read.__name__}'
        source = put({f'{own}/{name}': content for name, content in make(numbered)[0].items()}) / own
        reasons |= {entry.reason for entry in read(source).rejected}
    assert reasons == set(REASONS)
