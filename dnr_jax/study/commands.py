"""The questions of a study, each answered with files and with a text to print: `question(asked) -> text`.

    trace      what every relayed layer does with one clip                trace.npz, trace.json, trace.png
    motion     how scale and shift move: a clip, its reverse, classes     motion.npz, motion.json, motion_*.png
    influence  how strongly a hop of a relay hears of an earlier one      influence.json, influence_*.png
    ablate     what it costs to take the relay away                       ablate.json, ablate.png
    distill    the network with its relay along frames as a clock         clock/, a work folder
    order      whether the order of frames is seen, network by network    order.json, order.png

What is wrong with what is asked is refused before anything is computed. Files are written whole; `ablate`, which takes
longest, writes its costs as they are found, and asked again goes on from there.
"""

import json
import zlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from dnr_jax import parallel
from dnr_jax.compare.comparison import expect_same_classes
from dnr_jax.data.source import split_of
from dnr_jax.evaluation import metrics
from dnr_jax.evaluation.checkpoint_score import as_scored
from dnr_jax.files import AnyPath, as_path
from dnr_jax.registry import choose
from dnr_jax.runs import trained_model
from dnr_jax.runs.transfer import in_order
from dnr_jax.study import ablation, clips, distillation, memory, motion, order, tracing
from dnr_jax.study.asking import Asked, Study, about, begin, save_arrays, save_json, sentence, told
from dnr_jax.study.tracing import FRAMES, LAYERS, Relay

ABOUT = 'label_names', 'fingerprints', 'clips_per_statistic'  # of a network, that its clock has as well


def trace(asked: Asked) -> str:
    """Arrays of trace.npz, G frame groups, C channels, for every relayed LAYER such as 'stage1/block1/norm2':

        LAYER/pooled, LAYER/h, ...      [G C], every field of `tracing.LayerTrace`
        clip, logits                    uint8 [T H W 3] as it was read, [K]
        id, label, label_names          of the clip, and of all classes [K]
    """  # fmt: skip
    study = begin(asked)
    found = study.found
    clip = clips.choose_clip(study.source, found.config, asked.label, asked.id)

    def observe(variables, clip, number):
        logits, layers, _ = tracing.observe(found.model, variables, clip)
        return logits, layers

    logits, layers = study.over_clips(observe)(found.variables, clip.clip, 'tracing')
    arrays = {
        f'{layer}/{name}': of[0]
        for relay in study.relays
        for layer in relay.layers
        for name, of in layers[layer]._asdict().items()
    }
    summaries = tracing.summarize(study.relays, layers)
    label_names = np.array(found.label_names)
    save_arrays(
        asked.folder / 'trace.npz',
        arrays
        | {of: rows[0] for of, rows in clip._asdict().items()}
        | {'logits': logits[0], 'label_names': label_names},
    )
    of_clip = told(clip, found, logits)
    title = f'What every relayed layer does with {sentence(of_clip)} ({study.title})'
    tracing.draw(asked.folder / 'trace.png', summaries, clip.clip[0], title)
    save_json(asked.folder / 'trace.json', study.about | of_clip | {'layers': [of._asdict() for of in summaries]})
    return f'{sentence(of_clip)}\n\n{tracing.to_text(summaries)}'


def show_motion(asked: Asked) -> str:
    """Arrays of motion.npz, N hops of a RELAY such as 'stage1' or 'stage1/block1/norm2', and all K classes:

        RELAY/clip_scale, RELAY/clip_shift              [2 N C], of the clip and of its reverse
        RELAY/mean_scale, RELAY/mean_shift              [K N C], over the clips of a class; NaN where it has none
        RELAY/std_scale, RELAY/std_shift                [K N C], their standard deviations
        RELAY/low_scale, RELAY/high_scale, ...          [K N C], their quartiles
        clips_of_class, label_names                     [K]
    """  # fmt: skip
    study = begin(asked)
    found, by_name = study.found, {relay.name: relay for relay in study.relays}
    drawn = [choose(by_name, asked.relay, 'relay')] if asked.relay is not None else study.relays
    clip = clips.choose_clip(study.source, found.config, asked.label, asked.id)
    several = clips.draw(study.source, found.config, asked.clips)
    relayed = study.over_clips(lambda variables, clip, number: motion.relayed(found.model, variables, clip))
    both = np.concatenate([clip.clip, clip.clip[:, ::-1]])
    logits, of_clip = relayed(found.variables, both, 'a clip and its reverse')
    _, of_clips = relayed(found.variables, several.clip, 'all classes')
    classes = len(found.label_names)
    of_classes = {name: motion.by_class(of, several.label, classes) for name, of in of_clips.items()}
    predicted = [found.label_names[label] for label in logits.argmax(axis=1)]
    shown = draw_motion(asked.folder, study, drawn, both, predicted, of_clip, of_classes)
    save_motion(asked.folder / 'motion.npz', study, of_clip, of_classes)
    steps = {relay.name: motion.steps(of_clips[relay.name]) for relay in study.relays}
    results = {
        'clip': told(clip, found, logits),
        'predicted_reversed': predicted[1],
        'clips': len(several.label),
        'drawn': shown,
        'steps': {name: {which: of.tolist() for which, of in step._asdict().items()} for name, step in steps.items()},
    }
    save_json(asked.folder / 'motion.json', study.about | results)
    return f"{sentence(results['clip'])}, reversed '{predicted[1]}'\n\n{motion.to_text(study.relays, steps)}"


