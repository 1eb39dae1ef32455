"""One step of training, as a pure function of state and batch.

Axes: B clips (one device's share), T frames, H W space, C channels, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jaxtyping import Float
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.evaluation import metrics
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.parallel import CLIPS_AXIS, Batch
from dnr_jax.runs.state import TrainState
from dnr_jax.training.losses import one_hot_targets, soft_cross_entropy
from dnr_jax.training.mixing import mix

PyTree = Any


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    pixels: Mapping[str, Sequence[float]],
    regularization: Mapping[str, float],
    classes: int,
    class_weights: Sequence[float] | None,
    micro_batches: int,
    ema_decay: float,
    skip_not_finite: bool,
    seed: int,
) -> tuple[TrainState, dict[str, Array]]:
    """One update from this device's clips; returns the new state and the metrics, both averaged over devices.

    Each device standardizes with its own clips; gradients and running statistics are averaged over devices.

    Args:
      regularization: `label_smoothing`, `mixup`, `cutmix`, see `losses` and `mixing`.
      class_weights: of the losses, by label, see `losses.class_weights`; None weighs all alike.
      micro_batches: parts the device's clips are passed in, one after the other, to save memory. Statistics are those
        of a part, and running statistics move once for each.
      ema_decay: share of the old value that the moving average of the parameters keeps each step, where one is kept.
      skip_not_finite: whether an update that is not finite is left out and counted, instead of made.
    """
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), state.step), lax.axis_index(CLIPS_AXIS))
    loss_of = partial(
        loss_and_metrics, model=model, pixels=pixels, classes=classes, class_weights=class_weights, **regularization
    )
    grads, averages, batch_stats = gradients(loss_of, state, batch, key, micro_batches)
    grads, averages, batch_stats = lax.pmean((grads, averages, batch_stats), CLIPS_AXIS)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    after = state.replace(
        step=state.step + 1,
        params=params,
        average=optax.incremental_update(params, state.average, 1 - ema_decay) if state.average else {},
        batch_stats=batch_stats,
        opt_state=opt_state,
        damaged=state.damaged + lax.psum(batch['damaged'].sum(), CLIPS_AXIS),
    )
    averages = averages | {'gradient_norm': optax.tree.norm(grads)}
    if skip_not_finite:
        finite = jnp.isfinite(averages['loss'] + averages['gradient_norm'])
        unmoved = state.replace(step=after.step, skipped=state.skipped + 1, damaged=after.damaged)
        after = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, unmoved)
    return after, averages | {'skipped': after.skipped, 'damaged': after.damaged}


def gradients(
    loss_of: Callable, state: TrainState, batch: Batch, key: Array, micro_batches: int
) -> tuple[PyTree, dict[str, Array], PyTree]:
    """Gradients and metrics, averaged over micro-batches, and the running statistics after the last of them."""
    gradient_of = jax.grad(loss_of, has_aux=True)
    if micro_batches == 1:
        grads, (averages, batch_stats) = gradient_of(state.params, state.batch_stats, batch, key)
        return grads, averages, batch_stats

    def accumulate(carry, part):
        batch_stats, sums = carry
        micro_batch, key = part
        grads, (averages, batch_stats) = gradient_of(state.params, batch_stats, micro_batch, key)
        return (batch_stats, jax.tree.map(jnp.add, sums, (grads, averages))), None

    parts = jax.tree.map(lambda rows: rows.reshape(micro_batches, -1, *rows.shape[1:]), dict(batch))
    parts = parts, jax.random.split(key, micro_batches)
    shapes = jax.eval_shape(gradient_of, state.params, state.batch_stats, *jax.tree.map(lambda rows: rows[0], parts))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (shapes[0], shapes[1][0]))
    (batch_stats, sums), _ = lax.scan(accumulate, (state.batch_stats, zeros), parts)
    grads, averages = jax.tree.map(lambda total: total / micro_batches, sums)
    return grads, averages, batch_stats


def loss_and_metrics(
    params: PyTree,
    batch_stats: PyTree,
    batch: Batch,
    key: Array,
    *,
    model: nn.Module,
    pixels: Mapping[str, Sequence[float]],
    classes: int,
    class_weights: Sequence[float] | None,
    label_smoothing: float,
    mixup: float,
    cutmix: float,
) -> tuple[Float[Array, ''], tuple[dict[str, Array], PyTree]]:
    """The training loss, and beside it the metrics and the running statistics after this batch.

    Metrics but the loss are of the labels as they were, before smoothing and mixing.
    """
    of_dropout, of_mixing = jax.random.split(key)
    targets = one_hot_targets(batch['label'], classes, label_smoothing)
    targets = targets if class_weights is None else targets * jnp.asarray(class_weights, targets.dtype)[None]
    clip = normalize_pixels(batch['clip'], **pixels)
    clip, targets = mix(of_mixing, clip, targets, mixup=mixup, cutmix=cutmix)
    logits, updated = model.apply(
        {'params': params, 'batch_stats': batch_stats},
        clip,
        train=True,
        mutable=['batch_stats'],
        rngs={'dropout': of_dropout},
    )
    loss = metrics.masked_mean(soft_cross_entropy(logits, targets), batch['mask'])
    averages = metrics.averages(logits, batch['label'], batch['mask']) | {'loss': loss}
    return loss, (averages, updated.get('batch_stats', {}))


def make_train_step(
    config: ConfigDict,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    mesh: parallel.Mesh,
    classes: int,
    class_weights: Sequence[float] | None = None,
) -> Callable:
    """`train_step` of that config, over all devices: (state, batch) -> (state, metrics)."""
    step = partial(
        train_step,
        model=model,
        optimizer=optimizer,
        pixels=config.pixels.to_dict(),
        regularization=config.regularization.to_dict(),
        classes=classes,
        class_weights=class_weights,
        micro_batches=config.train.micro_batches,
        ema_decay=config.train.ema_decay,
        skip_not_finite=config.train.max_skipped_steps > 0,
        seed=config.seed,
    )
    return parallel.compile_train_step(step, mesh)
