"""How commands of experiments begin and end: whose records they go by, and what they say of mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import records
from benchmarks.records import ROOT
from dnr_jax.registry import choose
from experiments import commands, families, few_clips, real_video, real_video_relays, sessions, small_batch, turns

# Those that record, each with flags for one run that stands in the project's own records.
RECORDING = {
    real_video: ['--methods=dnr', '--seeds=1'],
    real_video_relays: [],
    few_clips: ['--methods=dnr', '--seeds=1'],
    small_batch: ['--methods=dnr', '--backbones=resnet18', '--clips=2', '--seeds=1'],
    turns: ['--cases=as it is', '--seeds=1'],
    families: ['--only=resnet18', '--norms=dnr'],
}


def begin(monkeypatch, module, *arguments):
    monkeypatch.setattr(sys, 'argv', [f'{module.__name__.rpartition(".")[2]}.py', *arguments])
    monkeypatch.setattr(small_batch.jax.config, 'update', lambda *_: None)  # where it keeps compiled programs
    module.main()


@pytest.mark.parametrize('arguments', [['--methods=batch;dnr', '--seeds=1'], ['--methods=batch;dnr', '--seeds=2']])
def test_what_the_project_has_recorded_is_made_anew_for_other_records(monkeypatch, tmp_path, capsys, arguments):
    """As docs/real_video.md has it, in a fresh clone: it must train, and go on from its own."""
    made, asked, mine = int(arguments[-1][-1]), [], tmp_path / 'runs/mine.jsonl'

    def train(run, workdir, data_dir, keep, into):
        asked.append(run)
        records.add(into, run._asdict() | {'seconds': 60.0}, by={})
        return {'top1': 0.5, 'seconds': 60.0}

    monkeypatch.setattr(real_video, 'train', train)
    before, there = real_video.RECORDS.read_bytes(), [*arguments, f'--workdir={tmp_path}']
    for flags, missing in ((there, 0), ([*there, f'--records={mine}'], 2 * made), ([*there, f'--records={mine}'], 0)):
        begin(monkeypatch, real_video, *flags)
        assert f'{missing} runs are missing' in capsys.readouterr().out
    assert asked == real_video.plan([real_video.Part(('batch', 'dnr'), seeds=made)])
    assert list(map(real_video.key, records.read(mine))) == asked and real_video.RECORDS.read_bytes() == before


@pytest.fixture
def at_work(monkeypatch):
    """The files that commands record in, one by one; whatever takes long is left out."""
    done = []

    def add(path, measured, by=None):
        done.append(path)

    monkeypatch.setattr(records, 'add', add)
    monkeypatch.setattr(sessions, 'run', lambda command, workdir, into: 1.0)
    monkeypatch.setattr(real_video, 'scores', lambda workdir: {'top1': 0.5})
    monkeypatch.setattr(real_video.shutil, 'rmtree', lambda folder: None)
    monkeypatch.setattr(few_clips, 'tested', lambda workdir: {'top1': 0.5})
    monkeypatch.setattr(families, 'tested', lambda workdir: {'top1': 0.5})
    monkeypatch.setattr(few_clips, 'expect_words', lambda runs, words: None)
    monkeypatch.setattr(real_video_relays, 'ask', lambda workdir: {})
    monkeypatch.setattr(real_video_relays, 'kept', lambda folder: {real_video.Run(*RELAYS): folder})
    monkeypatch.setattr(turns, 'run', lambda name, seed: {'top1': 0.5, 'turns': 0.5})
    monkeypatch.setattr(small_batch, 'carry_out', lambda runs, data_dir, cache, into: done.extend([into] * len(runs)))
    return done


RELAYS = 'resnet18', 'dnr', 16, 'cut', 0.1, 0


@pytest.mark.parametrize('module', RECORDING, ids=lambda module: module.__name__)
def test_every_command_records_where_it_is_told(monkeypatch, tmp_path, at_work, module):
    """And its own records say that nothing is missing."""
    where = [] if module is turns else [f'--{"cache" if module is small_batch else "workdir"}={tmp_path}']
    begin(monkeypatch, module, *RECORDING[module], *where)
    assert at_work == []
    begin(monkeypatch, module, *RECORDING[module], *where, f'--records={tmp_path}/mine.jsonl')
    assert set(at_work) == {tmp_path / 'mine.jsonl'}


@pytest.mark.parametrize('module', RECORDING, ids=lambda module: module.__name__)
def test_bad_words_end_in_one_line(monkeypatch, capsys, tmp_path, module):
    flag = {turns: '--cases=dnrr', families: '--only=dnrr'}.get(module, '--methods=dnrr')
    if module is real_video_relays:
        flag = f'--workdir={tmp_path}'
    with pytest.raises(SystemExit) as ended:
        begin(monkeypatch, module, flag)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and len(said.splitlines()) == 1
    assert "'dnrr'" in said or 'Expected finished networks of dnr' in said


def test_words_that_are_not_there_are_told_before_a_training(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sessions, 'run', None)
    with pytest.raises(SystemExit):
        begin(monkeypatch, few_clips, f'--words={tmp_path}', f'--records={tmp_path}/mine.jsonl')
    (said,) = capsys.readouterr().err.splitlines()
    began_with = f'{tmp_path}/resnet18_batch_16'
    assert said.startswith(f'few_clips.py: Expected a network that has learned words to the end in {began_with}')


def test_a_number_that_is_none_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        begin(monkeypatch, real_video, '--methods=dnr', '--clips=2;x')
    assert "argument --clips: invalid int value: '2;x'" in capsys.readouterr().err


def test_videos_that_are_not_prepared_are_told_by_the_training_alone(tmp_path):
    command = [sys.executable, '-m', 'experiments.real_video', '--methods=dnr', '--seeds=1', f'--data_dir={tmp_path}',
               f'--workdir={tmp_path}', f'--records={tmp_path}/mine.jsonl']  # fmt: skip
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout.startswith('1 runs are missing')
    (said,) = ended.stderr.splitlines()
    assert said.startswith('train.py: No prepared data set videos/grid_words-jpeg54') and 'dnr_jax.data.prepare' in said


@pytest.mark.parametrize(('returned', 'status', 'told'), [(1, 1, ''), (143, 143, ''), (-9, 137, 'SIGKILL')])
def test_a_program_that_has_failed_gives_its_status(capsys, returned, status, told):
    with pytest.raises(SystemExit) as ended, commands.refusing():
        raise subprocess.CalledProcessError(returned, ['python', 'train.py'])
    assert ended.value.code == status
    assert told in capsys.readouterr().err if told else capsys.readouterr().err == ''


def test_bugs_keep_their_traceback():
    with pytest.raises(ValueError, match='Expecting value'), commands.refusing():
        json.loads('')
    with pytest.raises(SystemExit), commands.refusing():
        choose({'a': 1}, 'b', 'letter')


def test_every_command_that_records_is_here():
    folder = Path(commands.__file__).parent
    recording = {path.stem for path in folder.glob('*.py') if '\nRECORDS = ' in path.read_text()}
    assert recording == {module.__name__.rpartition('.')[2] for module in RECORDING}
