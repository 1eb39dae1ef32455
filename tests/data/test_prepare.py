import csv
import errno
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest
from data.kinetics_tree import plant
from data.test_workers import wait_until
from numbered_videos import make_video

from dnr_jax.data import DATASETS, builder_class, check, inventory, prepare, shards
from dnr_jax.data.builders import moving_shapes, shapes
from dnr_jax.data.source import open_split
from dnr_jax.files import lock

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='session')
def kinetics(tmp_path_factory):
    """A source folder of Kinetics-400 with everything that can be wrong, and what was planted. Not to be written to."""
    folder = tmp_path_factory.mktemp('kinetics')
    return folder, plant(folder, train=400, validation=30, test=10, size=32, frames=10)


def arguments(source, out, *more):
    return ['kinetics400', '--source', str(source), '--out', str(out), '--most_pixels', '500000', *more]


@pytest.fixture(scope='session')
def prepared(kinetics, tmp_path_factory):
    """A folder of data sets that holds 'kinetics400/original'. Not to be written to."""
    out = tmp_path_factory.mktemp('prepared')
    assert prepare.main(arguments(kinetics[0], out, '--workers', '0')) == 0
    return out


@pytest.mark.parametrize('name', DATASETS)
def test_every_row_of_the_table_is_a_builder_of_that_name(name):
    assert builder_class(name).name == name


def test_every_row_of_the_annotations_is_a_record_or_a_failure(kinetics, prepared):
    _, tree = kinetics
    folder = prepared / 'kinetics400/original/1.1.0'
    found, rejected = inventory.read(folder)
    assert {split: counts['rows'] for split, counts in found['splits'].items()} == tree.rows
    assert {(row.split, row.id): row.reason for row in rejected} == tree.faults
    for split, counts in found['splits'].items():
        source = open_split('kinetics400', prepared, split)
        assert len(source) == counts['records'] == source.expected - len(source.failures)
        assert source.expected == tree.rows[split] - counts['rejected'].get('duplicate id', 0)
        records = [source[index] for index in range(len(source))]
        assert inventory.fingerprint((record['id'], record['label']) for record in records) == source.fingerprint
        assert source.unlabelled == (len(source) if split == 'test' else 0)
        if split != 'test':
            assert all(source.label_names[record['label']] == label_of(kinetics[0], record['id']) for record in records)
    assert sorted(path.name for path in folder.iterdir() if 'array_record' not in path.name) == [
        'dataset_info.json',
        'failures.csv',
        'features.json',
        'inventory.json',
        'label.labels.txt',
    ]


def label_of(folder, id):
    for name in ('train.csv', 'validate.csv'):
        with (folder / name).open(newline='') as file:
            for row in csv.DictReader(file):
                if id.startswith(f'{row["youtube_id"]}_{int(float(row["time_start"])):06d}'):
                    return row['label']
    raise AssertionError(id)


