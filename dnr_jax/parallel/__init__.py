"""One training on many devices and in many processes.

    devices         the mesh, and where arrays lie on it
    processes       those of a run: how they meet, exchange rows and part
    programs        steps compiled for the mesh

A training step runs on every device for its own clips (`jax.shard_map`), so its statistics are those of a small
per-device batch, which is the method; what is to be shared it averages itself.
"""

from jax.sharding import Mesh

from dnr_jax.parallel.devices import (
    CLIPS_AXIS,
    describe,
    filled,
    make_mesh,
    per_process,
    place,
    place_ahead,
    replicated,
    split,
    to_host,
)
from dnr_jax.parallel.processes import LEADER_STAYS, barrier, connect, gather, has_peers, is_leader, leave
from dnr_jax.parallel.programs import (
    Batch,
    abstract,
    batch_shapes,
    compile_eval_step,
    compile_for_once,
    compile_train_step,
    compiled,
    peak_bytes,
    taken,
)

__all__ = [
    'CLIPS_AXIS', 'LEADER_STAYS', 'Batch', 'Mesh', 'abstract', 'barrier', 'batch_shapes', 'compile_eval_step',
    'compile_for_once', 'compile_train_step', 'compiled', 'connect', 'describe', 'devices', 'filled', 'gather',
    'has_peers', 'is_leader', 'leave', 'make_mesh', 'peak_bytes', 'per_process', 'place', 'place_ahead', 'processes',
    'programs', 'replicated', 'split', 'taken', 'to_host',
]  # fmt: skip
