"""Writes docs/real_video.md from the records of `real_video`, `small_batch` and `turns`, see `pages`.

The words stand in real_video.template.md, with braces where a figure comes: `{top1[dnr|cut]}` is the top-1 of `dnr` on
words that are cut, `{over[dnr|batch|cut]}` how far it is ahead of `batch`, over the seeds of both.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import wrapped
from dnr_jax import figures
from experiments import tables, turns
from experiments.pairs import compare
from experiments.real_video import METHODS, RATE, TEST_CLIPS, TIMINGS
from experiments.tables import Records

TEMPLATE = Path(__file__).parent / 'real_video.template.md'


class Lookup:
    """`{name[a|b]}` in a text to be formatted: what `read` says of a and b."""

    def __init__(self, read):
        self.read = read

    def __getitem__(self, key: str) -> str:
        return self.read(*key.split('|'))


def group(
    found: Records, method: str, timing: str, backbone: str = 'resnet18', clips: int = 16
) -> list[dict[str, Any]]:
    """The runs of a method at the usual rate, by seed."""
    wanted = {'method': method, 'timing': timing, 'backbone': backbone, 'clips': clips, 'rate': RATE}
    of = [record for record in found if all(record[name] == value for name, value in wanted.items())]
    return sorted(of, key=lambda record: record['seed'])


def scores(found: Records, backbone: str) -> str:
    """Top-1 of every method, by timing, and the mean over classes."""
    rows, timings = [], [of for of in TIMINGS if any(of == record['timing'] for record in found)]
    for method, norms in METHODS.items():
        of_timings = [group(found, method, timing, backbone) for timing in timings]
        if any(of_timings):
            cells = [tables.share([record['top1'] for record in of]) for of in of_timings]
            by_class = tables.share([record['mean_class'] for record in of_timings[0]])
            rows.append([method, f'`{norms}`', *cells, by_class])
    header = ['method', 'norms of a block', *(f'words {timing}' for timing in timings), 'cut, mean over classes']
    return tables.table(header, rows, left=2)


def difference(found: Records, method: str, reference: str, timing: str, backbone: str = 'resnet18'):
    """The method against the reference, over the seeds of both."""

    def by_way(records):
        return [{'seed': record['seed'], 'right': {'running': record['right']}} for record in records]

    a, b = (by_way(group(found, of, timing, backbone)) for of in (reference, method))
    return compare(a, b, 'running', TEST_CLIPS)


def differences(found: Records, asked: Sequence[tuple[str, str, str]]) -> str:
    """How far methods are ahead of others, by (method, reference, timing), where there are runs of both."""
    rows = []
    for method, reference, timing in asked:
        seeds = [{record['seed'] for record in group(found, of, timing)} for of in (method, reference)]
        if set.intersection(*seeds):
            of = difference(found, method, reference, timing)
            rows.append([method, reference, timing, str(of.pairs), *tables.cells(of)])
    return tables.table(['method', 'against', 'words', 'seeds', 'points', 'p seeds', 'p clips'], rows, left=3)


def ahead(found: Records, method: str, reference: str, timing: str) -> str:
    """'+9.9 points (2 seeds)'."""
    of = difference(found, method, reference, timing)
    return f'{100 * of.mean:+.1f} points ({of.pairs} {"seed" if of.pairs == 1 else "seeds"})'


def counted(found: Records) -> str:
    """Small batches of drawn videos: all ways of scoring the networks that were scored with clips counted into sets."""
    rows = []
    of = [record for record in found if 'self_inclusive' in record['top1']]
    for (backbone, method, clips), records in sorted(tables.grouped(of, tables.MANY).items(), key=lambda item: item[0]):
        ways = ('training', 'running', 'precise_per_hop', 'self_inclusive')
        shares = [tables.share([record['top1'][way] for record in records]).rpartition(' (')[0] for way in ways]
        rows.append([f'`{backbone}`', method, str(clips), str(len(records)), *shares])
    header = ['backbone', 'norms', 'clips', 'seeds', 'training mode', 'running', 'precise', 'counted into its set']
    return tables.table(header, rows, left=2)


ASKED = (
    ('dnr', 'batch', 'cut'),
    ('clock', 'batch', 'cut'),
    ('clock, relay along layers', 'batch', 'cut'),
    ('conditional', 'batch', 'cut'),
    ('dnr', 'clock', 'cut'),
    ('dnr', 'clock, relay along layers', 'cut'),
    ('dnr', 'conditional', 'cut'),
    ('residual', 'dnr', 'cut'),
    ('layer', 'batch', 'cut'),
    ('dnr', 'clock, relay along layers', 'moved'),
    ('dnr', 'clock, relay along layers', 'paced'),
)


def page(found: Records, of_shapes: Records, of_turns: Records) -> str:
    """All of docs/real_video.md."""
    hours = sum(record['seconds'] for record in found) / 3600
    values = {
        'runs': str(len(found)),
        'hours': f'{hours:.1f}',
        'test': f'{TEST_CLIPS:,}',
        'top1': Lookup(lambda method, timing: share_of(group(found, method, timing))),
        'over': Lookup(lambda *asked: ahead(found, *asked)),
        'scores': scores(found, 'resnet18'),
        'scores_tsm': scores(found, 'tsm_resnet18'),
        'differences': differences(found, ASKED),
        'counted': counted(of_shapes),
        'counted_top1': Lookup(lambda *asked: counted_top1(of_shapes, *asked)),
        'turns': turns.table(of_turns),
        'provenance': tables.provenance(found),
    }
    return wrapped(TEMPLATE.read_text().format_map(values))


def draw(found: Records, path: Path) -> None:
    """Top-1 of every method on words as they are cut, a point for each seed, a bar at their mean."""
    groups = {method: group(found, method, 'cut') for method in METHODS}
    groups = {method: [100 * record['top1'] for record in of] for method, of in groups.items() if of}
    groups = dict(sorted(groups.items(), key=lambda item: np.mean(item[1])))
    figure = figures.figure(7, 0.9 + 0.42 * len(groups))
    axis = figure.subplots()
    for place, scores in enumerate(groups.values()):
        axis.barh(place, np.mean(scores), height=0.6, color=figures.COLOURS[0], alpha=0.35)
        axis.plot(scores, [place] * len(scores), 'o', color=figures.COLOURS[0])
    axis.set_yticks(range(len(groups)), groups)
    axis.set(xlabel='top-1, %', xlim=(0, None))
    axis.grid(axis='x', alpha=0.3)
    figures.title(figure, 'Words read from lips, resnet18: every norm, a point for each seed')
    figures.save(figure, path)


def share_of(records: Records) -> str:
    """'48.3 ± 0.7', in per cent; the score alone of one seed."""
    return tables.share([record['top1'] for record in records]).rpartition(' (')[0]


def counted_top1(found: Records, method: str, clips: str, way: str) -> str:
    """'34.4', in per cent, on TSM, over the seeds that were scored in every way."""
    of = [record for record in found if 'self_inclusive' in record['top1'] and record['backbone'] == 'tsm_resnet18']
    of = [record['top1'][way] for record in of if (record['method'], record['clips']) == (method, int(clips))]
    return f'{100 * np.mean(of):.1f}'
