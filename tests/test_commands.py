"""The commands as a user types them: one run from end to end, and one clear line for each mistake."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).parent.parent

SMALL = [
    '--config=configs/moving_shapes.py:resnet18,dnr',
    '--config.data.name=moving_shapes/tiny',
    '--config.model.width=4',
    '--config.model.norm.groups=4',
    '--config.clip.frames=2',
    '--config.augment.size=32',
    '--config.train.epochs=1',
    '--config.schedule.warmup_steps=1',
    '--config.schedule.learning_rate=0.03',
    '--config.run.workers=1',
    *(f'--config.{section}.size=32' for section in ('validation', 'test')),
]


def environment(devices=1):
    """Of a command on so many CPU devices."""
    flags = os.environ['XLA_FLAGS'] + f' --xla_force_host_platform_device_count={devices}'
    return os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags}


def run(*arguments, **variables):
    """Runs a command in the repository's root, on one CPU device, with those variables of the environment."""
    command, env = [sys.executable, *map(str, arguments)], environment() | variables
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)


def attempt(*arguments):
    """The same of a command that is refused before anything is computed; a second of imports is behind it."""
    return forked.run(*arguments, env=environment())


@pytest.fixture(scope='module')
def trained(tiny_dir, tmp_path_factory):
    """(work folder, the finished training command)."""
    workdir = tmp_path_factory.mktemp('runs') / 'dnr'
    return workdir, run('train.py', *SMALL, f'--config.data.dir={tiny_dir}', f'--workdir={workdir}')


def test_train_and_eval(trained):
    workdir, training = trained
    assert training.returncode == 0, training.stderr
    evaluation = run('eval.py', f'--workdir={workdir}')
    assert evaluation.returncode == 0, evaluation.stderr
    lines, line = training.stdout.splitlines(), evaluation.stdout.splitlines()[-1]
    assert line in lines and line.startswith('test  ') and '% ' in line and line.endswith('(32 videos)')
    protocol = line.partition('%  2x2 frames')[2]
    assert sum(protocol in other for other in lines) == 2  # of validation, in the introduction, and of the test
    (validation,) = [other for other in lines if 'validation:' in other]
    assert validation.endswith('new best') and 'loss' in validation and 'epoch' in validation
    assert lines[-2] == 'tested is the last checkpoint, of step 6, which is the best one by validation too'
    assert f'{workdir}/test' in lines[-1]


def test_eval_overrides_and_the_home_folder(trained):
    """Which a shell puts in the place of ~ only where a word begins with it."""
    home, name = str(trained[0].parent), trained[0].name
    scored = run('eval.py', f'--workdir=~/{name}', '--config.test.clips=2', '--out=~/scored', HOME=home)
    assert '2x2 frames, 2x1 views' in scored.stdout, scored.stderr
    assert (trained[0].parent / 'scored/results.json').exists()


def assert_refused(command, *words):
    """One line on standard error with all these words, and a status that is not zero."""
    assert command.returncode != 0
    lines = [line for line in command.stderr.splitlines() if not line.startswith(('W0', 'I0', 'W1', 'I1'))]
    assert len(lines) == 1, command.stderr
    assert all(word in lines[0] for word in words), lines[0]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--config.train.epoch=3'], ['epoch', 'epochs']),
        (['--config.train.epochs=many'], ['config.train.epochs', 'many']),
        (['--config=configs/moving_shape.py'], ['configs/moving_shape.py']),
        (['--confg=x'], ['confg']),
        (['--config.trian.epochs=3'], ["no key 'trian'", "Did you mean 'train'?"]),
        (['--config.epochs=3'], ["no key 'epochs'", 'configs/base.py']),
        (['--config.clip.frames.x=3'], ['clip.frames.x']),
        (['--config=configs/base.pyy'], ['no config file', str(ROOT)]),
        (['--config=README.md'], ['README.md, line', 'SyntaxError']),
        (['--config.pixels.mean=0.5'], ['config.pixels.mean: expected', '3 values', '(0.5,)']),
        (['--config=configs/moving_shapes.py:resnet18,dnrr'], ["'dnrr'", "'dnr'"]),
        (['--config.clip.frames=3'], ['T = 3', 'strides that fit: 1, 3']),
    ],
)
def test_mistakes_in_train(tiny_dir, tmp_path, arguments, words):
    workdir = tmp_path / 'run'
    small = [SMALL[1], '--config.schedule.warmup_steps=1', f'--config.data.dir={tiny_dir}']
    command = attempt('train.py', *arguments, *small, f'--workdir={workdir}')
    assert_refused(command, *words)
    assert not workdir.exists()


