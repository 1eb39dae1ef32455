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
from dnr_jax.runs.trained_model import Trained
from dnr_jax.study.ablation import Means
from dnr_jax.study.tracing import FRAMES, Relay

CLOCK = 'hopwise'


def as_clock(found: Trained, relays: list[Relay], means: Mapping[str, Means]) -> tuple[list[str], dict[str, Any]]:
    """Norms and variables of the network as a clock; ValueError where it has no relay along frames to be frozen.

    `means` are of every relayed layer, [G C].
    """
    layers = [layer for relay in relays if relay.over == FRAMES for layer in relay.layers]
    words = [CLOCK if is_relay_along_frames(word) else word for word in found.model.norms]
    if CLOCK not in words:
        raise ValueError(
            f"Expected a network with 'cross_temporal' norms, whose relays can become a clock, got "
            f'{", ".join(found.model.norms)}.'
        )
    params = flatten_dict(found.variables['params'], sep='/')
    kept = {path: of for path, of in params.items() if not path.startswith(tuple(f'{of}/transform/' for of in layers))}
    learned = {
        f'{layer}/transform/{name}': np.asarray(of, np.float32)
        for layer in layers
        for name, of in means[layer]._asdict().items()
    }
    return words, {**found.variables, 'params': unflatten_dict(kept | learned, sep='/')}


def is_relay_along_frames(word: str) -> bool:
    """Whether a clock can take the place of this norm: the same statistics, hop by hop."""
    parts = NORMS[word]
    return (parts.statistics, parts.transform) == ('batch', 'cross_temporal') and parts.by_hop and not parts.residual
