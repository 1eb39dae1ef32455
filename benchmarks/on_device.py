"""All that a borrowed accelerator should be asked, in ten minutes, the most important first.

    python -m benchmarks.on_device

Steps of the demo's network and of ResNet-50, the demo's training, the roofline, and every backbone compiled, training
and forward, with batch norm and with relays. Each part is a process of its own with a limit of seconds, so one that
aborts or hangs takes nothing with it; how each ended, and all that it measured, goes to benchmarks/records/ at once.
It needs what `benchmarks.steps` needs; the demo is left out where the libraries of its data are missing. On a CPU it
is refused, unless JAX_PLATFORMS=cpu asks for it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import records

PATIENCE = 120  # seconds until JAX has found its devices
LEAST = 15  # seconds in which a part can come to anything
TAIL = 40  # lines of a part that the record keeps
OF_DATA = (
    'av', 'array_record', 'cv2', 'grain', 'orbax', 'pebble', 'scipy', 'simplejpeg', 'tensorboardX',
    'tensorflow_datasets', 'tqdm',
)  # fmt: skip
# One of each family; they are compiled before their deeper kin.
FIRST = (
    'resnet50', 'resnet18', 'tsm_resnet50', 'slowonly_resnet50', 'r2plus1d_18', 'tanet_resnet50', 'tea_resnet50',
    'slowfast_resnet50_4x16', 'mobilenet_v2', 'i3d_resnet50',
)  # fmt: skip


class Part(NamedTuple):
    """Commands that run one after the other.

    Attributes:
      seconds: at most, of all its commands. needs: modules without which it is left out.
      beside: whether it may run beside others of its kind.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    seconds: int
    needs: tuple[str, ...] = ()
    beside: bool = False


