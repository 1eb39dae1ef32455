"""The method: norms whose scale and shift are relayed from layer to layer and from frame to frame.

    y = scale * (x - mean) / sqrt(var + epsilon) + shift

`relay` is the paper on one page; `statistics` says over what mean and variance are taken, `transforms` where scale and
shift come from, `normalization` puts the two together, `words` names what comes out. No part of the released method:
`set_statistics`, which evaluation shares with training, and `readings`, what a cell is given.
"""

from dnr_jax.norms.normalization import Norm
from dnr_jax.norms.relay import RelayCell, relay_over_frames, zero_carry
from dnr_jax.norms.words import NORMS, PRESETS, make_norm

__all__ = [
    'NORMS',
    'PRESETS',
    'Norm',
    'RelayCell',
    'make_norm',
    'normalization',
    'readings',
    'relay',
    'relay_over_frames',
    'set_statistics',
    'statistics',
    'transforms',
    'words',
    'zero_carry',
]
