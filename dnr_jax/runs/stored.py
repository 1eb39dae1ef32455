"""One checkpoint as Orbax writes it and reads it: the arrays of a state, and what is said of them.

    FOLDER/STEP/variables      what to use a model takes
    FOLDER/STEP/progress       what to go on training it takes besides
    FOLDER/STEP/_CHECKPOINT_METADATA, ...

Whether it counts is not asked here, see `checkpoints`. This file alone speaks to Orbax.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
from absl import logging
from orbax.checkpoint import v1 as ocp

from dnr_jax import parallel
from dnr_jax.runs import transfer
from dnr_jax.runs.identity import completed
from dnr_jax.runs.state import TrainState
from dnr_jax.runs.taken_away import gone_if_not_there

PyTree = Any
policies = ocp.training.preservation_policies


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One saved step: where it came from and how it scored."""

    step: int
    about: dict[str, Any]
    metrics: dict[str, float] | None


class Store:
    """The checkpoints of a local folder, which is made: the newest `keep` of them and the best one stay.

    Saving is asynchronous and atomic. `alone` is whether each process writes and reads a folder of its own.
    """

    def __init__(self, folder: Path, keep: int, alone: bool):
        self._alone = alone
        with by_itself(alone):
            self._checkpointer = ocp.training.Checkpointer(
                folder,
                preservation_policy=policies.AnyPreservationPolicy([
                    policies.LatestN(keep),
                    policies.BestN(get_metric_fn=_validation_top1, n=1, keep_checkpoints_without_metrics=False),
                ]),
                cleanup_tmp_directories=True,
            )  # fmt: skip

    def steps(self) -> list[int]:
        """Those that are there."""
        return sorted(saved.step for saved in self._checkpointer.checkpoints)

    def save(self, state: TrainState, about: Mapping[str, Any], metrics: dict[str, float] | None) -> Callable[[], Any]:
        """Starts to save; what it returns waits for the end, and raises what has gone wrong."""
        with by_itself(self._alone):
            saving = self._checkpointer.save_checkpointables_async(
                int(state.step),
                parts(state),
                force=True,
                overwrite=True,
                metrics=metrics,
                custom_metadata=json.loads(json.dumps({**about, 'validation': metrics})),
            )
        return saving.result

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The state of that step, with the shapes, types and shardings of `like` (see `parallel.abstract`)."""
        with by_itself(self._alone):
            loaded = self._checkpointer.load_checkpointables(step, parts(like))
        state = like.replace(**loaded['variables'] | loaded['progress'])
        return state.replace(average=loaded['variables']['params']) if like.average else state

    def close(self) -> None:
        """Ends what goes on in the background."""
        with by_itself(self._alone):
            self._checkpointer.close()


def by_itself(alone: bool) -> AbstractContextManager:
    """Within, each of several processes writes and reads a folder of its own, if it is to."""
    context = ocp.Context()
    if alone and parallel.has_peers():
        context.multiprocessing.primary_host = None
        context.array.saving.use_replica_parallel = False
        context.asynchronous.create_directories_asynchronously = False  # one host does not see those of another
        logging.get_absl_logger().addFilter(_of_concern)
    return context


def _of_concern(record: Any) -> bool:
    """Whether a line of Orbax is for users: this one comes with every save."""
    return 'primary_host=None' not in record.getMessage()


def describe(path: Path) -> Checkpoint:
    """What a finished checkpoint says of itself; ValueError if that is not what a training says."""
    with gone_if_not_there(path):
        try:
            about = dict(ocp.checkpointables_metadata(path.absolute()).custom_metadata)
            metrics = about.pop('validation')
            if isinstance(about.get('config'), Mapping):
                about['config'] = completed(about['config'])
            return Checkpoint(int(path.name), about, metrics and {name: float(of) for name, of in metrics.items()})
        except Exception as error:  # many kinds, by what stands there
            raise ValueError(f'{path} is described as no training does it, {_in_a_line(error)}') from error


def expect_described(found: Checkpoint) -> None:
    """Raises ValueError unless config, class names and fingerprints, as they were read, are of their types."""
    config, names, prints = (found.about.get(name) for name in ('config', 'label_names', 'fingerprints'))
    typed = isinstance(config, Mapping) and isinstance(names, list) and isinstance(prints, Mapping)
    if not typed or not names or not all(isinstance(text, str) for text in (*names, *prints.values())):
        raise ValueError(f'The checkpoint of step {found.step} tells no config, label_names and fingerprints.')


def best_of(found: Iterable[Checkpoint]) -> Checkpoint | None:
    """The best one by validation top-1, the later one of equals; None if none was validated."""
    scored = (checkpoint for checkpoint in found if checkpoint.metrics)
    return max(scored, key=lambda checkpoint: (_validation_top1(checkpoint.metrics), checkpoint.step), default=None)


def _validation_top1(metrics: dict[str, float]) -> float:
    return metrics['top1']


def load_variables(folder: Path, step: int, like: PyTree) -> PyTree:
    """Parameters and statistics of a finished checkpoint, for `model.apply`; `like` as in `Store.restore`.

    ValueError where arrays of other shapes were saved.
    """
    path = folder.absolute() / str(step)
    try:
        if found := unlike(path, {'variables': like}):
            raise ValueError(f'arrays are not those of its config, {", ".join(found[:3])}')
        return ocp.load_checkpointables(path, {'variables': like})['variables']
    except Exception as error:  # many kinds, by what stands there
        raise ValueError(f'{path} cannot be read: {_in_a_line(error)}') from error


def parts(state: TrainState) -> dict[str, PyTree]:
    """What to use a model takes, apart from what to go on training it takes."""
    progress = {name: getattr(state, name) for name in ('step', 'opt_state', 'skipped', 'damaged')}
    if state.average:
        progress['params'] = state.params
    return {'variables': state.variables, 'progress': progress}


def unlike(path: Path, wanted: dict[str, PyTree]) -> list[str]:
    """How the arrays of these parts of a checkpoint are others, to read."""
    saved = ocp.checkpointables_metadata(path).metadata
    entries = transfer.compare(
        _shapes(wanted), _shapes({name: saved.get(name, {}) for name in wanted}), skip=(), fresh=()
    )
    return transfer.grouped(entry for entry in entries if entry.kind in transfer.MISTAKES)


def _shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator='/'): tuple(leaf.shape) for path, leaf in leaves}


def _in_a_line(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.removeprefix('ValueError: ').split())[:300]
