"""Two processes that train with data and work folder in a bucket, are killed and go on, end as on a disk."""

import json

import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp
from training.test_distributed import ONE_EPOCH, PATIENCE, started, wait_for, without_pace

from benchmarks import kills
from dnr_jax.data import prepare
from dnr_jax.files import as_path, listed
from dnr_jax.runs.copies import Copies

TRAIN = [*ONE_EPOCH, '--config.train.epochs=3', '--config.run.checkpoint_every_steps=2']


@pytest.fixture(scope='module')
def data(gs):
    assert prepare.main(['moving_shapes', '--variant=tiny', f'--out={gs}/data', '--workers=0']) == 0
    return f'{gs}/data'


def state_of(workdir):
    """The arrays of the last checkpoint, on one device, whatever the devices they were saved from."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with Copies() as copies:
        path = copies.of(kills.step_folders(workdir)[-1])
        saved = {part: ocp.checkpointables_metadata(path).metadata[part] for part in ('variables', 'progress')}
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), saved)
        return jax.device_get(ocp.load_checkpointables(path, like))


def test_two_processes_that_are_killed(data, gs, tiny_dir, tmp_path):
    """Between two saves, and inside one: nothing that has its seal is lost, and no bit differs in the end."""
    near, far = tmp_path / 'near', as_path(f'{gs}/far')
    with started(near, tiny_dir, 2, 1, *TRAIN) as (children, logs):
        assert [child.wait(PATIENCE) for child in children] == [0, 0], logs[0].read_text()
    sealed = 0
    for number, moment in enumerate((lambda log: 'step      5/' in log.read_text(), lambda _: kills.saving(far), None)):
        with started(tmp_path / f'far{number}', data, 2, 1, *TRAIN, at=far) as (children, logs):
            if moment:
                wait_for(lambda log=logs[0], moment=moment: moment(log), logs[0])  # the end of the block kills both
            else:
                assert [child.wait(PATIENCE) for child in children] == [0, 0], logs[0].read_text()
        assert not sealed or f'goes on from its checkpoint of step {sealed},' in logs[0].read_text()
        sealed = kills.newest_sealed(far)
    jax.tree.map(np.testing.assert_array_equal, state_of(near), state_of(far))
    assert without_pace(near) == without_pace(far)
    results = [json.loads((workdir / 'test' / 'results.json').read_text()) for workdir in (near, far)]
    assert results[0] == results[1]
    assert not [name for name in listed(far) if 'lock' in name or 'trial' in name or 'damaged' in name]
