"""Checkpoints in a work folder: the training state and, sealed beside it, all that is needed to use it.

A checkpoint holds the state at one step, a description (`about`: config, class names, data set) and the
validation metrics at that step if there are any. Saving is asynchronous and atomic; the newest ones stay, and the
best one by validation top-1. This file alone speaks to Orbax.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from dnr_jax.state import TrainState

PyTree = Any
policies = ocp.training.preservation_policies


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One saved step: where it came from and how it scored."""

    step: int
    about: dict[str, Any]
    metrics: dict[str, float] | None


class Checkpoints:
    """The checkpoints of `folder`; close it, or use it as a context, to see asynchronous saves through.

    Attributes:
      folder: made if it does not exist. keep: how many of the newest checkpoints stay.
    """

    def __init__(self, folder: Path, keep: int):
        self._checkpointer = ocp.training.Checkpointer(
            Path(folder).absolute(),
            preservation_policy=policies.AnyPreservationPolicy([
                policies.LatestN(keep),
                policies.BestN(get_metric_fn=_validation_top1, n=1, keep_checkpoints_without_metrics=False),
            ]),
            cleanup_tmp_directories=True,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """Waits for saves under way; an error of theirs surfaces here."""
        self._checkpointer.close()

    @property
    def latest_step(self) -> int | None:
        """The newest saved step, or None."""
        newest = self._checkpointer.latest
        return None if newest is None else newest.step

    def save(self, state: TrainState, about: dict[str, Any], metrics: dict[str, float] | None) -> None:
        """Starts to save this state under its step; returns as soon as the state is copied off the devices."""
        self._checkpointer.save_checkpointables_async(
            int(state.step), _parts(state), force=True, metrics=metrics, custom_metadata=json.loads(json.dumps(about))
        )

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The state of that step, with the shapes, types and shardings of `like` (see `abstract`)."""
        loaded = self._checkpointer.load_checkpointables(step, _parts(like))
        return like.replace(**loaded['variables'], **loaded['progress'])


def find(folder: Path, which: str) -> Checkpoint:
    """The checkpoint `which` ('last', 'best' or a step) of a work folder; ValueError, naming what is there, if none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f'Expected a folder of checkpoints at {folder}, found none; give the --workdir of a training.')
    with ocp.training.Checkpointer(folder.absolute()) as checkpointer:
        saved = {checkpoint.step: checkpoint for checkpoint in checkpointer.checkpoints}
        if not saved:
            raise ValueError(f'{folder} holds no finished checkpoint; let train.py save one there first.')
        step = _choose_step(saved, which)
        about = checkpointer.metadata(step).custom_metadata
        return Checkpoint(step, about, saved[step].metrics)


def load_variables(folder: Path, step: int, like: PyTree) -> PyTree:
    """Parameters and statistics of a finished checkpoint, for `model.apply`; `like` as in `Checkpoints.restore`."""
    with ocp.training.Checkpointer(Path(folder).absolute()) as checkpointer:
        return checkpointer.load_checkpointables(step, {'variables': like})['variables']


def abstract(state: PyTree, sharding: jax.sharding.Sharding) -> PyTree:
    """Shapes and types of a state, to be laid out as `sharding`."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state)


def _parts(state: TrainState) -> dict[str, PyTree]:
    """What to use a model takes, apart from what to go on training it takes."""
    return {'variables': state.variables, 'progress': {'step': state.step, 'opt_state': state.opt_state}}


def _choose_step(saved: dict[int, Any], which: str) -> int:
    if which == 'last':
        return max(saved)
    scored = [step for step, checkpoint in saved.items() if checkpoint.metrics]
    if which == 'best' and scored:
        return max(scored, key=lambda step: (_validation_top1(saved[step].metrics), step))
    if which.isdigit() and int(which) in saved:
        return int(which)
    raise ValueError(
        f"Expected 'last', 'best' (of {len(scored)} validated ones) or one of the steps {sorted(saved)}, got '{which}'."
    )


def _validation_top1(metrics: dict[str, float]) -> float:
    return metrics['top1']
