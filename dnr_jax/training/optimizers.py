"""SGD or AdamW, its learning rate, and parameters that learn at their own rate or not at all.

    lr(step) = R * fall(e) * warm-up(step),   e the epoch of the step, of E epochs in all
    fall(e)  = (1 + cos(pi e / E)) / 2   |   gamma ^ (milestones reached by e)   |   1

The warm-up rises by step and multiplies what falls. Averaged gradients are clipped to a global norm; then

    sgd      weight decay is added, momentum, times the learning rate
    adamw    divided by the root of their running mean square, weight decay is added, times the learning rate

Source: github.com/caidonkey/dnr (mmcv's cosine policy, linear warm-up and optimizer hook) is SGD and the cosine with
every parameter alike; github.com/yjxiong/tsn-pytorch falls by steps and has groups of parameters; Loshchilov and
Hutter, Decoupled Weight Decay Regularization, 2019, is AdamW.
"""

import difflib
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dnr_jax.registry import choose

PyTree = Any
Group = tuple[str, float, float]  # pattern of parameter paths, multipliers of learning rate and of weight decay


def learning_rate(
    *,
    learning_rate: float,
    decay: str,
    milestones: Sequence[int],
    gamma: float,
    fall_by: str,
    warmup_steps: int,
    warmup_start: float,
    steps_per_epoch: int,
    epochs: int,
) -> optax.Schedule:
    """Schedule step -> learning rate; ValueError for unknown `decay`, `fall_by` or milestones [epochs] out of order.

    `milestones` and `gamma` belong to decay 'steps', `fall_by` ('epoch' or 'step') to 'cosine'.
    """
    stair = choose({'epoch': steps_per_epoch, 'step': 1}, fall_by, 'fall_by')
    total = steps_per_epoch * epochs
    if decay == 'steps' and not (milestones and all(a < b for a, b in pairwise((0, *milestones, epochs)))):
        raise ValueError(
            f"decay 'steps' falls at milestones: expected rising epochs between 1 and {epochs - 1}, got "
            f'{tuple(milestones)}. Correct config.schedule.milestones or choose another decay.'
        )
    falls = {
        'cosine': lambda step: 0.5 * (1 + jnp.cos(jnp.pi * (step // stair) * stair / total)),
        'steps': lambda step: gamma ** sum(step >= epoch * steps_per_epoch for epoch in milestones),
        'constant': lambda step: 1.0,
    }
    fall = choose(falls, decay, 'decay')

    def schedule(step):
        to_come = jnp.maximum(1 - step / warmup_steps, 0) if warmup_steps else 0.0
        return learning_rate * fall(step) * (1 - (1 - warmup_start) * to_come)

    return schedule


def learning_rate_milestones(
    schedule: optax.Schedule,
    *,
    decay: str,
    milestones: Sequence[int],
    warmup_steps: int,
    steps_per_epoch: int,
    epochs: int,
) -> list[tuple[int, float]]:
    """(step, learning rate) where a schedule turns, in order: start, end of warm-up, milestones or quarters, end."""
    total = steps_per_epoch * epochs
    turns = {
        'cosine': [total * quarter // 4 for quarter in (1, 2, 3)],
        'steps': [epoch * steps_per_epoch for epoch in milestones],
        'constant': [],
    }
    steps = {0, warmup_steps, *choose(turns, decay, 'decay'), total - 1}
    return [(step, float(schedule(step))) for step in sorted(steps) if step < total]


def peak(schedule: optax.Schedule, total_steps: int) -> float:
    """The highest learning rate of so many steps."""
    return float(jax.jit(lambda steps: jnp.max(schedule(steps)))(jnp.arange(total_steps)))


def make(
    schedule: optax.Schedule,
    *,
    name: str,
    momentum: float,
    nesterov: bool,
    second_momentum: float,
    epsilon: float,
    weight_decay: float,
    clip_norm: float,
    groups: Sequence[Group],
    frozen: Sequence[str],
) -> optax.GradientTransformation:
    """The optimizer of that name, 'sgd' or 'adamw'; the gradients must be averaged over devices before.

    A parameter belongs to the first group whose pattern `re.search` finds in its path, 'stage1/block1/conv1/kernel'.
    Frozen ones are not updated nor counted in the norm. A `clip_norm` of 0 does not clip. Raises ValueError for an
    unknown name; the optimizer's `init` does for patterns that find nothing.

    Args:
      momentum: of SGD; of AdamW that of the gradients, the first of its betas.
      second_momentum: of AdamW, of the squared gradients, the second of its betas. epsilon: added to their root.
    """

    def decay_and_multiply(updates, params):
        def one(path, update, param):
            of_rate, of_decay = multipliers(parameter_path(path), groups)
            return of_rate * (update + weight_decay * of_decay * param)

        return jax.tree_util.tree_map_with_path(one, updates, params)

    decay = optax.stateless(decay_and_multiply)
    updates = {
        'sgd': (decay, optax.trace(decay=momentum, nesterov=nesterov)),  # momentum is linear: the rate may stand before
        'adamw': (optax.scale_by_adam(momentum, second_momentum, eps=epsilon, nesterov=nesterov), decay),
    }
    optimizer = optax.chain(
        optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity(),
        *choose(updates, name, 'optimizer'),
        optax.scale_by_learning_rate(schedule),
    )
    if frozen:
        optimizer = optax.partition({'trained': optimizer, 'frozen': optax.set_to_zero()}, freezing(frozen))

    def init(params):
        check_patterns([pattern for pattern, _, _ in groups] + list(frozen), params)
        return optimizer.init(params)

    return optax.GradientTransformation(init, optimizer.update)


def parameter_path(path: tuple) -> str:
    """A key path of JAX as patterns see it: 'stage1/block1/conv1/kernel'."""
    return jax.tree_util.keystr(path, simple=True, separator='/')


def multipliers(path: str, groups: Sequence[Group]) -> tuple[float, float]:
    """Of learning rate and weight decay: those of the first group that fits the path, else 1 and 1."""
    return next(((rate, decay) for pattern, rate, decay in groups if re.search(pattern, path)), (1.0, 1.0))


def freezing(frozen: Sequence[str]):
    """Function tree -> the same tree with 'frozen' or 'trained' at each leaf."""

    def label(path, _):
        return 'frozen' if any(re.search(pattern, parameter_path(path)) for pattern in frozen) else 'trained'

    return lambda tree: jax.tree_util.tree_map_with_path(label, tree)


def check_patterns(patterns: Sequence[str], params: PyTree) -> None:
    """Raises ValueError for a pattern that no parameter's path fits, with the paths nearest to it."""
    paths = [parameter_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not any(re.search(pattern, path) for path in paths):
            near = ', '.join(difflib.get_close_matches(pattern, paths, n=5, cutoff=0.0))
            raise ValueError(
                f"Pattern '{pattern}' of config.optimizer.groups or .frozen fits no parameter; expected a regular "
                f'expression found in paths like: {near}. Correct it or take it out.'
            )
