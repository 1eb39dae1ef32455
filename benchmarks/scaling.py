"""How large a pod can be that Kinetics-400 keeps busy, and what binds first: python -m benchmarks.scaling

A section of docs/benchmarks.md. From records: cycles of a compiled training step, pace of the loader on a core, bytes
of a clip. From elsewhere, and stated below: what a pod, its hosts and a bucket are. For n chips with 8 clips each

    step = cycles / clock + exchange,    exchange = 2 (n - 1) / n * bytes of the all-reduce / interconnect
    cores = clips a second of a host / clips a second of a core;  bandwidth = clips a second * bytes of a clip

Of several pods p each chip also exchanges its part of the sum, 2 (p - 1) / p of it, by the network of its host. Busy is
the share of the time in which a chip computes. Waiting for memory is not known to the compiler, so a step takes longer
than told, and hosts and bucket are asked for less. Nothing of the exchange is taken to be hidden behind the backward
pass.
"""

import math
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.tables import Record, latest, sources, table

CLIPS = 8  # of a chip
VIDEOS = 240_436  # of Kinetics-400 to train on
EXCHANGED = 113.7e6  # bytes of the all-reduce of ResNet-50 with `dnr`, counted in the lowered step
SIZES = (8, 32, 64, 128, 256, 512, 1024)
WIDTH = 120  # of a line
MOST = 4096  # chips that are looked at
FORMS = {  # of storage, by their rows in the records of the loader
    'original': 'original',
    'video256': 'video256, keyframe every 16',
    'jpeg256step8': 'jpeg256step8',
}


class Pod(NamedTuple):
    """A TPU v5e pod, its hosts and a bucket in its region, as their makers state them."""

    clock: float = 1.5e9  # cycles a second: 197 TFLOPs of four units of 128 x 128 multiply-adds
    interconnect: float = 200e9  # bytes a second of a chip
    chips: int = 8  # of a host, ct5lp-hightpu-8t
    cores: int = 112  # of a host: 224 threads
    network: float = 12.5e9  # bytes a second of a host, 100 Gbit/s
    bucket: float = 25e9  # bytes a second of a project in a region before a raise is asked for, 200 Gbit/s
    chips_of_a_pod: int = 256  # joined by the interconnect


POD = Pod()


class Row(NamedTuple):
    """Of so many chips."""

    chips: int
    compute: float  # seconds of a step
    step: float  # seconds
    clips: float  # a second
    cores: float  # of a host, that decode
    host: float  # bytes a second
    bucket: float  # bytes a second

    @property
    def shares(self) -> dict[str, float]:
        """Of what is there, by what binds."""
        return {
            'decoding cores': self.cores / POD.cores,
            'network of a host': self.host / POD.network,
            'bandwidth of the bucket': self.bucket / POD.bucket,
        }

    @property
    def busy(self) -> float:
        """Share of the time in which a chip computes: neither exchanges nor waits for clips."""
        return self.compute / (self.step * max(1.0, *self.shares.values()))


def row(chips: int, cycles: float, per_core: float, clip: float) -> Row:
    """Of that many chips; `per_core` are clips a second, `clip` its bytes."""
    compute, pods, inside = cycles / POD.clock, math.ceil(chips / POD.chips_of_a_pod), min(chips, POD.chips_of_a_pod)
    within = 2 * (inside - 1) / inside * EXCHANGED / POD.interconnect
    between = 2 * (pods - 1) / pods * EXCHANGED / inside / (POD.network / POD.chips)
    step = compute + within + between
    clips = chips * CLIPS / step
    of_host = clips / max(1, chips / POD.chips)
    return Row(chips, compute, step, clips, of_host / per_core, of_host * clip, clips * clip)


def largest(cycles: float, per_core: float, clip: float) -> int:
    """The most chips of one pod or several, by hosts, that never wait for clips; 0 if not even a host's are."""
    fed = (row(chips, cycles, per_core, clip) for chips in range(POD.chips, MOST + 1, POD.chips))
    busy = [of.chips for of in fed if max(of.shares.values()) <= 1]
    return max(busy, default=0)


def section() -> Iterator[str]:
    """Tables by the form of storage."""
    cycles, loader = compiled(), paces()
    if not cycles or not loader:
        return
    yield from textwrap.wrap(
        'By `benchmarks/scaling.py`, which states what it takes from elsewhere. '
        f'ResNet-50 with `dnr`, {CLIPS} clips of 8 x 224 x 224 a chip, TPU v5e: {cycles["cycles"] / 1e6:.1f} M cycles '
        f'of the compiler at {POD.clock / 1e9:g} GHz, {EXCHANGED / 1e6:.1f} MB exchanged. Hosts of {POD.chips} chips, '
        f'{POD.cores} cores and {POD.network * 8 / 1e9:g} Gbit/s; a bucket of {POD.bucket * 8 / 1e9:g} Gbit/s; '
        'decoding at the pace of a core here. Nothing was run on a TPU.',
        WIDTH,
    )
    for form, of in loader.items():
        pace, clip = of['per_core'], of['kilobytes'] * 1000
        rows = [row(chips, cycles['cycles'], pace, clip) for chips in SIZES]
        yield ''
        most = largest(cycles['cycles'], pace, clip)
        binds = row(most + 8, cycles['cycles'], pace, clip)
        first = max(binds.shares, key=binds.shares.get)
        told = f'{most:,} chips never wait for clips; then the {first} binds' if most else f'the {first} binds at once'
        yield f'`{form}`, {clip / 1000:,.0f} kB and 1/{pace:.0f} s of a core a clip: {told}.'
        yield ''
        header = 'chips | steps an epoch | step, ms | clips/s | cores of a host | Gbit/s of a host | of the bucket'
        yield from table(f'{header} | busy', map(cells, rows))
    yield from sources([cycles, next(iter(latest('loading')))])


def cells(of: Row) -> list[str]:
    return [
        f'{of.chips:,}', f'{VIDEOS / of.chips / CLIPS:,.0f}', f'{1000 * of.step:.1f}', f'{of.clips:,.0f}',
        f'{of.cores:.0f}', f'{of.host * 8 / 1e9:.1f}', f'{of.bucket * 8 / 1e9:.1f}', f'{of.busy:.0%}',
    ]  # fmt: skip


def compiled() -> Record | None:
    """That of ResNet-50 with relays for one v5e, at the clips of a chip."""
    found = [of for of in latest('ahead') if (of['backbone'], of['norms'], of['clips']) == ('resnet50', 'dnr', CLIPS)]
    return next((of for of in found if of['accelerator'].startswith('v5e') and of.get('cycles')), None)


def paces() -> dict[str, dict]:
    """The pace of one loader process, and the bytes of a clip, by form of storage."""
    found = next((of for of in latest('loading') if of['measured'] == 'pace'), {'rows': []})
    rows = {(of['form'], of['sampling'], of['workers']): of for of in found['rows']}
    return {form: rows[name, 'dense', '1'] for form, name in FORMS.items() if (name, 'dense', '1') in rows}


if __name__ == '__main__':
    print('\n'.join(section()))
