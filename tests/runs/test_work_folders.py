"""A work folder may come from anywhere: whatever stands in it is a model, or one line."""

import json
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from configs import moving_shapes
from dnr_jax import models, parallel
from dnr_jax.command import running
from dnr_jax.models.resnet import BasicBlock, resnet
from dnr_jax.runs import checkpoints, manifest, ownership, reporting, trained_model
from dnr_jax.runs.state import TrainState
from dnr_jax.study import commands

DESCRIPTION = '_CHECKPOINT_METADATA'


@pytest.fixture(scope='module', autouse=True)
def few_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, 'resnet2', partial(resnet, BasicBlock, (1,)))
        yield


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A work folder with a checkpoint of a small network."""
    folder, config = tmp_path_factory.mktemp('runs') / 'run', moving_shapes.get_config('resnet2,batch')
    config.model.width = 4
    model = models.build(**config.model.to_dict(), classes=3)
    variables = jax.jit(partial(model.init, train=False))(jax.random.key(0), jnp.zeros((1, 2, 8, 8, 3)))
    rest = {'average': {}, 'opt_state': (), 'skipped': jnp.int32(0), 'damaged': jnp.int32(0)}
    about = {'config': ownership.as_json(config), 'label_names': ['a', 'b', 'c'], 'fingerprints': {}, 'unreported': []}
    with checkpoints.Checkpoints(folder / 'checkpoints', keep=2) as kept:
        kept.save(TrainState(step=jnp.int32(1), **variables, **rest), about, {'top1': 0.5})
    return folder


@pytest.fixture
def workdir(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / 'run')


def load(workdir):
    """As it is found by whoever sealed it last."""
    folder = workdir / 'checkpoints' / '1'
    (folder / manifest.NAME).unlink()
    manifest.seal(folder)
    return trained_model.load(workdir, 'best', lambda config: config, parallel.make_mesh())


def expect_refused(workdir):
    with pytest.raises(ValueError) as refused:
        load(workdir)
    assert running.raised_here(refused.value) and len(str(refused.value).splitlines()) == 1


def put(told, key, value):
    """Sets the value of a nested key; takes it away for ..."""
    *above, last = key.split('.')
    for name in above:
        told = told[name]
    if value is ...:
        del told[last]
    else:
        told[last] = value


def test_a_folder_as_it_was_written(workdir):
    assert load(workdir).label_names == ('a', 'b', 'c')


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('config', None),
        ('config', 5),
        ('config', {}),
        ('config', ...),
        ('config.model', None),
        ('config.model', {}),
        ('config.model.width', 'x'),
        ('config.model.width', 8),  # of others than the arrays
        ('config.model.norms', ['batch']),
        ('config.clip', ...),
        ('config.ranges', 5),
        ('label_names', None),
        ('label_names', []),
        ('label_names', 'abc'),
        ('label_names', [1, 2, 3]),
        ('label_names', ['a', 'b']),
        ('fingerprints', None),
        ('fingerprints', {'train': 5}),
        ('validation', ...),
        ('validation', 5),
        ('validation', {'top1': []}),
    ],
)
def test_descriptions(workdir, key, value):
    path = workdir / 'checkpoints' / '1' / DESCRIPTION
    told = json.loads(path.read_text())
    put(told['custom_metadata'], key, value)
    path.write_text(json.dumps(told))
    expect_refused(workdir)


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'\xff', b'[' * 100_000])
@pytest.mark.parametrize('name', [DESCRIPTION, 'variables/_METADATA'])
def test_files_that_somebody_has_sealed_again(workdir, name, content):
    (workdir / 'checkpoints' / '1' / name).write_bytes(content)
    expect_refused(workdir)


@pytest.mark.parametrize('content', ['', '{', '[]', '[' * 100_000])
def test_a_damaged_config_is_no_config_to_compare(workdir, content):
    (workdir / 'config.json').write_text(content)
    with pytest.raises(ValueError, match='holds no config'):
        with ownership.claimed(workdir, moving_shapes.get_config('resnet2,batch'), ()):
            raise AssertionError('it belongs to nobody')


def test_lines_of_metrics_that_are_none(tmp_path):
    good = '{"step": 1, "kind": "train"}'
    (tmp_path / 'metrics.jsonl').write_bytes(b'\n'.join([b'[]', b'5', b'\xff', b'{"step": []}', b'{}', good.encode()]))
    with reporting.Reporter(tmp_path, 1, writes=True):
        assert (tmp_path / 'metrics.jsonl').read_text() == f'{good}\n'


@pytest.mark.parametrize('content', ['', '[]', '{}', '{"costs": 5}', '{"costs": [{"a": 1}]}', '{"costs": [], "x": 1}'])
def test_answers_of_a_study_that_are_none(tmp_path, content):
    (tmp_path / 'ablate.json').write_text(content)
    assert commands.found_before(tmp_path / 'ablate.json', {}) == {}