def test_a_preparation_that_was_killed_goes_on_to_the_same_bytes(kinetics, prepared, tmp_path):
    command = [sys.executable, '-m', 'dnr_jax.data.prepare', *arguments(kinetics[0], tmp_path, '--workers', '1')]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finished():
        return list(tmp_path.rglob('*-of-*.json'))

    wait_until(finished)
    process.send_signal(signal.SIGKILL)
    process.wait()
    times = {path: path.stat().st_mtime_ns for path in finished()}
    assert 0 < len(times) < 6
    written = {path.name.removesuffix('.json'): path.with_suffix('').stat().st_mtime_ns for path in times}
    assert prepare.main(arguments(kinetics[0], tmp_path, '--workers', '0')) == 0
    once, twice = (files(out / 'kinetics400') for out in (prepared, tmp_path))
    assert once == twice
    again = tmp_path / 'kinetics400/original/1.1.0'
    assert {name: (again / name).stat().st_mtime_ns for name in written} == written


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('how', ['another source', 'written over'])
def test_a_preparation_that_goes_on_with_other_videos_holds_those_alone(how, kinetics, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, 'CLIPS_PER_SHARD', 1)
    clips = sorted((kinetics[0] / 'val').iterdir())[:8]
    for name, those in (('one', clips[:4]), ('other', clips[4:])):
        for number, path in enumerate(those):
            (tmp_path / name / 'a').mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / name / f'a/{number}.mp4')
    options = ['videos', '--variant', 'mine', '--out', str(tmp_path / 'out'), '--workers', '0', '--source']
    write, count = shards._write, iter(range(9))

    def interrupted(*given):
        if next(count) == 2:
            raise OSError('no power')
        return write(*given)

    with monkeypatch.context() as patch:
        patch.setattr(shards, '_write', interrupted)
        assert prepare.main([*options, str(tmp_path / 'one')]) == 2
    source = tmp_path / 'other'
    if how == 'written over':
        source = tmp_path / 'one'
        for path in (source / 'a').iterdir():
            path.write_bytes((tmp_path / 'other/a' / path.name).read_bytes())
    assert prepare.main([*options, str(source)]) == 0
    split = open_split('videos', tmp_path / 'out', 'train')
    videos = {split[index]['id']: split[index]['video'] for index in range(4)}
    assert videos == {f'a/{number}': path.read_bytes() for number, path in enumerate(clips[4:])}
    assert not list((tmp_path / 'out').rglob('*.videos'))


def test_strict_stops_at_the_first_failure(kinetics, tmp_path, capsys):
    assert prepare.main(arguments(kinetics[0], tmp_path, '--strict', '--workers', '0')) == 2
    assert 'cannot become a record, missing' in capsys.readouterr().err
    assert not list(tmp_path.rglob('1.1.0'))


