"""A prepared data set may be damaged or made to do harm: each way is one line, and nothing it names is imported."""

import json
import shutil
import sys

import pytest
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from data.test_source import FOLDER, TRAIN
from tensorflow_datasets.proto import tf_example_pb2

from dnr_jax.data import check, inventory, prepare
from dnr_jax.data.source import open_split
from dnr_jax.data.videos import DamagedRecord

TINY = ['moving_shapes', '--variant', 'tiny', '--workers', '0']


@pytest.fixture
def folder(tiny_dir, tmp_path):
    """Of a data set that a test may damage; beside nothing else."""
    shutil.copytree(tiny_dir / FOLDER, tmp_path / FOLDER)
    return tmp_path / FOLDER


def open_train(folder):
    return open_split('moving_shapes/tiny', folder.parents[2], 'train')


def change(path, change):
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def expect_refused(folder, capsys, words='are damaged: '):
    """By whatever reads it, in one line."""
    with pytest.raises(ValueError, match=words) as refused:
        open_train(folder)
    assert len(str(refused.value).splitlines()) == 1
    out = ['--out', str(folder.parents[2])]
    for command in (lambda: check.main(['moving_shapes/tiny', *out]), lambda: prepare.main([*TINY, *out])):
        assert command() == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize('key', ['pythonClassName', 'type'])
def test_modules_that_features_name_are_not_imported(folder, tmp_path, monkeypatch, capsys, key):
    (tmp_path / 'planted.py').write_text('')
    monkeypatch.syspath_prepend(tmp_path)
    features = {'featuresDict': {'features': {'id': {key: 'planted.Feature', 'content': {}, 'text': {}}}}}
    change(folder / 'features.json', lambda told: told['featuresDict']['features'].update(id=features))
    expect_refused(folder, capsys, 'features of the type planted.Feature')
    assert 'planted' not in sys.modules


@pytest.mark.parametrize(
    'change_split',
    [{'filepathTemplate': '../../../elsewhere-{SPLIT}'}, {'name': '../train'}, {'shardLengths': ['-1']}],
)
def test_files_lie_in_the_folder(folder, capsys, change_split):
    change(folder / 'dataset_info.json', lambda told: told['splits'][0].update(change_split))
    expect_refused(folder, capsys)


@pytest.mark.parametrize(
    ('name', 'changed'),
    [
        ('dataset_info.json', {'fileFormat': 'tfrecord'}),
        ('dataset_info.json', {'name': '../moving_shapes'}),
        ('dataset_info.json', {'splits': 'train'}),
        ('inventory.json', {'frame_step': 0}),
        ('inventory.json', {'labels': ['move left']}),
        ('inventory.json', {'splits': {}}),
        ('inventory.json', {'splits': {'train': {'fingerprint': '../../..'}}}),
    ],
)
def test_what_is_not_as_it_is_written(folder, capsys, name, changed):
    change(folder / name, lambda told: told.update(changed))
    expect_refused(folder, capsys)


@pytest.mark.parametrize('tensor', [{'dtype': 'float32'}, {}, {'dtype': 'int32', 'shape': {'dimensions': ['2']}}])
def test_features_of_other_types(folder, capsys, tensor):
    change(folder / 'features.json', lambda told: told['featuresDict']['features']['num_frames'].update(tensor=tensor))
    expect_refused(folder, capsys)


@pytest.mark.parametrize('content', [b'\xff\xfe', b'{', b'[]', b'{"a": 1}', b'[' * 100_000, b'9' * 5_000])
@pytest.mark.parametrize('name', ['features.json', 'dataset_info.json', inventory.INVENTORY])
def test_damaged_files(folder, capsys, name, content):
    (folder / name).write_bytes(content)
    expect_refused(folder, capsys)


@pytest.mark.parametrize('name', ['features.json', 'dataset_info.json', inventory.FAILURES])
def test_missing_files(folder, capsys, name):
    (folder / name).unlink()
    expect_refused(folder, capsys)


def test_a_folder_without_its_inventory_is_not_prepared_over(folder, capsys):
    (folder / inventory.INVENTORY).unlink()
    assert prepare.main([*TINY, '--out', str(folder.parents[2])]) == 2
    assert 'are damaged: FileNotFoundError' in capsys.readouterr().err


def test_a_damaged_note_of_a_shard_is_written_again(tmp_path, capsys):
    out = ['--out', str(tmp_path)]
    assert prepare.main([*TINY, *out]) == 0
    note = tmp_path / f'{TRAIN}.json'
    before = note.read_bytes()
    (tmp_path / FOLDER / inventory.INVENTORY).parent.rename(tmp_path / FOLDER / '..' / 'incomplete.1.1.0')
    for content in (b'{', b'[]', b'{"a": 1}', b'[1, 2, 3, 4, 5]'):
        (tmp_path / FOLDER).parent.joinpath('incomplete.1.1.0', note.name).write_bytes(content)
        assert prepare.main([*TINY, *out]) == 0
        assert note.read_bytes() == before
        (tmp_path / FOLDER).rename((tmp_path / FOLDER).parent / 'incomplete.1.1.0')


def example(**changes):
    """A record of the first video of the split, serialized, with other values of some features."""

    def make(first):
        told = tf_example_pb2.Example.FromString(first)
        for name, values in changes.items():
            del told.features.feature[name]
            if values:
                kind = 'bytes_list' if isinstance(values[0], bytes) else 'int64_list'
                getattr(told.features.feature[name], kind).value.extend(values)
        return told.SerializeToString()

    return make


@pytest.mark.parametrize(
    'make',
    [
        lambda first: b'',
        lambda first: b'\xff' * 50,
        lambda first: first[: len(first) // 2],
        example(video=[]),
        example(video=[5]),
        example(video=[b'a', b'b']),
        example(frame_ends=[b'x']),
        example(label=[8]),
        example(label=[-2]),
        example(label=[]),
        example(id=[b'\xff']),
        example(id=[]),
        example(num_frames=[0]),
        example(num_frames=[]),
        example(parameters=[b'\xff']),
    ],
)
def test_records_that_are_no_videos(folder, make):
    """Their hashes are right: they were written so."""
    path = folder / TRAIN.rpartition('/')[2]
    first = ArrayRecordReader(str(path)).read(0, 1)[0]
    writer = ArrayRecordWriter(str(path), 'group_size:1,uncompressed')
    writer.write(first)
    writer.write(make(first))
    writer.close()
    change(folder / 'dataset_info.json', lambda told: told['splits'][0].update(shardLengths=['2']))
    source = open_train(folder)
    assert source[0]['label'] in range(8)
    with pytest.raises(DamagedRecord, match='Record 1 of .* is damaged'):
        source[1]
