"""Writes docs/real_video.md from the records of `real_video`, its relays, `few_clips` and others, see `pages`.

The words stand in real_video.template.md, with braces where a figure comes: `{top1[dnr|cut]}` is the top-1 of `dnr` on
words that are cut, `{over[dnr|batch|cut]}` how far it is ahead of `batch`, over the seeds of both.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.records import read
from benchmarks.tables import wrapped
from dnr_jax import figures
from dnr_jax.study import ablation
from experiments import few_clips, real_video, real_video_relays, small_batch, tables, turns
from experiments.pairs import Difference, bits, certainty, holm, paired_t, spread, summed_up
from experiments.real_video import CLIPS, METHODS, RATE, TEST_CLIPS, TIMINGS
from experiments.tables import Records

FROZEN = 'dnr, frozen'  # the clocks that networks of `dnr` were made by `distill`
ALL = 'all'  # the timings
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
    """Top-1 of the last validation by learning rate, of methods that were trained at several, with the same seeds."""
    tried = sorted({record['rate'] for record in found})
    rows = []
    for method in METHODS:
        of_rates = [group(found, method, 'cut', rate=rate) for rate in tried]
        trained = [{record['seed'] for record in of} for of in of_rates if of]
        if len(trained) > 1:
            seeds = set.intersection(*trained)
            of_seeds = ([of['validation'][-1] for of in each if of['seed'] in seeds] for each in of_rates)
            rows.append([method, *map(tables.share, of_seeds)])
    return tables.table(['method', *(f'rate {rate:g}' for rate in tried)], rows, left=1)


def in_small_sets(found: Records) -> str:
    """Top-1 of what was trained on fewer clips a statistic: running averages, and counted into a set.

    Beside them, that of the same seeds with all clips.
    """
    rows = []
    fewer = sorted({record['clips'] for record in found} - {CLIPS})
    for backbone, clips, method in itertools.product(real_video.BACKBONES, fewer, METHODS):
        if of := group(found, method, 'cut', backbone, clips):
            seeds = {record['seed'] for record in of}
            all_clips = [record for record in group(found, method, 'cut', backbone) if record['seed'] in seeds]
            ways = (of, [record['counted'] for record in of if 'counted' in record], all_clips)
            shares = (tables.share([record['top1'] for record in way]) for way in ways)
            rows.append([f'`{backbone}`', method, str(clips), *shares])
    header = ['backbone', 'method', 'clips', 'running', 'counted into its set', f'{CLIPS} clips, running']
    return tables.table(header, rows, left=2)


def counted_words(found: Records, method: str, backbone: str, clips: str) -> str:
    """'49.2 ± 3.1', in per cent: what was trained on so few clips a statistic, each counted into such a set."""
    return share_of([of['counted'] for of in group(found, method, 'cut', backbone, int(clips))])


def difference(
    found: Records, method: str, reference: str, timing: str, backbone: str = 'resnet18'
) -> Difference | None:
    """The method against the reference, over the seeds of both; None if there are none.

    Of timing ALL, over the seeds that have all timings, a clip being right as often as it is over the timings.
    """
    of_timings = [better(found, method, reference, each, backbone) for each in timings_of(timing)]
    seeds = set.intersection(*map(set, of_timings))
    if not seeds:
        return None
    return summed_up(np.array([np.mean([of[seed] for of in of_timings], axis=0) for seed in sorted(seeds)]))


def better(found: Records, method: str, reference: str, timing: str, backbone: str) -> dict[int, np.ndarray]:
    """By seed, the clips [N] that the method alone gets right, 1, and the reference alone, -1.

    ValueError where their tests differ.
    """
    a, b = (group(found, of, timing, backbone) for of in (reference, method))
    real_video.same_test([*a, *b])
    right_a, right_b = (
        {of['seed']: bits(of['right'], of['test']['videos']).astype(float) for of in runs} for runs in (a, b)
    )
    return {seed: right_b[seed] - right_a[seed] for seed in right_a.keys() & right_b.keys()}


def timings_of(timing: str) -> Sequence[str]:
    """The timings that ALL stands for, or that one."""
    return tuple(TIMINGS) if timing == ALL else (timing,)


def differences(found: Records, asked: Sequence[tuple[str, str, str]]) -> str:
    """How far methods are ahead of others, by (method, reference, timing), where there are runs of both."""
    there = {of: found_of for of in asked if (found_of := difference(found, *of))}
    corrected = holm([of.p_seeds for of in there.values()])
    rows = []
    for names, of, p in zip(there, there.values(), corrected, strict=True):
        points = f'{100 * of.mean:+.1f}' + (f' ± {100 * of.spread:.1f}' if of.pairs > 1 else '')
        tests = map(tables.written, (of.p_seeds, of.p_clips))
        rows.append([*names, str(of.pairs), points, *tests, tables.p_value(p)])
    header = ['method', 'against', 'words', 'seeds', 'points', 'p seeds', 'p clips', 'p corrected']
    return tables.table(header, rows, left=3)


def ahead(found: Records, method: str, reference: str, timing: str, backbone: str = 'resnet18') -> str:
    """'+9.9 points (2 seeds, p = 0.02)'."""
    of = difference(found, method, reference, timing, backbone)
    seeds = f'{of.pairs} seeds, {certainty(of.p_seeds)}' if of.pairs > 1 else '1 seed'
    return f'{100 * of.mean:+.1f} points ({seeds})'


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


CLOCK = 'clock, relay along layers'  # `dnr` with a clock in the place of its relay along frames
ASKED = (
    ('dnr', 'batch', ALL),
    (CLOCK, 'batch', ALL),
    ('dnr', CLOCK, ALL),
    *(('dnr', CLOCK, timing) for timing in TIMINGS),
    ('dnr', FROZEN, ALL),
    ('clock', 'batch', 'cut'),
    ('dnr', 'clock', 'cut'),
    ('conditional', 'batch', 'cut'),
    ('dnr', 'conditional', 'cut'),
    ('clock', 'conditional', 'cut'),
    (CLOCK, 'clock', 'cut'),
    ('timed', CLOCK, ALL),
    ('dnr', 'timed', ALL),
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


def of_every_timing(of_relays: Records, backbone: str = 'resnet18') -> list[dict[str, Any]]:
    """What was asked of the networks of `dnr` of a backbone."""
    return [record for timing in TIMINGS for record in group(of_relays, 'dnr', timing, backbone)]


def dearest(of_relays: Records, layers: str, ablated: str) -> str:
    """'2.4', in points: the most that an ablation of these layers costs any of the networks."""
    costs = [of for record in of_every_timing(of_relays) for of in record['costs']]
    return f'{100 * max(of["cost"] for of in costs if (of["layers"], of["ablation"]) == (layers, ablated)):.1f}'


def mean_cost(of_relays: Records, layers: str, ablated: str, backbone: str = 'resnet18') -> str:
    """'30.1', in points: what an ablation of these layers costs the networks, on average."""
    costs = [of for record in of_every_timing(of_relays, backbone) for of in record['costs']]
    return f'{100 * np.mean([of["cost"] for of in costs if (of["layers"], of["ablation"]) == (layers, ablated)]):.1f}'


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
        'top1': tables.Lookup(lambda *asked: share_of(group(scored, *asked))),
        'over': tables.Lookup(lambda *asked: ahead(scored, *asked)),
        'scores': scores(scored, 'resnet18'),
        'scores_tsm': scores(scored, 'tsm_resnet18'),
        'differences': differences(scored, ASKED),
        'rates': rates(found),
        'in_small_sets': in_small_sets(found),
        'in_sets': tables.Lookup(lambda *asked: counted_words(found, *asked)),
        'lost': lost(found, of.relays),
        'order': tables.Lookup(lambda *asked: ordered(of.relays, *asked)),
        'cost': tables.Lookup(lambda *asked: mean_cost(of.relays, *asked)),
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
