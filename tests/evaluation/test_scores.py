"""Scores counted by hand, of whole splits, of splits with videos missing, and of splits without labels."""

import csv
import json

import numpy as np
import pytest

from dnr_jax.evaluation import multi_view, scores
from dnr_jax.evaluation.predictions import Missing, Predictions

NAMES = ('a', 'b', 'c', 'none of it')
LOGITS = np.array([[2, 1, 0, -1], [0, 2, 1, -1], [0, 2, 1, -1], [3, 2, 1, -1]], np.float32)


def predict(labels=(0, 0, 1, 2), logits=LOGITS, missing=(), two_views=False):
    """Predictions of four videos."""
    each = np.stack([logits + 1, logits - 1] if two_views else [logits], axis=1)
    ids = np.array([f'v{n}' for n in range(len(labels))])
    return Predictions(ids, np.array(labels, int), logits, each, missing, len(labels) + len(missing))


def account(predictions):
    """All that the line and the files are made of."""
    return scores.summarize(predictions) | {
        'protocol': '8x8 frames',
        'coverage': scores.cover(predictions),
        'views_curve': scores.curve(predictions, clips=predictions.views.shape[1], crops=1),
    }


def test_summary_by_hand():
    summary = scores.summarize(predict())
    assert summary['top1'] == 0.5 and 'top5' not in summary and summary['videos'] == 4
    assert summary['mean_class_accuracy'] == pytest.approx((0.5 + 1 + 0) / 3)
    assert summary['loss'] == pytest.approx(np.mean(np.log(np.exp(LOGITS).sum(1)) - LOGITS[range(4), [0, 0, 1, 2]]))
    np.testing.assert_array_equal(scores.confusion_matrix(predict())[:3, :3], [[1, 1, 0], [0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize('how', multi_view.AVERAGES)
def test_the_loss_is_that_of_the_averaged_probability(how):
    """Whichever way views are averaged, a softmax of the stored scores gives the probabilities."""
    each = np.random.default_rng(0).normal(size=(4, 3, 4)).astype(np.float32)
    average = multi_view.average(each, how)
    probabilities = np.exp(average) / np.exp(average).sum(axis=1, keepdims=True)
    if how == 'probabilities':
        expected = (np.exp(each) / np.exp(each).sum(axis=2, keepdims=True)).mean(axis=1)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    loss = scores.summarize(predict(logits=average))['loss']
    assert loss == pytest.approx(-np.log(probabilities[range(4), [0, 0, 1, 2]]).mean(), rel=1e-5)


def test_nothing_missing():
    assert scores.cover(predict()) == {
        'expected': 4, 'scored': 4, 'unlabelled': 0, 'missing': 0, 'reasons': {},
        'top1_at_least': 0.5, 'top1_at_most': 0.5,
    }  # fmt: skip
    text = scores.to_text('test', account(predict()))
    assert text.splitlines() == ['test         loss 1.4351  top-1 50.0%  mean class 50.0%  8x8 frames']
    not_finite = account(predict()) | {'loss': None}
    assert scores.in_short(not_finite) == 'loss not finite  top-1 50.0%  mean class 50.0%'


def test_the_five_highest_are_told_where_they_are_a_part():
    logits = np.tile(np.arange(10, dtype=np.float32), (4, 1))  # of ten classes, the last five
    results = account(predict(labels=(9, 5, 4, 0), logits=logits))
    assert (results['top1'], results['top5']) == (0.25, 0.5)
    assert 'top-1 25.0%  top-5 50.0%  mean class 25.0%' in scores.to_text('test', results)
    assert 'top5' not in scores.summarize(predict(labels=(8, 5, 4, 0), logits=logits[:, :9]))


def test_classes_that_do_not_meet_are_told():
    results = account(predict()) | {'unknown_classes': list('vwxy'), 'absent_classes': ['c']}
    (note,) = scores.to_text('test', results).splitlines()[1:]
    unknown, absent = note.strip().split('; ')
    assert (
        unknown
        == '4 classes of the data are none of the model, and their videos count as without a label: v, w, x, ...'
    )
    assert absent == '1 classes of the model are none of the data: c'


def test_missing_videos_leave_the_score_open():
    missing = Missing('x', 'too short'), Missing('y', 'damaged'), Missing('z', 'too short')
    predictions = predict(missing=missing)
    coverage = scores.cover(predictions)
    assert coverage['reasons'] == {'damaged': 1, 'too short': 2}
    assert (coverage['expected'], coverage['scored'], coverage['missing']) == (7, 4, 3)
    assert coverage['top1_at_least'] == pytest.approx(2 / 7) and coverage['top1_at_most'] == pytest.approx(5 / 7)
    line, note = scores.to_text('test', account(predictions)).splitlines()
    assert 'top-1 50.0%' in line
    assert note.strip() == '3 of 7 videos have no score (1 damaged, 2 too short), with them top-1 28.6% to 71.4%'


def test_of_a_part_of_a_split_it_is_not_known_what_is_missing():
    whole = predict()._replace(expected=None)
    coverage = {'expected': None, 'scored': 4, 'unlabelled': 0, 'missing': 0, 'reasons': {}}
    assert scores.cover(whole) == coverage
    assert scores.to_text('test', account(whole)) == scores.to_text('test', account(predict()))
    damaged = predict(missing=(Missing('x', 'damaged'),))._replace(expected=None)
    assert scores.cover(damaged) == coverage | {'missing': 1, 'reasons': {'damaged': 1}}
    note = scores.to_text('test', account(damaged)).splitlines()[1]
    assert note.strip() == '1 of 5 videos have no score (1 damaged)'


def test_unlabelled_videos_are_left_out_of_the_score():
    predictions = predict(labels=(-1, 0, 1, -1))
    assert scores.summarize(predictions) == scores.summarize(predict(labels=(0, 1), logits=LOGITS[[1, 2]])) | {
        'videos': 4
    }
    assert scores.cover(predictions)['unlabelled'] == 2 and scores.cover(predictions)['top1_at_least'] == 0.5
    assert '2 videos without a label left out' in scores.to_text('test', account(predictions))


@pytest.mark.parametrize(('labels', 'why'), [((-1,) * 4, 'no label is known'), ((), 'no video could be read')])
def test_nothing_to_be_right_about(tmp_path, labels, why):
    predictions = predict(labels=labels, logits=LOGITS[: len(labels)], missing=(Missing('x', 'damaged'),))
    results = account(predictions)
    scores.write(tmp_path, predictions, results, NAMES)
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    assert results.keys() == {'videos', 'protocol', 'coverage', 'views_curve'}
    assert [path.name for path in tmp_path.iterdir()] == ['results.json']
    line, note = scores.to_text('test', results).splitlines()
    assert line == f'test         no accuracy, for {why}  8x8 frames' and 'top-1' not in note


def test_written_files(tmp_path):
    predictions = predict(two_views=True)
    results = account(predictions)
    scores.write(tmp_path, predictions, results, NAMES)
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    assert [row['views'] for row in results['views_curve']] == [1, 2]
    for name in ('confusion.png', 'views.png'):
        assert (tmp_path / name).read_bytes().startswith(b'\x89PNG')
    with (tmp_path / 'classes.csv').open() as file:
        assert list(csv.reader(file)) == [
            ['name', 'videos', 'top1'],
            ['a', '2', '0.500000'],
            ['b', '1', '1.000000'],
            ['c', '1', '0.000000'],
            ['none of it', '0', ''],
        ]
