"""Records of what was measured: one JSON object a line, with the command, commit, versions and device behind it.

    add(path, {'backbone': 'resnet50', ...})        appends it, as a whole line or not at all
    read(path) -> [{...}, ...]

The pages in docs/ are written from the records by `python -m benchmarks.pages`; no number in them is typed by hand.
"""

import errno
import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from dnr_jax.data import cores

ROOT = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / 'records'
LIBRARIES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy')


def add(path: Path, measured: dict[str, Any], by: dict[str, Any] | None = None) -> None:
    """Appends what was measured, with its provenance; OSError, and the file as it was, where it has no room.

    `by` is the provenance, for a process that must not touch the devices itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps({**measured, 'by': by or provenance()}) + '\n').encode()
    with path.open('ab', buffering=0) as lines:
        end = lines.seek(0, os.SEEK_END)
        if lines.write(line) < len(line):
            lines.truncate(end)
            raise OSError(errno.ENOSPC, f'No room for a record of {len(line):,} bytes in', str(path))


def read(path: Path) -> list[dict[str, Any]]:
    """All records of a file in their order; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def provenance() -> dict[str, Any]:
    """What a figure is to be traced to."""
    return {
        'command': command(),
        'commit': commit(),
        'date': datetime.now(UTC).strftime('%Y-%m-%d %H:%M'),
        'python': platform.python_version(),
        'versions': {name: version(name) for name in LIBRARIES},
        'device': jax.devices()[0].device_kind,
        'devices': jax.device_count(),
        'float32': jax.config.jax_default_matmul_precision or 'default',  # on accelerators less than float32
        'processor': processor(),
        'cores': cores.allotted(),
    }


def command() -> str:
    """The command line of this process, to be given again at the root of the project."""
    main = sys.modules['__main__'].__spec__
    program = ['-m', main.name.removesuffix('.__main__')] if main else [sys.argv[0]]
    return shlex.join(['python', *program, *sys.argv[1:]])


def commit() -> str:
    """The commit of the source, with '+' where it was changed since; 'unknown' outside a checkout."""
    asked = ['git', '-C', str(ROOT), 'describe', '--always', '--dirty=+', '--abbrev=10', '--exclude=*']
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def processor() -> str:
    """The name of the CPU, where the system tells it."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()
