"""Saving, choosing and restoring checkpoints: bit for bit, newest and best kept, clear errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnr_jax import checkpoints, parallel
from dnr_jax.state import TrainState


def make_state(step, seed=0, averaged=False):
    kernel, mean = jax.random.normal(jax.random.key(seed), (2, 3, 4))
    return TrainState(
        step=jnp.int32(step),
        params={'conv': {'kernel': kernel}},
        average={'conv': {'kernel': kernel / 2}} if averaged else {},
        batch_stats={'norm': {'mean': mean}},
        opt_state=(jnp.int32(step), {'conv': {'kernel': kernel * 2}}),
        skipped=jnp.int32(seed),
    )


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
    mesh = parallel.make_mesh()
    saved = make_state(3, seed=3)
    like = checkpoints.abstract(saved, parallel.replicated(mesh))
    with checkpoints.Checkpoints(folder, keep=2) as there:
        assert there.latest == checkpoints.Checkpoint(4, {'config': {'scales': [1.0, 0.5]}}, None)
        restored = there.restore(3, like)
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(saved), strict=True):
        assert one.dtype == other.dtype and one.sharding == parallel.replicated(mesh)
        np.testing.assert_array_equal(one, other)


def test_variables_alone(folder):
    saved = make_state(2, seed=2)
    like = checkpoints.abstract(saved.variables, parallel.replicated(parallel.make_mesh()))
    variables = checkpoints.load_variables(folder, 2, like)
    np.testing.assert_array_equal(variables['params']['conv']['kernel'], saved.params['conv']['kernel'])
    assert variables.keys() == {'params', 'batch_stats'}
