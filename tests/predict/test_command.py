"""The command as a user types it, and the lines it prints."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_commands import ROOT, attempt, environment

from dnr_jax.data.video.errors import Reason, VideoError
from dnr_jax.predict.__main__ import above_all, places_below_one, print_streams
from dnr_jax.predict.output import Output

LOGITS = np.log(np.array([1, 6, 3], np.float32))


def test_lines_for_people_and_for_machines(capsys):
    machines = io.StringIO()
    output = Output(('run', 'jump', 'sit'), 2, True, machines)
    output.prediction('a.mp4', LOGITS)
    output.prediction('b.mp4', LOGITS, frames=16)
    output.failure('c.mp4', VideoError('no frame.', Reason.EMPTY))
    assert capsys.readouterr().out.splitlines() == [
        'a.mp4: jump 60.0%, sit 30.0%',
        'b.mp4  frame 16: jump 60.0%, sit 30.0%',
        'c.mp4: empty: no frame.',
    ]
    best = [{'label': 1, 'name': 'jump', 'probability': 0.6}, {'label': 2, 'name': 'sit', 'probability': 0.3}]
    assert [json.loads(line) for line in machines.getvalue().splitlines()] == [
        {'video': 'a.mp4', 'predictions': best},
        {'video': 'b.mp4', 'frames': 16, 'predictions': best},
        {'video': 'c.mp4', 'error': 'no frame.', 'reason': 'empty'},
    ]


@pytest.fixture
def workdir(make_found, save_untrained, tmp_path):
    """The folder of a training that has learned nothing, of a narrow resnet18."""
    config = make_found().config
    config.model.width, config.model.norm.running_per_hop = 4, False
    save_untrained(tmp_path / 'run', config)
    return tmp_path / 'run'


def run(*arguments):
    command = [sys.executable, '-m', 'dnr_jax.predict', *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)


def test_the_command(workdir, video, tmp_path):
    (tmp_path / 'note.txt').write_text('hello')
    paths = video, tmp_path / 'note.txt'
    done = run(f'--workdir={workdir}', *paths, '--top=2', '--json=-', '--config.test.clips=2')
    assert done.returncode == 1 and '1 of the videos could not be read' in done.stderr, done.stderr
    good, bad = map(json.loads, done.stdout.splitlines())
    assert (good['video'], bad['video']) == tuple(map(str, paths)) and bad['reason'] == 'unreadable'
    assert len(good['predictions']) == 2


def test_features_in_a_file(workdir, video, tmp_path):
    """A row for each video that can be read: as many numbers as the head reads, the same in both forms of files."""
    (tmp_path / 'note.txt').write_text('hello')
    for name in ('features.npz', 'features.csv'):
        done = run(f'--workdir={workdir}', video, tmp_path / 'note.txt', f'--features={tmp_path / "of" / name}')
        assert done.returncode == 1 and 'note.txt: unreadable' in done.stdout, done.stderr
        assert 'features of 1 videos, 32 each' in done.stdout
    arrays = np.load(tmp_path / 'of/features.npz')
    header, row = (tmp_path / 'of/features.csv').read_text().splitlines()
    assert arrays['videos'].tolist() == [row.split(',')[0]] == [str(video)]
    assert header.split(',') == ['video', *map(str, range(32))] and arrays['features'].shape == (1, 32)
    np.testing.assert_array_equal(arrays['features'][0], np.array(row.split(',')[1:], np.float32))
    assert np.ptp(arrays['features']) > 0 and len([*(tmp_path / 'of').iterdir()]) == 2


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['-'], 'expected --stream'),
        (['--stream', '--maps=x', 'a.mp4'], 'without --stream'),
        (['--features=a.npz', '--json=-', 'a.mp4'], 'expected no --stream, --annotate, --maps or --json'),
        (['--features=a.txt', 'a.mp4'], 'expected FILE.npz or FILE.csv, got a.txt'),
    ],
)
def test_flags_that_do_not_fit(tmp_path, arguments, words):
    done = attempt('-m', 'dnr_jax.predict', f'--workdir={tmp_path}', *arguments)
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_streams_are_told_as_they_go_on(make_found, video, tmp_path, capsys):
    found = make_found()
    output = Output(found.label_names, 1, True, None)
    how = {'horizon': None, 'every': 4, 'chunk': 2, 'format': ''}
    assert print_streams(found, ['nowhere.mp4', str(video)], output, **how) == 1
    begins = [line.removeprefix(str(video))[:11] for line in capsys.readouterr().out.splitlines()]
    assert begins == ['nowhere.mp4', '  frame 15:', '  frame 23:']


def test_the_folder_above_all_videos(bucket):
    for top in (Path('/videos'), bucket / 'videos'):
        assert above_all([top / 'a.mp4']) == top
        assert above_all([top / 'x/y/a.mp4', top / 'x/b.mp4', top / 'z/c.mp4']) == top


def test_what_is_drawn_stays_in_its_folder():
    """However videos are named: a place with '..' in it would be of another folder, and take a user's file away."""
    paths = [Path('../../clips/a.mp4'), Path('../b.mp4'), Path('c/../d.mp4')]
    here = Path.cwd()
    places = places_below_one(paths)
    above = here.parents[1]
    assert {path: above / place for path, place in places.items()} == {
        paths[0]: above / 'clips/a.mp4', paths[1]: here.parent / 'b.mp4', paths[2]: here / 'd.mp4'
    }  # fmt: skip
    assert not any('..' in place.parts for place in places.values())
