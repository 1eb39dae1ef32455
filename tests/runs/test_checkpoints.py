"""Saving, choosing and restoring checkpoints: bit for bit, newest and best kept, no damage accepted, clear errors."""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.test_workers import wait_until

from benchmarks import corruption
from dnr_jax import parallel
from dnr_jax.runs import checkpoints, manifest, stored
from dnr_jax.runs.state import TrainState


def make_state(step, seed=0, averaged=False):
    kernel, mean = jax.random.normal(jax.random.key(seed), (2, 3, 4))
    return TrainState(
        step=jnp.int32(step),
        params={'conv': {'kernel': kernel}},
        average={'conv': {'kernel': kernel / 2}} if averaged else {},
        batch_stats={'norm': {'mean': mean}},
        opt_state=(jnp.int32(step), {'conv': {'kernel': kernel * 2}}),
        skipped=jnp.int32(seed),
        damaged=jnp.int32(seed),
    )


def like(state):
    return parallel.abstract(state, parallel.replicated(parallel.make_mesh()))


def assert_same(restored, saved):
    """The same bits, on all devices."""
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(saved), strict=True):
        assert one.dtype == other.dtype and one.sharding == parallel.replicated(parallel.make_mesh())
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Steps 1 to 4 with validation top-1 0.2, 0.9, 0.5 and none; the newest two are kept."""
    folder = tmp_path_factory.mktemp('run') / 'checkpoints'
    with checkpoints.Checkpoints(folder, keep=2) as saved:
        for step, top1 in [(1, 0.2), (2, 0.9), (3, 0.5), (4, None)]:
            saved.save(make_state(step, seed=step), {'config': {'scales': (1.0, 0.5)}}, top1 and {'top1': top1})
    return folder


def test_newest_and_best_stay(folder):
    assert sorted(path.name for path in folder.iterdir() if path.name.isdigit()) == ['2', '3', '4']


def test_find(folder):
    assert checkpoints.find(folder, 'last').step == 4
    assert checkpoints.find(folder, 'best').step == 2
    found = checkpoints.find(folder, '3')
    assert (found.step, found.metrics, found.about) == (3, {'top1': 0.5}, {'config': {'scales': [1.0, 0.5]}})


@pytest.mark.parametrize('which', ['7', 'newest', ''])
def test_unknown_checkpoint(folder, which):
    with pytest.raises(ValueError, match=r"'last', 'best'.*\[2, 3, 4\]"):
        checkpoints.find(folder, which)


def test_no_folder_and_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match='--workdir'):
        checkpoints.find(tmp_path / 'nowhere', 'last')
    assert not (tmp_path / 'nowhere').exists()
    with pytest.raises(ValueError, match='no finished checkpoint'):
        checkpoints.find(tmp_path, 'last')


def test_restore_is_bit_exact_and_laid_out(folder):
    saved = make_state(3, seed=3)
    with checkpoints.Checkpoints(folder, keep=2) as there:
        assert there.latest == stored.Checkpoint(4, {'config': {'scales': [1.0, 0.5]}}, None)
        assert_same(there.restore(3, like(saved)), saved)


def test_averages_are_what_is_used_and_parameters_come_back_too(tmp_path):
    saved = make_state(1, averaged=True)
    with checkpoints.Checkpoints(tmp_path, keep=2) as there:
        there.save(saved, {}, None)
        there.wait()
        assert_same(there.restore(1, like(saved)), saved)
    variables = stored.load_variables(tmp_path, 1, like(saved.variables))
    assert_same(variables['params'], saved.average)


def test_variables_alone(folder):
    saved = make_state(2, seed=2)
    variables = stored.load_variables(folder, 2, like(saved.variables))
    np.testing.assert_array_equal(variables['params']['conv']['kernel'], saved.params['conv']['kernel'])
    assert variables.keys() == {'params', 'batch_stats'}


def test_one_alone_is_too_few(tmp_path):
    with pytest.raises(ValueError, match='config.run.keep is 2 or more.*got 1'):
        checkpoints.Checkpoints(tmp_path / 'none', keep=1)
    assert not (tmp_path / 'none').exists()


def test_the_same_step_again(tmp_path):
    again = make_state(1, seed=2)
    with checkpoints.Checkpoints(tmp_path, keep=2) as there:
        there.save(make_state(1, seed=1), {}, None)
        there.save(again, {'more': True}, {'top1': 0.5})
        there.wait()
        assert_same(there.restore(1, like(again)), again)
    assert checkpoints.find(tmp_path, 'best') == stored.Checkpoint(1, {'more': True}, {'top1': 0.5})


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of `folder`, to be harmed."""
    return shutil.copytree(folder, tmp_path / 'copy')


