import os
import pickle
import shutil

import numpy as np
import pytest

from dnr_jax.data.source import find_folder, open_split

FOLDER = 'moving_shapes/tiny/1.1.0'
TRAIN = f'{FOLDER}/moving_shapes-train.array_record-00000-of-00001'


@pytest.fixture
def copied_dir(tiny_dir, tmp_path):
    """A copy of the data sets that a test may damage."""
    shutil.copytree(tiny_dir / FOLDER, tmp_path / FOLDER)
    return tmp_path


def test_records(tiny_dir):
    source = open_split('moving_shapes/tiny', tiny_dir, 'train')
    assert len(source) == 96
    assert source.label_names[:2] == ('move right', 'move left') and len(source.label_names) == 8
    record = source[95]
    assert {name: type(value) for name, value in record.items()} == {
        'video': bytes,
        'frame_ends': np.ndarray,
        'label': int,
        'id': str,
        'num_frames': int,
        'parameters': str,
    }
    assert len({source[index]['id'] for index in range(96)}) == 96
    for index in (-1, 96):
        with pytest.raises(IndexError, match='has 96 records'):
            source[index]


def test_parts_of_splits(tiny_dir):
    whole, part = (open_split('moving_shapes/tiny', tiny_dir, split) for split in ('train', 'train[25%:50%]'))
    assert [part[index]['id'] for index in range(len(part))] == [whole[index]['id'] for index in range(24, 48)]
    assert part.fingerprint == whole.fingerprint and (part.expected, whole.expected) == (None, 96)
    both = open_split('moving_shapes/tiny', tiny_dir, 'train[:50%]+test')
    assert both.fingerprint == f'{whole.fingerprint}+{open_split("moving_shapes/tiny", tiny_dir, "test").fingerprint}'


def test_labels_are_those_of_the_records(tiny_dir):
    """Of parts of splits too, and as other classes number them."""
    source = open_split('moving_shapes/tiny', tiny_dir, 'train[90%:]+test')
    assert source.labels.tolist() == [source[index]['label'] for index in range(len(source))]
    other = source.of_classes(source.label_names[3:])
    assert other.labels.tolist() == [other[index]['label'] for index in range(len(other))]
    assert set(other.labels) == {-1, 0, 1, 2, 3, 4}


def test_labels_that_do_not_stand_beside_the_records(copied_dir):
    (copied_dir / f'{TRAIN}.json').unlink()
    with pytest.raises(ValueError, match='does not tell the records of that file. Prepare the data set again'):
        len(open_split('moving_shapes/tiny', copied_dir, 'train').labels)


def test_a_source_can_be_sent_to_another_process(tiny_dir):
    source = open_split('moving_shapes/tiny', tiny_dir, 'test')
    sent = pickle.dumps(source)
    assert len(sent) < 20_000
    assert pickle.loads(sent)[7]['video'] == source[7]['video']


def test_a_folder_in_the_home(tiny_dir, monkeypatch):
    monkeypatch.setenv('HOME', str(tiny_dir.parent))
    assert len(open_split('moving_shapes/tiny', f'~/{tiny_dir.name}', 'test')) == 32


@pytest.mark.parametrize(
    'name, command',
    [
        ('moving_shapes', 'moving_shapes --variant standard'),
        ('moving_shapes/tiny', 'moving_shapes --variant tiny'),
        ('kinetics400/jpeg256', 'kinetics400 --source FOLDER_OF_VIDEOS'),
        ('ucf101/split2-jpeg256', 'ucf101 --variant split2 --source FOLDER_OF_VIDEOS'),
    ],
)
def test_not_prepared(name, command, tmp_path):
    with pytest.raises(ValueError) as error:
        open_split(name, tmp_path, 'train')
    full = name if '/' in name else f'{name}/standard'
    assert str(error.value) == (
        f"No prepared data set {full} in '{tmp_path}'. To prepare it, run: "
        f'python -m dnr_jax.data.prepare {command} --out {tmp_path}'
    )


def test_a_name_alone_stands_for_the_one_that_is_prepared(tiny_dir, tmp_path):
    for form in ('original', 'jpeg256'):
        folder = tmp_path / f'kinetics400/{form}/1.1.0'
        folder.mkdir(parents=True)
        (folder / 'inventory.json').write_text('{}')
        if form == 'original':
            assert find_folder('kinetics400', tmp_path) == folder
    with pytest.raises(ValueError, match='prepared as jpeg256, original .*: say which, as in kinetics400/jpeg256'):
        find_folder('kinetics400', tmp_path)
    assert find_folder('kinetics400/original', tmp_path).parts[-2] == 'original'
    with pytest.raises(ValueError, match=r'No prepared data set kinetics400/video .*\(there is jpeg256, original\)'):
        find_folder('kinetics400/video', tmp_path)