def test_apache_beam_writes_the_same_bytes(kinetics, prepared, tmp_path):
    pytest.importorskip('apache_beam')
    options = ['--beam=--runner=DirectRunner --direct_running_mode=in_memory']
    command = [sys.executable, '-m', 'dnr_jax.data.prepare', *arguments(kinetics[0], tmp_path, *options)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert files(tmp_path / 'kinetics400') == files(prepared / 'kinetics400')


@pytest.mark.parametrize('form', [['video', '--short_side', '24'], ['jpeg', '--short_side', '24', '--frame_step', '2']])
def test_videos_of_ones_own_in_every_form(form, kinetics, tmp_path, capsys):
    clips = sorted((kinetics[0] / 'val').iterdir())[:6]
    lines = [
        f'{path.relative_to(kinetics[0])} {"even" if place % 2 == 0 else "odd"}' for place, path in enumerate(clips)
    ]
    for name, part in (('train', lines[:4]), ('validation', [*lines[3:], '../outside.mp4 odd', 'val/none.mp4 odd'])):
        (tmp_path / f'{name}.txt').write_text('\n'.join(part))
    lists = [f'--list={name}={tmp_path / name}.txt' for name in ('train', 'validation')]
    options = ['videos', '--variant', 'mine', '--source', str(kinetics[0]), *lists, '--out', str(tmp_path)]
    assert prepare.main([*options, '--workers', '0', '--form', *form]) == 0
    told = capsys.readouterr().out
    assert '1 missing, 1 path outside the source folder' in told
    assert 'note: 1 ids stand in train and in validation' in told
    train, validation = (open_split('videos', tmp_path, split) for split in ('train', 'validation'))
    assert train.label_names == ('even', 'odd') and (len(train), len(validation), validation.expected) == (4, 3, 5)
    assert train.frame_step == (2 if 'jpeg' in form else 1)
    assert {train[index]['num_frames'] for index in range(4)} == {10}


@pytest.mark.parametrize('command', [prepare, check])
def test_classes_without_a_video_are_told(command, tmp_path, capsys):
    for number in range(3):
        (tmp_path / f'{number}.mp4').write_bytes(make_video(3) if number else b'no video')
    (tmp_path / 'list.txt').write_text('path,label\n0.mp4,1\n1.mp4,2\n2.mp4,4\nnone.mp4,9\n')
    options = ['--source', str(tmp_path), f'--list=train={tmp_path}/list.txt', '--out', str(tmp_path / 'out')]
    more = ['--failures', str(tmp_path / 'failures.csv')] if command is check else []
    command.main(['videos', '--variant', 'mine', *options, '--workers', '0', *more])
    told = capsys.readouterr().out
    assert "note: 3 of 5 classes have no video to learn from: '0', '1', '3'\n" in told
    assert "note: labels without any video, which are no classes therefore: '9'\n" in told


@pytest.mark.parametrize('command', [prepare, check])
def test_links_are_told(command, tmp_path, tmp_path_factory, capsys):
    elsewhere = tmp_path_factory.mktemp('elsewhere') / 'video.mp4'
    elsewhere.write_bytes(make_video(3))
    links = {'a/1.mp4': elsewhere, 'b/2.mp4': tmp_path / 'none', 'b/frames/1.jpg': tmp_path / 'none'}
    for link, target in links.items():
        (tmp_path / 'source' / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'source' / link).symlink_to(target)
    options = ['--source', str(tmp_path / 'source'), '--out', str(tmp_path / 'out'), '--workers', '0']
    more = ['--failures', str(tmp_path / 'failures.csv')] if command is check else []
    assert command.main(['videos', '--variant', 'mine', *options, *more]) == (1 if command is check else 0)
    told = capsys.readouterr().out
    assert '3 rows = 1 records + 2 rejected (2 missing)' in told
    assert "note: 1 of 2 classes have no video to learn from: 'b'\n" in told
    assert f"note: 1 videos lie outside the source folder, where links lead: '{elsewhere}'\n" in told


def test_class_names_are_kept_or_refused(tmp_path, capsys):
    names = ['$x_{', 'a\tb', "a'b", 'a\u2028b', 'é', '走る']
    for name in names:
        (tmp_path / 'source' / name).mkdir(parents=True)
        (tmp_path / 'source' / name / '1.mp4').write_bytes(make_video(3))
    options = ['videos', '--variant', 'mine', '--source', str(tmp_path / 'source'), '--out', str(tmp_path / 'out')]
    assert prepare.main([*options, '--workers', '0']) == 0
    source = open_split('videos', tmp_path / 'out', 'train')
    assert source.label_names == tuple(names)
    assert {source[i]['id']: source.label_names[source[i]['label']] for i in range(6)} == {f'{n}/1': n for n in names}
    (tmp_path / 'source' / 'é\n走').mkdir()
    (tmp_path / 'source' / 'é\n走' / '1.mp4').touch()
    assert prepare.main([*options[:2], 'other', *options[3:]]) == 2
    assert "got 'é\\n走', with a line break" in capsys.readouterr().err


def test_all_clips_are_written_as_drawn(tiny_dir):
    for split, count in moving_shapes.SIZES['tiny'].items():
        source = open_split('moving_shapes/tiny', tiny_dir, split)
        records = sorted((source[index] for index in range(len(source))), key=lambda record: record['id'])
        assert len(records) == count
        for index, record in enumerate(records):
            parameters = shapes.draw_parameters(0, split, index)
            assert record['id'] == f'{split}-{index:05d}'
            assert json.loads(record['parameters']) == parameters
            assert (record['label'], record['num_frames']) == (parameters['label'], shapes.FRAMES)


def test_what_is_printed(tmp_path, capfd, monkeypatch):
    monkeypatch.setitem(moving_shapes.SIZES, 'tiny', {'train': 8, 'validation': 8, 'test': 8})
    assert prepare.main(['moving_shapes', '--variant', 'tiny', '--out', str(tmp_path), '--workers', '0']) == 0
    output = capfd.readouterr()
    assert output.out.splitlines()[:4] == [
        str(tmp_path / 'moving_shapes/tiny/1.1.0'),
        'train               8 rows = 8 records',
        'validation          8 rows = 8 records',
        'test                8 rows = 8 records',
    ]
    assert output.out.splitlines()[4].startswith('8 classes, 0.')
    assert output.out.splitlines()[5] == (
        'To train on it: python train.py --config=configs/moving_shapes.py --config.data.name=moving_shapes/tiny '
        f'--config.data.dir={tmp_path} --workdir=runs/moving_shapes'
    )
    assert '100%' in output.err and output.err.count('\n') == 1  # one progress bar, and nothing else


@pytest.mark.parametrize(
    ('records', 'name', 'told'),
    [
        (
            9,
            'videos/my gym-jpeg8',
            "--config=configs/videos.py --config.data.name='videos/my gym-jpeg8' --workdir='runs/",
        ),
        (9, 'ucf101/split1-original', '--config.data.name=ucf101/split1-original --workdir=runs/ucf101_split1'),
        (
            0,
            'videos/gym-original',
            'eval.py --workdir=... --config.data.name=videos/gym-original --config.test.split=test',
        ),
    ],
)
def test_the_next_command(records, name, told):
    folder = pathlib.Path(prepare.DEFAULT_DIR).expanduser() / name / '1.1.0'
    splits = {'test': {'records': 4, 'unlabelled': 4}, 'train': {'records': 9, 'unlabelled': 9 - records}}
    assert told in prepare.next_command(splits, folder, 'videos')


@pytest.mark.parametrize('name', DATASETS)
def test_every_data_set_is_trained_by_a_config(name):
    cls = builder_class(name)
    configs = ('moving_shapes', 'hard_shapes') if name == 'moving_shapes' else (cls.trained_by,)
    assert all((ROOT / 'configs' / f'{config}.py').exists() for config in configs)
    assert cls.trained_by in configs or name == 'moving_shapes'


def test_nothing_is_left_in_the_temporary_folder(kinetics, tmp_path, monkeypatch):
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
    monkeypatch.setitem(moving_shapes.SIZES, 'tiny', {'train': 2})
    assert prepare.main(['moving_shapes', '--variant', 'tiny', '--out', str(tmp_path), '--workers', '0']) == 0
    assert check.main(['moving_shapes/tiny', '--out', str(tmp_path), '--workers', '0']) == 0
    check.main(arguments(kinetics[0], tmp_path, '--failures', str(tmp_path / 'failures.csv'), '--workers', '0'))
    assert not list((tmp_path / 'temporary').iterdir())


def test_a_second_run_does_nothing(tiny_dir, capsys):
    before = {path: path.stat().st_mtime_ns for path in tiny_dir.rglob('*')}
    assert prepare.main(['moving_shapes', '--variant', 'tiny', '--out', str(tiny_dir)]) == 0
    assert {path: path.stat().st_mtime_ns for path in tiny_dir.rglob('*')} == before
    assert capsys.readouterr().out.startswith('Already prepared: moving_shapes/tiny/1.1.0.')


def test_a_second_run_takes_no_fault_of_the_annotations_for_a_change(kinetics, prepared, capsys):
    assert prepare.main(arguments(kinetics[0], prepared)) == 0
    assert capsys.readouterr().out.startswith('Already prepared: kinetics400/original/1.1.0.')


def test_other_settings_are_refused_where_a_set_of_that_name_is(kinetics, prepared, capsys):
    assert prepare.main(arguments(kinetics[0], prepared, '--quality', '50')) == 2
    assert 'with other settings: storage (' in capsys.readouterr().err


def test_other_rows_are_refused_where_a_set_of_that_name_is(kinetics, tmp_path, capsys):
    for count in (3, 4):
        clips = sorted((kinetics[0] / 'val').iterdir())[:count]
        (tmp_path / 'train.txt').write_text('\n'.join(f'val/{path.name} same' for path in clips))
        options = ['videos', '--variant', 'mine', '--source', str(kinetics[0]), '--out', str(tmp_path)]
        status = prepare.main([*options, f'--list=train={tmp_path / "train.txt"}', '--workers', '0'])
        assert status == (0 if count == 3 else 2)
    assert 'is prepared already, of other rows' in capsys.readouterr().err


def test_what_was_repaired_is_tried_again(kinetics, tmp_path, capsys):
    source = tmp_path / 'source/a'
    source.mkdir(parents=True)
    good = next((kinetics[0] / 'val').iterdir()).read_bytes()
    for number in range(3):
        (source / f'{number}.mp4').write_bytes(b'broken')
    options = ['videos', '--variant', 'mine', '--source', str(source.parent), '--out', str(tmp_path), '--workers', '0']
    assert prepare.main(options) == 2
    assert 'None of the 3 rows' in capsys.readouterr().err
    (source / '1.mp4').write_bytes(good)
    assert prepare.main(options) == 0
    assert '3 rows = 1 records + 2 rejected (2 unreadable)' in capsys.readouterr().out


@pytest.fixture
def late(kinetics, tmp_path, monkeypatch):
    """The options of a prepared data set of 12 videos of one's own, in a shard each, and the folder of the videos.

    Video 3 is broken, video 4 is missing, and a good one, to take their place, lies beside the folder.
    """
    monkeypatch.setattr(shards, 'CLIPS_PER_SHARD', 1)
    source = tmp_path / 'source'
    source.mkdir()
    for number, path in enumerate(sorted((kinetics[0] / 'val').iterdir())[:12]):
        shutil.copy(path, source / f'{number}.mp4')
    shutil.move(source / '4.mp4', tmp_path / 'good.mp4')
    (source / '3.mp4').write_bytes(b'broken')
    (tmp_path / 'list.txt').write_text(''.join(f'{number}.mp4 same\n' for number in range(12)))
    options = ['videos', '--variant', 'mine', '--source', str(source), f'--list=train={tmp_path / "list.txt"}']
    options += ['--out', str(tmp_path / 'out'), '--workers', '0']
    assert prepare.main(options) == 0
    return options, source


def test_videos_that_arrive_late_are_told_and_picked_up(late, tmp_path, capsys):
    options, source = late
    folder = tmp_path / 'out/videos/mine-original/1.1.0'
    assert prepare.main(options) == 0 and 'note' not in capsys.readouterr().out
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in folder.glob('*-of-?????')}
    for number in (3, 4):
        shutil.copy(tmp_path / 'good.mp4', source / f'{number}.mp4')
    assert prepare.main(options) == 0
    told = capsys.readouterr().out
    assert '12 rows = 10 records + 2 rejected (1 missing, 1 unreadable)' in told
    assert 'note: 2 rejected rows could become records now: --refresh tries them again' in told.splitlines()
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in before} == before

    assert prepare.main([*options, '--refresh']) == 0
    assert '12 rows = 12 records' in capsys.readouterr().out
    split = open_split('videos', tmp_path / 'out', 'train')
    assert len(split) == 12 and {split[index]['id'] for index in range(12)} == set(map(str, range(12)))
    same = [path for path in before if (path.stat().st_ino, path.read_bytes()) == before[path]]
    assert len(before) - 2 <= len(same) < len(before)
    assert [path.name for path in folder.parent.iterdir()] == ['1.1.0'] and not list(folder.glob('.*'))

    once = files(folder)
    shutil.rmtree(folder)
    assert prepare.main(options) == 0 and files(folder) == once


