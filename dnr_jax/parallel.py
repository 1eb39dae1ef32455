"""Where arrays lie: a mesh of all devices with the one axis `clips`, over which a batch is split.

A training step runs on every device for its own clips (`jax.shard_map`), so its statistics are those of a small
per-device batch, which is the method; what is to be shared it averages itself.
"""

import math
import os
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

CLIPS_AXIS = 'clips'  # the axis of the mesh: a batch is divided along it, and 'global' statistics are taken over it
LEADER_STAYS = 2.0  # seconds: JAX aborts all whose leader is gone, and they end when it does, or just after
HEARTBEAT_SECONDS = 60  # a process that has not been heard of for so long is dead
NVIDIA = '/dev/nvidia0', '/dev/nvidiactl', '/dev/dxg'  # one of them is there where its driver has a GPU
# {clip: uint8, label: int, mask: bool, damaged: int}: clips [B T H W C] in training, [B V T H W C] in evaluation.
Batch = Mapping[str, jax.Array]
PyTree = Any


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


def connect(coordinator: str, processes: int | None, process: int | None) -> None:
    """Makes this process one of several that train together; does nothing without a coordinator.

    Args:
      coordinator: HOST:PORT of process 0, the same for all, or 'auto' where SLURM or a TPU pod tells.
      processes, process: how many, and the number of this one; None with 'auto'.
    Raises ValueError for what names no run of several processes, for a port that is taken, and on all of them where
    they differ in their number of devices, one of which may be broken.
    """
    numbers = processes, process
    if not coordinator and numbers == (None, None):
        return
    if coordinator == 'auto' and numbers == (None, None):
        connect_as_told()
    elif coordinator not in ('', 'auto') and None not in numbers:
        expect_address(coordinator, processes, process)
        # What SLURM and others would tell of devices is for what they start, one task for each device.
        initialize(
            coordinator_address=coordinator,
            num_processes=processes,
            process_id=process,
            cluster_detection_method='deactivate',
        )
    else:
        raise ValueError(
            'Expected --coordinator=HOST:PORT with --processes and --process, or --coordinator=auto without them, got '
            f"'{coordinator}', {processes} and {process}."
        )
    devices = Counter(device.process_index for device in jax.devices())
    if len(set(devices.values())) > 1:
        told = ', '.join(f'{devices[number]} of process {number}' for number in sorted(devices))
        raise ValueError(f'All processes of a run have as many devices: expected one number, got {told}.')


def connect_as_told() -> None:
    """By what SLURM, a TPU pod or another that JAX knows tells this process; ValueError where none does."""
    try:
        initialize()
    except ValueError as error:
        raise ValueError(
            '--coordinator=auto is for tasks that srun has started, and for TPU pods, which tell who and how many they '
            f'are; here JAX finds neither ({error}). Give --coordinator=HOST:PORT, --processes and --process.'
        ) from error
    if has_gpus_of_its_own() and 'JAX_LOCAL_DEVICE_IDS' not in os.environ:
        jax.config.update('jax_cuda_visible_devices', 'all')  # by itself JAX gives a task of SLURM one, by its number


def has_gpus_of_its_own() -> bool:
    """Whether all GPUs that this task of SLURM sees are for it: it is alone on its node, or was given one."""
    told = (os.environ.get(f'SLURM_{name}', '') for name in ('NTASKS', 'STEP_NUM_NODES'))
    tasks, nodes = (int(number) if number.isdecimal() else 0 for number in told)
    return 0 < tasks == nodes or os.environ.get('CUDA_VISIBLE_DEVICES', ',').count(',') == 0


def expect_address(coordinator: str, processes: int, process: int) -> None:
    """Raises ValueError for an address, or numbers, that are none; and where process 0 finds its port taken."""
    host, _, port = coordinator.rpartition(':')
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"Expected --coordinator=HOST:PORT, a port being a number below 65536, got '{coordinator}'.")
    if not 0 <= process < processes:
        raise ValueError(f'--process is a number from 0 to {processes - 1} of --processes={processes}, got {process}.')
    try:
        socket.getaddrinfo(host.strip('[]'), int(port))
    except OSError as error:
        raise ValueError(f'The host of --coordinator={coordinator} is not known here: {error}.') from error
    if process == 0:
        try:
            with socket.socket() as trial:  # JAX ends without a word, or shares it with the other
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(('', int(port)))
        except OSError as error:
            raise ValueError(
                f'Port {port} of --coordinator={coordinator} cannot be opened here ({error}): another run may have it. '
                'Give all processes another port.'
            ) from error


def initialize(**found: Any) -> None:
    """JAX's own, with the time after which a silent process is dead."""
    jax.distributed.initialize(**found, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)


def leave(status: int) -> NoReturn:
    """Ends the process. One of several does so at once: the usual farewell waits for the others, who may be gone."""
    if has_peers():
        sys.stdout.flush()
        if is_leader():
            time.sleep(LEADER_STAYS)
        os._exit(status)
    sys.exit(status)


def has_peers() -> bool:
    """Whether this is one of several processes."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_leader() -> bool:
    """Whether this is the one process that writes what is written once."""
    return jax.process_index() == 0


def barrier(reached: str) -> None:
    """Waits until all processes are here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(reached)


def gather(rows: np.ndarray) -> np.ndarray:
    """The rows of all processes, one after the other; each has as many of the same shape. Text stays text."""
    if jax.process_count() == 1:
        return rows
    if rows.dtype.kind != 'U':
        return np.asarray(multihost_utils.process_allgather(rows, tiled=True))
    length = int(gather(np.array([rows.dtype.itemsize // 4])).max())
    characters = rows.astype(f'U{length}')[..., None].view(np.uint32)
    return np.ascontiguousarray(gather(characters)).view(f'U{length}')[..., 0]


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
