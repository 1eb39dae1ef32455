"""Laying batches out over two devices and taking results back."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from importlib.metadata import EntryPoint
from unittest.mock import Mock

import flax.linen as nn
import jax
import numpy as np
import pytest

from dnr_jax import parallel
from dnr_jax.parallel import devices, processes


def numbered(count):
    for i in range(count):
        yield {'clip': np.full((4, 2), i, np.uint8), 'id': np.array([f'{i}-{row}' for row in range(4)])}


def test_place_splits_rows_over_devices():
    mesh = parallel.make_mesh()
    rows = np.arange(8).reshape(4, 2)
    placed = parallel.place({'clip': rows}, mesh)['clip']
    assert [shard.data.tolist() for shard in placed.addressable_shards] == [rows[:2].tolist(), rows[2:].tolist()]
    np.testing.assert_array_equal(parallel.to_host(placed), rows)


@pytest.mark.parametrize('ahead', [0, 1, 2, 9])
def test_place_ahead_keeps_order_and_loses_nothing(ahead):
    batches = list(parallel.place_ahead(numbered(5), parallel.make_mesh(), ahead))
    assert [int(batch['clip'][0, 0]) for batch, _ in batches] == [0, 1, 2, 3, 4]
    assert [ids[3] for _, ids in batches] == ['0-3', '1-3', '2-3', '3-3', '4-3']
    assert all(batch.keys() == {'clip'} for batch, _ in batches)


def test_place_ahead_reads_ahead():
    read = []
    source = (read.append(i) or batch for i, batch in enumerate(numbered(9)))
    next(parallel.place_ahead(source, parallel.make_mesh(), 2))
    assert read == [0, 1, 2]


@pytest.mark.parametrize('batch_size', [0, 3, -2])
def test_batches_that_devices_do_not_divide(batch_size):
    with pytest.raises(ValueError, match=rf'config.train.batch_size.*multiple of 2, got {batch_size}'):
        parallel.per_process(batch_size, parallel.make_mesh(), 'train.batch_size')


def test_describe():
    assert parallel.describe(parallel.make_mesh()) == f'2 {jax.devices()[0].device_kind} devices'


@contextmanager
def asked_for(platforms):
    """As if JAX had been told so, and not what the tests tell it."""
    before = jax.config.jax_platforms
    jax.config.update('jax_platforms', platforms)
    try:
        yield
    finally:
        jax.config.update('jax_platforms', before)


@pytest.mark.parametrize('platforms, refused', [(None, True), ('cpu', False)])
def test_a_tpu_of_another_process_is_not_replaced_by_the_cpu(monkeypatch, platforms, refused):
    words = "Backend 'tpu' failed to initialize: ABORTED: The TPU is already in use by process with pid 7."
    cpus = jax.devices()

    def devices(platform=None):
        if platform == 'tpu':
            raise RuntimeError(words)
        return cpus

    monkeypatch.setattr(jax, 'devices', devices)
    with asked_for(platforms):
        if refused:
            with pytest.raises(ValueError, match='pid 7. A TPU has one process at a time'):
                parallel.make_mesh()
            words = "Backend 'tpu' failed to initialize: INTERNAL: Failed to open libtpu.so."
        assert parallel.make_mesh().size == len(cpus)


@pytest.mark.parametrize(
    'device, plugin, platforms, refused',
    [(True, 'xla_cuda13', None, True), (True, 'xla_cuda13', 'cpu', False), (True, None, None, False),
     (False, 'xla_cuda13', None, False)],
)  # fmt: skip
def test_a_gpu_whose_cuda_does_not_start_is_not_replaced_by_the_cpu(
    monkeypatch, tmp_path, device, plugin, platforms, refused
):
    monkeypatch.setattr(devices, 'NVIDIA', (str(tmp_path if device else tmp_path / 'none'),))
    found = [EntryPoint(plugin, 'jax_plugins.xla_cuda13', 'jax_plugins')] if plugin else []
    monkeypatch.setattr(devices, 'entry_points', lambda group: found)
    expected = pytest.raises(ValueError, match='an NVIDIA GPU, and the CUDA .* or set JAX_PLATFORMS=cpu')
    with asked_for(platforms), expected if refused else nullcontext():
        parallel.make_mesh()


def test_hosts_of_a_pod_that_were_not_joined(monkeypatch):
    monkeypatch.setattr(jax, 'process_count', lambda: 4)
    with pytest.raises(ValueError, match='one of the 4 hosts of a TPU pod: expected --coordinator=auto'):
        parallel.make_mesh()


def test_processes_with_other_numbers_of_devices(monkeypatch):
    devices = [Mock(spec=jax.Device, process_index=number, platform='gpu') for number in (0, 0, 0, 1, 1, 2, 2, 2)]
    monkeypatch.setattr(jax, 'devices', lambda: devices)
    monkeypatch.setattr(processes, 'initialize', lambda **found: None)
    with pytest.raises(ValueError, match='got 3 of process 0, 2 of process 1, 3 of process 2'):
        parallel.connect('localhost:1', 3, 1)


def test_what_is_compiled_for_once_has_the_bits_of_full_optimization():
    mesh, optimized = parallel.make_mesh(), {'xla_backend_optimization_level': 3}

    def make(key):
        return [nn.initializers.he_normal()(key, (3, 3, 8, 16)), nn.initializers.lecun_uniform()(key, (64, 40))]

    key = jax.random.key(3)
    for expected, made in zip(
        jax.jit(make, compiler_options=optimized)(key), parallel.compile_for_once(make, mesh)(key), strict=True
    ):
        np.testing.assert_array_equal(made, expected)
        assert made.sharding.is_equivalent_to(parallel.replicated(mesh), made.ndim)


@pytest.mark.parametrize(
    'arguments', [('', 2, None), ('', None, 0), ('', 2, 0), ('host:1', None, None), ('host:1', 2, None), ('auto', 2, 0)]
)
def test_half_of_what_makes_several_processes_is_refused(arguments):
    with pytest.raises(ValueError, match='--coordinator=HOST:PORT with --processes and --process'):
        parallel.connect(*arguments)


@pytest.mark.parametrize(
    'coordinator, processes, process, words',
    [
        ('host', 2, 0, "HOST:PORT, a port being a number below 65536, got 'host'"),
        (':1234', 2, 0, 'HOST:PORT'),
        ('host:12x', 2, 0, 'HOST:PORT'),
        ('host:65536', 2, 0, 'HOST:PORT'),
        ('nowhere.invalid:1234', 2, 1, 'nowhere.invalid:1234 is not known here'),
        ('host:1234', 2, 2, 'from 0 to 1 of --processes=2, got 2'),
        ('host:1234', 2, -1, 'from 0 to 1'),
    ],
)
def test_no_address_or_number_of_a_process(coordinator, processes, process, words):
    with pytest.raises(ValueError, match=words):
        parallel.connect(coordinator, processes, process)


def test_a_port_that_is_taken():
    with socket.create_server(('', 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f'Port {port} .* cannot be opened here .* another port'):
            parallel.connect(f'localhost:{port}', 2, 0)


def devices_told(arguments, **variables):
    """Which GPUs JAX is to look for in a process that has connected, and what it says if it could not."""
    program = (
        'from dnr_jax import parallel\nimport jax, os\n'
        f'parallel.connect{arguments}\nprint(jax.config.read("jax_cuda_visible_devices"))\nos._exit(0)'
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(('SLURM_', 'CUDA_'))}
    done = subprocess.run(
        [sys.executable, '-c', program], env=clean | variables, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_a_task_of_slurm_has_all_gpus_of_a_node_that_it_has_to_itself():
    slurm = {
        'SLURM_JOB_ID': str(os.getpid()), 'SLURM_STEP_NODELIST': 'localhost', 'SLURM_NTASKS': '1', 'SLURM_PROCID': '0',
        'SLURM_LOCALID': '0', 'SLURM_STEP_NUM_NODES': '1',
    }  # fmt: skip
    assert devices_told(('auto', None, None), **slurm) == 'all'
    assert devices_told(('auto', None, None), **slurm, JAX_LOCAL_DEVICE_IDS='3,5') == '3,5'
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = free.getsockname()[1]
    assert devices_told((f'localhost:{port}', 1, 0), **slurm) == 'all'  # by hand, within a job


@pytest.mark.parametrize(
    'tasks, nodes, visible, own',
    [
        ('4', '4', '0,1,2,3,4,5,6,7', True),
        ('8', '1', '0,1,2,3,4,5,6,7', False),  # JAX takes one for each task, by its number on the node
        ('8', '1', '3', True),  # --gpus-per-task=1
        ('8', '1', None, False),
        (None, None, None, False),
    ],
)
def test_gpus_of_a_task(monkeypatch, tasks, nodes, visible, own):
    for name, value in {'SLURM_NTASKS': tasks, 'SLURM_STEP_NUM_NODES': nodes, 'CUDA_VISIBLE_DEVICES': visible}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert processes.has_gpus_of_its_own() == own


def test_no_cluster_that_tells():
    told = devices_told(('auto', None, None))
    assert told.startswith('ValueError: --coordinator=auto is for tasks that srun has started'), told
