"""Tables of the records of short trainings: means over seeds, differences, and what they were made with."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dnr_jax.data.builders.moving_shapes import SIZES
from experiments import families, small_batch
from experiments.pairs import Difference, compare, spread

CLIPS = sorted(small_batch.CLIPS)
TEST_CLIPS = SIZES['hard']['test']
GLOBAL = 'global batch'  # statistics over all clips of a step, as those of `batch` where all clips share them
FEW, MANY = small_batch.EPOCHS
METHODS = ('batch', GLOBAL, *(method for method in small_batch.METHODS if method != 'batch'))
WAYS = {'running': 'running', 'precise_per_hop': 'precise per hop'}
Records = Sequence[Mapping[str, Any]]
Groups = Mapping[tuple[str, str, int], Records]  # by backbone, method and clips per statistic


class Lookup:
    """`{name[a|b]}` in a text to be formatted: what `say` makes of a and b."""

    def __init__(self, say: Callable[..., str]):
        self.say = say

    def __getitem__(self, key: str | int) -> str:
        return self.say(*str(key).split('|'))


def grouped(found: Records, epochs: int) -> Groups:
    """The runs of so many epochs, those together that differ in their seed alone."""
    groups = defaultdict(list)
    for record in found:
        if record['epochs'] == epochs:
            groups[record['backbone'], record['method'], record['clips']].append(record)
    return {key: sorted(group, key=lambda record: record['seed']) for key, group in groups.items()}


def at(groups: Groups, backbone: str, method: str, clips: int) -> Records:
    """The runs at so many clips per statistic; those of methods without such a number stand at every one."""
    if method == GLOBAL:
        return groups.get((backbone, 'batch', max(CLIPS)), [])
    return groups.get((backbone, method, clips)) or groups.get((backbone, method, 1), [])


def top1(group: Records, way: str) -> np.ndarray:
    """One for each seed; where every clip is standardized alone, all ways are the same."""
    return np.array([record['top1'].get(way, record['top1']['running']) for record in group])


def share(values: Sequence[float]) -> str:
    """Mean and standard deviation in per cent, and of how many seeds; the mean alone for one seed."""
    if not len(values):
        return ''
    mean = f'{100 * np.mean(values):.1f}'
    return f'{mean} (1)' if len(values) == 1 else f'{mean} ± {100 * spread(np.array(values)):.1f} ({len(values)})'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """A table of Markdown, its first `left` columns of text, the others of numbers."""
    rule = ['---'] * left + ['---:'] * (len(header) - left)
    return '\n'.join(f'| {" | ".join(row)} |' for row in (header, rule, *rows))


def accuracies(groups: Groups, methods: Sequence[str], way: str) -> str:
    """Top-1 by clips per statistic, and the number of seeds."""
    rows = []
    for backbone in small_batch.BACKBONES:
        for method in methods:
            scores = [top1(at(groups, backbone, method, clips), way) for clips in CLIPS]
            if any(map(len, scores)):
                rows.append([f'`{backbone}`', method, *map(share, scores)])
    return table(['backbone', 'norms', *(f'{clips} clips' for clips in CLIPS)], rows, left=2)


def differences(groups: Groups, methods: Sequence[str], reference: str, ways: Sequence[str]) -> str:
    """Every method against the reference at the same clips per statistic, by backbone and over all of them."""
    rows = []
    for name, backbones in {
        **{f'`{of}`': (of,) for of in small_batch.BACKBONES},
        'both': small_batch.BACKBONES,
    }.items():
        for method in methods:
            for clips in CLIPS:
                a, b = (pooled(groups, backbones, of, clips) for of in (reference, method))
                if {of['seed'] for of in a} & {of['seed'] for of in b}:
                    found = [compare(a, b, way, TEST_CLIPS) for way in ways]
                    pairs = str(found[0].pairs)
                    rows.append([name, method, str(clips), pairs, *(cell for of in found for cell in cells(of))])
    columns = [column for way in ways for column in (f'points, {WAYS[way]}', 'p seeds', 'p clips')]
    return table(['backbone', 'norms', 'clips', 'pairs', *columns], rows, left=2)


def pooled(groups: Groups, backbones: Sequence[str], method: str, clips: int) -> Records:
    """The runs of the seeds that all of the backbones have; each is paired with its like by backbone and seed."""
    found = [at(groups, backbone, method, clips) for backbone in backbones]
    common = set.intersection(*({record['seed'] for record in group} for group in found))
    return [
        record | {'seed': (record['backbone'], record['seed'])}
        for group in found
        for record in group
        if record['seed'] in common
    ]


def cells(difference: Difference) -> list[str]:
    """The difference in points, and both p-values."""
    return [f'{100 * difference.mean:+.1f}', p_value(difference.p_seeds), p_value(difference.p_clips)]


def p_value(p: float) -> str:
    """Two digits, bold below 5 %."""
    return f'**{written(p)}**' if p < 0.05 else written(p)


def written(p: float) -> str:
    """Two digits."""
    if np.isnan(p):
        return ''
    return '< 0.001' if p < 0.001 else f'{p:.2g}'


def gaps(groups: Groups, methods: Sequence[str]) -> str:
    """All ways of scoring the same networks, and how far their running averages are off."""
    ways = ('training', 'running', 'precise', 'precise_per_hop')
    rows = []
    for backbone in small_batch.BACKBONES:
        for method in methods:
            for clips in CLIPS:
                if group := [record for record in groups.get((backbone, method, clips), []) if 'drift' in record]:
                    scores = [f'{100 * top1(group, way).mean():.1f}' for way in ways]
                    rows.append([f'`{backbone}`', method, str(clips), *scores, *deviations(group)])
    header = ['backbone', 'norms', 'clips', 'training mode', 'running', 'precise', 'precise per hop']
    return table([*header, 'drift', 'of var', 'spread', 'of var'], rows, left=2)


def deviations(group: Records) -> list[str]:
    """Drift and spread, averaged over seeds; empty where there is one hop."""
    names = ('drift_mean', 'drift_var', 'spread_mean', 'spread_var')
    return [
        f'{np.mean([of["drift"][name] for of in group]):.2f}' if name in group[0]['drift'] else '' for name in names
    ]


def families_table(found: Records) -> str:
    """Test accuracies of every family, of the settings that stand in `families`, with seed 0."""
    scores = {
        (record['backbone'], record['norms']): f'{record["top1"]:.1%}'
        for record in found
        if record['seed'] == 0 and record['settings'] == families.SETTINGS.get(record['backbone'])
    }
    trained = [backbone for backbone in families.SETTINGS if any(backbone == of for of, _ in scores)]
    rows = [[f'`{of}`', *(scores.get((of, norms), '') for norms in families.NORMS)] for of in trained]
    return table(['backbone', *(f'`{norms}`' for norms in families.NORMS)], rows, left=1)


def not_run(groups: Groups) -> str:
    """The cells of a table that have no run yet."""
    lacking = []
    for backbone in small_batch.BACKBONES:
        for method in small_batch.METHODS:
            if clips := [str(clips) for clips in CLIPS if not at(groups, backbone, method, clips)]:
                lacking.append(f'`{backbone}` {method} at {", ".join(clips)}')
    return f'Not run yet: {"; ".join(lacking)} clips.' if lacking else ''


def provenance(found: Records) -> str:
    """What the records were made with."""

    def all_of(read: Callable[[Mapping[str, Any]], str]) -> str:
        return ', '.join(sorted({read(record['by']) for record in found}))

    versions = all_of(lambda by: ', '.join(f'{name} {version}' for name, version in by['versions'].items()))
    hours = sum(record.get('seconds', 0) for record in found) / 3600
    return (
        f'{len(found)} runs{f", {hours:.1f} hours of one core" if hours else ""}; '
        f'commit {all_of(lambda by: by["commit"])}; {all_of(lambda by: by["processor"])}, '
        f'{all_of(lambda by: by["device"])}; Python {all_of(lambda by: by["python"])}, {versions}.'
    )
