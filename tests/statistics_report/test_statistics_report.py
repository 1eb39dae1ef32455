"""The report on checkpoints whose statistics are known to be right, stale or shared, and its one sentence."""

import json
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import untrained

from dnr_jax import parallel
from dnr_jax.data.builders.shapes import LABEL_NAMES
from dnr_jax.evaluation import precise_statistics
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.statistics_report import drift, report

pytestmark = pytest.mark.usefixtures('resnet2')


def make_config(tiny_dir, norms='dnr'):
    """Two batches of validation clips."""
    config = untrained.make_config(norms, tiny_dir)
    config.model.norm.running_per_hop, config.train.batch_size = False, 16
    return config


def run(workdir, wanted=16):
    return report.report(workdir, 'last', lambda config: config, wanted, None)


@pytest.fixture(scope='module')
def stale(tmp_path_factory, tiny_dir, save_untrained):
    """A checkpoint of random statistics: its folder, config, model, variables and report."""
    workdir, config = tmp_path_factory.mktemp('stale'), make_config(tiny_dir)
    return workdir, config, *save_untrained(workdir, config), run(workdir)


def test_written_files(stale):
    workdir, *_, results = stale
    assert json.loads((workdir / 'statistics' / 'report.json').read_text()) == results
    assert (workdir / 'statistics' / 'statistics.png').read_bytes().startswith(b'\x89PNG')
    assert (results['data'], results['step']) == ('moving_shapes/tiny validation', 7)
    assert (results['clips'], results['batch_size']) == (32, 16)
    assert list(results['top1']) == list(report.WAYS)
    names = [layer['name'] for layer in results['layers']]
    assert names == ['norm_stem', 'stage1/block1/norm1', 'stage1/block1/norm2']
    assert [(layer['hops'], layer['pairs']) for layer in results['layers']] == [(1, 1), (1, 1), (2, 1)]
    table = report.to_text(results)
    assert all(name in table for name in names) and table.endswith(results['diagnosis'])
    assert all(line.split()[-2:] == ['-', '-'] for line in table.splitlines() if line.startswith(names[1]))


def test_precise_statistics_have_no_drift(stale, tmp_path, save_untrained):
    """What the report calls precise is what `precise_statistics` finds on the same clips, and evaluation uses it."""
    _, config, model, variables, before = stale
    mesh = parallel.make_mesh()
    clips, labels = report.read(config, LABEL_NAMES, 16, mesh)
    assert len(labels) == 32 and sorted(np.bincount(labels)) == [4] * 8
    batches = [{'clip': clip[:, 0]} for clip in clips]
    found = precise_statistics.precise_statistics(model, variables, batches, pixels=config.pixels.to_dict(), mesh=mesh)
    save_untrained(tmp_path, config, variables={'batch_stats': found})
    after = run(tmp_path)
    assert min(layer['drift_mean'] for layer in before['layers']) > 0.01
    assert max(layer[f'drift_{of}'] for layer in after['layers'] for of in ('mean', 'var')) < 1e-4
    assert after['layers'][-1]['spread_mean'] == pytest.approx(before['layers'][-1]['spread_mean'], rel=1e-4)
    assert after['top1']['running'] == after['top1']['precise'] == before['top1']['precise']
    assert after['top1']['training'] == before['top1']['training']


