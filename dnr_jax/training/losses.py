"""Cross-entropy with soft targets: what a label becomes when it is smoothed or mixed.

    target = (1 - s) * onehot(label) + s / K        loss = -sum_k w_k * target_k * log softmax(logits)_k

    w_k ~ n_k ^ -p,    n_k the videos of class k, p = 0 for weights of 1, 1 for classes that weigh the same together

Axes: N videos, B examples, K classes.
"""

import jax
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Int


def one_hot_targets(label: Int[Array, 'B'], classes: int, smoothing: float) -> Float[Array, 'B K']:
    """Probabilities of the K classes, the share `smoothing` spread over all of them; ValueError unless in [0, 1).

    Source: Szegedy et al., Rethinking the Inception Architecture, 2016.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(
            f'Label smoothing is a share of 1: expected 0 <= smoothing < 1, got {smoothing}. 0 switches it off.'
        )
    return optax.smooth_labels(jax.nn.one_hot(label, classes), smoothing)


def class_weights(counts: Int[np.ndarray, 'K'], power: float | int) -> Float[np.ndarray, 'K']:
    """Weights of the classes, of these numbers of videos; their mean over all videos is 1, and 0 where there is none.

    Source: King and Zeng, Logistic Regression in Rare Events Data, 2001, has power 1.
    """
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -power, 0.0)
    return weights * counts.sum() / (weights * counts).sum()


def weights_of_labels(labels: Int[np.ndarray, 'N'], classes: int, power: float | int) -> tuple[float, ...] | None:
    """`class_weights` of the classes of N labelled videos; None for power 0, where all weigh alike."""
    counts = np.bincount(labels, minlength=classes)
    return tuple(map(float, class_weights(counts, power))) if power else None


def soft_cross_entropy(logits: Float[Array, 'B K'], targets: Float[Array, 'B K']) -> Float[Array, 'B']:
    """Cross-entropy of each example from its target distribution, in nats."""
    return optax.softmax_cross_entropy(logits, targets)
