"""Pictures of the records of short trainings, in the looks of dnr_jax.figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from dnr_jax import figures
from dnr_jax.data.builders.hard_shapes import LABEL_NAMES
from experiments import small_batch
from experiments.pairs import compare, spread
from experiments.tables import CLIPS, FEW, GLOBAL, MANY, METHODS, TEST_CLIPS, Groups, Records, at, grouped, top1


class Panel(NamedTuple):
    """What a row of `draw_accuracies` shows."""

    title: str
    epochs: int
    way: str
    methods: Sequence[str]


AFTER_900 = (
    Panel(
        '900 steps, running statistics',
        MANY,
        'running',
        ('batch', 'dnr', 'temporal', 'layer', 'dnr, whole statistics', 'group'),
    ),
)
AFTER_300 = (
    Panel('300 steps, running statistics as released', FEW, 'running', METHODS),
    Panel('300 steps, precise statistics of every hop', FEW, 'precise_per_hop', METHODS),
)
GAINS = ('dnr', 'layer', 'dnr, whole statistics')  # those with five seeds everywhere


def draw_accuracies(runs: Records, panels: Sequence[Panel], path: Path) -> None:
    """Top-1 against clips per statistic: a column for each backbone, a row for each panel."""
    figure = figures.figure(5.2 * len(small_batch.BACKBONES), 3.4 * len(panels) + 0.5)
    axes = figure.subplots(len(panels), len(small_batch.BACKBONES), sharex=True, sharey='row', squeeze=False)
    for row, panel in zip(axes, panels, strict=True):
        groups = grouped(runs, panel.epochs)
        for axis, backbone in zip(row, small_batch.BACKBONES, strict=True):
            for number, method in enumerate(panel.methods):
                draw_curve(axis, groups, backbone, method, panel.way, figures.style(number, len(panel.methods)))
            axis.axhline(100 / len(LABEL_NAMES), color='black', linestyle=':', linewidth=0.8, label='chance')
            axis.set_title(f'{backbone}\n{panel.title}', fontsize='medium')
            put_clips(axis)
        row[0].set_ylabel('top-1, %')
    finish(figure, axes, path)


def draw_gains(runs: Records, path: Path) -> None:
    """Points of top-1 over batch norm after 900 steps, with 95 % intervals over the seeds."""
    figure = figures.figure(5.2 * len(small_batch.BACKBONES), 3.9)
    axes = figure.subplots(1, len(small_batch.BACKBONES), sharey=True, squeeze=False)
    groups = grouped(runs, MANY)
    for axis, backbone in zip(axes[0], small_batch.BACKBONES, strict=True):
        for number, method in enumerate(GAINS):
            found = {
                clips: compare(at(groups, backbone, 'batch', clips), at(groups, backbone, method, clips),
                               'running', TEST_CLIPS)
                for clips in CLIPS
            }  # fmt: skip
            means = [100 * of.mean for of in found.values()]
            halves = [100 * half_interval(of.spread, of.pairs) for of in found.values()]
            places = [clips * 2 ** (0.07 * (number - 1)) for clips in found]  # side by side
            axis.errorbar(places, means, halves, label=method, capsize=3, **figures.style(number, len(GAINS)))
        axis.axhline(0, color='black', linestyle=':', linewidth=0.8, label='batch norm')
        axis.set_title(backbone, fontsize='medium')
        put_clips(axis)
    axes[0, 0].set_ylabel('points over batch norm')
    finish(figure, axes, path)


def half_interval(spread: float, count: int, confidence: float = 0.95) -> float:
    """Of a mean of `count` values with that standard deviation: half its confidence interval, by Student's t."""
    return float(stats.t.ppf((1 + confidence) / 2, count - 1) * spread / count**0.5)


def put_clips(axis) -> None:
    """The numbers of clips along the axis."""
    axis.set_xscale('log', base=2)
    axis.set_xticks(CLIPS, CLIPS)
    axis.minorticks_off()
    figures.grid(axis)


def finish(figure, axes, path: Path) -> None:
    """Labels below, and the file."""
    for axis in axes[-1]:
        axis.set_xlabel('clips per statistic, of 16 in a step')
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=-(-len(labels) // (2 if len(labels) > 4 else 1)))
    figures.save(figure, path)


def draw_curve(axis, groups: Groups, backbone: str, method: str, way: str, look: Mapping[str, Any]) -> None:
    """Means and standard deviations over seeds; a dashed line and a band where clips per statistic do not matter."""
    scores = {clips: 100 * top1(at(groups, backbone, method, clips), way) for clips in CLIPS}
    scores = {clips: values for clips, values in scores.items() if len(values)}
    means = np.array([values.mean() for values in scores.values()])
    spreads = np.array([spread(values) if len(values) > 1 else 0 for values in scores.values()])
    if method == GLOBAL or not small_batch.ALL[method].over_clips:
        axis.plot(list(scores), means, linestyle='--', label=method, color=look['color'])
        axis.fill_between(list(scores), means - spreads, means + spreads, color=look['color'], alpha=0.12, linewidth=0)
    else:
        axis.errorbar(list(scores), means, spreads, label=method, capsize=3, **look)
