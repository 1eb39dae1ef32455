"""Evaluation of models whose scores can be counted by hand, over whole and over damaged data."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.conftest import prepare_tiny

from configs import moving_shapes
from dnr_jax import evaluation, parallel, scores
from dnr_jax.data import pipeline
from dnr_jax.data.annotations.rows import Rejected
from dnr_jax.data.source import VideoSource, open_split
from dnr_jax.predictions import Missing


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """32 videos, four of each of eight classes."""
    return open_split('moving_shapes/tiny', str(prepare_tiny(tmp_path_factory.mktemp('data'))), 'test')


@pytest.fixture
def config():
    config = moving_shapes.get_config()
    config.test.update({'batch_size': 10, 'clips': 2, 'crops': 3, 'short_side': 40})
    config.clip.frames = 2
    return config


def always_2(variables, batch):
    """Says class 2 of every view."""
    assert batch['clip'].shape[1:] == (6, 2, 32, 32, 3)
    return jnp.zeros((*batch['clip'].shape[:2], 8)).at[..., 2].set(1.0)


def evaluate(step, source, config):
    mesh = parallel.make_mesh()
    predict = parallel.compile_eval_step(step, mesh)
    return evaluation.evaluate(predict, {}, source, config, 'test', mesh, before_batch=lambda: None)


def labels_of(source):
    return {record['id']: record['label'] for record in (source[i] for i in range(len(source)))}


@pytest.mark.parametrize('batch_size', [4, 10, 32, 34])
def test_every_video_is_scored_once(source, config, batch_size):
    """Whoever always says class 2 is right for one video in eight, however the videos fill the batches."""
    config.test.batch_size = batch_size
    predictions = evaluate(always_2, source, config)
    assert dict(zip(predictions.ids.tolist(), predictions.labels.tolist(), strict=True)) == labels_of(source)
    assert predictions.views.shape == (32, 6, 8) and predictions.logits.shape == (32, 8)
    assert scores.summarize(predictions)['top1'] == 1 / 8
    assert predictions.missing == () and predictions.expected == 32


def mean_of_clip(variables, batch):
    """A logit that tells views and videos apart."""
    mean = batch['clip'].mean(axis=(2, 3, 4, 5)).astype(jnp.float32)
    return jnp.stack([mean] + [jnp.zeros_like(mean)] * 7, axis=-1)


def test_views_keep_their_places(source, config):
    predictions = evaluate(mean_of_clip, source, config)
    one = np.flatnonzero(predictions.ids == source[17]['id'])[0]
    settings = {key: config.test[key] for key in ('clips', 'crops', 'short_side', 'size')}
    batches = pipeline.eval_batches(
        source, **config.clip, **settings, damaged='stop', batch_size=32, workers=0, shard_index=0, shard_count=1
    )
    batch = next(batches)
    batches.close()
    expected = batch['clip'][batch['id'] == source[17]['id']][0].mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(predictions.views[one, :, 0], expected, rtol=1e-4)


class FakeSource(VideoSource):
    """Six videos; `len`, labels and what could not be prepared is all that is asked of it."""

    label_names = tuple('abcdefgh')
    failures = (Rejected('test', 'v6', '/there', 'missing', ''),)
    expected = 7

    def __init__(self):
        pass

    def __len__(self):
        return 6


def fake_batches(*_, batch_size, damaged, **settings):
    """The batches of six videos, of which v3 is damaged and v4 has no label; each clip is 2 x its number."""

    class Batches:
        def __iter__(self):
            for start in range(0, 6, batch_size):
                numbers = np.arange(start, start + batch_size)
                yield {
                    'clip': np.tile(2 * numbers[:, None, None].astype(np.uint8), (1, 2, 3)),
                    'label': np.where(numbers < 6, np.where(numbers == 4, -1, numbers), 0).astype(np.int32),
                    'mask': (numbers < 6) & (numbers != 3),
                    'id': np.array([f'v{n}' if n < 6 else '' for n in numbers]),
                    'damaged': (numbers == 3).astype(np.int32),
                }

        def close(self):
            pass

    return Batches()


def says_its_number(variables, batch):
    return jax.nn.one_hot(batch['clip'][..., 0] // 2, 8)


@pytest.mark.parametrize('batch_size', [2, 4, 6, 8])
def test_damaged_videos_are_listed(config, monkeypatch, batch_size):
    monkeypatch.setattr(pipeline, 'eval_batches', fake_batches)
    config.test.batch_size = batch_size
    predictions = evaluate(says_its_number, FakeSource(), config)
    assert predictions.ids.tolist() == ['v0', 'v1', 'v2', 'v4', 'v5']
    assert predictions.labels.tolist() == [0, 1, 2, -1, 5]
    assert predictions.logits.argmax(axis=1).tolist() == [0, 1, 2, 4, 5]
    assert predictions.missing == (Missing('v6', 'missing'), Missing('v3', 'damaged')) and predictions.expected == 7
    coverage = scores.cover(predictions)
    assert coverage['reasons'] == {'damaged': 1, 'missing': 1} and coverage['missing'] == 2
    assert (coverage['top1_at_least'], coverage['top1_at_most']) == (4 / 6, 1.0)


def test_a_video_that_vanishes_is_a_bug(config, monkeypatch):
    monkeypatch.setattr(pipeline, 'eval_batches', fake_batches)
    monkeypatch.setattr(FakeSource, '__len__', lambda self: 7)
    with pytest.raises(AssertionError, match='every video'):
        evaluate(says_its_number, FakeSource(), config)


def test_processes_are_put_in_order(monkeypatch):
    """Two processes with two batches of three videos each, the last of them padding."""
    of_process = [np.arange(12).reshape(2, 2, 3)[:, p] for p in (0, 1)]  # video numbers [batches B]
    both = {rows.tobytes(): np.concatenate(pair) for pair in zip(*of_process, strict=True) for rows in pair}
    monkeypatch.setattr(parallel, 'gather', lambda rows: both[rows.tobytes()])
    for rows in of_process:
        (numbers,) = evaluation.in_order([(batch,) for batch in rows])
        assert numbers.tolist() == list(range(12))


@pytest.mark.parametrize('flip_labels', [True, False])
def test_mirrored_views_are_of_mirrored_classes(source, config, flip_labels):
    left, right = (source.label_names.index(f'move {side}') for side in ('left', 'right'))
    config.test.crops, config.augment.flip_labels = 10, flip_labels

    def always_left(variables, batch):
        return jnp.zeros((*batch['clip'].shape[:2], 8)).at[..., left].set(1.0)

    said = evaluate(always_left, source, config).views.argmax(axis=2)
    assert (said == [*[left] * 5, *[right if flip_labels else left] * 5] * 2).all()


def test_written_files(source, config, tmp_path):
    config.test.average = 'probabilities'
    predictions = evaluate(mean_of_clip, source, config)
    fingerprints = {'train': 'other', 'test': source.fingerprint}
    results = evaluation.write(tmp_path, predictions, source, config, 7, fingerprints)
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    assert results['protocol'] == ('2x2 frames, 2x3 views of 32x32, dense sampling, probabilities averaged (32 videos)')
    assert (results['step'], results['split'], results['data']) == (7, 'test', 'moving_shapes')
    assert results['coverage']['expected'] == results['videos'] == 32
    assert results['same_videos'] is True and results['fingerprint'] == source.fingerprint
    assert [row['views'] for row in results['views_curve']] == [1, 2, 3, 6]
    assert results['views_curve'][-1]['top1_probabilities'] == pytest.approx(results['top1'])
    stored = np.load(tmp_path / 'predictions.npz')
    np.testing.assert_array_equal(stored['logits'], predictions.logits)
    np.testing.assert_allclose(np.exp(stored['logits']).sum(axis=1), 1, rtol=1e-5)
    assert stored['label_names'].tolist() == list(source.label_names)
    assert {path.name for path in tmp_path.iterdir()} == {
        'predictions.npz', 'views.npz', 'results.json', 'classes.csv', 'confusion.png', 'views.png',
    }  # fmt: skip


@pytest.mark.parametrize('there, same', [({'test': 'other'}, False), ({'train': 'other'}, None)])
def test_other_videos_than_in_training_are_told(source, config, tmp_path, there, same):
    results = evaluation.write(tmp_path, evaluate(mean_of_clip, source, config), source, config, 7, there)
    assert results['same_videos'] is same
    assert ('not the videos' in scores.to_text('test', results)) == (same is False)


def test_a_model_that_has_diverged_leaves_json_that_can_be_read(source, config, tmp_path):
    def nan(variables, batch):
        return always_2(variables, batch) * jnp.nan

    results = evaluation.write(tmp_path, evaluate(nan, source, config), source, config, 7, {})
    assert results['top1'] == 0 and results['loss'] is None
    assert json.loads((tmp_path / 'results.json').read_text(), parse_constant=pytest.fail) == results


def test_a_protocol_key_that_nobody_takes_is_an_error(source, config):
    with config.unlocked():
        config.test.view = 3
    with pytest.raises(TypeError, match='view'):
        evaluate(always_2, source, config)
