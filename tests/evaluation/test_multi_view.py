"""Averages of views by hand, and what fewer views would have given."""

import tracemalloc

import numpy as np
import pytest
from matplotlib.legend import Legend

from configs import base
from dnr_jax import figures
from dnr_jax.data.transforms import eval_views
from dnr_jax.evaluation import metrics, multi_view

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(50, 12, 5)).astype(np.float32)  # four clips of three crops
LABELS = RNG.integers(0, 5, 50)


def test_averages_by_hand():
    two_views = np.log(np.array([[[0.9, 0.05, 0.05], [0.1, 0.8, 0.1]]], np.float32))
    np.testing.assert_allclose(np.exp(multi_view.average(two_views, 'probabilities')), [[0.5, 0.425, 0.075]], rtol=1e-5)
    geometric = np.sqrt([[0.09, 0.04, 0.005]])
    np.testing.assert_allclose(np.exp(multi_view.average(two_views, 'logits')), geometric, rtol=1e-5)


def test_averages_disagree_where_one_view_is_very_sure():
    torn = np.array([[[9.0, 0.0], [0.0, 3.0], [0.0, 3.0]]], np.float32)
    assert multi_view.average(torn, 'logits').argmax() == 0
    assert multi_view.average(torn, 'probabilities').argmax() == 1


@pytest.mark.parametrize('how', multi_view.AVERAGES)
def test_one_view_is_its_own_average(how):
    average = multi_view.average(LOGITS[:, :1], how)
    np.testing.assert_allclose(average - average[:, :1], LOGITS[:, 0] - LOGITS[:, 0, :1], atol=1e-5)
    assert average.dtype == np.float32


@pytest.mark.parametrize('how', multi_view.AVERAGES)
def test_the_average_of_no_video(how):
    assert multi_view.average(LOGITS[:0], how).shape == (0, 5)


def test_a_probability_of_nearly_zero_keeps_its_loss():
    sure = np.array([[[0.0, 300.0]]], np.float32)
    np.testing.assert_allclose(multi_view.average(sure, 'probabilities'), [[-300.0, 0.0]])


@pytest.mark.parametrize(
    ('clips', 'of', 'which'), [(1, 10, [5]), (2, 10, [2, 7]), (3, 10, [1, 5, 8]), (1, 1, [0]), (4, 4, [0, 1, 2, 3])]
)
def test_fewer_clips_are_the_middles_of_equal_parts(clips, of, which):
    assert multi_view.evenly_spread(clips, of).tolist() == which


def test_fewer_clips_are_different_ones():
    assert all(len(set(multi_view.evenly_spread(c, of))) == c for of in range(1, 31) for c in range(1, of + 1))


def test_the_curve_row_by_row():
    rows = multi_view.curve(LOGITS, LABELS, clips=4, crops=3)
    assert [(row['clips'], row['crops'], row['views']) for row in rows] == [
        *((c, 1, c) for c in (1, 2, 3, 4)),
        *((c, 3, 3 * c) for c in (1, 2, 3, 4)),
    ]
    by_hand = {(1, 1): [7], (2, 1): [4, 10], (1, 3): [6, 7, 8], (4, 3): range(12)}  # the views that are averaged
    for row in rows:
        if chosen := by_hand.get((row['clips'], row['crops'])):
            for how, mean in (
                ('logits', LOGITS),
                ('probabilities', np.exp(LOGITS) / np.exp(LOGITS).sum(-1)[..., None]),
            ):
                right = mean[:, list(chosen)].mean(axis=1).argmax(axis=1) == LABELS
                assert row[f'top1_{how}'] == right.mean()


def test_the_curve_ends_at_the_score_itself():
    for how in multi_view.AVERAGES:
        last = multi_view.curve(LOGITS, LABELS, clips=4, crops=3)[-1][f'top1_{how}']
        assert last == metrics.right(multi_view.average(LOGITS, how), LABELS).mean()


def test_the_curve_leaves_out_what_has_no_label():
    known = np.arange(50) % 3 > 0
    rows = multi_view.curve(LOGITS, np.where(known, LABELS, -1), clips=4, crops=3)
    assert rows == multi_view.curve(LOGITS[known], LABELS[known], clips=4, crops=3)


def test_the_curve_in_parts_is_that_of_the_whole(monkeypatch):
    labels = np.where(np.arange(50) < 10, -1, LABELS)  # of the first part, no label is known
    whole = multi_view.curve(LOGITS, labels, clips=4, crops=3)
    monkeypatch.setattr(multi_view, 'AT_ONCE', 7)
    assert multi_view.curve(LOGITS, labels, clips=4, crops=3) == whole


def test_a_curve_takes_little_memory(monkeypatch):
    many, labels = np.zeros((1000, 12, 20), np.float32), np.zeros(1000, int)
    monkeypatch.setattr(multi_view, 'AT_ONCE', 20)
    tracemalloc.start()
    try:
        multi_view.curve(many, labels, clips=4, crops=3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < many.nbytes / 4


def test_clips_alone_have_one_curve():
    assert [row['views'] for row in multi_view.curve(LOGITS, LABELS, clips=12, crops=1)] == list(range(1, 13))


@pytest.mark.parametrize('crops', multi_view.CENTRE)
def test_where_the_centre_crop_stands(crops):
    clip = RNG.integers(0, 256, (1, 40, 60, 3), np.uint8)
    found = eval_views(clip, short_side=40, size=32, crops=crops)
    centre = eval_views(clip, short_side=40, size=32, crops=1)[0]
    np.testing.assert_array_equal(found[multi_view.CENTRE[crops]], centre)


def test_mirrored_crops_speak_of_mirrored_classes():
    names = ('to the left', 'still', 'to the right')
    logits = np.tile(np.array([1.0, 2.0, 3.0], np.float32), (2, 20, 1))  # two clips of ten crops
    found = multi_view.unmirrored(logits, names, crops=10)
    mirrored = np.array([False] * 5 + [True] * 5).tolist() * 2
    assert [row.tolist() == [3.0, 2.0, 1.0] for row in found[1]] == mirrored
    assert multi_view.unmirrored(logits, names, crops=5) is logits


def test_mistakes():
    section = base.get_config().test
    multi_view.expect(section, 'test')
    section.size = section.short_side + 1
    with pytest.raises(ValueError, match=r'config.test.size.*1 to 256, got 257'):
        multi_view.expect(section, 'test')


@pytest.mark.parametrize('crops', [1, 3])
def test_the_curve_is_drawn(tmp_path, crops):
    rows = multi_view.curve(LOGITS[:, : 4 * crops], LABELS, clips=4, crops=crops)
    multi_view.draw_curve(tmp_path / 'views.png', rows, 'protocol')
    assert (tmp_path / 'views.png').read_bytes().startswith(b'\x89PNG')


def test_no_legend_covers_the_curve(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, 'save', lambda figure, path: drawn.append(figure))
    multi_view.draw_curve(tmp_path, multi_view.curve(LOGITS, LABELS, clips=4, crops=3), 'protocol')
    (figure,) = drawn
    figures.pixels(figure)
    (axes,), (legend,) = figure.axes, figure.findobj(Legend)
    assert not axes.get_window_extent().overlaps(legend.get_window_extent())