def test_a_refresh_that_fails_changes_nothing_and_can_be_repeated(late, tmp_path, capsys):
    options, source = late
    shutil.copy(tmp_path / 'good.mp4', source / '4.mp4')
    folder = tmp_path / 'out/videos/mine-original/1.1.0'
    before = files(folder)
    assert prepare.main([*options, '--refresh', '--strict']) == 2
    assert "'3' of train cannot become a record, unreadable" in capsys.readouterr().err
    assert files(folder) == before
    assert prepare.main([*options, '--refresh']) == 0
    assert '12 rows = 11 records + 1 rejected (1 unreadable)' in capsys.readouterr().out


def test_a_refresh_that_ends_in_the_last_moment_is_finished_by_the_same_command(late, tmp_path, capsys, monkeypatch):
    options, source = late
    shutil.copy(tmp_path / 'good.mp4', source / '4.mp4')
    rename = pathlib.Path.rename

    def fail(path, target):
        if path.name == 'incomplete.1.1.0':
            raise OSError('no power')
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, 'rename', fail)
        assert prepare.main([*options, '--refresh']) == 2
    assert prepare.main(options) == 0
    assert '12 rows = 11 records + 1 rejected (1 unreadable)' in capsys.readouterr().out
    folders = [path.name for path in (tmp_path / 'out/videos/mine-original').rglob('*') if path.is_dir()]
    assert folders == ['1.1.0']


