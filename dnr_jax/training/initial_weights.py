"""The weights a new training begins with: those of a checkpoint, where config.init_from names its work folder.

Arrays are taken over by path and shape. The classifier begins anew where the classes are others, relays where the
checkpoint has none; a static scale and shift falls away where a relay now stands, is its static part where that is
residual, and is that of every hop where a clock stands. Running statistics of other hops, or of none, become the same
ones for every hop, and fall away where norms take each clip alone. Anything else must fit. What no array shows, by
which the same weights may be another function, is told: settings of config.model that differ.

Axes: G frame groups, C channels.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax.traverse_util import unflatten_dict
from jax import Array
from ml_collections import ConfigDict

from dnr_jax import parallel
from dnr_jax.files import AnyPath
from dnr_jax.runs import trained_model, transfer
from dnr_jax.runs.identity import differences
from dnr_jax.runs.ownership import as_json
from dnr_jax.runs.state import TrainState
from dnr_jax.training.parts import Setup


class Initial(NamedTuple):
    """Arrays by path, on all devices, an account of them, to read, and the settings of the network they are from."""

    arrays: Mapping[str, jax.Array]
    told: str
    model: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """A hash of all arrays."""
        digest = hashlib.sha256()
        for path, array in sorted(jax.device_get(dict(self.arrays)).items()):
            digest.update(f'{path} {array.dtype} {array.shape}'.encode() + array.tobytes())
        return digest.hexdigest()[:12]

    def into(self, state: TrainState) -> TrainState:
        """The fresh state with these in their places, and in those of the moving average."""
        variables = unflatten_dict(transfer.flat(variables_of(state)) | self.arrays, sep='/')
        params = variables['params']
        average = jax.tree.map(jnp.copy, params) if state.average else {}
        return state.replace(params=params, average=average, batch_stats=variables.get('batch_stats', {}))


def of_config(config: ConfigDict, setup: Setup) -> Initial:
    """The weights of config.init_from, see `read`."""
    found = read(config.init_from, setup.shapes(), setup.train.label_names, setup.mesh)
    if others := ', '.join(differences(found.model, as_json(config)['model'], ())):
        return found._replace(told=f'{found.told}\nof a network of another config.model: {others}')
    return found


def read(folder: str | AnyPath, like: TrainState, label_names: Sequence[str], mesh: parallel.Mesh) -> Initial:
    """What a training of these classes begins with: the last checkpoint in the work folder `folder`.

    `like` is its fresh state, or the shapes of it. Raises ValueError if there is no checkpoint, or if it does not fit.
    """
    source = trained_model.load(folder, 'last', lambda config: config, mesh)
    wanted = transfer.shapes(transfer.flat(variables_of(like)))
    found = transfer.placed(transfer.flat(source.variables), wanted)
    fitted = for_hops(found, wanted)
    arrays = found | fitted
    others = [(transfer.HEAD, 'its classes are others')] if tuple(label_names) != source.label_names else []
    relays = (transfer.RELAY, 'the checkpoint has no such relay')
    skip = [*others, *without_statistics(found, wanted)]
    entries = [
        entry._replace(why=of_hops(entry.name)) if entry.name in fitted else entry
        for entry in transfer.compare(wanted, transfer.shapes(arrays), skip=skip, fresh=[relays, *others])
    ]
    remedy = 'Give config.init_from a checkpoint of the same backbone and settings of config.model.'
    transfer.expect_explained(entries, str(folder), remedy)
    told = f'weights of {folder}, step {source.step}:\n{transfer.to_text(entries)}'
    loaded = {entry.name: arrays[entry.name] for entry in entries if entry.kind == 'loaded'}
    return Initial(loaded, told, source.config.model.to_dict())


def for_hops(found: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """What is of other hops than is wanted, for every one of these.

    Running statistics, [G C] or [C]: their mean. A static scale and shift, [C]: the same.
    """

    def of_other_hops(path: str) -> bool:
        there, here = found[path].shape, wanted[path]
        static = re.search(r'/transform/(scale|shift)$', path) and (len(there), len(here)) == (1, 2)
        return (static or path.startswith('batch_stats/')) and there != here and there[-1] == here[-1]

    return {
        path: jnp.broadcast_to(found[path].reshape(-1, wanted[path][-1]).mean(axis=0), wanted[path])
        for path in found.keys() & wanted.keys()
        if of_other_hops(path)
    }


def of_hops(path: str) -> str:
    """What became of it, to read."""
    return 'of other hops, their mean for every one' if path.startswith('batch_stats/') else 'the same for every hop'


def without_statistics(found: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]]) -> transfer.Reasons:
    """Patterns of the running statistics that norms of each clip alone have no place for, and the reason."""
    norms = {path: path.removeprefix('batch_stats/').rsplit('/statistics/')[0] for path in found.keys() - wanted.keys()}
    return [
        (f'^{re.escape(path)}$', 'a norm of each clip alone has no running statistics')
        for path, norm in norms.items()
        if path.startswith('batch_stats/') and transfer.has_norm(norm, wanted)
    ]


def variables_of(state: TrainState) -> dict[str, Any]:
    """Parameters, not their average, and statistics."""
    return {'params': state.params, 'batch_stats': state.batch_stats}