@pytest.mark.parametrize('seed', range(12))
def test_the_older_one_takes_the_place_of_a_damaged_one(copy, seed, caplog):
    fault = corruption.strike(copy / '4', random.Random(seed))
    assert checkpoints.find(copy, 'last').step == 3, fault
    with pytest.raises(ValueError, match=r'checkpoint of step 4 in .* is damaged: .*There are \[2, 3, 4\]'):
        checkpoints.find(copy, '4')
    caplog.clear()
    with checkpoints.Checkpoints(copy, keep=2) as there:
        assert there.latest.step == 3, fault
        assert_same(there.restore(3, like(make_state(3))), make_state(3, seed=3))
    assert f'{copy / "4"} is damaged and is not used' in caplog.text
    assert {path.name for path in copy.iterdir()} in ({'2', '3', '4.damaged'}, {'2', '3', checkpoints.UNSEALED})


def test_none_left_undamaged(copy):
    for path in copy.iterdir():
        (path / 'manifest.json').unlink()
    with pytest.raises(ValueError, match=r'no finished checkpoint that is undamaged, only \[2, 3, 4\]'):
        checkpoints.find(copy, 'last')
    with checkpoints.Checkpoints(copy, keep=2) as there:
        assert there.latest is None


def test_what_a_killed_save_left_is_gone_after_opening(copy):
    unfinished = '5.orbax-checkpoint-tmp'
    shutil.copytree(copy / '4', copy / unfinished)
    assert checkpoints.find(copy, 'last').step == 4
    with checkpoints.Checkpoints(copy, keep=2) as there:
        assert there.latest.step == 4
        wait_until(lambda: not (copy / unfinished).exists())  # Orbax takes it away beside, which a busy machine delays
    assert {path.name for path in copy.iterdir()} == {'2', '3', '4'}


def test_a_full_disk_is_noticed_before_the_save(copy, monkeypatch):
    with checkpoints.Checkpoints(copy, keep=2) as there:
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=0))
        with pytest.raises(checkpoints.CheckpointError, match=r'takes \d+ MB, the disk of .* has 0 MB left'):
            there.save(make_state(5), {}, None)
    assert checkpoints.find(copy, 'last').step == 4
    assert {path.name for path in copy.iterdir()} == {'2', '3', '4'}


def test_a_save_that_fails_later_is_told_at_the_next_check_and_does_not_count(copy, monkeypatch):
    def fail(folder):
        raise OSError('no space left on device')

    def check_for_a_while(there):
        for _ in range(1000):
            there.check()
            time.sleep(0.01)

    with checkpoints.Checkpoints(copy, keep=2) as there:
        monkeypatch.setattr(manifest, 'seal', fail)
        there.save(make_state(5), {}, None)
        with pytest.raises(checkpoints.CheckpointError, match='step 5 could not be written to .*: no space left'):
            check_for_a_while(there)
        there.check()  # it is told once
    assert checkpoints.find(copy, 'last').step == 4
    with checkpoints.Checkpoints(copy, keep=2) as there:
        assert there.latest.step == 4


@pytest.mark.parametrize('name', ['²', '٣', '007', 'x', '5'])
def test_what_is_no_step(copy, name):
    """Also a file by the name of one."""
    (copy / name).touch() if name == '5' else shutil.copytree(copy / '4', copy / name)
    assert checkpoints.find(copy, 'last').step == 4
    with pytest.raises(ValueError, match=r'one of the steps \[2, 3, 4\]'):
        checkpoints.find(copy, name)
    with checkpoints.Checkpoints(copy, keep=2) as there:
        assert there.latest.step == 4
        there.save(make_state(8), {}, None)
    assert checkpoints.find(copy, 'last').step == 8