def test_a_refresh_takes_no_record_away(late, tmp_path, capsys):
    options, source = late
    before = files(tmp_path / 'out')
    (source / '7.mp4').unlink()
    assert prepare.main([*options, '--refresh']) == 2
    assert '1 records would be none now, for example 7.mp4, missing: a refresh' in capsys.readouterr().err
    assert files(tmp_path / 'out') == before


def test_corrected_labels_are_noticed_and_taken_over(late, tmp_path, capsys):
    """Of records; that of a row that was rejected is in no record."""
    options, _ = late
    folder, listing = tmp_path / 'out/videos/mine-original/1.1.0', tmp_path / 'list.txt'

    def prepared_of(labels, *more):
        listing.write_text(''.join(f'{number}.mp4 {label}\n' for number, label in enumerate(labels)))
        return prepare.main([*options, *more]), capsys.readouterr()

    def labels():
        split = open_split('videos', tmp_path / 'out', 'train')
        return {int(split[index]['id']): split.label_names[split[index]['label']] for index in range(len(split))}

    first = ['a', 'b'] * 6
    shutil.rmtree(folder)
    assert prepared_of(first)[0] == 0
    before = files(folder)
    assert prepared_of(['a', 'b', 'a', 'a'] + first[4:])[0] == 0  # of number 3, which is broken
    corrected = ['a', 'a', *first[2:]]
    status, output = prepared_of(corrected)
    assert status == 2 and 'Already prepared' not in output.out and files(folder) == before
    assert "1 of its records have other labels now: '1' of train is 'b' there, and here 'a'" in output.err
    assert prepared_of(corrected, '--refresh')[0] == 0
    assert labels() == {number: label for number, label in enumerate(corrected) if number not in (3, 4)}
    status, output = prepared_of(corrected)
    assert status == 0 and 'note: ' not in output.out


