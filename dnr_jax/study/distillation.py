"""A relay along frames becomes a clock: what it hands out, averaged over training clips hop by hop, stays for ever.

    scale_g, shift_g = 1/N sum_n h_g(clip n), 1/N sum_n c_g(clip n)      of every relayed layer and hop g

What comes out is the same network with 'hopwise' norms, which knows the time and, along frames, no clip. What it scores
less is what the relay is worth beyond a clock; if that is nothing, it is the cheaper network.

Axes: G frame groups, C channels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dnr_jax.norms.words import NORMS
from dnr_jax.runs.trained_model import Trained, clip_of, shapes_of
from dnr_jax.study.ablation import Means
from dnr_jax.study.tracing import FRAMES, Relay

CLOCK = 'hopwise'


def as_clock(stored: Trained, relays: list[Relay], means: Mapping[str, Means]) -> tuple[list[str], dict[str, Any]]:
    """Norms and variables of the network as a clock; ValueError where it has no relay along frames to be frozen.

    `stored` is as its checkpoint has it: statistics that scores are taken with are no part of a clock, which is scored
    by its own. `means` are of every relayed layer, [G C].
    """
    words = [CLOCK if is_relay_along_frames(word) else word for word in stored.model.norms]
    if CLOCK not in words:
        raise ValueError(
            f"Expected a network with 'cross_temporal' norms, whose relays can become a clock, got "
            f'{", ".join(stored.model.norms)}.'
        )
    shapes = shapes_of(stored.model.clone(norms=tuple(words)), clip_of(stored.config))
    wanted = flatten_dict(shapes['params'], sep='/')
    along_frames = [layer for relay in relays if relay.over == FRAMES for layer in relay.layers]
    layers = [layer for layer in along_frames if f'{layer}/transform/scale' in wanted]
    kept = {path: of for path, of in flatten_dict(stored.variables['params'], sep='/').items() if path in wanted}
    learned = {
        f'{layer}/transform/{name}': np.asarray(of, np.float32)
        for layer in layers
        for name, of in means[layer]._asdict().items()
    }
    assert wanted.keys() == kept.keys() | learned.keys()
    return words, {**stored.variables, 'params': unflatten_dict(kept | learned, sep='/')}


def is_relay_along_frames(word: str) -> bool:
    """Whether a clock can take the place of this norm: the same statistics, hop by hop."""
    parts = NORMS[word]
    return (parts.statistics, parts.transform) == ('batch', 'cross_temporal') and parts.by_hop and not parts.residual
