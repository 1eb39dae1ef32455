"""What predictions are worth, in numbers, files and pictures.

    results.json      scores, protocol, coverage, scores of fewer views, checkpoint
    classes.csv       name, videos and top-1 of every class
    confusion.png     rows are labels, columns predictions
    views.png         top-1 against the number of views, where there is more than one

A score counts the videos that have one. Of a split whose labels are not known there are predictions and no scores; of
videos that could not be read, or not even prepared, it is told how many they are and how far they could move the score.

Axes: N videos, K classes.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dnr_jax import figures
from dnr_jax.evaluation import metrics, multi_view
from dnr_jax.evaluation.predictions import Predictions
from dnr_jax.files import write_rows

CLASSES_FOR_TOP5 = 10  # of fewer, half or more are among the five highest
OTHER_CLASSES = {
    'unknown_classes': 'classes of the data are none of the model, and their videos count as without a label',
    'absent_classes': 'classes of the model are none of the data',
}
FILES = RESULTS, CLASSES, CONFUSION, CURVE = 'results.json', 'classes.csv', 'confusion.png', 'views.png'


def known(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of the videos whose label is known."""
    return predictions.labels[predictions.labelled], predictions.logits[predictions.labelled]


def summarize(predictions: Predictions) -> dict[str, float | int]:
    """Top-1, top-5, mean class accuracy (shares of 1), mean cross-entropy in nats, and how many videos were scored.

    They are of the videos whose label is known; where there is none, there are no scores but the number of videos. Of
    fewer than CLASSES_FOR_TOP5 classes there is no top-5.
    """
    videos = {'videos': len(predictions.labels)}
    labels, logits = known(predictions)
    if not len(labels):
        return videos
    averages = jax.jit(metrics.averages)(logits, labels, np.ones(len(labels), bool))
    top5 = {'top5': float(averages['top5'])} if logits.shape[1] >= CLASSES_FOR_TOP5 else {}
    return {
        'top1': float(averages['top1']),
        **top5,
        'mean_class_accuracy': metrics.mean_class_accuracy(confusion_matrix(predictions)),
        'loss': float(averages['loss']),
        **videos,
    }


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Counts [K K] of the highest scores of the videos whose label is known."""
    labels, logits = known(predictions)
    return metrics.confusion_matrix(logits.argmax(axis=1), labels, logits.shape[1])


def cover(predictions: Predictions) -> dict[str, Any]:
    """How many videos the annotations list, how many were scored, why the others were not, and what that leaves open.

    `top1_at_least` and `top1_at_most` are what top-1 would be if all of the missing ones were wrong or right. They are
    left out for a part of a split, where only those are known to be missing that were damaged.
    """
    labels, logits = known(predictions)
    scored, labelled = len(predictions.labels), len(labels)
    missing = len(predictions.missing)
    coverage = {
        'expected': predictions.expected,
        'scored': scored,
        'unlabelled': scored - labelled,
        'missing': missing,
        'reasons': dict(sorted(Counter(reason for _, reason in predictions.missing).items())),
    }
    if predictions.expected is None or not labelled:
        return coverage
    right = int(metrics.right(logits, labels).sum())
    return coverage | {
        'top1_at_least': right / (labelled + missing),
        'top1_at_most': (right + missing) / (labelled + missing),
    }


def curve(predictions: Predictions, *, clips: int, crops: int) -> list[dict[str, Any]]:
    """What fewer views would have given, for the leader, see `multi_view.curve`; nothing without views or labels."""
    if clips * crops == 1 or predictions.views is None or not predictions.labelled.any():
        return []
    return multi_view.curve(predictions.views, predictions.labels, clips=clips, crops=crops)


def to_text(section: str, results: Mapping[str, Any]) -> str:
    """One line of scores and protocol, and one more where videos are missing or have no label.

    `results` are those of `summarize`, with `coverage` (see `cover`) and `protocol`.
    """
    return f'{section:<13}{in_short(results)}  {results["protocol"]}{notes(results)}'


def in_short(results: Mapping[str, Any]) -> str:
    """The scores without their protocol, or why there are none."""
    if 'top1' not in results:
        return f'no accuracy, for {"no label is known" if results["videos"] else "no video could be read"}'
    loss = 'not finite' if results['loss'] is None else f'{results["loss"]:.4f}'
    shares = {'top-1': 'top1', 'top-5': 'top5', 'mean class': 'mean_class_accuracy'}
    told = (
        f'{name} {metrics.percent(results[key], labelled(results))}' for name, key in shares.items() if key in results
    )
    return '  '.join([f'loss {loss}', *told])


def labelled(results: Mapping[str, Any]) -> int:
    """How many videos the scores are of."""
    return results['coverage']['scored'] - results['coverage']['unlabelled']


def notes(results: Mapping[str, Any]) -> str:
    """What is to be known beside the scores, as a line below them; empty where there is nothing."""
    coverage, told = results['coverage'], []
    if missing := coverage['missing']:
        reasons = ', '.join(f'{count:,} {reason}' for reason, count in coverage['reasons'].items())
        told.append(f'{missing:,} of {coverage["scored"] + missing:,} videos have no score ({reasons})')
        if 'top1_at_least' in coverage:
            bounds = (metrics.percent(coverage[f'top1_at_{end}'], labelled(results)) for end in ('least', 'most'))
            told[-1] += f', with them top-1 {" to ".join(bounds)}'
    if 'top1' in results and coverage['unlabelled']:
        told.append(f'{coverage["unlabelled"]:,} videos without a label left out')
    for key, words in OTHER_CLASSES.items():
        if names := results.get(key):
            told.append(f'{len(names):,} {words}: {", ".join(names[:3])}{", ..." * (len(names) > 3)}')
    if results.get('same_videos') is False:
        told.append('not the videos that this split held when the model was trained')
    return f'\n{"":<13}{"; ".join(told)}' if told else ''


def write(folder: Path, predictions: Predictions, results: Mapping[str, Any], label_names: Sequence[str]) -> None:
    """Writes the files above to `folder`, which is new."""
    if 'top1' in results:
        confusion, title = (
            confusion_matrix(predictions),
            f'top-1 {metrics.percent(results["top1"], labelled(results))}, {results["protocol"]}',
        )
        write_classes(folder / CLASSES, confusion, label_names)
        draw_confusion(folder / CONFUSION, confusion, label_names, title)
    if results['views_curve']:
        multi_view.draw_curve(folder / CURVE, results['views_curve'], results['protocol'])
    (folder / RESULTS).write_text(json.dumps(results, indent=2, allow_nan=False) + '\n')


def write_classes(path: Path, confusion: np.ndarray, label_names: Sequence[str]) -> None:
    """Videos and top-1 of every class; no top-1 where there is no video."""
    of_classes = zip(label_names, confusion.sum(axis=1), confusion.diagonal(), strict=True)
    rows = ([name, videos, f'{right / videos:.6f}' if videos else ''] for name, videos, right in of_classes)
    write_rows(path, [('name', 'videos', 'top1'), *rows])


def draw_confusion(path: Path, confusion: np.ndarray, label_names: Sequence[str], title: str) -> None:
    """Writes the picture of a confusion matrix."""
    figures.save(confusion_figure(confusion, label_names, title), path)


def confusion_figure(confusion: np.ndarray, label_names: Sequence[str], title: str):
    """The confusion matrix as a picture: shares of each label, with counts where they can be read."""
    classes = len(label_names)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(max(4.5, 0.55 * classes + 2), 14)
    figure = figures.figure(side + 1, side)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label='share of the label', shrink=0.8)
    axes.set(xlabel='predicted', ylabel='label')
    figures.title(figure, title)
    if classes <= 40:
        axes.set_xticks(range(classes), label_names, rotation=90)
        axes.set_yticks(range(classes), label_names)
    if classes <= 20:
        for row, column in np.argwhere(confusion):
            colour = 'white' if shares[row, column] > 0.5 else 'black'
            axes.text(column, row, confusion[row, column], ha='center', va='center', color=colour)
    return figure
