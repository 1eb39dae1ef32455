"""The sections of docs/benchmarks.md: functions from records to lines; each ends with the commands behind it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from benchmarks.tables import Record, bracketed, latest, shape, sources, table
from dnr_jax.models import MODELS

PICTURES = 'benchmarks'  # folder beside the page
GROWTH_PICTURE = 'growth.png'

# What is aimed at: largest ratio of `dnr` to `batch`.
AIMS = {'step time': 1.05, 'memory': 1.05, 'compile time': 1.5}
DISTANCE_AIM = 3.0  # of every convolution to its own roofline


def variant(record: Record, norms: str) -> Record:
    """That of these norms."""
    return next(row for row in record['variants'] if row['norms'] == norms)


def peak_ratio(record: Record) -> float:
    """Memory of `dnr` to that of `batch`."""
    return variant(record, 'dnr')['peak_bytes'] / variant(record, 'batch')['peak_bytes']


def relayed_ratios(record: Record) -> dict[str, float]:
    """`dnr` to `batch`: step time, memory, compile time, bytes."""
    relayed, plain = variant(record, 'dnr'), variant(record, 'batch')
    return {
        'step time': relayed['ratio']['median'],
        'memory': peak_ratio(record),
        'compile time': relayed['processor_seconds'] / plain['processor_seconds'],
        'bytes': relayed['bytes_accessed'] / plain['bytes_accessed'],
    }


def of_backbones(what: str) -> list[Record]:
    """Those with relays and without, by the order of MODELS."""
    found = [record for record in latest('backbones') if record['pass'] == what]
    return sorted(found, key=lambda record: list(MODELS).index(record['backbone']))


class Aim(NamedTuple):
    """What is aimed at, the most it may be, and what is counted where it is met."""

    what: str
    most: float
    unit: str


def measured_aims() -> Iterator[tuple[Aim, Record, float]]:
    """Every value that an aim is set for, and the record it stands in."""
    for record in of_backbones('training'):
        ratios = relayed_ratios(record)
        for name, most in AIMS.items():
            yield Aim(f'training step, `dnr` to `batch`: {name}', most, 'measurements'), record, ratios[name]
    for record in latest('memory'):
        aim = Aim('training step, `dnr` to `batch`: memory, at the clips of the recipe', AIMS['memory'], 'measurements')
        yield aim, record, peak_ratio(record)
    for record in latest('pytorch'):
        for row in record['variants'][1:]:
            yield Aim('training step, ours to PyTorch', 1, 'networks'), record, row['ratio']['median']
    for record in latest('roofline'):
        for distance in of_convolutions(record):
            yield Aim('every convolution to its roofline', DISTANCE_AIM, 'convolution passes'), record, distance


def aims() -> Iterator[str]:
    """What is aimed at, and how many of the measurements on each device are there."""
    found = defaultdict(list)
    for aim, record, value in measured_aims():
        found[aim, record['by']['device']].append(value)
    rows = [
        [
            aim.what,
            on,
            f'{aim.most:g}',
            span(values),
            f'{sum(value <= aim.most for value in values)} of {len(values)} {aim.unit}',
        ]
        for (aim, on), values in found.items()
    ]
    yield from table('aim | device | at most | measured | met by', rows)
    yield ''
    yield 'That relays read no activation more than batch norm and make no loop is counted in the compiled step by'
    yield '`tests/ahead_of_time/test_hlo.py`.'


def span(values: Iterable[float]) -> str:
    return f'{min(values):.2f} to {max(values):.2f}'


def of_convolutions(record: Record) -> list[float]:
    passes = ('forward', 'by_input', 'by_kernel')
    return [layer[name]['distance']['median'] for layer in record['convolutions'] for name in passes]


def backbones() -> Iterator[str]:
    """With relays and without."""
    training, forward = of_backbones('training'), of_backbones('forward')
    if not training:
        return
    inference = {(record['backbone'], shape(record)): record for record in forward}
    rows = []
    for record in training:
        ratios, plain, relayed = relayed_ratios(record), variant(record, 'batch'), variant(record, 'dnr')
        also = inference.get((record['backbone'], shape(record)))
        rows.append([
            f'`{record["backbone"]}`',
            shape(record),
            f'{plain["parameters"] / 1e6:.1f}, {relayed["parameters"] / 1e6:.1f}',
            f'{plain["flops"] / 1e9:.1f}, {relayed["flops"] / 1e9:.1f}',
            f'{plain["peak_bytes"] / 1e6:,.0f}, {relayed["peak_bytes"] / 1e6:,.0f}',
            f'{ratios["memory"]:.2f}',
            f'{ratios["bytes"]:.2f}',
            f'{ratios["compile time"]:.1f}',
            bracketed(relayed['ratio'], 2),
            bracketed(variant(also, 'dnr')['ratio'], 2) if also else '',
        ])  # fmt: skip
    yield 'The training step under `batch` and `dnr`: parameters (millions), GFLOPs of the step, compiled peak'
    yield 'memory (MB); then ratios `dnr` to `batch`: memory, bytes accessed, compile time (of the processor, tracing'
    yield 'included), time of the training step and of the forward pass in evaluation. With so few and small clips,'
    yield 'parameters weigh more in memory and bytes than they do in a training.'
    yield ''
    yield from table('backbone | clips | parameters | GFLOPs | peak | memory | bytes | compile | step | forward', rows)
    missing = [name for name in MODELS if name not in {record['backbone'] for record in training}]
    if missing:
        yield ''
        yield f'Not measured yet: {", ".join(f"`{name}`" for name in missing)}.'
    yield from sources(training)


def memory() -> Iterator[str]:
    """Compiled for the clips of the recipe."""
    found = latest('memory')
    if not found:
        return
    rows = []
    for record in found:
        relayed, plain = variant(record, 'dnr'), variant(record, 'batch')
        sizes = (f'{row["peak_bytes"] / 1e9:.2f}' for row in (plain, relayed))
        ratios = (f'{relayed[key] / plain[key]:.3f}' for key in ('peak_bytes', 'bytes_accessed'))
        rows.append([f'`{record["backbone"]}`', shape(record), *sizes, *ratios])
    yield 'The training step compiled for the clips of the recipe, and not run: peak memory (GB) under `batch` and'
    yield '`dnr`, and ratios of memory and of bytes accessed.'
    yield ''
    yield from table('backbone | clips | `batch` | `dnr` | memory | bytes', rows)
    yield from sources(found)


def variants_of(name: str, column: str, told: str) -> Callable[[], Iterator[str]]:
    """A section on variants that differ in `column`, the last one the denominator."""

    def section() -> Iterator[str]:
        found = latest(name)
        if not found:
            return
        rows = [
            [
                f'`{record["backbone"]}`, {record["pass"]}',
                shape(record),
                f'`{row[column]}`',
                f'{1e3 * row["seconds"]["median"]:,.0f}',
                bracketed(row['ratio'], 2),
                f'{row["peak_bytes"] / record["variants"][-1]["peak_bytes"]:.2f}',
            ]
            for record in found
            for row in record['variants']
        ]
        yield told
        yield ''
        yield from table(f'network | clips | {column} | ms | to the last | memory to the last', rows)
        yield from sources(found)

    return section


def growth() -> Iterator[str]:
    """A norm by itself."""
    found = latest('growth')
    if not found:
        return
    rows = []
    for record in found:
        by_norm = {row['norms']: row for row in record['variants']}
        rows.append([
            f'{record["axis"]} {record[record["axis"]]}',
            f'{1e3 * by_norm["batch"]["seconds"]["median"]:.2f}',
            *(bracketed(by_norm[norms]['ratio'], 2) for norms in ('cross_temporal', 'cross_layer')),
            *(f'{1e3 * by_norm[norms]["more"]["median"]:.2f}' for norms in ('cross_temporal', 'cross_layer')),
        ])  # fmt: skip
    yield 'One norm by itself, forward and backward, over 2 clips of 8 frames and 64 channels with 2 frames a hop, and'
    yield 'one of these changed at a time: ms of batch norm, the ratio of the relayed norms to it, and the ms they take'
    yield 'more.'
    yield ''
    yield f'![ratio of relayed norms to batch norm]({PICTURES}/{GROWTH_PICTURE})'
    yield ''
    yield from table('changed | `batch` | `cross_temporal` | `cross_layer` | more | more', rows)
    yield from sources(found)


def roofline() -> Iterator[str]:
    """Steps and convolutions against the rates of the device."""
    found = latest('roofline')
    if not found:
        return
    steps = [
        [
            f'`{record["backbone"]}`, `{norms}`',
            shape(record),
            f'{step["flops"] / 1e9:.1f}',
            f'{step["bytes"] / 1e9:.2f}',
            step['bound'],
            bracketed(step['distance'], 2),
        ]
        for record in found
        for norms, step in record['steps'].items()
    ]
    yield 'The roof is the longer of FLOPs at the rate of a large matmul and bytes at the rate of a large copy, both'
    yield 'measured in turns with the program; the distance is its time over that. Below 1, the program finds in caches'
    yield 'what the copy has to fetch. The bytes of a training step are those of the compiled program.'
    yield ''
    if steps:
        yield from table('training step | clips | GFLOPs | GB | bound by | distance', steps)
    for record in found:
        yield ''
        yield f'The convolutions of `{record["backbone"]}`, {shape(record)}: distances of forward pass and gradients.'
        yield ''
        yield from table(
            'layer | input | kernel | stride | times | forward | by input | by kernel',
            map(convolution_row, record['convolutions']),
        )
    yield from sources(found)


def convolution_row(layer: Record) -> list[str]:
    sizes = (' x '.join(map(str, layer[name])) for name in ('input', 'kernel'))
    distances = (f'{layer[name]["distance"]["median"]:.2f}' for name in ('forward', 'by_input', 'by_kernel'))
    return [layer['layer'], *sizes, str(layer['stride']), str(layer['count']), *distances]


def pytorch() -> Iterator[str]:
    """Ours beside the ordinary networks of PyTorch."""
    found = latest('pytorch')
    if not found:
        return
    rows = []
    for record in found:
        ours, *theirs = record['variants']
        rows += [
            [
                f'`{record["backbone"]}`, `{record["norms"]}`',
                shape(record),
                f'{row["by"]}, {record["pytorch"]}',
                *(f'{1e3 * of["seconds"]["median"]:,.0f}' for of in (ours, row)),
                bracketed(row['ratio'], 2),
            ]
            for row in theirs
        ]
    yield 'Training steps of this project and of ordinary PyTorch networks (those of `tests/pytorch`) in turns, in one'
    yield 'process: ms, and the ratio of our time to theirs.'
    yield ''
    yield from table('training step | clips | PyTorch | ours | PyTorch | ours to PyTorch', rows)
    yield from sources(found)


def end_to_end() -> Iterator[str]:
    """With the input pipeline."""
    found = latest('end_to_end')
    if not found:
        return
    rows = [
        [
            f'{record["data"]}, `{record["backbone"]}`, `{record["norms"]}`',
            str(record['workers']),
            *(f'{record["clips"] / record["seconds"][name]["median"]:,.0f}' for name in ('fed', 'resident', 'loader')),
            bracketed(record['ratio'], 2),
        ]
        for record in found
    ]
    yield 'Clips per second of training fed by the loader, of training over clips already on the device, and of the'
    yield 'loader; the ratio is the time of the first to that of the second.'
    yield ''
    yield from table('training | workers | fed | resident | loader | fed to resident', rows)
    yield from sources(found)


def loading() -> Iterator[str]:
    """Reading clips."""
    found = {record['measured']: record for record in latest('loading')}
    if 'pace' not in found:
        return
    rows = [
        [f'{row["form"]}, {row["sampling"]}', row['workers'] or '']
        + [f'{row[key]:,.0f}' for key in ('clips_per_second', 'per_core', 'kilobytes')]
        + [f'{row["to_plain"]:.1f}']
        for row in found['pace']['rows']
    ]
    yield 'Drawn videos of 300 frames of 340 x 256, clips of 8 x 224 x 224 with the augmentation of Kinetics-400: clips'
    yield 'per second, and per second of CPU time of loader and main process together; `plain` decodes the whole file.'
    yield ''
    yield from table('stored as, sampling | workers | clips/s | clips/s per core | kB a clip | to `plain`', rows)
    if 'memory' in found:
        record, megabytes = found['memory'], found['memory']['megabytes']
        first, low, high = megabytes.values()
        yield ''
        yield f'Memory over {record["clips"]:,} clips with {record["workers"]} workers: {first:,.0f} MB after a tenth'
        yield f'of them, from then on {low:,.0f} to {high:,.0f} MB.'
    if 'stall' in found:
        shares = (f'{100 * share:.2f} % at {slower}' for slower, share in found['stall']['waiting'].items())
        yield ''
        yield f'A model so many times as slow as the loader waits for it: {", ".join(shares)}.'
    yield from sources(found.values())


def bucket() -> Iterator[str]:
    """Reading clips of a bucket."""
    for record in latest('bucket'):
        rows = [
            [row['way'], f'{row["clips_per_second"]:.1f}', f'{row["waited"]:.1%}', f'{row["bytes"] / 1000:,.0f}']
            for row in record['rows']
        ]
        told = f'{record["videos"]} drawn videos as `{record["form"]}`, {record["workers"]} loader processes'
        yield f'{told}; an emulator on the same cores that holds every'
        yield f'request for {1000 * record["latency"]:.0f} ms. `waited` is the share of its time that a model waits'
        yield 'which takes 1.25 times as long for a batch as the loader takes on the disk; bytes came over the network.'
        yield ''
        yield from table('read of | clips/s | waited | kB a clip', rows)
        yield from sources([record])


def earlier() -> Iterator[str]:
    """Of scripts that are not kept."""
    found = latest('earlier')
    rows = [
        [record['what'], str(record['rounds'])]
        + [f'{record[key]:.3f}' if key in record else '' for key in ('step', 'memory', 'compile')]
        for record in found
    ]
    if found:
        yield 'Ratios measured by scripts that are not here any more, on a quieter machine.'
        yield ''
        yield from table('what | rounds | time | memory | compile', rows)
        yield from sources(found)
