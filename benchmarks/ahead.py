"""What training and forward passes become on accelerators that are not here, by the word of their compilers.

    python -m benchmarks.ahead --backbones=resnet50 --accelerators=v5e:1x1,h100:1 --record=ahead
    python -m benchmarks.ahead --backbones=all --passes=training,forward --dtypes=bfloat16,float32 --record=ahead
    python -m benchmarks.ahead --backbones=tsm_resnet50_first_blocks --norms=batch       # see `benchmarks.first_blocks`
    python -m benchmarks.ahead --flax_example=FLAX/examples/imagenet --accelerators=v5e:1x1 --record=ahead

Cycles, bytes and memory are estimates of compilers, good for ratios; nothing is run. Each program is compiled in a
process of its own, for one that aborts XLA takes nothing with it, and what is recorded already is left out, so that the
same command goes on where it was stopped. The compilers: `make test-ahead` installs them.

The last command is the peer: ResNet-50 with `nn.BatchNorm` of google/flax, as many frames of the same size, its own
model file read from a checkout and trained as its train.py does.
"""

import itertools
import json
import re
import subprocess
import sys
import time
from typing import Any

import jax
from absl import app, flags

from benchmarks import networks, records
from benchmarks.first_blocks import FIRST_BLOCKS
from benchmarks.networks import CLASSES, CLIPS, FEWEST_FRAMES, FRAMES, NORMS, SIZE, WIDTH
from benchmarks.options import RECORD, keep
from benchmarks.tables import KEYS
from configs import base
from dnr_jax import models, parallel
from dnr_jax.ahead_of_time import compilation, hlo, topologies

ACCELERATORS = flags.DEFINE_list('accelerators', ['v5e:1x1', 'h100:1'], 'See dnr_jax.ahead_of_time.topologies.')
WANTED = flags.DEFINE_list('passes', ['training'], "What is compiled of each: 'training', 'forward'.")
DTYPES = flags.DEFINE_list('dtypes', ['bfloat16'], 'Of activations.')
EXAMPLE = flags.DEFINE_string('flax_example', '', 'Folder examples/imagenet of a checkout of google/flax.')
ALONE = flags.DEFINE_string('alone', '', 'One program, as JSON, to be compiled in this process.')

KEY = KEYS['ahead']
LAST = 7 * 7 * 512  # numbers of a frame in the smallest activations of a ResNet of 224 pixels


def main(_) -> None:
    jax.config.update('jax_enable_compilation_cache', False)
    jax.config.update('jax_platforms', 'cpu')
    if ALONE.value:
        models.MODELS.update(FIRST_BLOCKS)
        return print(json.dumps(compiled(json.loads(ALONE.value))), flush=True)
    known = {tuple(record[key] for key in KEY) for record in recorded()}
    for program in [of for of in wanted() if tuple(of[key] for key in KEY) not in known]:
        found = program | in_a_process(program)
        print(as_line(found), flush=True)
        keep(found)


def recorded() -> list[dict[str, Any]]:
    """What stands in the record that was asked for, if any."""
    return records.read(records.FOLDER / f'{RECORD.value}.jsonl') if RECORD.value else []


def wanted() -> list[dict[str, Any]]:
    """All programs that the command line asks for."""
    shape = {'clips': CLIPS.value, 'size': SIZE.value, 'width': WIDTH.value}
    if EXAMPLE.value:
        peer = {'backbone': 'flax example', 'norms': 'batch', 'pass': 'training', 'dtype': 'bfloat16', 'frames': 8}
        return [{'accelerator': name} | peer | shape | {'folder': EXAMPLE.value} for name in ACCELERATORS.value]
    every = itertools.product(ACCELERATORS.value, networks.backbones(), NORMS.value, WANTED.value, DTYPES.value)
    return [
        dict(zip(KEY[:5], of, strict=True)) | shape | {'frames': FRAMES.value or FEWEST_FRAMES.get(of[1], 8)}
        for of in every
    ]


def in_a_process(program: dict[str, Any]) -> dict[str, Any]:
    """What `compiled` finds, or how it ended that found nothing."""
    command = [sys.executable, '-m', 'benchmarks.ahead', f'--alone={json.dumps(program)}']
    ended = subprocess.run(command, cwd=records.ROOT, capture_output=True, text=True)
    if ended.returncode:
        return {'failed': f'status {ended.returncode}: {refusal(ended.stderr)}'[:500]}
    return json.loads(ended.stdout.splitlines()[-1])


def refusal(told: str) -> str:
    """The line of standard error that names an error, the last of several; else the last line."""
    lines = [line for line in told.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r'[\w.]+(Error|Exception): ', line)]
    return (errors or lines or [''])[-1]


def compiled(program: dict[str, Any]) -> dict[str, Any]:
    """What the compiler says of a program."""
    mesh = parallel.make_mesh(topologies.describe(program['accelerator']).devices)
    started, processor_started = time.perf_counter(), time.process_time()
    if 'folder' in program:
        from benchmarks.flax_example import train_step

        found = train_step(program['folder'], mesh, program['clips'] * program['frames'], program['size'])
    else:
        found = PASSES[program['pass']](config_of(program, mesh), mesh, CLASSES)
    read = hlo.Program(found.as_text())
    written, operands = read.traffic()
    wide = read.wide(program['clips'] * program['frames'] * LAST)
    return {
        'cycles': read.cycles,
        'bytes_accessed': (found.cost_analysis() or {}).get('bytes accessed', 0.0),
        'peak_bytes': parallel.peak_bytes(found),
        'written': written,
        'read': operands,
        'fusions': read.fusions,
        'loops': read.loops,
        'collectives': len(read.collectives()),
        'exchanged': sum(each.written for each in read.collectives()),
        'wide_bytes': sum(each.written for each in wide),
        'seconds': time.perf_counter() - started,
        'processor_seconds': time.process_time() - processor_started,
    }


def config_of(program: dict[str, Any], mesh: Any) -> Any:
    """The recipe with these settings; `clips` are those of a device, of which a forward pass takes one view."""
    config = base.get_config(f'{program["backbone"]},{program["norms"]}')
    total = program['clips'] * mesh.size
    config.model.dtype, config.model.width = program['dtype'], program['width']
    config.train.batch_size, config.clip.frames, config.augment.size = total, program['frames'], program['size']
    config.validation.batch_size = total
    config.test.update(batch_size=total, clips=1, crops=1, size=program['size'])
    return config


PASSES = {'training': compilation.train_step, 'forward': compilation.test_step}


def as_line(found: dict[str, Any]) -> str:
    """One program, to read."""
    name = '{accelerator} {backbone} {norms} {pass} {dtype}'.format(**found)
    if 'failed' in found:
        return f'{name:<58} {found["failed"]}'
    cycles = f'{found["cycles"] / 1e6:8.2f} M' if found['cycles'] else f'{"":10}'
    moved = (found['written'] + found['read']) / 1e9
    return (
        f'{name:<58} {cycles} {moved:7.2f} GB {found["peak_bytes"] / 1e6:8,.0f} MB {found["fusions"]:6} fusions '
        f'{found["processor_seconds"]:5.0f} s'
    )


if __name__ == '__main__':
    app.run(main)
