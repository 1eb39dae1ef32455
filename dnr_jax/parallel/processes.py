"""Several processes that train together: how they find each other, exchange rows and part."""

import os
import socket
import sys
import time
from collections import Counter
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

LEADER_STAYS = 2.0  # seconds: JAX aborts all whose leader is gone, and they end when it does, or just after
HEARTBEAT_SECONDS = 60  # a process that has not been heard of for so long is dead


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
