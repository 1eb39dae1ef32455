"""Why evaluation falls behind training mode: the statistics of a trained model, layer by layer.

python -m dnr_jax.statistics_report --workdir=runs/dnr

The same clips of the validation split are scored by statistics of sets of them, as large as in training, by the running
averages, and by precise statistics in place of these. Drift and spread of every layer (see `drift`) say where they
part.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dnr_jax import figures, parallel
from dnr_jax.command.bars import bar
from dnr_jax.data.source import split_of
from dnr_jax.evaluation import metrics, precise_statistics
from dnr_jax.evaluation.batches import centre_views
from dnr_jax.evaluation.checkpoint_score import of_classes
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.files import AnyPath, as_path, expect_writable, make_folder, written_whole
from dnr_jax.norms.words import renormalized
from dnr_jax.runs import trained_model
from dnr_jax.statistics_report import drift
from dnr_jax.statistics_report.drift import Layer

WAYS = {
    'training': 'training mode, statistics of sets of clips',
    'running': 'evaluation, running statistics',
    'precise': 'evaluation, precise statistics',
    'precise_per_hop': 'evaluation, precise statistics of every hop',
    'self_inclusive': 'evaluation, each clip counted into its set',
}
ASSUMED = (
    'The checkpoint does not say how many clips shared statistics: as in a training on these devices, it is assumed.'
)
NOTABLE = 0.02  # of the clips; smaller differences in top-1 are not interpreted
WORST = 12  # layers in the table; report.json has all


def report(
    workdir: str | AnyPath,
    which: str,
    adapt: Callable[[ConfigDict], ConfigDict],
    wanted: int,
    out: str | AnyPath | None,
) -> dict[str, Any]:
    """Writes report.json and statistics.png of a checkpoint; returns what report.json holds.

    Args:
      which, adapt: see `trained_model.load`.
      wanted: batches of config.train.batch_size clips; fewer are taken where there are not so many.
      out: folder to write to; None for `WORKDIR/statistics`.
    Raises ValueError if there is no such checkpoint, no full batch, or no norm with running statistics.
    """
    out = as_path(out) if out else as_path(workdir) / 'statistics'
    expect_writable(out)
    mesh = parallel.make_mesh()
    found = trained_model.load(workdir, which, adapt, mesh)
    config = found.config
    of_set = found.clips_per_statistic or precise_statistics.clips_per_statistic(config, mesh)
    of_sets = precise_statistics.of_sets(found.model, of_set)
    observing = precise_statistics.compile_observe(of_sets, found.variables, config.pixels.to_dict(), mesh)
    clips, labels = read(config, found.label_names, wanted, mesh)
    top1, per_group = score(found, of_set, observing, clips, labels, mesh)
    layers = drift.compare(*jax.device_get((found.variables['batch_stats'], per_group)), config.model.norm.epsilon)
    results = {
        'data': f'{config.data.name} {config.validation.split}',
        'step': found.step,
        'clips': len(labels),
        'batch_size': len(clips[0]),
        'clips_per_statistic': of_set,
        'clips_per_statistic_stored': found.clips_per_statistic is not None,
        'devices': parallel.describe(mesh),
        'top1': top1,
        'diagnosis': diagnose(top1, layers),
        'layers': [layer._asdict() for layer in layers],
    }
    make_folder(out)
    draw(out / 'statistics.png', layers, f'{workdir}, step {found.step}: {results["diagnosis"]}')
    with written_whole(out / 'report.json') as path:
        path.write_text(json.dumps(results, indent=2) + '\n')
    return results


def read(
    config: ConfigDict, label_names: Sequence[str], wanted: int, mesh: parallel.Mesh
) -> tuple[list[np.ndarray], np.ndarray]:
    """Full batches of validation clips in one centre view, uint8 [B 1 T H W C] each, and all labels.

    Videos that cannot be read, or have no label, are not among them.
    """
    source = of_classes(split_of(config.data, config.validation.split), label_names)
    batch_size = parallel.per_process(config.train.batch_size, mesh, 'train.batch_size')
    reading = {'batch_size': batch_size, 'workers': config.run.workers}
    batches = centre_views(source, config, 'validation', **reading)
    clips, labels = [], []
    with closing(batches), bar(min(wanted * batch_size, len(source)), 'reading', ' clips', leave=False) as progress:
        for batch in batches:
            usable = batch['mask'] & (batch['label'] >= 0)
            clips.extend(batch['clip'][usable])
            labels.extend(batch['label'][usable])
            progress.update(int(usable.sum()))
            if len(labels) >= wanted * batch_size:
                break
    count = min(wanted, len(labels) // batch_size)
    if count < 1:
        raise ValueError(
            f'Statistics are taken over whole batches of config.train.batch_size = {batch_size} clips: expected at '
            f'least one, got {wanted} wanted of the {len(labels)} labelled clips of {source.name}; give another '
            '--batches or --config.validation.split.'
        )
    starts = range(0, count * batch_size, batch_size)
    return [np.stack(clips[start : start + batch_size]) for start in starts], np.array(labels[: count * batch_size])


def score(
    found: trained_model.Trained,
    of_set: int,
    observing: Callable,
    clips: list[np.ndarray],
    labels: np.ndarray,
    mesh: parallel.Mesh,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Top-1 by every one of WAYS that differs for this model, and the precise statistics of every hop, [G C].

    `of_set` are the clips that share statistics in training, `observing` the step that observes such sets.
    """
    config, running = found.config, found.variables['batch_stats']

    def over_batches(way, step, batch_stats, batches):
        with bar(len(clips), way, ' batches', leave=False) as progress:
            for clip in batches:
                yield jax.device_get(
                    step({**found.variables, 'batch_stats': batch_stats}, parallel.place({'clip': clip}, mesh))
                )
                progress.update()

    def observed(way, step):
        logits, of_batches = zip(*over_batches(way, step, running, (clip[:, 0] for clip in clips)), strict=True)
        return logits, precise_statistics.average(of_batches)

    def top1(logits):
        return float(metrics.top1(jnp.concatenate(list(logits)), jnp.asarray(labels)).mean())

    logits, per_group = observed('training', observing)
    # In evaluation, running averages of shape [G C] serve every hop by itself, whatever shape was trained.
    statistics = {'running': running, 'precise': precise_statistics.as_running(per_group, running)}
    if any(jax.tree.leaves(jax.tree.map(lambda of, group: of.ndim == 1 and len(group) > 1, running, per_group))):
        statistics['precise_per_hop'] = per_group
    predict = dict.fromkeys(WAYS, make_predict(config, found.model, mesh, config.validation.views_at_once))
    if not renormalized(config.model.norms):
        counting = precise_statistics.counting(found.model, of_set)
        observing_sets = precise_statistics.compile_observe(counting, found.variables, config.pixels.to_dict(), mesh)
        statistics['self_inclusive'] = observed('statistics of sets', observing_sets)[1]
        predict['self_inclusive'] = make_predict(config, counting, mesh, config.validation.views_at_once)
    scores = {
        way: top1(of[:, 0] for of in over_batches(way, predict[way], batch_stats, clips))
        for way, batch_stats in statistics.items()
    }
    return {'training': top1(logits)} | scores, per_group


