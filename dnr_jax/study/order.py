"""How much of the order of frames a network sees: its clips, and the same clips with their frames reversed.

    agreement    share of clips that get one prediction both ways
    moved        1/2 sum_k |p_k - p'_k|, how much probability the reversal moves to other classes, averaged over clips

A network that averages its frames and whose norms know no frames agrees with itself everywhere and moves nothing. The
labels of reversed clips stay as they are: where a class is another one run backwards, accuracy falls as order is seen.

Axes: N clips, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from dnr_jax import figures
from dnr_jax.evaluation import metrics
from dnr_jax.files import AnyPath

MOST_NAMED = 16  # classes that tables and matrices show, the greatest predicted
SMALLEST_TOLD = 0.1  # share of a row that is written into a matrix


class Order(NamedTuple):
    """The answer for one network."""

    clips: int
    top1: float
    top1_reversed: float
    agreement: float
    moved: float
    turned: np.ndarray  # [K K] clips by prediction of the clip (row) and of its reverse (column)


SHARES = {'top1': 'top-1', 'top1_reversed': 'top-1, reversed', 'agreement': 'agreement', 'moved': 'probability moved'}


def compare(
    logits: Float[np.ndarray, 'N K'], of_reversed: Float[np.ndarray, 'N K'], labels: Int[np.ndarray, 'N']
) -> Order:
    """From the logits of clips and of the same clips reversed."""
    predicted, backwards = logits.argmax(axis=1), of_reversed.argmax(axis=1)
    return Order(
        len(labels),
        float(metrics.right(logits, labels).mean()),
        float(metrics.right(of_reversed, labels).mean()),
        float((predicted == backwards).mean()),
        float(np.abs(softmax(logits, axis=1) - softmax(of_reversed, axis=1)).sum(axis=1).mean() / 2),
        metrics.confusion_matrix(backwards, predicted, logits.shape[1]),
    )


def turns_into(order: Order, predicted: int) -> tuple[int, float] | None:
    """What most clips of a predicted class are when reversed, and their share; None if no clip is predicted so."""
    row = order.turned[predicted]
    return (int(row.argmax()), float(row.max() / row.sum())) if row.sum() else None


def greatest(orders: Mapping[str, Order]) -> list[int]:
    """The classes that most clips are predicted as, by all networks together."""
    predicted = sum(of.turned.sum(axis=1) for of in orders.values())
    return sorted(np.argsort(-predicted, kind='stable')[:MOST_NAMED].tolist())


def shares_of(order: Order, shown: Sequence[int]) -> np.ndarray:
    """[R J] of the clips of each shown class, what share is which when reversed; behind them a column of all others."""
    share = order.turned[shown] / np.maximum(order.turned[shown].sum(axis=1, keepdims=True), 1)
    others = share.sum(axis=1, keepdims=True) - share[:, shown].sum(axis=1, keepdims=True)
    return np.hstack([share[:, shown], others]) if len(shown) < len(order.turned) else share[:, shown]


def to_text(orders: Mapping[str, Order], label_names: Sequence[str]) -> str:
    """A column for each network: the shares, and what the greatest predicted classes turn into."""
    rows = [('', list(orders))]
    rows += [(told, [f'{getattr(of, share):.1%}' for of in orders.values()]) for share, told in SHARES.items()]
    rows.append(('predicted, and mostly, when reversed', [''] * len(orders)))
    for k in greatest(orders):
        into = [turns_into(of, k) for of in orders.values()]
        rows.append((f'  {label_names[k]}', [f'{label_names[j[0]]} {j[1]:.0%}' if j else '-' for j in into]))
    table = [[name, *cells] for name, cells in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ('  '.join(f'{cell:{width}}' for cell, width in zip(line, widths, strict=True)) for line in table)
    return '\n'.join(line.rstrip() for line in lines)


def draw(path: AnyPath, orders: Mapping[str, Order], label_names: Sequence[str], title: str) -> None:
    """Bars of the shares, and for every network the prediction of the reverse for every prediction of a clip."""
    shown = greatest(orders)
    names = [label_names[k] for k in shown]
    columns = names + ['others'] * (len(names) < len(label_names))
    of_names = 0.08 * max(map(len, columns))  # inches beside and below a matrix
    side = 1.4 + 0.3 * len(columns) + of_names
    widths = [3.6 + 0.9 * len(orders), *[side + 0.4] * len(orders)]
    figure = figures.figure(sum(widths), max(3.8, side + 0.6))
    left, *matrices = figure.subplots(1, 1 + len(orders), width_ratios=widths)
    draw_shares(left, orders)
    for axis, (name, order) in zip(matrices, orders.items(), strict=True):
        share = shares_of(order, shown)
        image = axis.imshow(100 * share, cmap='Blues', vmin=0, vmax=100, aspect='auto')
        for (i, j), of in np.ndenumerate(share):
            if of >= SMALLEST_TOLD:
                colour = 'white' if of > 0.5 else 'black'
                axis.text(j, i, f'{of:.0%}', ha='center', va='center', fontsize='xx-small', color=colour)
        axis.set_xticks(range(len(columns)), columns, rotation=90, fontsize='small')
        axis.set_yticks(range(len(names)), names, fontsize='small')
        axis.set(xlabel='prediction, frames reversed', ylabel='prediction')
        axis.set_title(name, fontsize='medium')
    figure.colorbar(image, ax=matrices[-1], label='clips, percent of the row', shrink=0.6)
    figures.title(figure, title)
    figures.save(figure, path)


def draw_shares(axis, orders: Mapping[str, Order]) -> None:
    """A group of bars for each share, a bar for each network."""
    width = 0.8 / len(orders)
    for number, (name, order) in enumerate(orders.items()):
        places = np.arange(len(SHARES)) + (number - (len(orders) - 1) / 2) * width
        values = [100 * getattr(order, share) for share in SHARES]
        bars = axis.bar(places, values, width, color=figures.style(number, len(orders))['color'], label=name)
        axis.bar_label(bars, fmt='%.0f', fontsize='small')
    axis.set_xticks(range(len(SHARES)), [told.replace(' ', '\n') for told in SHARES.values()], fontsize='small')
    axis.set(ylim=(0, 110), ylabel='percent')
    axis.set_yticks(range(0, 101, 20))
    figures.grid(axis, 'y')
    axis.legend(fontsize='small', loc='upper center', bbox_to_anchor=(0.5, 0), borderaxespad=4)
