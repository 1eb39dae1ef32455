"""Writes docs/real_video.md from the records of `real_video`, its relays, `few_clips` and others, see `pages`.

The words stand in real_video.template.md, with braces where a figure comes: `{top1[dnr|cut]}` is the top-1 of `dnr` on
words that are cut, `{over[dnr|batch|cut]}` how far it is ahead of `batch`, over the seeds of both.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.records import read
from benchmarks.tables import wrapped
from dnr_jax import figures
from dnr_jax.study import ablation
from experiments import few_clips, real_video, real_video_relays, small_batch, tables, turns
from experiments.pairs import certainty, compare, paired_t, spread
from experiments.real_video import CLIPS, METHODS, RATE, TEST_CLIPS, TIMINGS
from experiments.tables import Records

FROZEN = 'dnr, frozen'  # the clocks that networks of `dnr` were made by `distill`
NORMS = METHODS | {FROZEN: 'cross_layer,hopwise'}
TEMPLATE = Path(__file__).parent / 'real_video.template.md'


class Recorded(NamedTuple):
    """What the page is made of, by what recorded it."""

    words: Records
    relays: Records  # of networks that read words
    few_clips: Records
    shapes: Records
    turns: Records


def recorded() -> Recorded:
    """All records."""
    return Recorded(*(read(of.RECORDS) for of in (real_video, real_video_relays, few_clips, small_batch, turns)))


def group(
    found: Records, method: str, timing: str, backbone: str = 'resnet18', clips: int = CLIPS, rate: float = RATE
) -> list[dict[str, Any]]:
    """The runs of a method, by seed."""
    wanted = {'method': method, 'timing': timing, 'backbone': backbone, 'clips': clips, 'rate': rate}
    of = [record for record in found if all(record[name] == value for name, value in wanted.items())]
    return sorted(of, key=lambda record: record['seed'])


def scores(found: Records, backbone: str) -> str:
    """Top-1 of every method, by timing, and the mean over classes."""
    rows, timings = [], [of for of in TIMINGS if any(of == record['timing'] for record in found)]
    for method, norms in NORMS.items():
        of_timings = [group(found, method, timing, backbone) for timing in timings]
        if any(of_timings):
            cells = [tables.share([record['top1'] for record in of]) for of in of_timings]
            by_class = tables.share([record['mean_class'] for record in of_timings[0]])
            rows.append([method, f'`{norms}`', *cells, by_class])
    header = ['method', 'norms of a block', *(f'words {timing}' for timing in timings), 'cut, mean over classes']
    return tables.table(header, rows, left=2)


def rates(found: Records) -> str:
    """Top-1 of the last validation by learning rate, of the methods that were trained at several."""
    tried = sorted({record['rate'] for record in found})
    rows = []
    for method in METHODS:
        of_rates = [group(found, method, 'cut', rate=rate) for rate in tried]
        if sum(map(bool, of_rates)) > 1:
            rows.append([method, *(tables.share([record['validation'][-1] for record in of]) for of in of_rates)])
    return tables.table(['method', *(f'rate {rate:g}' for rate in tried)], rows, left=1)


def in_small_sets(found: Records) -> str:
    """Top-1 of the methods that were trained on fewer clips a statistic: running averages, and counted into a set."""
    rows = []
    for clips in sorted({record['clips'] for record in found} - {CLIPS}):
        for method in METHODS:
            if of := group(found, method, 'cut', clips=clips):
                ways = (of, [record['counted'] for record in of if 'counted' in record], group(found, method, 'cut'))
                rows.append([method, str(clips), *(tables.share([record['top1'] for record in way]) for way in ways)])
    return tables.table(['method', 'clips', 'running', 'counted into its set', f'{CLIPS} clips, running'], rows, left=1)


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
    ('whole statistics', 'dnr', 'cut'),
    ('layer', 'batch', 'cut'),
    ('dnr', 'clock, relay along layers', 'moved'),
    ('dnr', 'clock, relay along layers', 'paced'),
    *(('dnr', FROZEN, timing) for timing in TIMINGS),
    *((FROZEN, 'clock, relay along layers', timing) for timing in TIMINGS),
)


def frozen(of_relays: Records) -> list[dict[str, Any]]:
    """The runs of FROZEN, from what was asked of each network of `dnr`."""
    return [{**record, **record['clock'], 'method': FROZEN} for record in of_relays]


def lost(found: Records, of_relays: Records) -> str:
    """'3.3 ± 0.8 points, and something in 8 of 8 networks (p < 0.001)': what networks of `dnr` lose by freezing."""
    scored = {real_video.key(record): record['top1'] for record in found}
    asked = of_every_timing(of_relays)
    losses = np.array([scored[real_video.key(record)] - record['clock']['top1'] for record in asked])
    points = f'{100 * losses.mean():.1f} ± {100 * spread(losses):.1f} points'
    return f'{points}, and something in {sum(losses > 0)} of {len(losses)} networks ({certainty(paired_t(losses))})'


def ordered(of_relays: Records, timing: str, name: str) -> str:
    """'24.9', in per cent: what `order` says of the networks of a timing, on average."""
    return f'{100 * np.mean([record["order"][name] for record in group(of_relays, "dnr", timing)]):.1f}'


def of_every_timing(of_relays: Records) -> list[dict[str, Any]]:
    """What was asked of the networks that the page is about."""
    return [record for timing in TIMINGS for record in group(of_relays, 'dnr', timing)]


def dearest(of_relays: Records, layers: str, ablated: str) -> str:
    """'2.4', in points: the most that an ablation of these layers costs any of the networks."""
    costs = [of for record in of_every_timing(of_relays) for of in record['costs']]
    return f'{100 * max(of["cost"] for of in costs if (of["layers"], of["ablation"]) == (layers, ablated)):.1f}'


def memory(of_relays: Records, hops: int) -> str:
    """'0.13 to 0.31': how strongly relays along frames that hear anything hear of so many hops before."""
    heard = [of[hops] for record in of_every_timing(of_relays) for of in record['memory'].values() if any(of)]
    return f'{min(heard):.2f} to {max(heard):.2f}'


def deaf(of_relays: Records) -> str:
    """'1 to 2': how many relays along frames of a network hear nothing."""
    counts = sorted({sum(not any(of) for of in record['memory'].values()) for record in of_every_timing(of_relays)})
    return ' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))


def page(of: Recorded) -> str:
    """All of docs/real_video.md."""
    found = of.words
    hours = sum(record['seconds'] for record in found) / 3600
    scored = [*found, *frozen(of.relays)]
    values = {
        'runs': str(len(found)),
        'hours': f'{hours:.1f}',
        'test': f'{TEST_CLIPS:,}',
        'top1': tables.Lookup(lambda method, timing: share_of(group(scored, method, timing))),
        'over': tables.Lookup(lambda *asked: ahead(scored, *asked)),
        'scores': scores(scored, 'resnet18'),
        'scores_tsm': scores(scored, 'tsm_resnet18'),
        'differences': differences(scored, ASKED),
        'rates': rates(found),
        'in_small_sets': in_small_sets(found),
        'lost': lost(found, of.relays),
        'order': tables.Lookup(lambda *asked: ordered(of.relays, *asked)),
        'dearest': tables.Lookup(lambda *asked: dearest(of.relays, *asked)),
        'memory': tables.Lookup(lambda hops: memory(of.relays, int(hops))),
        'deaf': deaf(of.relays),
        'few_clips': few_clips.table(of.few_clips),
        'counted': counted(of.shapes),
        'counted_top1': tables.Lookup(lambda *asked: counted_top1(of.shapes, *asked)),
        'turns': turns.table(of.turns),
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


def draw_costs(of_relays: Records, path: Path) -> None:
    """What it costs the second network of `dnr` on words as they are cut to take its relays away."""
    (record,) = (of for of in group(of_relays, 'dnr', 'cut') if of['seed'] == 1)
    title = f'What it costs to take the relay away: {TEST_CLIPS:,} clips, top-1 {record["top1"]:.1%}\n'
    costs = [ablation.Cost(**of) for of in record['costs']]
    ablation.draw(path, costs, title + '(resnet18 with dnr, words read from lips)')


def share_of(records: Records) -> str:
    """'48.3 ± 0.7', in per cent; the score alone of one seed."""
    return tables.share([record['top1'] for record in records]).rpartition(' (')[0]


def counted_top1(found: Records, method: str, clips: str, way: str) -> str:
    """'34.4', in per cent, on TSM, over the seeds that were scored in every way."""
    of = [record for record in found if 'self_inclusive' in record['top1'] and record['backbone'] == 'tsm_resnet18']
    of = [record['top1'][way] for record in of if (record['method'], record['clips']) == (method, int(clips))]
    return f'{100 * np.mean(of):.1f}'
