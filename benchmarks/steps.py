"""Networks side by side: step time, compile time, memory and bytes of every combination of norms, dtypes and devices.

    python -m benchmarks.steps --backbones=resnet50 --norms=dnr,batch --clips=2 --size=112
    python -m benchmarks.steps --backbones=resnet50 --norms=dnr,batch,none --record=norms
    python -m benchmarks.steps --backbones=resnet50 --norms=batch --dtypes=bfloat16,float32 --record=precision
    python -m benchmarks.steps --backbones=resnet50 --norms=dnr --devices=4,2,1 --clips=4 --record=devices

The variants of a backbone take turns; ratios are to the last one. Data is random and stays on the device. On CPUs,
devices are virtual ones of the same cores. With --rounds=0 nothing runs: memory and bytes are those of any clips that
can be compiled for. With --each, what was measured until then stands in the record where the rest takes too long.
"""

import itertools

import jax
from absl import app, flags

from benchmarks.networks import NORMS, PASSES, Settings, backbones, settings_of
from benchmarks.options import REPEATS, ROUNDS, expect_to_compile, keep
from benchmarks.program import Program, all_finite, peak_in_use
from benchmarks.timing import alternate, spread

DTYPES = flags.DEFINE_list('dtypes', ['float32'], 'Of activations.')
DEVICES = flags.DEFINE_list('devices', ['1'], 'Numbers of devices over which the clips of a step are divided.')
EACH = flags.DEFINE_bool('each', False, 'Also record every variant as soon as it is compiled, timed by itself.')
WANTED = flags.DEFINE_list('passes', ['training', 'forward'], 'What is measured of each.')


def main(_) -> None:
    expect_to_compile()
    jax.config.update('jax_num_cpu_devices', max(map(int, DEVICES.value)))
    for backbone, what in itertools.product(backbones(), WANTED.value):
        measured = measure(backbone, what)
        print(as_table(measured), flush=True)
        keep(measured)


def measure(backbone: str, what: str) -> dict:
    """The record of one backbone."""
    programs, rows = {}, {}
    for norms, dtype, devices in itertools.product(NORMS.value, DTYPES.value, map(int, DEVICES.value)):
        name = f'{norms} {dtype} {devices}'
        settings = settings_of(backbone, norms, dtype, devices)
        programs[name], parameters = PASSES[what](settings)
        variant = {'norms': norms, 'dtype': dtype, 'devices': devices, 'parameters': parameters}
        rows[name] = variant | programs[name].cost._asdict()
        if EACH.value:
            keep_alone(described(backbone, what, settings), name, programs[name], rows[name])
    *_, last = programs
    times = alternate(programs, ROUNDS.value, REPEATS.value) if ROUNDS.value else {}
    for name, seconds in times.items():
        assert all_finite(programs[name]()), f'{name}: results are not finite'
        rows[name] |= {'seconds': spread(seconds), 'ratio': spread(seconds / times[last])}
    return described(backbone, what, settings) | {'variants': list(rows.values())}


def described(backbone: str, what: str, settings: Settings) -> dict:
    """What is measured, for a record."""
    clips = {key: getattr(settings, key) for key in ('clips', 'frames', 'size', 'width', 'stride')}
    return {'backbone': backbone, 'pass': what, **clips, 'dtypes': DTYPES.value}


def keep_alone(measured: dict, name: str, program: Program, row: dict) -> None:
    """Records one variant by itself, before others have been compiled."""
    times = alternate({name: program}, 1, REPEATS.value) if ROUNDS.value else {}
    alone = {'seconds': spread(times[name])} if times else {}
    keep(measured | {'alone': row | alone | {'peak_in_use': peak_in_use()}})


def as_table(measured: dict) -> str:
    """The record, to read; compile time is that of the processor, tracing included, ratios are to the last variant."""
    first = '{backbone}, {pass}, {clips} clips of {frames} x {size} x {size}'.format(**measured)
    lines = [f'{first:<44} {"ms":>9} {"ratio":>7} {"compile s":>10} {"ratio":>7} {"peak MB":>9} {"ratio":>7}']
    last = measured['variants'][-1]
    for row in measured['variants']:
        name, seconds = '{norms} {dtype} {devices}'.format(**row), row['processor_seconds']
        timed = f'{1e3 * row["seconds"]["median"]:9.1f} {row["ratio"]["median"]:7.3f}' if 'ratio' in row else ' ' * 17
        lines.append(
            f'{name:>44} {timed} {seconds:10.1f} {seconds / last["processor_seconds"]:7.2f} '
            f'{row["peak_bytes"] / 1e6:9.1f} {row["peak_bytes"] / (last["peak_bytes"] or 1):7.3f}'
        )
    return '\n'.join(lines)


if __name__ == '__main__':
    app.run(main)