def draw_motion(
    folder: AnyPath,
    study: Study,
    relays: list[Relay],
    both: np.ndarray,
    predicted: list[str],
    of_clip: Mapping[str, motion.Motion],
    of_classes: Mapping[str, motion.ByClass],
) -> dict[str, str]:
    """Pictures of the relay that tells most, of those along frames and of those along layers; their names."""
    shown = {}
    for over in (FRAMES, LAYERS):
        if not (of_kind := [relay for relay in relays if relay.over == over]):
            continue
        path = folder / f'motion_clip_{over}.png'
        relay = motion.most_different(of_kind, of_clip)
        shown[path.name] = relay.name
        title = f'What the relay {relay.name} hands out, hop by hop ({study.title})'
        motion.draw_clip(path, relay, of_clip[relay.name], both, predicted, title)
        path = folder / f'motion_classes_{over}.png'
        relay = motion.most_different(of_kind, {name: of.mean for name, of in of_classes.items()})
        shown[path.name] = relay.name
        what = 'means of classes, and the middle half of their clips'
        title = f'What the relay {relay.name} hands out: {what} ({study.title})'
        motion.draw_classes(path, relay, of_classes[relay.name], study.found.label_names, title)
    return shown


def save_motion(
    path: AnyPath, study: Study, of_clip: Mapping[str, motion.Motion], of_classes: Mapping[str, motion.ByClass]
) -> None:
    arrays = {
        f'{relay.name}/{rows}_{which}': of
        for relay in study.relays
        for rows, moved in {'clip': of_clip[relay.name], **by_rows(of_classes[relay.name])}.items()
        for which, of in moved._asdict().items()
    }
    clips_of_class = next(iter(of_classes.values())).clips
    save_arrays(path, arrays | {'clips_of_class': clips_of_class, 'label_names': np.array(study.found.label_names)})


def by_rows(of: motion.ByClass) -> dict[str, motion.Motion]:
    """All that is known of classes, by its name."""
    return {name: moved for name, moved in of._asdict().items() if name != 'clips'}


def measure_influence(asked: Asked) -> str:
    """Averages over clips; see `memory`."""
    study = begin(asked)
    found = study.found
    several = clips.draw(study.source, found.config, asked.clips)
    influence = study.over_clips(lambda variables, clip, number: memory.influence(found.model, variables, clip))
    of_clips = influence(found.variables, several.clip, 'influence')
    mean = {relay.name: of_clips[relay.name].mean(axis=0) for relay in study.relays}
    for over in (FRAMES, LAYERS):
        if of_kind := [relay for relay in study.relays if relay.over == over]:
            title = f'How far back relays along {over} remember, mean of {len(several.label):,} clips ({study.title})'
            memory.draw(asked.folder / f'influence_{over}.png', of_kind, mean, title)
    relays = {
        relay.name: {
            'over': relay.over,
            'layers': relay.layers,
            'influence': mean[relay.name].tolist(),
            'memory': memory.memory(mean[relay.name]).tolist(),
        }
        for relay in study.relays
    }
    save_json(asked.folder / 'influence.json', study.about | {'clips': len(several.label), 'relays': relays})
    return memory.to_text(study.relays, mean)


def ablate(asked: Asked) -> str:
    """Costs of all ablations at all choices of layers; see `ablation`."""
    for name in asked.ablations:
        ablation.parse(name)
    study = begin(asked)
    found = study.found
    layers = in_order(layer for relay in study.relays for layer in relay.layers)
    chosen = {pattern: ablation.matching(layers, pattern) for pattern in asked.layers or ablation.parts(layers)}
    several = clips.draw(study.source, found.config, asked.clips)

    def observe(variables, clip, number):
        logits, traced, _ = tracing.observe(found.model, variables, clip)
        return logits, {layer: ablation.Means(of.h, of.c) for layer, of in traced.items()}

    plain, handed_out = study.over_clips(observe)(found.variables, several.clip, 'without ablation')
    means = jax.tree.map(lambda of: of.mean(axis=0), handed_out)
    top1 = float(metrics.right(plain, several.label).mean())
    # The same network on the same clips has the same logits: then costs that were found before hold.
    results = study.about | {'clips': len(several.label), 'top1': top1, 'logits_crc32': zlib.crc32(plain.tobytes())}
    path = asked.folder / 'ablate.json'
    costs = found_before(path, results)
    for name in asked.ablations:
        ablated = study.over_clips(partial(ablated_logits, found.model, name))
        for pattern, layers in chosen.items():
            if (pattern, name) not in costs:
                what = f'{name} {len(costs) + 1} of {len(chosen) * len(asked.ablations)}'
                logits = ablated((found.variables, layers, means), several.clip, what)
                costs[pattern, name] = ablation.cost(pattern, sum(layers.values()), name, logits, plain, several.label)
                save_json(path, results | {'costs': [of._asdict() for of in costs.values()]})
    asked_for = [costs[pattern, name] for pattern in chosen for name in asked.ablations]
    title = f'What it costs to take the relay away: {len(several.label):,} clips, top-1 {top1:.1%}\n({study.title})'
    ablation.draw(asked.folder / 'ablate.png', asked_for, title)
    return ablation.to_text(asked_for, top1)


