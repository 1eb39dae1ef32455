"""Which of two trained models is better, and whether that could be chance.

    python -m dnr_jax.compare runs/batch/test runs/dnr/test --out=comparison

Both are asked about the same videos, so only those tell them apart that one gets right and the other wrong: b by A
alone, c by B alone. Of two equally good models, each such video falls to either side with probability 1/2.

    p           how often chance alone makes a split at least as uneven as b to c (exact McNemar test, two-sided)
    confidence  where the difference in top-1 lies if videos are drawn anew (paired bootstrap)
    gains       classes that B knows better than A, in points of top-1, with their number of videos

It says nothing of another training with another seed. With --out it also writes

    classes.csv  name, videos, top-1 of A and of B, difference: greatest gain first
    flips.csv    the videos that one gets right and the other wrong
    classes.png  the differences of the classes

Axes: N videos in both, K classes.
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dnr_jax import figures
from dnr_jax.evaluation import metrics
from dnr_jax.evaluation.predictions import Stored
from dnr_jax.files import AnyPath, make_folder, write_rows, written_whole

RESAMPLES = 10_000
CONFIDENCE = 0.95
TOLD = 5  # classes told of on either side
DRAWN = 20  # classes drawn on either side, where there are more than twice as many
GAIN, LOSS = figures.COLOURS[:2]

Names = Sequence[str] | np.ndarray


class Comparison(NamedTuple):
    """Two models on the videos that both have scored and whose label is known."""

    ids: np.ndarray  # [N] of str
    labels: np.ndarray  # [N]
    predicted: np.ndarray  # [2 N], classes by A and by B
    right: np.ndarray  # [2 N]
    only: tuple[int, int]  # videos that only A, only B has scored
    label_names: np.ndarray  # [K] of str
    protocols: tuple[str, str]  # '' where it is not known


class ClassDifference(NamedTuple):
    """Top-1 of both models in one class."""

    name: str
    videos: int
    top1_a: float
    top1_b: float

    @property
    def gain(self) -> float:
        """Of B over A."""
        return self.top1_b - self.top1_a


def match(a: Stored, b: Stored) -> Comparison:
    """The videos in both, by id; ValueError if classes or labels differ, or if there is no such video with a label."""
    expect_same_classes('A', a.label_names, 'B', b.label_names)
    ids, of_a, of_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
    labels, others = a.labels[of_a], b.labels[of_b]
    if (labels != others).any():
        raise ValueError(
            f'The same videos must have the same labels in both: {(labels != others).sum():,} of {len(ids):,} differ, '
            f'like {listed(ids[labels != others])}; these are not the same data.'
        )
    known = labels >= 0
    if not known.any():
        raise ValueError(
            f'Models are compared on videos that both have scored and whose label is known, got none: A has '
            f'{listed(a.ids)}, B has {listed(b.ids)}, {len(ids):,} are in both.'
        )
    logits = a.logits[of_a][known], b.logits[of_b][known]
    return Comparison(
        ids[known],
        labels[known],
        np.stack([of.argmax(axis=1) for of in logits]),
        np.stack([metrics.right(of, labels[known]) for of in logits]),
        (len(a.ids) - len(ids), len(b.ids) - len(ids)),
        a.label_names,
        (a.protocol, b.protocol),
    )


def expect_same_classes(a: str, names_of_a: Names, b: str, names_of_b: Names) -> None:
    """Raises ValueError unless the models A and B, as they are called, have the same classes in the same order."""
    if not np.array_equal(names_of_a, names_of_b):
        raise ValueError(
            f'Models of the same classes, in the same order, are compared: {a} has {listed(names_of_a)}, {b} has '
            f'{listed(names_of_b)}.'
        )


def listed(names: Names) -> str:
    """How many there are, and the first of them."""
    return f'{len(names):,} ({", ".join(names[:3])}{", ..." if len(names) > 3 else ""})'


def mcnemar(b: int, c: int) -> float:
    """The exact two-sided p-value of a split of b + c videos as uneven as b to c, or more."""
    flips, ways, tail = b + c, 1, 0
    for k in range(min(b, c) + 1):  # `ways` is the binomial coefficient, an integer of any length
        tail += ways
        ways = ways * (flips - k) // (k + 1)
    return min(1.0, 2 * tail / 2**flips)


def bootstrap(b: int, c: int, videos: int) -> tuple[float, float]:
    """The confidence interval of (c - b) / videos when videos are drawn anew, with replacement, each with its pair."""
    # Resampled counts of three kinds of videos are multinomial.
    shares = np.array([b, c, videos - b - c]) / videos
    counts = np.random.default_rng(0).multinomial(videos, shares, RESAMPLES)
    differences = (counts[:, 1] - counts[:, 0]) / videos
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def by_class(comparison: Comparison) -> list[ClassDifference]:
    """The classes that occur, greatest gain of B first."""
    classes = len(comparison.label_names)
    videos = np.bincount(comparison.labels, minlength=classes)
    right = [np.bincount(comparison.labels[right], minlength=classes) for right in comparison.right]
    found = [
        ClassDifference(str(comparison.label_names[k]), int(videos[k]), *(float(of[k] / videos[k]) for of in right))
        for k in np.flatnonzero(videos)
    ]
    return sorted(found, key=lambda of: -of.gain)


def to_text(comparison: Comparison, names: tuple[str, str]) -> str:
    """The verdict in a few lines, for a reader in a hurry."""
    (a, b), (only_a, only_b) = comparison.right, alone(comparison)
    classes = by_class(comparison)
    lines = [
        *note_of_protocols(comparison.protocols),
        *(
            f'{which}      top-1 {metrics.percent(float(right.mean()), len(comparison.ids)):>8}  {name}'
            for which, right, name in zip('AB', (a, b), names, strict=True)
        ),
        f'B - A  {overall(comparison)}',
        f'       {len(comparison.ids):,} videos; right in A alone {only_a:,}, in B alone {only_b:,}',
    ]
    if any(comparison.only):
        lines.append('       left out: {:,} videos only A has scored, {:,} only B'.format(*comparison.only))
    gains = [of for of in classes if of.gain > 0][:TOLD]
    losses = [of for of in reversed(classes) if of.gain < 0][:TOLD]
    for what, those in (('gains', gains), ('losses', losses)):
        told = [f'{100 * of.gain:+.1f}  {shortened(of)}' for of in those] or ['none']
        lines += [f'{what:<7}{told[0]}', *(f'{"":<7}{line}' for line in told[1:])]
    return '\n'.join(lines)


def alone(comparison: Comparison) -> tuple[int, int]:
    """How many videos A alone, and B alone, gets right."""
    a, b = comparison.right
    return int((a & ~b).sum()), int((b & ~a).sum())


def overall(comparison: Comparison) -> str:
    """The difference in top-1, how sure it is, and whether it could be chance."""
    (a, b), flips = comparison.right, alone(comparison)
    (low, high), p = bootstrap(*flips, len(comparison.ids)), mcnemar(*flips)
    verdict = 'hardly chance' if p < 1 - CONFIDENCE else 'could be chance'
    return (
        f'{100 * (b.mean() - a.mean()):+.2f} points, {CONFIDENCE:.0%} confidence {100 * low:+.2f} to '
        f'{100 * high:+.2f}; p = {p:.2g}: {verdict}'
    )


def note_of_protocols(protocols: tuple[str, str]) -> list[str]:
    """Lines that say so where the two were scored by different protocols, or may have been."""
    a, b = (protocol.partition(' (')[0] for protocol in protocols)  # without the number of videos
    if a and a == b:
        return []
    were = 'were' if a and b else 'may have been'
    return [f'note   A and B {were} scored by different protocols', *(f'       {of or "unknown"}' for of in (a, b))]


def shortened(of: ClassDifference) -> str:
    """Name and number of videos, on one line."""
    return f'{textwrap.shorten(of.name, 45, placeholder="...")} ({of.videos:,})'


def flips(comparison: Comparison) -> Iterator[list[str]]:
    """Of every video that one of the models alone gets right: id, label, which model, what each predicted."""
    for n in np.flatnonzero(comparison.right[0] != comparison.right[1]):
        label, *predicted = comparison.label_names[[comparison.labels[n], *comparison.predicted[:, n]]]
        yield [comparison.ids[n], label, 'A' if comparison.right[0, n] else 'B', *predicted]


def write(folder: AnyPath, comparison: Comparison, names: tuple[str, str]) -> None:
    """Writes the files above to `folder`."""
    make_folder(folder)
    classes = by_class(comparison)
    of_classes = ([of.name, of.videos, *(f'{x:.6f}' for x in (of.top1_a, of.top1_b, of.gain))] for of in classes)
    with written_whole(folder / 'classes.csv') as path:
        write_rows(path, [('name', 'videos', 'top1_a', 'top1_b', 'difference'), *of_classes])
    with written_whole(folder / 'flips.csv') as path:
        write_rows(path, [('id', 'label', 'right', 'predicted_a', 'predicted_b'), *flips(comparison)])
    draw(folder / 'classes.png', classes, f'A: {names[0]}\nB: {names[1]}\nB - A: {overall(comparison)}')


def draw(path: AnyPath, classes: Sequence[ClassDifference], title: str) -> None:
    """A bar for each class; where they are too many to be read, the greatest gains and losses, and all as a profile."""
    told = classes if len(classes) <= 2 * DRAWN else [*classes[:DRAWN], *classes[-DRAWN:]]
    panels = 1 if len(told) == len(classes) else 2
    figure = figures.figure(5.5 + 3 * panels, max(3, 0.24 * len(told) + 1.5))
    axes = figure.subplots(1, panels, squeeze=False, sharex=True)
    draw_bars(axes[0, 0], told)
    axes[0, 0].set_yticks(range(len(told)), [shortened(of) for of in told], fontsize='small')
    axes[0, 0].set_title(
        'by class (videos)' if panels == 1 else f'{DRAWN} greatest gains and losses (videos)', fontsize='medium'
    )
    if panels == 2:
        axes[0, 0].axhline(DRAWN - 0.5, color='black', linestyle=':')
        draw_bars(axes[0, 1], classes)
        axes[0, 1].set(ylabel='rank of the class')
        axes[0, 1].set_title(f'all {len(classes)} classes', fontsize='medium')
    figures.title(figure, title)
    figures.save(figure, path)


def draw_bars(axes, classes: Sequence[ClassDifference]) -> None:
    """The first class on top."""
    gains = [100 * of.gain for of in classes]
    height = 0.8 if len(classes) <= 2 * DRAWN else 1
    axes.barh(range(len(classes)), gains, height, color=[GAIN if gain > 0 else LOSS for gain in gains])
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.axvline(0, color='black', linewidth=0.8)
    figures.grid(axes, 'x')
    axes.set(xlabel='top-1 of B over A, points')
