"""The figures of docs/speed.md, by the names that stand in braces in speed.template.md."""

from collections.abc import Iterable
from pathlib import Path

from benchmarks import sections
from benchmarks.tables import Record, latest, shape, wrapped

TEMPLATE = Path(__file__).parent / 'speed.template.md'
# Rows of the table on storage, and the form and workers of their records.
STORED = {
    'the files as they are, `--form original`': ('original', '1'),
    'H.264 again, `--form video --short_side 256`': ('video256, keyframe every 16', '1'),
    'every frame as JPEG, `--form jpeg --short_side 256`': ('jpeg256, every frame', '1'),
    'every 8th frame as JPEG, `--frame_step 8` beside it': ('jpeg256step8', '1'),
    'the same, read by threads': ('jpeg256step8', '0 (threads)'),
}


def page() -> str:
    """All of docs/speed.md."""
    return wrapped(TEMPLATE.read_text().format(**relays(), **memory(), **others(), **reading()))


def relays() -> dict[str, str]:
    """What relays cost in training steps."""
    training = {
        (record['backbone'], shape(record)): record for record in on_cpu('backbones') if record['pass'] == 'training'
    }
    shown = [
        ('resnet50', '2 x 8 x 112 x 112'),
        ('resnet50', '8 x 8 x 112 x 112'),
        ('tsm_resnet50', '1 x 8 x 80 x 80'),
        ('r2plus1d_18', '1 x 16 x 80 x 80'),
        ('mobilenet_v2', '1 x 8 x 80 x 80'),
    ]
    ratios = {key: sections.relayed_ratios(record) for key, record in training.items()}
    rows = [
        f'| `{key[0]}` | {key[1]} | {of["step time"]:.2f} | {of["memory"]:.2f} | {of["compile time"]:.1f} |'
        for key, of in ((key, ratios[key]) for key in shown)
    ]
    small = [of['step time'] for key, of in ratios.items() if key[1].startswith('1 ')]
    compiled = [of['compile time'] for of in ratios.values()]
    norms = {row['norms']: row['ratio']['median'] for row in of_backbone('norms', 'resnet50')['variants']}
    growth = [
        row['ratio']['median'] for record in on_cpu('growth') for row in record['variants'] if row['norms'] != 'batch'
    ]
    return {
        'relays': '\n'.join(rows),
        'backbones': str(len({backbone for backbone, _ in training})),
        'step_8': f'{ratios[shown[1]]["step time"]:.2f}',
        'compile_8': f'{ratios[shown[1]]["compile time"]:.1f}',
        **bounds('step', small),
        **bounds('compile', compiled, digits=1),
        'norms_batch': f'{norms["batch"] - 1:.0%}',
        'norms_dnr': f'{norms["dnr"] - 1:.0%}',
        'growth_high': f'{max(growth):.1f}',
    }


def memory() -> dict[str, str]:
    """What a training takes at the clips of the recipe."""
    found = on_cpu('memory')
    rows, ratios = [], {}
    for record in found:
        plain, relayed = (sections.variant(record, norms)['peak_bytes'] for norms in ('batch', 'dnr'))
        ratios[record['backbone']] = relayed / plain
        rows.append(f'| `{record["backbone"]}` | {record["frames"]} | {plain / 1e9:.1f} | {relayed / 1e9:.1f} |')
    return {
        'recipe': '\n'.join(rows),
        'memory_recipe': f'{ratios["resnet50"]:.2f}',
        **bounds('memory', ratios.values()),
    }


def others() -> dict[str, str]:
    """Beside PyTorch, in other types and on several devices, and against the roof."""
    pytorch = {record['norms']: record['variants'][1]['ratio']['median'] for record in on_cpu('pytorch')}
    distances = [distance for record in on_cpu('roofline') for distance in sections.of_convolutions(record)]
    precision, plain = of_backbone('precision', 'resnet18')['variants']
    devices = of_backbone('devices', 'resnet18')['variants'][0]
    assert precision['dtype'] == 'bfloat16' and devices['devices'] == 4
    fed = on_cpu('end_to_end')[-1]['ratio']['median']
    return {
        'pytorch_dnr': f'{pytorch["dnr"]:.2f}',
        'pytorch_batch': f'{pytorch["batch"]:.2f}',
        'roofs': str(len(distances)),
        'roofs_met': str(sum(distance <= sections.DISTANCE_AIM for distance in distances)),
        'roof_worst': f'{max(distances):.1f}',
        'bfloat16': f'{precision["ratio"]["median"]:.2f}',
        'bfloat16_memory': f'{precision["peak_bytes"] / plain["peak_bytes"]:.2f}',
        'devices_4': f'{devices["ratio"]["median"]:.1f}',
        'end_to_end': f'{fed:.1f}',
    }


def reading() -> dict[str, str]:
    """What reading clips takes, per second of CPU time."""
    found = {record['measured']: record for record in on_cpu('loading')}
    paces = {(row['form'], row['workers']): row for row in found['pace']['rows'] if row['sampling'] == 'dense'}
    rows = [
        f'| {name} | {paces[form, workers]["per_core"]:.0f} | {paces[form, workers]["kilobytes"]:,.0f} |'
        for name, (form, workers) in STORED.items()
    ]
    pace, waiting = list(found['stall']['waiting'].items())[1]
    _, low, high = found['memory']['megabytes'].values()
    return {
        'stored': '\n'.join(rows),
        'original': f'{paces["original", "1"]["per_core"]:.0f}',
        'jpeg_workers': f'{paces["jpeg256step8", "1"]["per_core"]:.0f}',
        'jpeg_threads': f'{paces["jpeg256step8", "0 (threads)"]["per_core"]:.0f}',
        'stall_pace': pace,
        'stall': f'{100 * waiting:.2g} %',
        'loader_memory': f'{low:,.0f} to {high:,.0f}',
    }


def on_cpu(name: str) -> list[Record]:
    """What was measured on CPUs, which is all that the page speaks of."""
    return [record for record in latest(name) if record['by']['device'] == 'cpu']


def of_backbone(name: str, backbone: str) -> Record:
    """The one record of a backbone in a file."""
    (record,) = (record for record in on_cpu(name) if record['backbone'] == backbone)
    return record


def bounds(name: str, values: Iterable[float], digits: int = 2) -> dict[str, str]:
    """The least and the greatest, as NAME_low and NAME_high."""
    values = list(values)
    return {f'{name}_low': f'{min(values):.{digits}f}', f'{name}_high': f'{max(values):.{digits}f}'}
