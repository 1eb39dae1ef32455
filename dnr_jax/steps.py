"""One step of training and of evaluation, as pure functions of state and batch.

A batch is `{clip: uint8, label: int, mask: bool}`: clips [B T H W C] in training, [B V T H W C] in evaluation.
Axes: B clips (one device's share), V views, T frames, H W space, C channels, K classes.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jaxtyping import Float, UInt8

from dnr_jax import metrics
from dnr_jax.state import TrainState

Batch = Mapping[str, Array]


def normalize_pixels(
    clip: UInt8[Array, '*axes C'], mean: Sequence[float], std: Sequence[float]
) -> Float[Array, '*axes C']:
    """(clip - mean) / std per channel, in float32; done on the device, so that bytes travel."""
    per_channel = (1,) * (clip.ndim - 1) + (-1,)
    mean, std = jnp.reshape(jnp.array(mean), per_channel), jnp.reshape(jnp.array(std), per_channel)
    return (clip.astype(jnp.float32) - mean) / std


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    pixels: Mapping[str, Sequence[float]],
    seed: int,
    axis: str,
) -> tuple[TrainState, dict[str, Array]]:
    """One update from this device's clips; returns the new state and the metrics, both averaged over `axis`.

    Each device standardizes with its own clips; gradients and running statistics are averaged over devices.
    """
    device = lax.axis_index(axis)
    dropout = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), state.step), device)

    def loss_of(params):
        logits, updated = model.apply(
            {'params': params, 'batch_stats': state.batch_stats},
            normalize_pixels(batch['clip'], **pixels),
            train=True,
            mutable=['batch_stats'],
            rngs={'dropout': dropout},
        )
        averages = metrics.averages(logits, batch['label'], batch['mask'])
        return averages['loss'], (averages, updated.get('batch_stats', {}))

    grads, (averages, batch_stats) = jax.grad(loss_of, has_aux=True)(state.params)
    grads, averages, batch_stats = lax.pmean((grads, averages, batch_stats), axis)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    state = TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    return state, averages | {'gradient_norm': optax.tree.norm(grads)}


def eval_step(
    variables: Mapping, batch: Batch, *, model: nn.Module, pixels: Mapping[str, Sequence[float]]
) -> Float[Array, 'B K']:
    """The logits of each video, averaged over its views."""
    clip = batch['clip']
    views = clip.reshape(-1, *clip.shape[2:])  # [B*V T H W C]
    logits = model.apply(variables, normalize_pixels(views, **pixels), train=False)
    return logits.reshape(*clip.shape[:2], -1).mean(axis=1)