def diagnose(top1: Mapping[str, float], layers: Sequence[Layer]) -> str:
    """One sentence: whether evaluation falls behind training mode, why, and what to try."""
    lost = top1['training'] - top1['running']
    if lost < NOTABLE:
        return f'Evaluation keeps up with training mode: top-1 {top1["running"]:.1%} and {top1["training"]:.1%}.'
    loses = f'Evaluation loses {100 * lost:.1f} points of top-1 against training mode'
    simple_first = list(WAYS).index
    best = max(top1.keys() - {'training', 'running'}, key=lambda way: (top1[way], -simple_first(way)))
    if top1[best] - top1['running'] < lost / 2:
        return f'{loses}, and precise statistics do not bring them back: try more clips per device, or group norms.'
    if best == 'self_inclusive':
        return (
            f'{loses}: there a clip is one of the few that share statistics; counted into such a set, it reaches '
            f'{top1[best]:.1%}: try config.run.self_inclusive, the clips of such a set, and config.run.precise_batches '
            'beside it.'
        )
    if best == 'precise_per_hop' and top1[best] - top1['precise'] >= NOTABLE:
        worst = max((layer for layer in layers if layer.pairs < layer.hops), key=lambda layer: layer.harm)
        return (
            f'{loses}: hops that differ, most at {worst.name}, share one running pair; with one for each it reaches '
            f'{top1[best]:.1%}: try config.model.norm.running_per_hop=True.'
        )
    worst = max(layers, key=lambda layer: max(layer.drift_mean, layer.drift_var))
    return (
        f'{loses}: running statistics have drifted, most at {worst.name}; with precise statistics it reaches '
        f'{top1["precise"]:.1%}.'
    )


