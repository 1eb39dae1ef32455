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
    """Step, parameters, running statistics and optimizer state."""

    step: PyTree  # int32 []
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree

    @property
    def variables(self) -> dict[str, PyTree]:
        """What `model.apply` takes."""
        return {'params': self.params, 'batch_stats': self.batch_stats}


def create_state(
    key: Array, *, model: nn.Module, optimizer: optax.GradientTransformation, clip_shape: tuple[int, ...]
) -> TrainState:
    """The state at step 0, for clips of that shape [B T H W C]; the model raises ValueError if they do not fit it."""
    variables = model.init(key, jnp.zeros(clip_shape), train=False)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables['params'],
        batch_stats=variables.get('batch_stats', {}),
        opt_state=optimizer.init(variables['params']),
    )


def parameter_count(params: PyTree) -> int:
    """Numbers in all parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