def ablated_logits(model, name, inputs, clip, number):
    variables, chosen, means = inputs
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(0)))(number)
    return ablation.ablated(model, variables, clip, ablation=name, chosen=chosen, means=means, keys=keys)


def found_before(path: AnyPath, results: Mapping[str, Any]) -> dict[tuple[str, str], ablation.Cost]:
    """Costs in the file, by layers and ablation, if all else it says is as in `results`."""
    try:
        before = json.loads(path.read_text())
        costs = [ablation.Cost(**cost) for cost in before.pop('costs')]
    except (FileNotFoundError, ValueError, TypeError, LookupError, AttributeError, RecursionError):  # none of ours
        return {}
    return {(of.layers, of.ablation): of for of in costs} if before == results else {}


def distill(asked: Asked) -> str:
    """The network as a clock, see `distillation`, by the means over training clips; `clock` is a work folder."""
    study = begin(asked)
    found, config = study.found, study.found.config
    train = clips.of_classes(split_of(config.data, config.data.train_split), found.label_names)
    several = clips.draw(train, config, asked.clips)

    def handed_out(variables, clip, number):
        return {layer: ablation.Means(of.h, of.c) for layer, of in tracing.trace(found.model, variables, clip).items()}

    of_clips = study.over_clips(handed_out)(found.variables, several.clip, 'what relays hand out')
    means = jax.tree.map(lambda of: of.mean(axis=0), of_clips)
    words, variables = distillation.as_clock(study.stored, study.relays, means)
    stored = config.to_dict()
    stored['model']['norms'] = ','.join(words)
    about = {'config': stored, **{of: getattr(found, of) for of in ABOUT}}
    out = asked.folder / 'clock'
    trained_model.save(variables, about, out)
    return (
        f'{study.title}: its relay along frames is a clock now, of the means over {len(several.label):,} clips of '
        f'{train.split}. To score it: python eval.py --workdir={out}'
    )


def see_order(asked: Asked) -> str:
    """Of networks with relays and without, beside each other; see `order`."""
    mesh = parallel.make_mesh()
    loaded = [asked.load(workdir, mesh) for workdir in asked.workdirs]
    label_names, first = loaded[0][0].label_names, loaded[0][1]
    for workdir, (found, source) in zip(asked.workdirs, loaded, strict=True):
        expect_same_classes(asked.workdirs[0], label_names, workdir, found.label_names)
        if (source.fingerprint, source.split) != (first.fingerprint, first.split):
            raise ValueError(
                f'Networks are asked about the same videos: expected those of {first.name}, got {source.name} for '
                f'{workdir}; --config.data.dir and --config.test.split say which.'
            )
    names = [as_path(workdir).name for workdir in asked.workdirs]
    names = names if len(set(names)) == len(names) else asked.workdirs
    networks, orders = [], {}
    scored = [as_scored(found, mesh) for found, _ in loaded]
    for name, workdir, found, (_, source) in zip(names, asked.workdirs, scored, loaded, strict=True):
        several = clips.draw(source, found.config, asked.clips)
        predict = clips.over_clips(partial(plain_logits, found.model), found.config, mesh)
        logits = predict(found.variables, several.clip, name)
        of_reversed = predict(found.variables, several.clip[:, ::-1], f'{name}, reversed')
        orders[name] = order.compare(logits, of_reversed, several.label)
        networks.append(about(workdir, found, source) | {
            key: of.tolist() if key == 'turned' else of for key, of in orders[name]._asdict().items()
        })  # fmt: skip
    save_json(asked.folder / 'order.json', {'label_names': label_names, 'networks': networks})
    data, count = networks[0]['data'], networks[0]['clips']
    title = f'What becomes of predictions when frames are reversed, {count:,} clips ({data})'
    order.draw(asked.folder / 'order.png', orders, label_names, title)
    return order.to_text(orders, label_names)


def plain_logits(model, variables, clip, number):
    return model.apply(variables, clip, train=False)
