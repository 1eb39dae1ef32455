"""Metrics are per example, `metric(logits, label) -> [B]`; masking and averaging are written once.

Axes: B examples, K classes.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Bool, Float, Int


def cross_entropy(logits: Float[Array, 'B K'], label: Int[Array, 'B']) -> Float[Array, 'B']:
    """Softmax cross-entropy of each example, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, label)


def top_k(logits: Float[Array, 'B K'], label: Int[Array, 'B'], k: int) -> Float[Array, 'B']:
    """1 where fewer than k classes score above the label's, else 0; a tie with the label counts against it."""
    own = jnp.take_along_axis(logits, label[:, None], axis=1)
    not_below = (~(logits < own)).sum(axis=1) - 1  # without the label itself; NaN is never below
    return (not_below < k).astype(jnp.float32)


def top1(logits: Float[Array, 'B K'], label: Int[Array, 'B']) -> Float[Array, 'B']:
    """1 where the label scores highest, else 0."""
    return top_k(logits, label, 1)


def top5(logits: Float[Array, 'B K'], label: Int[Array, 'B']) -> Float[Array, 'B']:
    """1 where the label is among the five highest scores, else 0."""
    return top_k(logits, label, 5)


def right(logits: Float[np.ndarray, 'N K'], label: Int[np.ndarray, 'N']) -> Bool[np.ndarray, 'N']:
    """Where `top1` is 1, without a device."""
    own = np.take_along_axis(logits, label[:, None], axis=1)
    return (~(logits < own)).sum(axis=1) == 1


METRICS = {'loss': cross_entropy, 'top1': top1, 'top5': top5}


def masked_mean(per_example: Float[Array, 'B'], mask: Bool[Array, 'B']) -> Float[Array, '']:
    """Mean over the examples where the mask is true; zero if it nowhere is."""
    return jnp.where(mask, per_example, 0).sum() / jnp.maximum(mask.sum(), 1)


def averages(logits: Float[Array, 'B K'], label: Int[Array, 'B'], mask: Bool[Array, 'B']) -> dict[str, Array]:
    """The masked mean of every metric."""
    return {name: masked_mean(metric(logits, label), mask) for name, metric in METRICS.items()}


def confusion_matrix(predicted: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Counts [K K]: rows are labels, columns are predictions."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (label, predicted), 1)
    return counts


def mean_class_accuracy(confusion: np.ndarray) -> float:
    """Accuracy of each class that occurs, averaged over those classes; NaN where none occurs."""
    occurring = confusion.sum(axis=1) > 0
    return float((confusion.diagonal()[occurring] / confusion.sum(axis=1)[occurring]).mean())


def percent(share: float, examples: int) -> str:
    """A share of so many examples with the decimals that their number supports, one at least: 12.5% of 32."""
    return f'{share:.{max(1, len(str(max(examples, 1) - 1)) - 2)}%}'


def check_finite(values: Mapping[str, float], where: str) -> None:
    """Raises FloatingPointError naming the values that are not finite."""
    wrong = {name: value for name, value in values.items() if not np.isfinite(value)}
    if wrong:
        raise FloatingPointError(
            f'Training diverged {where}: {wrong}. Lower config.schedule.learning_rate or lengthen its warm-up.'
        )
