"""Whether a written file gives the logits of its checkpoint, where nothing but JAX is loaded."""

import os
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dnr_jax import streaming
from dnr_jax.command import compiled
from dnr_jax.data.source import split_of
from dnr_jax.evaluation.batches import centre_views
from dnr_jax.evaluation.eval_step import eval_step
from dnr_jax.export import alone
from dnr_jax.models.pixels import normalize_pixels
from dnr_jax.runs.trained_model import Trained
from dnr_jax.streaming import endless

TOLERANCE = 1e-4  # in logits
BFLOAT16_TOLERANCE = 0.02  # of the greatest logit: compiled otherwise, other values are rounded to its 8 bits
RANDOM_CLIPS = 2


class ExportError(Exception):
    """What was exported is not the checkpoint."""


def clips_of(config: ConfigDict, wanted: int) -> tuple[np.ndarray, str]:
    """uint8 [B T H W 3], and in words where they are from."""
    size = config.test.size
    if not wanted:
        shape = RANDOM_CLIPS, config.clip.frames, size, size, 3
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8), f'{RANDOM_CLIPS} random clips'
    try:
        source = split_of(config.data, config.test.split)
    except ValueError:
        clips, _ = clips_of(config, 0)
        return clips, f'{RANDOM_CLIPS} random clips, for there is no {config.data.name} in {config.data.dir}'
    batches = centre_views(source, config, 'test', batch_size=min(wanted, len(source)), workers=0)
    with closing(batches):
        clips = next(batches)['clip'][:, 0]
    return clips, f'{len(clips)} clips of {source.name}'


def whole_groups(clips: np.ndarray, found: Trained) -> np.ndarray:
    """Those frames of clips [B T H W 3] that fill the groups that a stream takes."""
    length = streaming.frames_per_group(found.model)
    return clips[:, : clips.shape[1] // length * length]


def logits_of_checkpoint(found: Trained, clips: np.ndarray, stream: bool, horizon: int | None) -> np.ndarray:
    """Of the checkpoint itself, as evaluation and `streaming.endless` have them: [B K], or [B G K]."""
    pixels = found.config.pixels.to_dict()
    if not stream:
        step = partial(eval_step, model=found.model, pixels=pixels, views_at_once=0)
        return np.asarray(jax.jit(step)(found.variables, {'clip': clips[:, None]})[:, 0])
    groups = clips.reshape(len(clips), -1, streaming.frames_per_group(found.model), *clips.shape[2:]).swapaxes(0, 1)
    carry = endless.init(found.model, found.variables, groups.shape[1:], horizon=horizon)
    through = jax.jit(partial(endless.steps, found.model, horizon=horizon))
    _, logits = through(found.variables, carry, normalize_pixels(jnp.asarray(groups), **pixels))
    return np.asarray(logits).swapaxes(0, 1)


def greatest_difference(file: Path, clips: np.ndarray, expected: np.ndarray, dtype: str) -> float:
    """Between the logits expected and those of FILE in another process; ExportError if it fails, or differs much."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = (Path(folder) / name for name in ('clips.npy', 'logits.npy'))
        np.save(given, clips)
        command = [sys.executable, alone.__file__, file, given, made]
        env = os.environ | compiled.environment() | {'JAX_PLATFORMS': 'cpu'}
        run = subprocess.run(command, env=env, capture_output=True, text=True)
        if run.returncode:
            raise ExportError(f'What was exported does not run and is not kept: {run.stderr.strip()}')
        logits = np.load(made)
    difference = float(np.abs(logits - np.concatenate([expected, expected[:1]])).max())
    most = tolerance(expected, dtype)
    if not difference <= most:
        raise ExportError(
            f'What was exported gives other logits than the checkpoint and is not kept: they differ by '
            f'{difference:.2g}, expected at most {most:.2g}.'
        )
    return difference


def tolerance(expected: np.ndarray, dtype: str) -> float:
    """How much logits may differ, by the type of activations."""
    return BFLOAT16_TOLERANCE * float(np.abs(expected).max()) if dtype == 'bfloat16' else TOLERANCE
