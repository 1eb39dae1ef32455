"""Steps as programs over all devices, each of which runs them for its own clips, and what their compilers tell."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from dnr_jax.parallel.devices import CLIPS_AXIS, replicated, split

# {clip: uint8, label: int, mask: bool, damaged: int}: clips [B T H W C] in training, [B V T H W C] in evaluation.
Batch = Mapping[str, jax.Array]
PyTree = Any


def batch_shapes(clip_shape: tuple[int, ...]) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a training batch of clips [B T H W C]."""
    rows = clip_shape[:1]
    return {
        'clip': jax.ShapeDtypeStruct(clip_shape, np.uint8),
        'label': jax.ShapeDtypeStruct(rows, np.int32),
        'mask': jax.ShapeDtypeStruct(rows, np.bool_),
        'damaged': jax.ShapeDtypeStruct(rows, np.int32),
    }


def abstract(tree: PyTree, sharding: jax.sharding.Sharding) -> PyTree:
    """Shapes and types of a tree of arrays, to be laid out as `sharding`."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def taken(state: PyTree, clip_shape: tuple[int, ...], mesh: Mesh) -> tuple[PyTree, PyTree]:
    """Shapes of what a step takes, state or variables and a batch of such clips, as they lie on all devices.

    What is traced with them is not traced again when the step is called.
    """
    return abstract(state, replicated(mesh)), abstract(batch_shapes(clip_shape), split(mesh))


def compiled(step: Callable, state: PyTree, clip_shape: tuple[int, ...], mesh: Mesh) -> jax.stages.Compiled:
    """A step of `compile_train_step` or `compile_eval_step`, compiled for batches of such clips; nothing is run."""
    return step.lower(*taken(state, clip_shape, mesh)).compile()


def peak_bytes(program: jax.stages.Compiled) -> int:
    """Memory at the peak, per device, as the compiler says; 0 where it does not.

    The one for CPUs leaves temporary arrays out; there it is all that is taken, given and held between.
    """
    memory = program.memory_analysis()
    if memory is None:
        return 0
    if {device.platform for device in jax.tree.leaves(program.input_shardings)[0].device_set} != {'cpu'}:
        return memory.peak_memory_in_bytes
    taken_and_given = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return taken_and_given + memory.temp_size_in_bytes


def compile_for_once(make: Callable, mesh: Mesh) -> Callable:
    """`make(...) -> arrays`, whole on every device, for a single call: compiled in half the time, to the same bits.

    That is on CPUs, where optimizing the program takes longer than running it.
    """
    on_cpu = mesh.devices.flat[0].platform == 'cpu'
    options = {'xla_backend_optimization_level': 1} if on_cpu else None
    return jax.jit(make, out_shardings=replicated(mesh), compiler_options=options)


def compile_train_step(step: Callable, mesh: Mesh) -> Callable:
    """`step(state, batch) -> (state, metrics)` over all devices; the old state is given up for the new one."""
    whole, parts = PartitionSpec(), PartitionSpec(CLIPS_AXIS)
    # Replication of the results is what `step` makes by averaging; its check would need every constant annotated.
    sharded = jax.shard_map(step, mesh=mesh, in_specs=(whole, parts), out_specs=(whole, whole), check_vma=False)
    return jax.jit(sharded, donate_argnums=0)


def compile_eval_step(step: Callable, mesh: Mesh) -> Callable:
    """`step(variables, batch) -> values [B ...]` over all devices."""
    whole, parts = PartitionSpec(), PartitionSpec(CLIPS_AXIS)
    sharded = jax.shard_map(step, mesh=mesh, in_specs=(whole, parts), out_specs=parts, check_vma=False)
    return jax.jit(sharded)