def test_a_label_that_is_no_class_any_more_is_noticed(late, tmp_path, capsys):
    options, _ = late
    (tmp_path / 'names.txt').write_text('same\n')
    options += ['--labels', str(tmp_path / 'names.txt')]
    assert prepare.main(options) == 0
    listing = tmp_path / 'list.txt'
    listing.write_text(listing.read_text().replace('7.mp4 same', '7.mp4 sane'))
    capsys.readouterr()
    assert prepare.main(options) == 2
    assert "'7' of train is 'same' there, and here 'sane' is none of the class names" in capsys.readouterr().err
    assert prepare.main([*options, '--refresh']) == 2
    assert f'1 records would be none now, for example {options[4]}/7.mp4, unknown label' in capsys.readouterr().err


def test_files_that_are_left_out_are_told(kinetics, tmp_path, capsys):
    folder = tmp_path / 'source/a'
    folder.mkdir(parents=True)
    (folder / '1.mp4').write_bytes(next((kinetics[0] / 'val').iterdir()).read_bytes())
    for name in ('2.gif', '3.gif', 'notes'):
        (folder / name).touch()
    options = ['videos', '--variant', 'mine', '--source', str(folder.parent), '--out', str(tmp_path), '--workers', '0']
    assert prepare.main(options) == 0
    note = 'note: 3 files are neither videos nor images by their names: 2 .gif, 1 without suffix'
    assert note in capsys.readouterr().out.splitlines()


def test_what_fails_unexpectedly_names_its_row(tmp_path, monkeypatch, capsys):
    def make(row):
        raise OSError(5, 'Input/output error')

    monkeypatch.setattr(moving_shapes, 'make', make)
    assert prepare.main(['moving_shapes', '--variant', 'tiny', '--out', str(tmp_path), '--workers', '0']) == 2
    assert re.search(r"Input/output error, while '\w+-\d+' was made of", capsys.readouterr().err)


