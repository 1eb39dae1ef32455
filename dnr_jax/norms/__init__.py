"""The method: norms whose scale and shift are relayed from layer to layer and from frame to frame.

    y = scale * (x - mean) / sqrt(var + epsilon) + shift

`relay` is the paper on one page; `statistics` says over what mean and variance are taken, `transforms` where scale and
shift come from, `normalization` puts a norm together and names it.
"""

from dnr_jax.norms.normalization import NORMS, PRESETS, Norm, make_norm
from dnr_jax.norms.relay import RelayCell, relay_over_frames, zero_carry

__all__ = [
    'NORMS',
    'PRESETS',
    'Norm',
    'RelayCell',
    'make_norm',
    'normalization',
    'relay',
    'relay_over_frames',
    'statistics',
    'transforms',
    'zero_carry',
]
