"""What an evaluation leaves behind: a folder of predictions, scores and pictures, under a name that says how they came.

A score is nothing without its protocol, so both are written together; see `predictions` and `scores` for the files.
"""

import json
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.data.sampling import as_taken
from dnr_jax.data.source import VideoSource
from dnr_jax.evaluation import scores
from dnr_jax.evaluation.batches import protocol
from dnr_jax.evaluation.predictions import FILES, Predictions, save
from dnr_jax.files import AnyPath, folder_written_whole, is_remote
from dnr_jax.runs.ownership import kept
from dnr_jax.runs.trained_model import Trained

# Keys of a config that make a score another one, ...
PROTOCOL = 'clip.', 'data.name', 'run.precise_batches', 'run.self_inclusive', 'test.'
PACE = 'test.batch_size', 'test.views_at_once'  # ... all but these


def kept_for_results(folder: AnyPath, patient: bool = False) -> AbstractContextManager[None]:
    """Keeps the folder of an evaluation, which is replaced as a whole, by a lock beside it; see `ownership.kept`."""
    return kept(folder.with_name(f'.lock-{folder.name}'), f'The folder {folder} for results', patient)


def folder_name(which: str, found: Trained, source: VideoSource) -> str:
    """'test' for what ends a training; else with what is different: 'test-step=768-clips=10-crops=3'."""
    words = [f'step={found.step}'] if which != 'last' else []
    for key, value in found.changes.items():
        if key.startswith(PROTOCOL) and key not in PACE:
            words.append(f'{key.removeprefix("test.")}={value}'.replace('/', '_'))
    if found.fingerprints.get(source.split, source.fingerprint) != source.fingerprint:
        words.append(f'videos={source.fingerprint[:8]}')
    return '-'.join(['test', *words])


def expect_replaceable(folder: AnyPath) -> None:
    """Raises ValueError if anything in the folder, which is to be replaced, is not of an earlier evaluation."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'Expected a folder for results, got the file {folder}; give another --out.')
    if not is_remote(folder) and folder.is_mount():
        raise ValueError(
            f'Expected a folder that can be replaced, but a disk is mounted at {folder}; give one within it.'
        )
    others = {path.name for path in folder.iterdir()} - {*FILES, *scores.FILES} if folder.is_dir() else ()
    if others:
        raise ValueError(
            f'An evaluation takes the place of all that is in its folder: expected {folder} to be new, or to hold an '
            f'earlier evaluation and nothing else, found {", ".join(sorted(others)[:3])}; give another --out.'
        )


def results_in(folder: AnyPath) -> dict[str, Any]:
    """The results that an evaluation has left there; empty where there are none."""
    path = folder / scores.RESULTS
    return json.loads(path.read_text()) if path.exists() else {}


def describe(config: ConfigDict, section: str, videos: int) -> str:
    """The protocol in the field's shorthand."""
    clip, views, precise = as_taken(**config.clip), config[section], config.run.precise_batches
    frames = f'{clip["frames"]}x{clip["stride"]}' if 'stride' in clip else clip['frames']
    statistics = f', statistics of {precise} batches of {config.train.batch_size} clips' if precise else ''
    if counted := config.run.self_inclusive:
        statistics += f', each clip counted into a set of {counted}'
    return (
        f'{frames} frames, {views.clips}x{views.crops} views of {views.size}x{views.size}, {clip["sampling"]} '
        f'sampling, {views.average} averaged{statistics} ({videos:,} videos)'
    )


def account(predictions: Predictions, config: ConfigDict, section: str) -> dict[str, Any]:
    """Scores, coverage and protocol, for `scores.to_text`; None for a loss that is not finite."""
    summary = scores.summarize(predictions)
    if not math.isfinite(summary.get('loss', 0)):
        summary['loss'] = None  # which JSON can hold
    return summary | {
        'protocol': describe(config, section, len(predictions.ids)),
        'coverage': scores.cover(predictions),
    }


def write(
    folder: AnyPath,
    predictions: Predictions,
    source: VideoSource,
    config: ConfigDict,
    step: int,
    fingerprints: Mapping[str, str],
) -> dict[str, Any]:
    """Writes `folder` anew, by the test protocol; returns the results, with fewer views' scores for the leader.

    `fingerprints` are of the splits that the training read: where it read this one, the results say whether it holds
    the same videos now.
    """
    (taken, rest), precise = protocol(config, 'test'), config.run.precise_batches
    results = account(predictions, config, 'test') | {
        'data': config.data.name,
        'split': rest['split'],
        'fingerprint': source.fingerprint,
        'unknown_classes': [name for name in source.own_names if name not in source.label_names],
        'absent_classes': [name for name in source.label_names if name not in source.own_names],
        'same_videos': fingerprints[source.split] == source.fingerprint if source.split in fingerprints else None,
        'views': {**as_taken(**config.clip), **taken, 'average': rest['average']},
        'views_curve': scores.curve(predictions, clips=taken['clips'], crops=taken['crops']),
        'backbone': config.model.backbone,
        'norms': config.model.norms,
        'precise_statistics': {'batches': precise, 'clips': config.train.batch_size} if precise else None,
        'self_inclusive': config.run.self_inclusive or None,
        'step': step,
    }
    if parallel.is_leader():
        with folder_written_whole(folder, last=scores.RESULTS) as unfinished:
            save(unfinished, predictions, source.label_names, results['protocol'])
            scores.write(unfinished, predictions, results, source.label_names)
    return results
