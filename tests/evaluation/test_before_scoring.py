"""What is settled before a checkpoint is scored: where results go, by which statistics, and of which classes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.data.source import VideoSource
from dnr_jax.evaluation import checkpoint_score, scoring
from dnr_jax.evaluation.results import expect_replaceable, folder_name, kept_for_results
from dnr_jax.norms.relay import zero_carry
from dnr_jax.norms.words import make_norm
from dnr_jax.runs import trained_model


class FakeSource(VideoSource):
    """A split without videos."""

    name, split, label_names, own_names = 'shapes test', 'test', tuple('abcdefgh'), tuple('abcdefgh')
    fingerprint = '0123456789abcdef'

    def __init__(self):
        pass


@pytest.fixture
def source():
    return FakeSource()


@pytest.fixture
def config():
    return moving_shapes.get_config()


def as_trained(config, source, changes, step=7):
    fingerprints = {'test': source.fingerprint}
    return trained_model.Trained(nn.Dense(8), {}, config, tuple(source.label_names), fingerprints, step, changes)


@pytest.mark.parametrize(
    ('which', 'changes', 'name'),
    [
        ('last', {}, 'test'),
        ('last', {'data.dir': '/there', 'run.workers': 1, 'test.batch_size': 4, 'validation.clips': 3}, 'test'),
        ('best', {}, 'test-step=7'),
        ('7', {'test.clips': 10, 'test.crops': 3}, 'test-step=7-clips=10-crops=3'),
        ('last', {'clip.frames': 16, 'test.average': 'probabilities'}, 'test-clip.frames=16-average=probabilities'),
        ('last', {'data.name': 'moving_shapes/large'}, 'test-data.name=moving_shapes_large'),
        ('last', {'run.precise_batches': 4}, 'test-run.precise_batches=4'),
    ],
)
def test_other_scores_have_folders_of_their_own(source, config, which, changes, name):
    assert folder_name(which, as_trained(config, source, changes), source) == name


def test_a_score_of_other_videos_has_a_folder_of_its_own(source, config):
    found = as_trained(config, source, {})._replace(fingerprints={'test': 'other'})
    assert folder_name('last', found, source) == f'test-videos={source.fingerprint[:8]}'
    assert folder_name('last', found._replace(fingerprints={}), source) == 'test'  # of converted weights


@pytest.mark.parametrize(
    ('norms', 'clips', 'error', 'words'),
    [
        ('batch_renormalized,batch', 2, ValueError, "'batch_renormalized', which .*, got 2; leave it out"),
        ('batch_renormalized,batch', 0, OSError, 'opened'),
        ('dnr', 2, OSError, 'opened'),
    ],
)
def test_clips_are_counted_into_no_sets_that_training_did_not_standardize_by(
    source, config, monkeypatch, norms, clips, error, words
):
    """It is said before the videos are opened."""

    def open_split(*_):
        raise OSError('opened')

    monkeypatch.setattr(checkpoint_score, 'split_of', open_split)
    config.model.norms = norms
    config.run.update({'precise_batches': 1, 'self_inclusive': clips})
    with pytest.raises(error, match=words):
        checkpoint_score.as_scored(as_trained(config, source, {}), parallel.make_mesh())


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    expect_replaceable(tmp_path / 'nowhere')
    (tmp_path / 'results.json').touch()
    expect_replaceable(tmp_path)
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(ValueError, match='found notes.txt; give another --out'):
        expect_replaceable(tmp_path)
    with pytest.raises(ValueError, match='a folder for results, got the file .*notes.txt; give another --out'):
        expect_replaceable(tmp_path / 'notes.txt')


def test_a_folder_that_cannot_be_replaced(tmp_path):
    with pytest.raises(ValueError, match='a disk is mounted at /proc; give one within it'):
        expect_replaceable(Path('/proc'))
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match='must be one that can be written to'):
        with kept_for_results(tmp_path / 'file' / 'test'):
            pass


class OneNorm(nn.Module):
    """A network whose only statistics are those of the pixels."""

    norm: Callable

    @nn.compact
    def __call__(self, clip, train):
        norm = self.norm('batch', cell=None, name='norm')
        return norm(clip, zero_carry(len(clip), 3), train)[0].mean(axis=(1, 2, 3))


@pytest.mark.parametrize('scope', ['device', '2', 'global'])
@pytest.mark.parametrize('devices', [1, 2])
def test_precise_statistics_are_of_whole_batches_on_any_devices(config, monkeypatch, scope, devices):
    """By hand: clips that differ more from each other than within themselves, so sets of them would vary less."""
    rng = np.random.default_rng(0)
    batches = [{'clip': rng.integers(0, n + np.arange(1, 5)[:, None, None, None, None] * 50, (4, 2, 4, 4, 3), np.uint8)}
               for n in (1, 2)]  # fmt: skip
    monkeypatch.setattr(scoring, 'training_batches', lambda *_, **__: (batch for batch in [*batches, None]))
    config.run.precise_batches = 2
    model = OneNorm(partial(make_norm, **config.model.norm.to_dict() | {'statistics_scope': scope}))
    mesh = parallel.make_mesh(jax.devices()[:devices])
    shapes = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), jnp.zeros((1, 2, 4, 4, 3)))
    variables = jax.tree.map(jnp.zeros_like, shapes)
    monkeypatch.setattr(checkpoint_score, 'split_of', lambda *_: FakeSource())
    scored = checkpoint_score.as_scored(trained_model.Trained(model, variables, config, tuple('ab'), {}, 7), mesh)
    found = scored.variables['batch_stats']['norm']['statistics']
    clips = np.stack([batch['clip'] for batch in batches])
    clips = (clips - np.array(config.pixels.mean)) / np.array(config.pixels.std)
    np.testing.assert_allclose(found['mean'], clips.mean(axis=(1, 2, 3, 4)).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found['var'], clips.var(axis=(1, 2, 3, 4), ddof=1).mean(axis=0), rtol=1e-4)


def test_precise_statistics_of_other_videos(config, monkeypatch):
    monkeypatch.setattr(checkpoint_score, 'split_of', lambda *_: FakeSource())
    config.run.precise_batches = 2
    found = trained_model.Trained(nn.Dense(8), {}, config, tuple('ab'), {'test': 'other'}, 7)
    with pytest.raises(ValueError, match='shapes test holds others: .* config.run.precise_batches=0'):
        checkpoint_score.as_scored(found, parallel.make_mesh())


@pytest.mark.parametrize(('names', 'words'), [
    (tuple(f'class {i}' for i in range(8)), r'convert \.\.\. --data, or --classes=FILE'),
    (tuple('xyz'), "tells apart 3 classes .* shapes test has 8 others .*; give data of its classes"),
])  # fmt: skip
def test_other_classes_than_those_of_the_data(source, names, words):
    with pytest.raises(ValueError, match=words):
        checkpoint_score.of_classes(source, names)


def test_the_same_classes_in_another_order(source):
    mapped = checkpoint_score.of_classes(source, ('x', 'h', 'a'))
    assert mapped.label_names == ('x', 'h', 'a') and mapped._labels == (2, -1, -1, -1, -1, -1, -1, 1)