def to_text(results: Mapping[str, Any]) -> str:
    """The report as a table: the scores, the worst layers, the diagnosis."""
    layers = sorted((Layer(**layer) for layer in results['layers']), key=lambda layer: -layer.harm)
    width = max(len(layer.name) for layer in layers)

    def number(value):
        return '-' if value is None else f'{value:.3f}'

    return '\n'.join([
        f'{results["data"]}, step {results["step"]}: {results["clips"]} clips in batches of {results["batch_size"]}, '
        f'{results["clips_per_statistic"]} per statistic, {results["devices"]}',
        *([] if results['clips_per_statistic_stored'] else [ASSUMED]),
        '',
        *(f'top-1 {top1:6.1%}  {WAYS[way]}' for way, top1 in results['top1'].items()),
        '',
        f'{"":{width}}  hops/pairs  drift of mean  of var  spread of mean  of var',
        *(
            f'{layer.name:{width}}  {f"{layer.hops}/{layer.pairs}":>10}  {number(layer.drift_mean):>13}  '
            f'{number(layer.drift_var):>6}  {number(layer.spread_mean):>14}  {number(layer.spread_var):>6}'
            for layer in layers[:WORST]
        ),
        '',
        results['diagnosis'],
    ])  # fmt: skip


def draw(path: AnyPath, layers: Sequence[Layer], title: str) -> None:
    """Drift above and spread below, layer by layer in the order of the network."""
    width = min(max(8, 0.32 * len(layers)), 24)
    figure = figures.figure(width, 7)
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    places = range(len(layers))
    for axis, what in zip(axes, ('drift', 'spread'), strict=True):
        for number, (moment, label) in enumerate(
            {'mean': 'mean, in standard deviations', 'var': 'log of variance'}.items()
        ):
            values = [getattr(layer, f'{what}_{moment}') for layer in layers]
            values = [np.nan if value is None else value for value in values]
            axis.plot(places, values, linestyle='', label=label, clip_on=False, zorder=3, **figures.style(number, 2))
        figures.grid(axis)
    longest = max(layers, key=lambda layer: layer.hops)
    axes[0].set(title='Drift of running from precise statistics', ylabel='drift')
    hops = f'hops: {longest.hops}, running pairs: {longest.pairs}'
    axes[1].set(title=f'Spread over the hops of a relay ({hops})', ylabel='spread')
    figure.legend(*axes[0].get_legend_handles_labels(), loc='outside lower center', ncols=2)
    every = -(-len(layers) // 80)
    axes[1].set_xticks(places[::every], [layer.name.replace('/', ' ') for layer in layers[::every]], rotation=90)
    axes[0].set_ylim(bottom=0)
    figures.title(figure, title)
    figures.save(figure, path)
