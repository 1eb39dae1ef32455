"""Backbones cut to their first blocks: all that a family repeats, compiled in a fraction of the time.

    python -m benchmarks.ahead --backbones=resnet50_first_blocks,tsm_resnet50_first_blocks

Their cycles and bytes are good for ratios alone: early blocks have large maps and few channels.
"""

from functools import partial

from dnr_jax import models

# Of each family, the fields of its network that say how many blocks there are. Stem and two blocks; of those with
# convolutions over time, a block that has one; of SlowFast, one in either pathway.
CUT = {
    **dict.fromkeys(('resnet18', 'resnet50', 'tsm_resnet50', 'tanet_resnet50', 'tea_resnet50'), {'blocks': (2,)}),
    'mobilenet_v2': {'blocks': (1, 2)},
    'slowonly_resnet50': {'kernels': ((1, 3),)},
    'i3d_resnet50': {'kernels': ((3,),)},
    'r2plus1d_18': {'blocks': (1,)},
    'slowfast_resnet50_8x8': {'kernels': ((3,),)},
}


def first_blocks(backbone: str, **settings) -> models.network.Network:
    """That backbone, cut; settings as of every constructor in MODELS."""
    return models.MODELS[backbone](**settings).clone(**CUT[backbone])


FIRST_BLOCKS = {f'{backbone}_first_blocks': partial(first_blocks, backbone) for backbone in CUT}