def of_no_disk(descriptor, how):
    raise OSError(errno.ENOSYS, 'Function not implemented')


@pytest.mark.parametrize('flock', [lock.fcntl.flock, of_no_disk], ids=['with locks', 'a disk without locks'])
def test_two_at_once_are_refused(flock, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lock.fcntl, 'flock', flock)
    monkeypatch.setattr(lock, 'BEAT', 0.1)
    monkeypatch.setitem(moving_shapes.SIZES, 'tiny', {'train': 8})
    same = ['moving_shapes', '--variant', 'tiny', '--out', str(tmp_path), '--workers', '0']
    monkeypatch.setattr(shards, 'write_missing', lambda *_: iter([prepare.main(same)]))
    assert prepare.main(same) == 1
    told = capsys.readouterr().err
    assert 'is in use by process' in told and 'is gone' in told  # nothing was written in this test
    assert not list(tmp_path.rglob('.lock*'))


def test_what_other_settings_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setitem(moving_shapes.SIZES, 'tiny', {'train': 8})
    leftover = tmp_path / 'moving_shapes/tiny/incomplete.1.1.0'
    leftover.mkdir(parents=True)
    for name in (
        '.123-moving_shapes-train.array_record-00000-of-00001',
        'moving_shapes-train.array_record-00000-of-00007',
    ):
        (leftover / name).write_text('half')
    assert prepare.main(['moving_shapes', '--variant', 'tiny', '--out', str(tmp_path), '--workers', '0']) == 0
    assert [path.name for path in (tmp_path / 'moving_shapes/tiny').iterdir()] == ['1.1.0']
    names = sorted(path.name for path in (tmp_path / 'moving_shapes/tiny/1.1.0').glob('*array_record*'))
    assert names == [f'moving_shapes-train.array_record-00000-of-00001{suffix}' for suffix in ('', '.json')]


@pytest.mark.parametrize(
    'given, message',
    [
        (['moving_shape'], "Unknown data set 'moving_shape'. Did you mean 'moving_shapes'?"),
        (
            ['moving_shapes', '--variant', 'standart'],
            "Unknown variant of moving_shapes 'standart'. Did you mean 'standard'?",
        ),
        (['moving_shapes', '--workers', '-1'], 'got -1, 120'),
        (['moving_shapes', '--form', 'jpeg', '--source', '.'], 'expected no --source, --form'),
        (['ucf101', '--source', '.', '--labels', 'x'], 'Expected --labels beside --list only'),
        (['ucf101', '--source', '.', '--short_side', '9'], "--short_side says nothing of the form 'original'"),
        (['videos', '--source', '.', '--variant', 'a/b'], "without '/', got 'a/b'"),
        (['kinetics400'], 'expected --source=FOLDER'),
        (['kinetics400', '--source', 'nowhere'], "Expected a folder, got 'nowhere'"),
        (['kinetics400', '--source', '.', '--form', 'mp4'], "Unknown form of storage 'mp4'"),
        (['kinetics400', '--source', '.', '--frame_step', '2'], "--frame_step says nothing of the form 'original'"),
        (['ucf101', '--source', '.', '--variant', 'split4'], "Unknown variant of ucf101 'split4'"),
        (['videos', '--source', '.'], 'needs a name: --variant=NAME'),
        (['ucf101', '--source', '.', '--list', 'train=x'], 'for `videos` only'),
        (
            ['videos', '--source', '.', '--variant', 'a', '--list', 'train=x.csv', '--list', 'train=y.csv'],
            "Expected one --list for each split, got 'x.csv' and 'y.csv' for 'train'. Join them in one file",
        ),
    ],
)
def test_mistakes_end_in_one_line(given, message, tmp_path, capsys):
    assert prepare.main([*given, '--out', str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert output.out == '' and message in output.err and output.err.count('\n') == 1
    assert not list(tmp_path.iterdir())
