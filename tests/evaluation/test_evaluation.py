"""Evaluation of models whose scores can be counted by hand, over whole and over damaged data."""

import json
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.data import pipeline
from dnr_jax.data.annotations.rows import Rejected
from dnr_jax.data.source import VideoSource, open_split
from dnr_jax.evaluation import scores, scoring
from dnr_jax.evaluation.batches import centre_views
from dnr_jax.evaluation.predictions import Missing, Predictions
from dnr_jax.evaluation.results import account, describe, write


@pytest.fixture(scope='module')
def source(tiny_dir):
    """32 videos, four of each of eight classes."""
    return open_split('moving_shapes/tiny', str(tiny_dir), 'test')


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
    mesh = parallel.make_mesh(jax.devices())
    predict = parallel.compile_eval_step(step, mesh)
    return scoring.evaluate(predict, {}, source, config, 'test', mesh, before_batch=lambda: None)


def labels_of(source):
    return {record['id']: record['label'] for record in (source[i] for i in range(len(source)))}


@pytest.mark.parametrize('batch_size', [1, 4, 9, 10, 32, 34])
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
    """Some videos; `len`, labels and what could not be prepared is all that is asked of it."""

    failures = (Rejected('test', 'v6', '/there', 'missing', ''),)

    def __init__(self, records=6, broken=(3,), label_names=tuple('abcdefgh')):
        self.records, self.broken, self.label_names = records, list(broken), label_names
        self.expected = records + 1

    def __len__(self):
        return self.records


def fake_batches(source, *, batch_size, **settings):
    """The batches of videos of which `broken` are damaged and v4 has no label; each clip is 2 x its number."""

    class Batches(pipeline.EvalBatches):
        def __init__(self):
            pass

        def __iter__(self):
            for start in range(0, source.records, batch_size):
                numbers = np.arange(start, start + batch_size)
                there, damaged = numbers < source.records, np.isin(numbers, source.broken)
                yield {
                    'clip': np.tile(2 * numbers[:, None, None].astype(np.int32), (1, 6, 3)),
                    'label': np.where(there, np.where(numbers == 4, -1, numbers), 0).astype(np.int32),
                    'mask': there & ~damaged,
                    'id': np.array([f'v{n}' if n < source.records else '' for n in numbers]),
                    'damaged': damaged.astype(np.int32),
                }

        def close(self):
            pass

    return Batches()


