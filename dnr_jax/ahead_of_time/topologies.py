"""Accelerators by name, as their compilers know them: 'v5e:16x16' is a TPU v5e of 256 chips, 'h100:8' eight GPUs.

TPUs are named by generation and grid of chips; 'v5e:1x1' is one chip. GPUs by model and number; all of one name stand
in one machine. Nothing can run on these devices, but programs can be compiled for them.

Source: the names are those of Cloud TPU; figures of the GPUs are NVIDIA's data sheets, as XLA writes them down in
openxla/xla, xla/backends/gpu/target_config/specs.
"""

import os
import re
from collections.abc import Sequence
from importlib import metadata
from math import prod
from typing import NamedTuple

import jax
from jax.experimental import topologies

from dnr_jax.registry import choose

# The packages of a compiler, and what installs them; that of GPUs needs neither a driver nor the libraries of CUDA.
COMPILERS = {
    'tpu': (('libtpu',), 'pip install "jax[tpu]=={0}"'),
    'cuda': (
        ('jax-cuda13-plugin', 'jax-cuda13-pjrt', 'nvidia-nvvm', 'nvidia-cuda-nvcc'),
        'pip install --no-deps jax-cuda13-plugin=={0} jax-cuda13-pjrt=={0} nvidia-nvvm nvidia-cuda-nvcc',
    ),
}


class Tpu(NamedTuple):
    """A generation of TPUs: the least grid that XLA describes, and the memory of a device [bytes]."""

    least: str
    memory: int


class Gpu(NamedTuple):
    """A model of GPUs, as XLA wants it described."""

    name: str
    capability: str
    cores: int
    fpus_per_core: int
    clock_ghz: float
    memory: int
    memory_bandwidth: int
    l2_cache: int
    shared_memory_per_core: int


# Else libtpu asks a server of the cloud who it is, complains of no answer, and lets one process at a time in.
COMPILING_ALONE = {
    'TPU_SKIP_MDS_QUERY': '1',
    'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
    'TPU_WORKER_HOSTNAMES': 'localhost',
    'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
}

GIB = 2**30
TPUS = {
    'v4': Tpu('2x2x1', 32 * GIB),
    'v5e': Tpu('2x2', 16 * GIB),
    'v5p': Tpu('2x2x1', 95 * GIB),
    'v6e': Tpu('2x2', 32 * GIB),
    'tpu7x': Tpu('2x2x1', 96 * GIB),
}
HOPPER = 'major: 9 feature_extension: ACCELERATED_FEATURES'
GPUS = {
    'a100': Gpu('NVIDIA A100-SXM4-80GB', 'major: 8', 108, 64, 1.41, 85100068864, 2039040000000, 41943040, 167936),
    'h100': Gpu('NVIDIA H100 80GB HBM3', HOPPER, 132, 128, 1.98, 84942979072, 3352320000000, 52428800, 233472),
    'h200': Gpu('NVIDIA H200 141GB HBM3e', HOPPER, 132, 128, 1.98, 151397597184, 4800000000000, 52428800, 233472),
}
KINDS = TPUS | GPUS


class Topology(NamedTuple):
    """Devices of one kind: their name ('v5e:16x16'), 'tpu' or 'cuda', the devices, and the memory of each [bytes]."""

    name: str
    platform: str
    devices: Sequence[jax.Device]
    memory: int


def describe(name: str) -> Topology:
    """The devices of that name; ValueError if there are no such, or their compiler is not installed."""
    kind, _, size = name.partition(':')
    of = choose(KINDS, kind, 'accelerator')
    platform = 'tpu' if kind in TPUS else 'cuda'
    form = r'\d+' if platform == 'cuda' else 'x'.join([r'\d+'] * (of.least.count('x') + 1))
    if not re.fullmatch(form, size) or not prod(map(int, size.split('x'))):
        example = f'{kind}:8' if platform == 'cuda' else f'{kind}:{of.least}'
        raise ValueError(f"Expected accelerators as {example}, got '{name}'.")
    _expect_compiler(platform)
    devices = _tpus(kind, size, of) if platform == 'tpu' else _gpus(int(size), of)
    return Topology(name, platform, devices, of.memory)


def _expect_compiler(platform: str) -> None:
    packages, install = COMPILERS[platform]
    if missing := [name for name in packages if not _installed(name)]:
        raise ValueError(
            f'Compiling for it needs a compiler that is not installed ({", ".join(missing)}): '
            f'{install.format(jax.__version__)}'
        )


def _installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def _tpus(kind: str, grid: str, of: Tpu) -> Sequence[jax.Device]:
    os.environ.update(COMPILING_ALONE)
    alone = prod(map(int, grid.split('x'))) == 1
    name = f'{kind}:{of.least if alone else grid}'
    devices = _describe(platform='tpu', topology_name=name)
    return devices[:1] if alone else devices


def _gpus(number: int, of: Gpu) -> Sequence[jax.Device]:
    return _describe('', 'cuda', target_config=_target_config(of), topology=f'1x1x{number}')


def _describe(*arguments: str, **settings: str) -> Sequence[jax.Device]:
    try:
        return topologies.get_topology_desc(*arguments, **settings).devices
    except Exception as error:  # of many types
        reason = str(error).strip().partition('\n')[0]
        raise ValueError(f'The compiler knows no such accelerators: {reason}') from error


def _target_config(of: Gpu) -> str:
    """The text protobuf in which XLA reads what GPU it compiles for."""
    device = {
        'threads_per_block_limit': 1024, 'threads_per_warp': 32, 'threads_per_core_limit': 2048,
        'registers_per_core_limit': 65536, 'registers_per_block_limit': 65536,
        'block_dim_limit_x': 2147483647, 'block_dim_limit_y': 65535, 'block_dim_limit_z': 65535,
        'thread_dim_limit_x': 1024, 'thread_dim_limit_y': 1024, 'thread_dim_limit_z': 64,
        'shared_memory_per_block': 49152, 'shared_memory_per_core': of.shared_memory_per_core,
        'shared_memory_per_block_optin': of.shared_memory_per_core - 1024,
        'core_count': of.cores, 'fpus_per_core': of.fpus_per_core, 'clock_rate_ghz': of.clock_ghz,
        'device_memory_size': of.memory, 'memory_bandwidth': of.memory_bandwidth, 'l2_cache_size': of.l2_cache,
        'device_address_bits': 64, 'pcie_bandwidth': 34359738368,
        'name': f'"{of.name}"', 'device_vendor': '"NVIDIA Corporation"',
        'driver_version': '"13.0.0"', 'runtime_version': '"13.0.0"', 'compile_time_toolkit_version': '"13.0.0"',
        'dnn_version': '"9.12.0"',
    }  # fmt: skip
    facts = ' '.join(f'{key}: {value}' for key, value in device.items())
    return (
        f'gpu_device_info {{ {facts} cuda_compute_capability {{ {of.capability} }} }} platform_name: "CUDA" '
        'dnn_version_info { major: 9 minor: 12 } runtime_version { major: 13 minor: 0 } '
        f'device_description_str: "{of.name}"'
    )
