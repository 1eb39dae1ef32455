"""SGD with momentum and the learning rate of the released recipe.

    lr(step) = R * (1 + cos(pi e / E)) / 2 * warm-up(step),   e the epoch of the step, of E epochs in all

The cosine falls by epoch, the warm-up rises by step and multiplies it. Order of an update: averaged gradients
are clipped to a global norm, weight decay on every parameter is added, momentum, times the learning rate.

Source: github.com/caidonkey/dnr (mmcv's cosine policy, linear warm-up and optimizer hook).
"""

import jax.numpy as jnp
import optax

from dnr_jax.registry import choose


def learning_rate(
    *,
    learning_rate: float,
    warmup_steps: int,
    warmup_start: float,
    cosine_by: str,
    steps_per_epoch: int,
    epochs: int,
) -> optax.Schedule:
    """Schedule step -> learning rate; ValueError unless `cosine_by` is 'epoch' or 'step'."""
    stair = choose({'epoch': steps_per_epoch, 'step': 1}, cosine_by, 'cosine_by')
    total = steps_per_epoch * epochs

    def schedule(step):
        cosine = 0.5 * (1 + jnp.cos(jnp.pi * (step // stair) * stair / total))
        warmup = 1 - (1 - warmup_start) * jnp.maximum(1 - step / max(warmup_steps, 1), 0)
        return learning_rate * cosine * warmup

    return schedule


def sgd(
    schedule: optax.Schedule, *, momentum: float, nesterov: bool, weight_decay: float, clip_norm: float
) -> optax.GradientTransformation:
    """Clip, add decay, momentum, scale, in this order; the gradients must be averaged over devices before."""
    return optax.chain(
        optax.clip_by_global_norm(clip_norm),
        optax.add_decayed_weights(weight_decay),
        optax.trace(decay=momentum, nesterov=nesterov),
        optax.scale_by_learning_rate(schedule),
    )