def says_its_number(variables, batch):
    return jax.nn.one_hot(batch['clip'][..., 0] // 2, 8)


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(pipeline, 'eval_batches', fake_batches)


@pytest.mark.parametrize('batch_size', [2, 4, 6, 8])
def test_damaged_videos_are_listed(config, fakes, batch_size):
    config.test.batch_size = batch_size
    predictions = evaluate(says_its_number, FakeSource(), config)
    assert predictions.ids.tolist() == ['v0', 'v1', 'v2', 'v4', 'v5']
    assert predictions.labels.tolist() == [0, 1, 2, -1, 5]
    assert predictions.logits.argmax(axis=1).tolist() == [0, 1, 2, 4, 5]
    assert predictions.views.argmax(axis=2).tolist() == [[n] * 6 for n in (0, 1, 2, 4, 5)]
    assert predictions.missing == (Missing('v6', 'missing'), Missing('v3', 'damaged')) and predictions.expected == 7
    coverage = scores.cover(predictions)
    assert coverage['reasons'] == {'damaged': 1, 'missing': 1} and coverage['missing'] == 2
    assert (coverage['top1_at_least'], coverage['top1_at_most']) == (4 / 6, 1.0)


@pytest.mark.parametrize('average', ['logits', 'probabilities'])
def test_nothing_that_can_be_read(config, fakes, average):
    config.test.batch_size, config.test.average = 4, average
    predictions = evaluate(says_its_number, FakeSource(broken=range(6)), config)
    assert predictions.logits.shape == (0, 8) and len(predictions.missing) == 7
    text = scores.to_text('test', account(predictions, config, 'test'))
    assert 'no accuracy, for no video could be read' in text and '(6 damaged, 1 missing)' in text


def test_a_video_that_vanishes_is_a_bug(config, fakes, monkeypatch):
    monkeypatch.setattr(FakeSource, '__len__', lambda self: 7)
    with pytest.raises(AssertionError, match='every video'):
        evaluate(says_its_number, FakeSource(), config)


def test_the_views_of_all_videos_are_held_once(config, fakes):
    def zeros(variables, batch):
        return jnp.zeros((*batch['clip'].shape[:2], 500))

    config.test.batch_size = 20
    many = FakeSource(400, broken=(), label_names=tuple(f'{n}' for n in range(500)))
    evaluate(zeros, FakeSource(20, broken=(), label_names=many.label_names), config)  # compiles
    tracemalloc.start()
    try:
        predictions = evaluate(zeros, many, config)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.8 * predictions.views.nbytes  # averages of six views are one sixth of them


def test_only_the_leader_keeps_the_views(config, fakes, monkeypatch, tmp_path):
    config.test.batch_size = 4
    leader = evaluate(says_its_number, FakeSource(), config)
    monkeypatch.setattr(parallel, 'is_leader', lambda: False)
    other = evaluate(says_its_number, FakeSource(), config)
    assert other.views is None and scores.curve(leader, clips=2, crops=3) != [] == scores.curve(other, clips=2, crops=3)
    np.testing.assert_array_equal(other.logits, leader.logits)
    assert scores.summarize(other) == scores.summarize(leader) and scores.cover(other) == scores.cover(leader)


def test_processes_are_put_in_order(config, fakes, monkeypatch):
    """Of two processes with two batches each; the other one says the same."""
    monkeypatch.setattr(parallel, 'gather', lambda rows: np.concatenate([rows, rows]))
    monkeypatch.setattr(jax, 'process_count', lambda: 2)
    monkeypatch.setattr(FakeSource, '__len__', lambda self: 12)
    config.test.batch_size = 8
    predictions = evaluate(says_its_number, FakeSource(), config)
    assert predictions.ids.tolist() == ['v0', 'v1', 'v2', 'v0', 'v1', 'v2', 'v4', 'v5', 'v4', 'v5']
    for said in (predictions.logits.argmax(axis=1), *predictions.views.argmax(axis=2).T):
        assert said.tolist() == [0, 1, 2, 0, 1, 2, 4, 5, 4, 5]
    assert predictions.missing[1:] == (Missing('v3', 'damaged'), Missing('v3', 'damaged'))


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
    results = write(tmp_path, predictions, source, config, 7, fingerprints)
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    assert results['protocol'] == ('2x2 frames, 2x3 views of 32x32, dense sampling, probabilities averaged (32 videos)')
    assert (results['step'], results['split'], results['data']) == (7, 'test', 'moving_shapes')
    assert results['coverage']['expected'] == results['videos'] == 32
    assert results['same_videos'] is True and results['fingerprint'] == source.fingerprint
    assert [row['views'] for row in results['views_curve']] == [1, 2, 3, 6]
    assert results['views_curve'][-1]['top1_probabilities'] == pytest.approx(results['top1'])
    stored = np.load(tmp_path / 'predictions.npz')
    assert stored['protocol'] == results['protocol']
    np.testing.assert_array_equal(stored['logits'], predictions.logits)
    np.testing.assert_allclose(np.exp(stored['logits']).sum(axis=1), 1, rtol=1e-5)
    assert stored['label_names'].tolist() == list(source.label_names)
    assert {path.name for path in tmp_path.iterdir()} == {
        'predictions.npz', 'views.npz', 'results.json', 'classes.csv', 'confusion.png', 'views.png',
    }  # fmt: skip


def test_nothing_of_an_earlier_evaluation_is_left(source, config, tmp_path):
    """Whatever it had that this one has not, such as several views."""
    predictions = evaluate(mean_of_clip, source, config)
    for earlier in ('views.npz', 'views.png', 'missing.csv', 'confusion.png'):
        (tmp_path / earlier).write_text('of an earlier evaluation')
    config.test.update({'clips': 1, 'crops': 1})
    unlabelled = predictions._replace(views=predictions.views[:, :1], labels=np.full(32, -1))
    write(tmp_path, unlabelled, source, config, 7, {})
    assert {path.name for path in tmp_path.iterdir()} == {'predictions.npz', 'results.json'}


def test_files_of_two_evaluations_never_stand_together(source, config, tmp_path, monkeypatch):
    """One that ends while it writes leaves the folder as it was, or without what it was about to write."""
    predictions = evaluate(mean_of_clip, source, config)
    write(tmp_path / 'test', predictions, source, config, 7, {})
    before = {path.name: path.read_bytes() for path in (tmp_path / 'test').iterdir()}

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(scores, 'write', killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / 'test', predictions._replace(logits=-predictions.logits), source, config, 8, {})
    assert {path.name: path.read_bytes() for path in (tmp_path / 'test').iterdir()} == before


@pytest.mark.parametrize(
    ('sampling', 'frames', 'words', 'stride'),
    [
        ('dense', 8, '8x5 frames', 5),
        ('dense_64', 16, '16x4 frames', 4),
        ('segments', 8, '8 frames', None),
    ],
)
def test_the_protocol_says_what_was_taken(source, config, tmp_path, sampling, frames, words, stride):
    config.clip.update({'sampling': sampling, 'frames': frames, 'stride': 5})
    said = f'{words}, 2x3 views of 32x32, {sampling} sampling, logits averaged (32 videos)'
    assert describe(config, 'test', 32) == said
    predictions = Predictions(np.array(['a']), np.array([-1]), np.zeros((1, 8)), np.zeros((1, 6, 8)), (), 1)
    taken = write(tmp_path, predictions, source, config, 7, {})['views']
    assert taken.get('stride') == stride and taken['frames'] == frames


def test_precise_statistics_are_told(config):
    config.run.precise_batches = 3
    assert 'logits averaged, statistics of 3 batches of 16 clips (32 videos)' in describe(config, 'test', 32)


def test_centre_views_are_those_of_one_clip_and_crop(source, config):
    batches = centre_views(source, config, 'test', batch_size=32, workers=0)
    one, (first, *_) = evaluate_one_view(config, source), batches
    batches.close()
    assert first['clip'].shape == (32, 1, 2, 32, 32, 3) and first['mask'].all()
    means = dict(zip(first['id'].tolist(), first['clip'].mean(axis=(1, 2, 3, 4, 5)), strict=True))
    np.testing.assert_allclose([means[id] for id in one.ids.tolist()], one.views[:, 0, 0], rtol=1e-4)


def evaluate_one_view(config, source):
    config.test.update({'clips': 1, 'crops': 1})
    return evaluate(mean_of_clip, source, config)


@pytest.mark.parametrize('there, same', [({'test': 'other'}, False), ({'train': 'other'}, None)])
def test_other_videos_than_in_training_are_told(source, config, tmp_path, there, same):
    results = write(tmp_path, evaluate(mean_of_clip, source, config), source, config, 7, there)
    assert results['same_videos'] is same
    assert ('not the videos' in scores.to_text('test', results)) == (same is False)


def test_a_model_that_has_diverged_leaves_json_that_can_be_read(source, config, tmp_path):
    def nan(variables, batch):
        return always_2(variables, batch) * jnp.nan

    results = write(tmp_path, evaluate(nan, source, config), source, config, 7, {})
    assert results['top1'] == 0 and results['loss'] is None
    assert json.loads((tmp_path / 'results.json').read_text(), parse_constant=pytest.fail) == results


def test_a_protocol_key_that_nobody_takes_is_an_error(source, config):
    with config.unlocked():
        config.test.view = 3
    with pytest.raises(TypeError, match='view'):
        evaluate(always_2, source, config)
