"""A mesh of all devices with the one axis `clips`, over which a batch is split: where its arrays lie."""

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

CLIPS_AXIS = 'clips'  # the axis of the mesh: a batch is divided along it, and 'global' statistics are taken over it
NVIDIA = '/dev/nvidia0', '/dev/nvidiactl', '/dev/dxg'  # one of them is there where its driver has a GPU


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The devices in one row; None for all of all processes."""
    devices = all_devices() if devices is None else devices
    return jax.make_mesh((len(devices),), (CLIPS_AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def all_devices() -> list[jax.Device]:
    """Those of all processes.

    ValueError where JAX has taken the CPU in the place of a TPU that another process has, or of a GPU that the CUDA
    which is installed for it cannot reach. It says so among other lines, and the CPU would be days at it. And where
    hosts of a TPU pod, which know of each other by themselves, have not been joined.
    """
    devices = jax.devices()
    if jax.process_count() > 1 and not jax.distributed.is_initialized():
        raise ValueError(
            f'This is one of the {jax.process_count()} hosts of a TPU pod: expected --coordinator=auto, on all of them.'
        )
    if devices[0].platform == 'cpu' and not jax.config.jax_platforms:
        if any(map(os.path.exists, NVIDIA)) and any(
            'cuda' in found.name for found in entry_points(group='jax_plugins')
        ):
            raise ValueError(
                'There is an NVIDIA GPU, and the CUDA that is installed for JAX does not start; why is said above. '
                'Expected a driver from 580 on for "jax[cuda13]" or from 525 on for "jax[cuda12]", the libraries that '
                'came with it, and no LD_LIBRARY_PATH to others; or set JAX_PLATFORMS=cpu to take the CPU.'
            )
        try:
            jax.devices('tpu')
        except RuntimeError as error:
            if 'already in use' in str(error):
                raise ValueError(
                    f'{error} A TPU has one process at a time: wait for that one, or set JAX_PLATFORMS=cpu.'
                ) from error
    return devices


def describe(mesh: Mesh) -> str:
    """How many devices of which kind."""
    return f'{mesh.size} {mesh.devices.flat[0].device_kind} device{"s" * (mesh.size > 1)}'


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis divided over the devices."""
    return NamedSharding(mesh, PartitionSpec(CLIPS_AXIS))


def per_process(batch_size: int, mesh: Mesh, key: str) -> int:
    """This process's share of a total batch; ValueError if the devices do not divide it. `key` names it in errors."""
    if batch_size < 1 or batch_size % mesh.size:
        raise ValueError(
            f'config.{key} is divided over all devices: expected a multiple of {mesh.size}, got {batch_size}.'
        )
    return batch_size // jax.process_count()


def filled(batch_size: int, mesh: Mesh) -> int:
    """A total batch with as many clips for each device: the next multiple of their number, for what may be padded."""
    return math.ceil(batch_size / mesh.size) * mesh.size


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
