"""Which programs are compiled ahead, what is left out, and how one that fails is told."""

import json

import jax.numpy as jnp
import pytest
from absl import flags
from absl.testing import flagsaver
from flax.traverse_util import flatten_dict
from small_networks import NORM, shapes

from benchmarks import ahead, ahead_table, records
from benchmarks.first_blocks import CUT, FIRST_BLOCKS
from dnr_jax import models

SHAPE = {'clips': 2, 'size': 112, 'width': 64}


@pytest.fixture(autouse=True)
def parsed():
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(accelerators=['v5e:1x1', 'h100:2'], backbones=['resnet50', 'i3d_resnet50'], norms=['dnr']):
        yield


def test_all_that_is_asked_for():
    found = ahead.wanted()
    assert [(of['accelerator'], of['backbone'], of['frames']) for of in found] == [
        ('v5e:1x1', 'resnet50', 8), ('v5e:1x1', 'i3d_resnet50', 16),
        ('h100:2', 'resnet50', 8), ('h100:2', 'i3d_resnet50', 16),
    ]  # fmt: skip
    assert {of['pass'] for of in found} == {'training'} and all(set(ahead.KEY) == set(of) for of in found)


def test_the_peer_is_asked_for_alone():
    with flagsaver.flagsaver(flax_example='somewhere'):
        assert [of['backbone'] for of in ahead.wanted()] == ['flax example'] * 2


def test_what_is_recorded_is_left_out(tmp_path, monkeypatch, capsys):
    path, asked = tmp_path / 'found.jsonl', []
    first, *others = ahead.wanted()
    records.add(path, first)
    monkeypatch.setattr(records, 'FOLDER', tmp_path)
    monkeypatch.setattr(
        ahead, 'in_a_process', lambda program: asked.append(program) or {'failed': 'status -6: Aborted'}
    )
    monkeypatch.setattr(ahead.jax.config, 'update', lambda *_: None)
    with flagsaver.flagsaver(record='found'):
        ahead.main([])
        ahead.main([])
    assert asked == others
    assert [record.get('failed') for record in records.read(path)] == [None] + ['status -6: Aborted'] * 3
    assert capsys.readouterr().out.count('Aborted') == 3


def test_a_program_that_fails_takes_nothing_with_it():
    found = ahead.in_a_process({'accelerator': 'v9:1', 'backbone': 'resnet18', 'norms': 'dnr', **SHAPE})
    assert set(found) == {'failed'} and "Unknown accelerator 'v9'" in found['failed']


def test_what_is_told_of_a_failure_names_the_error():
    told = 'W0000 a warning\nTraceback:\n  File "a.py"\nValueError: 4 for 3\n---\nFor simplicity, frames are left out\n'
    assert ahead.refusal(told) == 'ValueError: 4 for 3'
    assert ahead.refusal('Fatal: aborted\n\n') == 'Fatal: aborted' and ahead.refusal('') == ''


def test_the_recipe_at_that_size():
    program = json.loads(json.dumps(ahead.wanted()[0])) | {'dtype': 'bfloat16'}
    config = ahead.config_of(program, type('Mesh', (), {'size': 4}))
    assert (config.train.batch_size, config.augment.size, config.clip.frames, config.model.dtype) == (
        8,
        112,
        8,
        'bfloat16',
    )
    assert config.validation.batch_size == 8
    assert (config.test.batch_size, config.test.clips, config.test.crops, config.test.size) == (8, 1, 1, 112)


def kernels(backbone):
    """Shapes of the convolutions."""
    settings = {'standardize_weights': False, 'width': 64, 'dropout': 0.0, 'dtype': 'float32', 'remat': False}
    model = models.build(backbone=backbone, norms='batch', norm=NORM, classes=None, **settings)
    params = shapes(model, jnp.zeros((1, 8, 32, 32, 3)))['params']
    return {path: leaf.shape for path, leaf in flatten_dict(params).items() if leaf.ndim > 3}


@pytest.mark.parametrize('backbone', CUT)
def test_first_blocks(backbone, monkeypatch):
    """They are named as those of the whole network; where it has convolutions over time, one is among them."""
    monkeypatch.setitem(models.MODELS, 'cut', FIRST_BLOCKS[f'{backbone}_first_blocks'])
    cut, whole = kernels('cut'), kernels(backbone)
    assert set(cut) < set(whole) and len(cut) < len(whole) / 3
    over_time = [any(len(shape) == 5 for shape in of.values()) for of in (cut, whole)]
    assert over_time[0] == over_time[1]


def test_the_table_sets_relays_beside_batch_norm():
    def record(norms, cycles, peak):
        return {'backbone': 'resnet50', 'frames': 8, 'norms': norms, 'cycles': cycles, 'peak_bytes': peak}

    found = [record('batch', 50e6, 2e9), record('dnr', 55e6, 1.9e9)]
    assert list(ahead_table.rows(found, ['cycles', 'peak_bytes'])) == [
        ['`resnet50`', '8', '50.0 M, 1.100', '2,000.0 MB, 0.950']
    ]
    (alone,) = ahead_table.rows(found[:1], ['cycles'])
    assert alone[-1] == '50.0 M'
    (failed,) = ahead_table.rows([found[0], {**found[1], 'failed': 'status -6'}], ['cycles'])
    assert failed[-1] == 'dnr failed'


def test_a_table_has_one_size():
    def record(size):
        of = {'accelerator': 'v5e:1x1', 'pass': 'training', 'dtype': 'bfloat16', 'backbone': 'resnet50', 'norms': 'dnr'}
        return of | {'size': size, 'width': 64, 'cycles': 1e6, 'peak_bytes': 0}

    assert ahead_table.alike(record(112)) != ahead_table.alike(record(224))
    assert ahead_table.alike(record(112)) == ahead_table.alike(record(112) | {'norms': 'batch'})
