"""What training carries from step to step, and nothing else."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array

PyTree = Any


class TrainState(flax.struct.PyTreeNode):
    """Step, parameters and their moving average, running statistics, optimizer state, what was skipped."""

    step: PyTree  # int32 []
    params: PyTree
    average: PyTree  # of the parameters over the last steps; {} where none is kept
    batch_stats: PyTree
    opt_state: PyTree
    skipped: PyTree  # int32 [], steps whose update was not finite
    damaged: PyTree  # int32 [], records passed over because they could not be read

    @property
    def variables(self) -> dict[str, PyTree]:
        """What `model.apply` takes to use the model: the averaged parameters where there are such."""
        return {'params': self.average or self.params, 'batch_stats': self.batch_stats}


def create_state(
    key: Array,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    clip_shape: tuple[int, ...],
    averaged: bool,
) -> TrainState:
    """The state at step 0, for clips of that shape [B T H W C]; the model raises ValueError if they do not fit it.

    `averaged` is whether a moving average of the parameters is kept.
    """
    variables = model.init(key, jnp.zeros(clip_shape), train=False)
    params = variables['params']
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        average=jax.tree.map(jnp.copy, params) if averaged else {},
        batch_stats=variables.get('batch_stats', {}),
        opt_state=optimizer.init(params),
        skipped=jnp.zeros((), jnp.int32),
        damaged=jnp.zeros((), jnp.int32),
    )


def parameter_count(params: PyTree) -> int:
    """Numbers in all parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def byte_count(state: PyTree) -> int:
    """Bytes of all arrays."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
