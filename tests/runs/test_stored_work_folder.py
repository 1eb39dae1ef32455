"""A work folder of an earlier version, commit ca1c856, can be used, scored and trained on."""

import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.runs import trained_model
from dnr_jax.runs.checkpoints import Checkpoints
from dnr_jax.runs.ownership import claimed, expect_same_state, read
from dnr_jax.training import setup

STORED = Path(__file__).parent / 'work_folders/resnet18_dnr.zip'
STEP = 3


@pytest.fixture
def workdir(tmp_path):
    """Three steps of resnet18 of width 2 with relays on moving shapes, and `logits.npy` of `clip`."""
    with zipfile.ZipFile(STORED) as stored:
        stored.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def clip():
    return jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 32, 32, 3)), jnp.float32)


def test_its_model_says_what_it_said(workdir, clip):
    found = trained_model.load(workdir, 'last', lambda config: config, parallel.make_mesh())
    assert (found.step, len(found.label_names)) == (STEP, 8)
    logits = jax.jit(lambda variables: found.model.apply(variables, clip, train=False))(found.variables)
    np.testing.assert_allclose(logits, np.load(workdir / 'logits.npy'), rtol=1e-4, atol=1e-5)


def test_its_training_goes_on(workdir):
    config = ConfigDict(read(workdir / 'config.json'))  # what has been added since stands in it
    parts = setup.assemble(config, parallel.make_mesh(), classes=8, steps_per_epoch=STEP)
    with claimed(workdir, config, ()), Checkpoints(workdir / 'checkpoints', keep=2) as checkpoints:
        newest = checkpoints.latest
        expect_same_state(checkpoints.unlike(newest.step, parts.shapes()), newest.about['config'], config)
        state = checkpoints.restore(STEP, parallel.abstract(parts.shapes(), parallel.replicated(parts.mesh)))
    assert int(state.step) == STEP
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(state.opt_state))
