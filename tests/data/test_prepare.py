import json
import pathlib
import subprocess
import sys

import pytest

from dnr_jax.data import DATASETS, builder_class, prepare
from dnr_jax.data.builders import shapes
from dnr_jax.data.source import open_split

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize('name', DATASETS)
def test_every_row_of_the_table_is_a_builder_of_that_name(name):
    assert builder_class(name).name == name


def test_all_clips_are_written_as_drawn(tiny_dir):
    for split, count in (('train', 96), ('validation', 32), ('test', 32)):
        source = open_split('moving_shapes/tiny', tiny_dir, split)
        records = sorted((source[index] for index in range(len(source))), key=lambda record: record['id'])
        assert len(records) == count
        for index, record in enumerate(records):
            parameters = shapes.draw_parameters(0, split, index)
            assert record['id'] == f'{split}-{index:05d}'
            assert json.loads(record['parameters']) == parameters
            assert (record['label'], record['num_frames']) == (parameters['label'], shapes.FRAMES)


def test_the_number_of_workers_changes_no_byte(tiny_dir, tmp_path, capfd):
    prepare.prepare('moving_shapes', config='tiny', out=tmp_path, workers=2)
    for split in shapes.SPLITS:
        one, two = (open_split('moving_shapes/tiny', dir, split) for dir in (tiny_dir, tmp_path))
        assert [one[index] for index in range(len(one))] == [two[index] for index in range(len(two))]
    output = capfd.readouterr()
    assert output.out.splitlines() == [
        str(tmp_path / 'moving_shapes/tiny/1.0.0'),
        output.out.splitlines()[1],
        'Next: python train.py --workdir runs/moving_shapes',
    ]
    assert output.out.splitlines()[1].startswith('train 96, validation 32, test 32 clips, ')
    assert '100%' in output.err and output.err.count('\n') == 1  # one progress bar, and nothing else


def test_a_second_run_does_nothing(tiny_dir, capsys):
    files = {path: path.stat().st_mtime_ns for path in tiny_dir.rglob('*')}
    assert prepare.main(['moving_shapes', '--config', 'tiny', '--out', str(tiny_dir)]) == 0
    assert {path: path.stat().st_mtime_ns for path in tiny_dir.rglob('*')} == files
    assert capsys.readouterr().out.startswith('Already prepared: moving_shapes/tiny/1.0.0.\n')


def test_what_killed_runs_left_is_removed(tmp_path, monkeypatch):
    leftover = tmp_path / 'moving_shapes/tiny/incomplete.ABC123_1.0.0'
    leftover.mkdir(parents=True)
    (leftover / 'part').write_text('half')
    monkeypatch.setattr(
        builder_class('moving_shapes'), 'tasks', lambda self: {split: [(0, split, 0)] for split in shapes.SPLITS}
    )
    prepare.prepare('moving_shapes', config='tiny', out=tmp_path, workers=0)
    assert [path.name for path in (tmp_path / 'moving_shapes/tiny').iterdir()] == ['1.0.0']


def test_a_failed_run_leaves_no_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(builder_class('moving_shapes'), 'tasks', lambda self: {'train': [(0, 'nonsense', 0)]})
    with pytest.raises(ValueError, match='not in tuple'):
        prepare.prepare('moving_shapes', config='tiny', out=tmp_path, workers=0)
    with pytest.raises(ValueError, match='No prepared data set'):
        open_split('moving_shapes/tiny', tmp_path, 'train')


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['moving_shape'], "Unknown data set 'moving_shape'. Did you mean 'moving_shapes'? Known: moving_shapes.\n"),
        (
            ['moving_shapes', '--config', 'standart'],
            "Unknown configuration of moving_shapes 'standart'. Did you mean 'standard'? Known: standard, tiny.\n",
        ),
        (['moving_shapes', '--workers', '-1'], 'The number of workers starts at 0, got -1.\n'),
    ],
)
def test_mistakes_end_in_one_line(arguments, message, tmp_path, capsys):
    assert prepare.main([*arguments, '--out', str(tmp_path)]) == 2
    assert capsys.readouterr() == ('', message)


def test_the_command_line(tmp_path):
    command = [sys.executable, '-m', 'dnr_jax.data.prepare', 'moving_shape', '--out', str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == '' and done.stderr.count('\n') == 1
