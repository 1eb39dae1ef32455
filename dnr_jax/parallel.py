"""Where arrays lie: a mesh of all devices with the one axis `clips`, over which a batch is split.

A training step runs on every device for its own clips (`jax.shard_map`), so its statistics are those of a small
per-device batch, which is the method; what is to be shared it averages itself.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dnr_jax.normalization import DEVICES_AXIS

AXIS = DEVICES_AXIS
PyTree = Any


def make_mesh() -> Mesh:
    """All devices of all processes in one row."""
    return jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))


def describe(mesh: Mesh) -> str:
    """How many devices of which kind."""
    return f'{mesh.size} {mesh.devices.flat[0].device_kind} device{"s" * (mesh.size > 1)}'


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis divided over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def per_process(batch_size: int, mesh: Mesh, key: str) -> int:
    """This process's share of a total batch; ValueError if the devices do not divide it. `key` names it in errors."""
    if batch_size < 1 or batch_size % mesh.size:
        raise ValueError(
            f'config.{key} is divided over all devices: expected a multiple of {mesh.size}, got {batch_size}.'
        )
    return batch_size // jax.process_count()


def compile_train_step(step: Callable, mesh: Mesh) -> Callable:
    """`step(state, batch) -> (state, metrics)` over all devices; the old state is given up for the new one."""
    whole, parts = PartitionSpec(), PartitionSpec(AXIS)
    # Replication of the results is what `step` makes by averaging; its check would need every constant annotated.
    sharded = jax.shard_map(step, mesh=mesh, in_specs=(whole, parts), out_specs=(whole, whole), check_vma=False)
    return jax.jit(sharded, donate_argnums=0)


def compile_eval_step(step: Callable, mesh: Mesh) -> Callable:
    """`step(variables, batch) -> values [B ...]` over all devices."""
    whole, parts = PartitionSpec(), PartitionSpec(AXIS)
    sharded = jax.shard_map(step, mesh=mesh, in_specs=(whole, parts), out_specs=parts, check_vma=False)
    return jax.jit(sharded)


def place(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """This process's rows of a batch, onto its devices."""
    return {name: jax.make_array_from_process_local_data(split(mesh), rows) for name, rows in batch.items()}


def place_ahead(
    batches: Iterable[Mapping[str, np.ndarray]], mesh: Mesh, ahead: int
) -> Iterator[tuple[dict[str, jax.Array], np.ndarray]]:
    """Yields `(placed batch, ids)`, with the next `ahead` batches already on their way to the devices."""
    placed = deque()
    for batch in batches:
        ids = batch['id']
        placed.append((place({name: rows for name, rows in batch.items() if name != 'id'}, mesh), ids))
        if len(placed) > ahead:
            yield placed.popleft()
    yield from placed


def to_host(rows: jax.Array) -> np.ndarray:
    """The rows that lie on this process's devices, in order."""
    shards = sorted(rows.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])
