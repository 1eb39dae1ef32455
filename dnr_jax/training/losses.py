"""Cross-entropy with soft targets: what a label becomes when it is smoothed or mixed.

    target = (1 - s) * onehot(label) + s / K        loss = -sum_k target_k * log softmax(logits)_k

Axes: B examples, K classes.
"""

import jax
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


def soft_cross_entropy(logits: Float[Array, 'B K'], targets: Float[Array, 'B K']) -> Float[Array, 'B']:
    """Cross-entropy of each example from its target distribution, in nats."""
    return optax.softmax_cross_entropy(logits, targets)