def test_every_way_is_scored_by_its_statistics(stale, tmp_path, monkeypatch):
    workdir, _, _, variables, _ = stale
    given = []

    def predict(variables, batch):
        given.append(variables['batch_stats']['stage1']['block1']['norm2']['statistics']['mean'])
        return jnp.zeros((16, 1, 8))

    monkeypatch.setattr(report, 'make_predict', lambda *_: predict)
    report.report(workdir, 'last', lambda config: config, 1, tmp_path)
    running, of_precise, per_hop, of_sets = given
    np.testing.assert_array_equal(running, variables['batch_stats']['stage1']['block1']['norm2']['statistics']['mean'])
    assert per_hop.shape == (2, 4) and np.ptp(per_hop, axis=0).min() > 0
    np.testing.assert_allclose(of_precise, per_hop.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(of_sets, per_hop, rtol=1e-5)


@pytest.mark.parametrize('stored', [4, 16, None])
def test_training_mode_is_by_sets_as_large_as_in_training(stale, tmp_path, monkeypatch, save_untrained, stored):
    """Whatever devices the report is made on: here two of 8 clips each, by which an older checkpoint is taken."""
    _, config, model, variables, _ = stale
    save_untrained(tmp_path, config, variables=variables, **{'clips_per_statistic': stored} if stored else {})
    heard, scored = [], report.metrics.top1
    monkeypatch.setattr(report.metrics, 'top1', lambda logits, labels: heard.append(logits) or scored(logits, labels))
    found = run(tmp_path, wanted=1)
    in_training = heard[-1]
    clips, _ = report.read(config, LABEL_NAMES, 1, parallel.make_mesh())
    pixels = normalize_pixels(jnp.asarray(clips[0][:, 0]), **config.pixels)
    train = jax.jit(partial(model.clone(dropout=0.0).apply, train=True, mutable=['batch_stats']))
    expected = [train(variables, part)[0] for part in jnp.split(pixels, 16 // (stored or 8))]
    np.testing.assert_allclose(in_training, np.concatenate(expected), rtol=1e-3, atol=1e-3)
    assert found['clips_per_statistic'] == (stored or 8)
    assert (report.ASSUMED in report.to_text(found)) == (stored is None)


def test_a_running_pair_for_every_hop(tiny_dir, tmp_path, save_untrained):
    """Then precise statistics are those of every hop, and are scored once; the spread is told all the same."""
    config = make_config(tiny_dir)
    config.model.norm.running_per_hop = True
    save_untrained(tmp_path, config)
    results = run(tmp_path, wanted=1)
    assert results['clips'] == 16 and 'precise_per_hop' not in results['top1']
    assert (results['layers'][-1]['hops'], results['layers'][-1]['pairs']) == (2, 2)
    assert results['layers'][-1]['spread_mean'] > 0


def test_renormalized_norms_are_not_scored_as_of_a_set(tiny_dir, tmp_path, save_untrained):
    save_untrained(tmp_path, make_config(tiny_dir, 'batch_renormalized,batch_renormalized'))
    assert set(run(tmp_path, wanted=1)['top1']) == {'training', 'running', 'precise'}


def test_mistakes(stale, tiny_dir, tmp_path, save_untrained):
    save_untrained(tmp_path, make_config(tiny_dir, 'group'))
    with pytest.raises(ValueError, match='Expected a model with running statistics'):
        run(tmp_path)
    assert not (tmp_path / 'statistics').exists()
    with pytest.raises(ValueError, match=r'whole batches.*= 16 clips.*got 0 wanted of the \d+ labelled clips'):
        run(stale[0], wanted=0)


LAYERS = [
    drift.Layer('stem', 1, 1, 0.9, 0.1, None, None),
    drift.Layer('relayed', 4, 1, 0.2, 0.1, 0.5, 0.3),
    drift.Layer('last', 4, 1, 0.1, 0.1, 0.8, 0.3),
]


@pytest.mark.parametrize(
    ('training', 'running', 'of_precise', 'per_hop', 'sentence'),
    [
        (0.86, 0.85, 0.86, 0.86, 'keeps up with training mode: top-1 85.0% and 86.0%'),
        (0.86, 0.41, 0.40, 0.85, 'loses 45.0 points.*hops.*most at last.*reaches 85.0%.*running_per_hop=True'),
        (0.86, 0.41, 0.85, 0.86, 'loses 45.0 points.*drifted, most at stem.*reaches 85.0%'),
        (0.86, 0.41, 0.85, None, 'drifted, most at stem.*reaches 85.0%'),
        (0.86, 0.41, 0.50, 0.45, 'do not bring them back'),
    ],
)
def test_diagnosis(training, running, of_precise, per_hop, sentence):
    top1 = {'training': training, 'running': running, 'precise': of_precise, 'self_inclusive': of_precise}
    with_hops = top1 if per_hop is None else top1 | {'precise_per_hop': per_hop}
    assert re.search(sentence, report.diagnose(with_hops, LAYERS))


def test_where_counting_clips_into_their_sets_is_what_helps():
    top1 = {'training': 0.8, 'running': 0.4, 'precise': 0.4, 'precise_per_hop': 0.42, 'self_inclusive': 0.7}
    assert re.search('one of the few.*reaches 70.0%: try config.run.self_inclusive', report.diagnose(top1, LAYERS))


def test_where_nothing_can_be_written_nothing_is_read():
    with pytest.raises(ValueError, match='folder that can be written to'):
        report.report('nowhere', 'last', lambda config: config, 1, '/proc/never')
