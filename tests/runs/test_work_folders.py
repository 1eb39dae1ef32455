"""A work folder may come from anywhere: whatever stands in it is a model, or one line."""

import json
import shutil

import pytest
from untrained import make_config

from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.command import faults
from dnr_jax.runs import manifest, ownership, reporting, trained_model
from dnr_jax.study import commands

DESCRIPTION = '_CHECKPOINT_METADATA'

pytestmark = pytest.mark.usefixtures('resnet2')


@pytest.fixture(scope='module')
def saved(tmp_path_factory, save_untrained):
    """A work folder with a checkpoint of a small network."""
    folder, names = tmp_path_factory.mktemp('runs') / 'run', ['a', 'b', 'c']
    save_untrained(folder, make_config('batch', None), classes=3, label_names=names, metrics={'top1': 0.5})
    return folder


@pytest.fixture
def workdir(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / 'run')


def load(workdir):
    """As it is found by whoever sealed it last."""
    folder = workdir / 'checkpoints' / '7'
    (folder / manifest.NAME).unlink()
    manifest.seal(folder)
    return trained_model.load(workdir, 'best', lambda config: config, parallel.make_mesh())


def expect_refused(workdir):
    with pytest.raises(ValueError) as refused:
        load(workdir)
    assert faults.began_in(refused.value, faults.HERE) and len(str(refused.value).splitlines()) == 1


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
    path = workdir / 'checkpoints' / '7' / DESCRIPTION
    told = json.loads(path.read_text())
    put(told['custom_metadata'], key, value)
    path.write_text(json.dumps(told))
    expect_refused(workdir)


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'\xff', b'[' * 100_000])
@pytest.mark.parametrize('name', [DESCRIPTION, 'variables/_METADATA'])
def test_files_that_somebody_has_sealed_again(workdir, name, content):
    (workdir / 'checkpoints' / '7' / name).write_bytes(content)
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