def plan(options: argparse.Namespace, folder: Path) -> list[Part]:
    """All parts, the most important first; `folder` is for the demo's data and run, and for compiled programs."""
    kept = f'--record={options.record}', f'--programs={folder / "programs"}'
    timed = f'--rounds={options.rounds}', f'--repeats={options.repeats}', *kept
    network = '--backbones=resnet50', '--norms=dnr,batch', f'--size={options.size}', f'--width={options.width}'
    steps = partial(module, 'benchmarks.steps', '--each', '--passes=training', *timed, f'--dtypes={options.dtype}')
    demo = '--backbones=resnet18', '--norms=dnr,batch', '--clips=16', '--size=32', '--width=8'
    at = {clips: steps(*network, f'--clips={clips}') for clips in options.clips}
    first, *others = at
    rulers = f'--dtype={options.dtype}', f'--matmul={options.matmul}', f'--copy={options.copy}', f'--clips={first}'
    return [
        Part('the network of the demo', (steps(*demo),), 70),
        Part(f'steps of {first} clips', (at[first],), 180),
        Part('the demo', demo_commands(folder), 110, needs=OF_DATA),
        *(Part(f'steps of {clips} clips', (at[clips],), 80) for clips in others),
        Part('roofline', (module('benchmarks.roofline', *network, *rulers, *timed),), 80),
        *compilations(options),
    ]


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command of a module."""
    return sys.executable, '-m', name, *arguments


def demo_commands(folder: Path) -> tuple[tuple[str, ...], ...]:
    """`make demo`, with its data and its run in `folder`."""
    data, run = folder / 'data', folder / 'run'
    settings = '--config=configs/moving_shapes.py:resnet18,dnr', f'--config.data.dir={data}', f'--workdir={run}'
    return (
        module('dnr_jax.data.prepare', 'moving_shapes', '--out', str(data)),
        (sys.executable, 'train.py', *settings),
    )


def compilations(options: argparse.Namespace) -> Iterable[Part]:
    """Every backbone by itself, for an abort ends the process; training before forward, one of each family first."""
    from dnr_jax.models import MODELS

    every = options.backbones or [*FIRST, *(name for name in MODELS if name not in FIRST)]
    few = f'--size={options.size}', f'--width={options.width}', f'--dtypes={options.dtype}', '--clips=8', '--rounds=0'
    for backbones in (every[: len(FIRST)], every[len(FIRST) :]):
        for what in ('training', 'forward'):
            for backbone in backbones:
                for norms in ('dnr', 'batch'):
                    of = f'--backbones={backbone}', f'--norms={norms}', f'--passes={what}', f'--record={options.record}'
                    command = module('benchmarks.steps', *of, *few)
                    yield Part(f'compiles {backbone} {norms} {what}', (command,), 120, beside=True)


class Runner:
    """Runs parts until the time is over, and records how each ended."""

    def __init__(self, seconds: float, path: Path, by: dict[str, Any]):
        self._began, self._seconds, self._path, self._by = time.monotonic(), seconds, path, by
        self._writing = threading.Lock()

    def run_all(self, parts: Iterable[Part], at_once: int) -> None:
        """One after the other; neighbours that may, side by side."""
        for beside, group in groupby(parts, key=lambda part: part.beside):
            if beside:
                with ThreadPoolExecutor(at_once) as threads:
                    list(threads.map(self.run, group))
            else:
                for part in group:
                    self.run(part)

    def run(self, part: Part) -> None:
        """Runs a part, within its own limit and that of all, and records it; never raises for what it does."""
        left, began, lines = self._left(), time.monotonic(), []
        if missing := [name for name in part.needs if find_spec(name) is None]:
            ended = f'left out, for {", ".join(missing)} is not installed'
        elif left < LEAST:
            ended = 'left out, for the time is over'
        else:
            with tempfile.TemporaryFile('w+', errors='replace') as output:
                ended = self._commands(part, output, began + min(part.seconds, left))
                output.seek(0)
                lines = output.read().splitlines()
        self._tell(part, ended, time.monotonic() - began, lines)

    def _left(self) -> float:
        return self._seconds - (time.monotonic() - self._began)

    def _commands(self, part: Part, output: Any, deadline: float) -> str:
        """How they ended: 'ok', or what became of the first that did not."""
        # Programs that only compile share the memory; a program that is timed has it as a training would.
        variables = {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'} if part.beside else {}
        for command in part.commands:
            process = subprocess.Popen(
                command,
                cwd=records.ROOT,
                env=os.environ | variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                return f'stopped after {part.seconds} seconds or at the end of all'
            finally:
                end_group(process)
            if status:
                return signal.Signals(-status).name if status < 0 else f'status {status}'
        return 'ok'

    def _tell(self, part: Part, ended: str, seconds: float, lines: list[str]) -> None:
        with self._writing:
            found = {'part': part.name, 'ended': ended, 'part_seconds': round(seconds, 1), 'lines': lines[-TAIL:]}
            records.add(self._path, found, self._by)
            print(f'[{self._seconds - self._left():5.0f} s] {part.name}: {ended}, {seconds:.0f} s', flush=True)
            for line in lines[-TAIL:] if lines and (ended != 'ok' or not part.beside) else ():
                print(f'          {line}', flush=True)


def end_group(process: subprocess.Popen) -> None:
    """Ends a process and all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def provenance() -> dict[str, Any]:
    """As `records.provenance` finds it in another process, for this one must leave the accelerator to its parts.

    SystemExit, which says why, where there is no accelerator: ten minutes of a CPU say nothing.
    """
    ask = 'import json; from benchmarks import records; print(json.dumps(records.provenance()))'
    asked = [sys.executable, '-c', ask]
    try:
        told = subprocess.run(asked, cwd=records.ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        sys.exit(f'JAX has found no device within {PATIENCE} seconds: {error}')
    found = json.loads(told.stdout.splitlines()[-1]) | {'command': records.command()}
    if found['device'] == 'cpu' and os.environ.get('JAX_PLATFORMS') != 'cpu':
        sys.exit(
            'JAX has found the CPU alone. Install "jax[cuda13]", for drivers before 580 "jax[cuda12]", or "jax[tpu]"; '
            'or try all of this on the CPU with JAX_PLATFORMS=cpu.'
        )
    return found


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Of this command line, or of those arguments."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.on_device', description=__doc__.partition('\n')[0])
    parser.add_argument('--seconds', type=int, default=600, help='for everything')
    parser.add_argument(
        '--clips', type=int, nargs='+', default=[64, 8, 256], help='a step; the first for the roofline too'
    )
    parser.add_argument('--size', type=int, default=224, help='height and width')
    parser.add_argument('--width', type=int, default=64, help='channels of the first stage')
    parser.add_argument('--dtype', default='bfloat16', help='of activations')
    parser.add_argument('--matmul', type=int, default=8192, help='rows and columns of the matmul of the roofline')
    parser.add_argument('--copy', type=int, default=4096, help='MB that are copied for the roofline')
    parser.add_argument('--rounds', type=int, default=5, help='in which programs take turns')
    parser.add_argument('--repeats', type=int, default=10, help='runs per turn, waited for together')
    parser.add_argument('--backbones', nargs='+', default=[], help='that are compiled; all if none is named')
    parser.add_argument('--at_once', type=int, default=4, help='compilations side by side; nothing is timed meanwhile')
    parser.add_argument('--record', default='on_device', help='the results go to benchmarks/records/NAME.jsonl')
    return parser.parse_args(arguments)


def main() -> None:
    options, by = read_options(), provenance()
    print(f'{by["device"]}, {by["devices"]} of them; jax {by["versions"]["jax"]}, commit {by["commit"]}', flush=True)
    path = records.FOLDER / f'{options.record}.jsonl'
    with tempfile.TemporaryDirectory() as folder:
        Runner(options.seconds, path, by).run_all(plan(options, Path(folder)), options.at_once)
    print(f'All of it stands in {path.relative_to(records.ROOT)}')


if __name__ == '__main__':
    main()