def rotating(monkeypatch, happens, before=True):
    """Lets something happen before or after every load; returns the steps that were loaded."""
    load, steps = stored.load_variables, []

    def load_variables(folder, step, like):
        steps.append(step)
        if before:
            happens(folder, step)
        loaded = load(folder, step, like)
        if not before:
            happens(folder, step)
        return loaded

    monkeypatch.setattr(stored, 'load_variables', load_variables)
    return steps


def take_away(only_once):
    """Half of the arrays, of the newest or of every step, and all of it soon after, as Orbax takes checkpoints away."""
    taken = []

    def take(folder, step):
        if only_once and taken:
            return
        taken.append(step)
        path = folder / str(step)
        arrays = sorted(file for file in path.rglob('*') if file.is_file() and '/d/' in str(file))
        assert arrays
        for file in arrays[: len(arrays) // 2 + 1]:
            file.unlink()
        threading.Timer(0.05, shutil.rmtree, (path,)).start()

    return take


# What Orbax does not find it may also tell of, from a thread, once it has been forgotten.
orbax_complains = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')


@orbax_complains
@pytest.mark.parametrize('before', [True, False])
def test_a_checkpoint_that_is_taken_away_while_it_is_read(copy, monkeypatch, before):
    steps = rotating(monkeypatch, take_away(only_once=True), before)
    shapes = like(make_state(3).variables)
    found, variables = checkpoints.load(copy, 'last', lambda found: shapes)
    assert (steps, found.step) == ([4, 3], 3)
    assert_same(variables, make_state(3, seed=3).variables)


@orbax_complains
def test_checkpoints_that_are_taken_away_for_ever(copy, monkeypatch):
    rotating(monkeypatch, take_away(only_once=False))
    with pytest.raises(ValueError, match='no finished checkpoint'):
        checkpoints.load(copy, 'last', lambda found: like(make_state(1).variables))


@orbax_complains
def test_the_step_asked_for_is_taken_away(copy, monkeypatch):
    rotating(monkeypatch, take_away(only_once=True))
    with pytest.raises(ValueError, match=r"one of the steps \[2, 3\], got '4'"):
        checkpoints.load(copy, '4', lambda found: like(make_state(1).variables))


def test_one_that_is_sealed_while_all_others_go(copy, monkeypatch):
    """What was listed is damaged in the end, but for the newest, which had no seal yet."""
    for step in ('2', '3', '4'):
        (copy / step / manifest.NAME).unlink()

    def late(path):
        if path.name == '2':
            manifest.seal(copy / '4')
        return False

    monkeypatch.setattr(checkpoints, 'is_going', late)
    assert checkpoints.find(copy, 'last').step == 4


TRAINING = """
import sys
from test_checkpoints import checkpoints, make_state
with checkpoints.Checkpoints(sys.argv[1], keep=2) as there:
    print('ready', flush=True)
    for step in range(1, 40):
        there.save(make_state(step, seed=step), {'config': {}}, None)
"""


@orbax_complains
def test_read_while_a_training_saves(tmp_path):
    """Whatever is read has all arrays, of its own step."""
    shapes, read = like(make_state(1).variables), []
    paths = os.pathsep.join(map(str, (Path(__file__).parent, *Path(__file__).parents[1:3])))
    command = [sys.executable, '-c', TRAINING, tmp_path / 'run']
    env = os.environ | {'PYTHONPATH': paths}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout.readline() == b'ready\n'
        while trainer.poll() is None:
            try:
                found, variables = checkpoints.load(tmp_path / 'run', 'last', lambda found: shapes)
            except ValueError as error:
                assert 'no finished checkpoint' in str(error) and not read
                continue
            assert_same(variables, make_state(found.step, seed=found.step).variables)
            read.append(found.step)
    assert trainer.returncode == 0
    assert len(set(read)) > 3 and read == sorted(read)