@pytest.mark.parametrize(
    'name, split, message',
    [
        ('moving_shape', 'train', "Unknown data set 'moving_shape'. Did you mean 'moving_shapes'?"),
        ('moving_shapes/small', 'train', "Unknown configuration of moving_shapes 'small'.*Known: standard, tiny"),
        ('moving_shapes/tiny', 'train[:0%]', 'holds no record'),
        ('moving_shapes/tiny', 'trian', r"no split 'trian', but train \(96\), validation \(32\), test \(32\)"),
    ],
)
def test_unknown_names(name, split, message, tiny_dir):
    with pytest.raises(ValueError, match=message):
        open_split(name, tiny_dir, split)


@pytest.mark.parametrize('keep', [0, 100, 0.5, -1])
def test_a_truncated_file_is_found_when_opened(copied_dir, keep):
    content = (copied_dir / TRAIN).read_bytes()
    end = int(keep * len(content)) if isinstance(keep, float) else keep
    (copied_dir / TRAIN).write_bytes(content[:end])
    with pytest.raises(ValueError, match=f"{TRAIN}' is damaged: .*prepare the data set again"):
        open_split('moving_shapes/tiny', copied_dir, 'train')
    assert len(open_split('moving_shapes/tiny', copied_dir, 'test')) == 32


def test_a_missing_file_is_found_when_opened(copied_dir):
    (copied_dir / TRAIN).unlink()
    with pytest.raises(ValueError, match=f"{TRAIN}' is damaged: .*No such file"):
        open_split('moving_shapes/tiny', copied_dir, 'train')


def test_a_file_of_another_run_is_found_when_opened(copied_dir):
    shutil.copy(copied_dir / TRAIN.replace('train', 'test'), copied_dir / TRAIN)
    with pytest.raises(ValueError, match=f"{TRAIN}' is damaged: 96 records expected, 32 found"):
        open_split('moving_shapes/tiny', copied_dir, 'train')


def test_a_damaged_record_is_found_when_read(copied_dir):
    content = bytearray((copied_dir / TRAIN).read_bytes())
    content[len(content) // 2] ^= 1
    (copied_dir / TRAIN).write_bytes(content)
    source, damaged = open_split('moving_shapes/tiny', copied_dir, 'train'), 0
    for index in range(96):
        try:
            source[index]
        except ValueError as error:
            damaged += 1
            assert f"{TRAIN}', is damaged" in str(error) and 'hash mismatch' in str(error)
    assert damaged == 1


@pytest.mark.parametrize('other', ['test', 'train'])
def test_a_refresh_meanwhile_is_told_where_another_process_opens_the_files(copied_dir, other):
    """It would read other records by the old numbers; a process that has opened them reads on."""
    source = open_split('moving_shapes/tiny', copied_dir, 'train')
    sent, first = pickle.dumps(source), source[0]['id']
    shutil.move(copied_dir / FOLDER, copied_dir / 'old')
    shutil.copytree(copied_dir / 'old', copied_dir / FOLDER, copy_function=os.link)  # shards that stay as they are
    assert pickle.loads(sent)[0]['id'] == first
    shutil.copy(copied_dir / TRAIN.replace('train', other), copied_dir / 'new')
    (copied_dir / 'new').replace(copied_dir / TRAIN)
    with pytest.raises(ValueError, match=f"{TRAIN}' is not the file that it was .*: the data set was refreshed"):
        pickle.loads(sent)[40]
    assert len({source[index]['id'] for index in range(96)}) == 96
    (copied_dir / TRAIN).unlink()
    with pytest.raises(OSError, match='No such file.* See whether its disk is mounted'):
        pickle.loads(sent)[0]


def test_labels_of_other_classes_are_those_of_the_same_names(tiny_dir):
    source = open_split('moving_shapes/tiny', tiny_dir, 'test')
    other = source.of_classes(['shrink', 'something else', 'move right'])
    assert other.label_names == ('shrink', 'something else', 'move right') and other.own_names == source.label_names
    right, shrink, left = 0, 5, 1  # labels are numbers modulo eight, see `shapes.draw_parameters`
    by_id = {source[index]['id']: source[index]['label'] for index in range(len(source))}
    found = {other[index]['id']: other[index]['label'] for index in range(len(other))}
    assert found == {id: {right: 2, shrink: 0}.get(label, -1) for id, label in by_id.items()}
    assert list(by_id.values()).count(left) > 0 and source[0]['label'] == by_id[source[0]['id']]
