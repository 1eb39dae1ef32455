import json

import pytest

from benchmarks import records
from experiments import families


@pytest.fixture
def workdir(tmp_path):
    """Of two trainings that have ended."""
    for norms, top1 in (('batch', 0.25), ('dnr', 0.875)):
        folder = tmp_path / f'resnet18_{norms}_0'
        (folder / 'test').mkdir(parents=True)
        (folder / 'test/results.json').write_text(json.dumps({'top1': top1, 'step': 1024}))
        (folder / 'config.json').write_text(json.dumps({'seed': 0, 'data': {'name': 'moving_shapes/standard'}}))
    return tmp_path


def test_a_finished_training_is_recorded_once(workdir):
    into = workdir / 'mine.jsonl'
    for _ in range(2):
        assert families.top1('resnet18', 'dnr', 0, workdir, 'data', into) == 0.875
        assert families.top1('resnet18', 'batch', 0, workdir, 'data', into) == 0.25
    found = [(record['norms'], record['top1'], record['steps']) for record in records.read(into)]
    assert found == [('dnr', 0.875, 1024), ('batch', 0.25, 1024)]
