"""Several views of a video make one score; and what fewer of them would have given.

Views are averaged in one of two ways:

    logits          s = 1/V sum_v z_v
    probabilities   s = log(1/V sum_v softmax(z_v))

so that in both the highest s is the prediction and softmax(s) its probability.

A smaller protocol is a part of the views at hand. Of C clips, c stand evenly spread: the middles of c equal parts,

    clip_i = floor((2 i + 1) C / (2 c)),     i = 0 .. c - 1

which are near the places, but not quite the places, that a protocol of c clips takes by itself. Of several crops, one
is the centre.

Axes: N videos, V views (view v is crop v % crops of clip v // crops), K classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict
from scipy.special import log_softmax, logsumexp

from dnr_jax import figures
from dnr_jax.data.transforms import mirrored_crops, mirrored_labels
from dnr_jax.evaluation import metrics

CENTRE = {1: 0, 3: 1, 5: 4, 10: 4}  # which of so many crops of `eval_views` it is
AT_ONCE = 64  # videos, to bound the memory that a curve takes


def mean_logits(views: Float[np.ndarray, 'N V K']) -> Float[np.ndarray, 'N K']:
    """The mean over views."""
    return views.mean(axis=1)


def log_mean_probabilities(views: Float[np.ndarray, 'N V K']) -> Float[np.ndarray, 'N K']:
    """The logarithm of the mean probability over views."""
    return logsumexp(log_softmax(views, axis=2), axis=1) - np.log(np.float32(views.shape[1]))


AVERAGES = {'logits': mean_logits, 'probabilities': log_mean_probabilities}
LOOKS = {  # of their curves: a narrow one over a wide one
    'logits': {'linewidth': 5, 'markersize': 10, 'alpha': 0.4},
    'probabilities': {'linewidth': 1.2, 'markersize': 4},
}


def expect(section: ConfigDict, name: str) -> None:
    """Raises ValueError for crops of config.{name} that are larger than their frames."""
    if section.size > section.short_side:
        raise ValueError(
            f'config.{name}.size is cut out of frames whose short side is config.{name}.short_side: expected 1 to '
            f'{section.short_side}, got {section.size}.'
        )


def average(views: Float[np.ndarray, 'N V K'], how: str) -> Float[np.ndarray, 'N K']:
    """One score of each video and class; `how` is a key of AVERAGES."""
    return AVERAGES[how](views)


def unmirrored(
    views: Float[np.ndarray, 'N V K'], label_names: Sequence[str], *, crops: int
) -> Float[np.ndarray, 'N V K']:
    """Logits by the classes of the videos, where a mirrored crop has shown left as right; see `mirrored_labels`."""
    mirrored = np.resize(mirrored_crops(crops), views.shape[1])
    if not mirrored.any():
        return views
    return np.where(mirrored[:, None], views[..., mirrored_labels(label_names)], views)


def evenly_spread(clips: int, of: int) -> Int[np.ndarray, 'clips']:
    """Which clips stand for fewer: the middles of so many equal parts."""
    return (2 * np.arange(clips) + 1) * of // (2 * clips)


def curve(
    views: Float[np.ndarray, 'N V K'], labels: Int[np.ndarray, 'N'], *, clips: int, crops: int
) -> list[dict[str, Any]]:
    """Top-1 of every smaller protocol and of the whole, by both averages: a row for each, crop by crop, clip by clip.

    Args:
      labels: -1 where it is not known, which is left out; one at least is known.
      clips, crops: of the views at hand; V is their product.
    """
    grid = np.arange(clips * crops).reshape(clips, crops)
    protocols = [
        grid[np.ix_(evenly_spread(count, clips), kept)]
        for kept in {1: [CENTRE[crops]], crops: range(crops)}.values()
        for count in range(1, clips + 1)
    ]
    right = np.zeros((len(protocols), len(AVERAGES)), int)
    for start in range(0, len(views), AT_ONCE):
        part = np.flatnonzero(labels[start : start + AT_ONCE] >= 0) + start
        those = views[part]
        right += [
            [metrics.right(average(those[:, chosen.ravel()], how), labels[part]).sum() for how in AVERAGES]
            for chosen in protocols
        ]
    return [
        {
            'clips': len(chosen), 'crops': chosen.shape[1], 'views': chosen.size,
            **{f'top1_{how}': float(share) for how, share in zip(AVERAGES, shares, strict=True)},
        }
        for chosen, shares in zip(protocols, right / (labels >= 0).sum(), strict=True)
    ]  # fmt: skip


def draw_curve(path: Path, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Top-1 against views, a curve for each number of crops and each average; where two are one, both are seen."""
    figure = figures.figure(7, 5)
    axes = figure.subplots()
    several = sorted({row['crops'] for row in rows})
    for number, crops in enumerate(several):
        those = [row for row in rows if row['crops'] == crops]
        for how, look in LOOKS.items():
            axes.plot(
                [row['views'] for row in those],
                [100 * row[f'top1_{how}'] for row in those],
                label=f'{"centre crop" if crops == 1 else f"{crops} crops"}, {how} averaged',
                **figures.style(number, len(several)) | look,
            )
    axes.set(xlabel='views of a video (clips x crops)', ylabel='top-1, %')
    axes.xaxis.get_major_locator().set_params(integer=True)
    figures.title(figure, title)
    figures.grid(axes)
    figure.legend(loc='outside lower center', ncols=2, fontsize='small')
    figures.save(figure, path)
