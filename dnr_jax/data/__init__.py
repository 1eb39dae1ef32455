"""Data sets of labelled videos: prepared once as ArrayRecord files, read as batches of clips. Free of JAX.

A batch is a dict of NumPy arrays: `clip` uint8 [B T H W C] for training or [B V T H W C] for evaluation (V
views of one video), `label` int32 [B], `mask` bool [B] (False where a batch is only filled up), `id` str [B]
and `damaged` int32 [B] (records passed over for a clip).

A new data set is a builder (`builders/video.py` has what they share) and one row in DATASETS.
"""

import importlib

from dnr_jax.registry import choose

__all__ = [
    'DATASETS',
    'annotations',
    'builder_class',
    'builders',
    'clips',
    'cores',
    'far',
    'inventory',
    'pipeline',
    'prepare',
    'sampling',
    'source',
    'storage',
    'transforms',
    'video',
    'videos',
]

# Where each builder class is; imported on demand, since tensorflow-datasets is slow to import.
_RECORDED = 'dnr_jax.data.builders.recorded'
DATASETS = {
    'moving_shapes': 'dnr_jax.data.builders.moving_shapes:MovingShapes',
    'kinetics200': f'{_RECORDED}:Kinetics200',
    'kinetics400': f'{_RECORDED}:Kinetics400',
    'kinetics600': f'{_RECORDED}:Kinetics600',
    'kinetics700': f'{_RECORDED}:Kinetics700',
    'something_v1': f'{_RECORDED}:SomethingV1',
    'something_v2': f'{_RECORDED}:SomethingV2',
    'diving48': f'{_RECORDED}:Diving48',
    'jester': f'{_RECORDED}:Jester',
    'ucf101': f'{_RECORDED}:Ucf101',
    'hmdb51': f'{_RECORDED}:Hmdb51',
    'jhmdb21': f'{_RECORDED}:Jhmdb21',
    'videos': f'{_RECORDED}:Videos',  # any folder or list of one's own
}


def builder_class(name: str) -> type:
    """The tensorflow-datasets builder of a data set. Raises ValueError if there is no such data set."""
    module, _, attribute = choose(DATASETS, name, 'data set').partition(':')
    return getattr(importlib.import_module(module), attribute)
