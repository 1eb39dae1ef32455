"""The peer: ResNet-50 of google/flax, examples/imagenet, its model file read from a checkout, trained as there.

SGD with Nesterov momentum, weight decay in the loss, gradients and running statistics averaged over devices.
"""

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState
from jax import lax
from jax.sharding import PartitionSpec

from dnr_jax import parallel

CLASSES = 1000
DECAY = 1e-4


class State(TrainState):
    """With running statistics."""

    batch_stats: Any


def train_step(folder: str, mesh: parallel.Mesh, images: int, size: int) -> jax.stages.Compiled:
    """Compiled for so many images of `size` x `size` per device; OSError where there is no such model file."""
    spec = importlib.util.spec_from_file_location('flax_example_models', Path(folder) / 'models.py')
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    model = example.ResNet50(num_classes=CLASSES, dtype=jnp.bfloat16)
    # Its norms name the axis over which they take statistics 'batch'; of one device, that is the device.
    mesh = jax.sharding.Mesh(mesh.devices, ('batch',), axis_types=mesh.axis_types)

    def create() -> State:
        variables = model.init(jax.random.key(0), jnp.ones((1, size, size, 3), jnp.bfloat16), train=False)
        rate = optax.cosine_decay_schedule(0.1, 100_000)
        optimizer = optax.sgd(rate, momentum=0.9, nesterov=True)
        return State.create(apply_fn=model.apply, tx=optimizer, **variables)

    whole, parts = PartitionSpec(), PartitionSpec('batch')
    step = jax.shard_map(one_step, mesh=mesh, in_specs=(whole, parts), out_specs=(whole, whole), check_vma=False)
    batch = {
        'image': jax.ShapeDtypeStruct((images * mesh.size, size, size, 3), jnp.bfloat16),
        'label': jax.ShapeDtypeStruct((images * mesh.size,), jnp.int32),
    }
    split = jax.sharding.NamedSharding(mesh, parts)
    state = parallel.abstract(jax.eval_shape(create), jax.sharding.NamedSharding(mesh, whole))
    return jax.jit(step, donate_argnums=0).lower(state, parallel.abstract(batch, split)).compile()


def one_step(state: State, batch: dict[str, jax.Array]) -> tuple[State, dict[str, jax.Array]]:
    """An update, and metrics."""
    (_, (logits, updated)), grads = jax.value_and_grad(partial(loss, state, batch), has_aux=True)(state.params)
    average = partial(lax.pmean, axis_name='batch')
    metrics = {
        'loss': cross_entropy(logits, batch['label']),
        'accuracy': jnp.mean(jnp.argmax(logits, -1) == batch['label']),
    }
    after = state.apply_gradients(grads=average(grads), batch_stats=average(updated['batch_stats']))
    return after, average(metrics)


def loss(state: State, batch: dict[str, jax.Array], params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Cross-entropy and decay of all that is no vector."""
    given = {'params': params, 'batch_stats': state.batch_stats}
    logits, updated = state.apply_fn(given, batch['image'], mutable=['batch_stats'])
    decay = 0.5 * DECAY * sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(params) if leaf.ndim > 1)
    return cross_entropy(logits, batch['label']) + decay, (logits, updated)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, CLASSES)))