def test_mistakes_of_every_command(tiny_dir, tmp_path):
    assert_refused(attempt('eval.py'), 'eval.py: expected --workdir')
    assert_refused(attempt('-m', 'dnr_jax.study', 'trace'), 'study: expected --workdir')
    small = [*SMALL, f'--config.data.dir={tiny_dir}', f'--workdir={tmp_path / "run"}']
    assert_refused(run('train.py', *small, JAX_PLATFORMS='cuda'), 'no device of JAX_PLATFORMS=cuda')
    for url, words in (('hdfs://a/b', 'gs://BUCKET'), ('gs:/a/b', 'gs://BUCKET')):
        assert_refused(attempt('train.py', *small[:-1], f'--workdir={url}'), words, url)
        assert not (ROOT / url.partition('/')[0]).exists()
    (tmp_path / 'config.py').write_text('from nowhere import nothing')
    assert_refused(
        attempt('train.py', f'--config={tmp_path / "config.py"}'), 'config.py, line 1: ModuleNotFoundError: '
    )
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('command', [['train.py'], ['eval.py'], ['-m', 'dnr_jax.predict']])
def test_help(command):
    helped = run(*command, '--help')
    assert (helped.returncode, helped.stderr) == (0, '')
    flags = [line.split()[0] for line in helped.stdout.splitlines() if line.startswith('  --')]
    assert flags[0].startswith('--config') and '--workdir' in flags and '--verbosity' not in flags


def test_defaults_in_help_are_as_they_are_given():
    assert '; after a colon: BACKBONE,NORMS. Default: configs/moving_shapes.py.' in run('train.py', '--help').stdout
    assert ' Default: cpu,cuda,tpu.' in run('-m', 'dnr_jax.export', '--help').stdout


def test_another_config(trained, tiny_dir):
    command = attempt('train.py', *SMALL, f'--config.data.dir={tiny_dir}', f'--workdir={trained[0]}', '--config.seed=1')
    assert_refused(command, 'belongs to another config', 'seed (0 there, 1 here)')


def test_mistakes_in_eval(trained, tmp_path):
    assert_refused(attempt('eval.py', f'--workdir={tmp_path / "nowhere"}'), 'nowhere', '--workdir')
    assert_refused(attempt('eval.py', f'--workdir={trained[0]}', '--checkpoint=77'), "'last', 'best'", '77')
    assert_refused(attempt('eval.py', f'--workdir={trained[0]}', '--config.model.width=8'), 'model.width')
    (tmp_path / 'checkpoints').mkdir()
    assert_refused(attempt('eval.py', f'--workdir={tmp_path}'), 'no finished checkpoint')


def test_truncated_data(tiny_dir, tmp_path):
    copy = shutil.copytree(tiny_dir, tmp_path / 'data')
    shard = sorted(copy.rglob('*test*.array_record*'))[0]
    shard.write_bytes(shard.read_bytes()[:1000])
    command = attempt('train.py', *SMALL, f'--config.data.dir={copy}', f'--workdir={tmp_path / "run"}')
    assert_refused(command, shard.name, 'prepare')
    assert not (tmp_path / 'run').exists()


def test_accelerators_by_name_belong_to_dry_runs(tmp_path):
    assert_refused(attempt('train.py', '--topology=v5e:2x2', f'--workdir={tmp_path}'), '--topology', '--dry_run')
    assert_refused(attempt('train.py', '--dry_run', '--classes=400'), '--classes', '--topology')
    assert_refused(attempt('train.py', '--dry_run', '--topology=v5e:4'), 'v5e:2x2', "got 'v5e:4'")
