"""Scores of a model whose accuracy can be counted by hand, and the files they are written to."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from data.conftest import prepare_tiny

from configs import moving_shapes
from dnr_jax import evaluation, parallel
from dnr_jax.data.source import open_split

NAMES = ('a', 'b', 'c')
PREDICTIONS = evaluation.Predictions(
    ids=np.array(['v0', 'v1', 'v2', 'v3']),
    labels=np.array([0, 0, 1, 2]),
    logits=np.array([[2, 1, 0], [0, 2, 1], [0, 2, 1], [3, 2, 1]], np.float32),
)


def test_summary_by_hand():
    summary = evaluation.summarize(PREDICTIONS)
    assert summary['top1'] == 0.5 and summary['top5'] == 1.0 and summary['videos'] == 4
    assert summary['mean_class_accuracy'] == pytest.approx((0.5 + 1 + 0) / 3)
    np.testing.assert_array_equal(evaluation.confusion_matrix(PREDICTIONS), [[1, 1, 0], [0, 1, 0], [1, 0, 0]])


def test_written_files(tmp_path):
    config = moving_shapes.get_config()
    results = evaluation.write(tmp_path, PREDICTIONS, NAMES, config, step=7)
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    assert results['protocol'] == '8x2 frames, 1x1 views of 32x32, logits averaged'
    assert (results['step'], results['split'], results['data']) == (7, 'test', 'moving_shapes')
    stored = np.load(tmp_path / 'predictions.npz')
    np.testing.assert_array_equal(stored['logits'], PREDICTIONS.logits)
    assert stored['label_names'].tolist() == list(NAMES)
    assert (tmp_path / 'confusion.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('batch_size', [4, 10, 32, 34])
def test_every_video_is_scored_once(tmp_path_factory, batch_size):
    """A model that always says class 2 is right for one video in eight, however the videos fill the batches."""
    config = moving_shapes.get_config()
    config.test.batch_size, config.clip.frames, config.test.clips = batch_size, 2, 2
    config.data.dir = str(prepare_tiny(tmp_path_factory.getbasetemp() / 'moving_shapes'))
    source = open_split('moving_shapes/tiny', config.data.dir, 'test')
    mesh = parallel.make_mesh()

    def always_2(variables, batch):
        assert batch['clip'].shape[1:] == (2, 2, 32, 32, 3)
        return jnp.zeros((len(batch['clip']), 8)).at[:, 2].set(1.0)

    predict = parallel.compile_eval_step(always_2, mesh)
    predictions = evaluation.evaluate(predict, {}, source, config, 'test', mesh, before_batch=lambda: None)
    assert sorted(predictions.ids) == sorted(source[i]['id'] for i in range(len(source)))
    assert evaluation.summarize(predictions)['top1'] == 1 / 8
    assert dict(zip(predictions.ids, predictions.labels, strict=True)) == {
        record['id']: record['label'] for record in (source[i] for i in range(len(source)))
    }
